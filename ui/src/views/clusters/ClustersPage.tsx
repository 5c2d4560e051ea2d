/** All clusters, their state, and how to add one. */

import { ActionIcon, Button, Menu, Modal, Skeleton, TextInput } from '@mantine/core';
import { IconDots, IconPencil, IconPlus, IconSettings, IconTrash } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState, type ReactNode, type SubmitEvent } from 'react';
import type { Cluster } from '@/api/client';
import { Failure } from '@/components/feedback/Notice';
import { ago, plural } from '@/domain/format';
import { useNow } from '@/state/clock';
import { clustersQuery, useDeleteCluster, useRenameCluster } from '@/state/queries';
import { AddClusterForm } from './AddClusterPage';
import './clusters.css';

const STATES: Record<string, string> = { waiting: 'Waiting for its first data', connected: 'Connected', silent: 'Silent' };

export function ClustersPage() {
  const { data, error, refetch } = useQuery(clustersQuery());
  if (data === undefined) {
    if (error !== null) return <Failure what="The list of clusters could not be read" error={error} onRetry={() => void refetch()} />;
    return <Skeleton height={160} m={24} width="auto" />;
  }
  if (data.items.length === 0) return <FirstRun />;
  return (
    <div className="clusters-page">
      <header className="page-head">
        <h1>Clusters</h1>
        <span className="grow" />
        <Button leftSection={<IconPlus size={15} />} component={Link} to="/clusters/new">
          Add a cluster
        </Button>
      </header>
      <ClusterTable clusters={data.items} />
    </div>
  );
}

function FirstRun() {
  return (
    <div className="first-run">
      <h1>Add the first cluster</h1>
      <p className="dim">A cluster is a Kubernetes cluster, or just this machine. Give it a name; the next page has the one command that connects it. The service map fills by itself a few seconds later.</p>
      <AddClusterForm />
    </div>
  );
}

function ClusterTable({ clusters }: { clusters: readonly Cluster[] }) {
  const [renaming, setRenaming] = useState<Cluster | null>(null);
  const [deleting, setDeleting] = useState<Cluster | null>(null);
  const now = useNow();
  return (
    <>
      <table className="cluster-table">
        <thead>
          <tr>
            <th>Name</th>
            <th>State</th>
            <th className="num">Agents</th>
            <th className="num">Last data</th>
            <th>
              <span className="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {clusters.map((cluster) => (
            <tr key={cluster.id}>
              <td>
                <Link to={cluster.state === 'waiting' ? '/clusters/$clusterId/setup' : '/clusters/$clusterId/map'} params={{ clusterId: cluster.id }} className="cluster-name">
                  {cluster.name}
                </Link>
                <div className="faint mono">{cluster.id}</div>
              </td>
              <td>
                <i className={`state-dot is-${cluster.state}`} />
                {STATES[cluster.state] ?? cluster.state}
              </td>
              <td className="num">{cluster.agents}</td>
              <td className="num">{ago(cluster.last_seen_ms, now)}</td>
              <td className="num">
                <ClusterMenu cluster={cluster} onRename={() => setRenaming(cluster)} onDelete={() => setDeleting(cluster)} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Modal opened={renaming !== null} onClose={() => setRenaming(null)} title="Rename the cluster">
        {renaming !== null && <RenameForm cluster={renaming} onDone={() => setRenaming(null)} />}
      </Modal>
      <Modal opened={deleting !== null} onClose={() => setDeleting(null)} title={`Delete ${deleting?.name ?? ''}?`}>
        {deleting !== null && <DeleteForm cluster={deleting} onDone={() => setDeleting(null)} />}
      </Modal>
    </>
  );
}

function ClusterMenu({ cluster, onRename, onDelete }: { cluster: Cluster; onRename: () => void; onDelete: () => void }) {
  return (
    <Menu position="bottom-end" shadow="md" returnFocus>
      <Menu.Target>
        <ActionIcon aria-label={`Actions for ${cluster.name}`}>
          <IconDots size={16} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<IconSettings size={15} />} component={Link} to={`/clusters/${cluster.id}/setup`}>
          Set up agents
        </Menu.Item>
        <Menu.Item leftSection={<IconPencil size={15} />} onClick={onRename}>
          Rename
        </Menu.Item>
        <Menu.Item leftSection={<IconTrash size={15} />} color="red" onClick={onDelete}>
          Delete
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function RenameForm({ cluster, onDone }: { cluster: Cluster; onDone: () => void }) {
  const [name, setName] = useState(cluster.name);
  const rename = useRenameCluster();
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    rename.mutate({ id: cluster.id, name: name.trim() }, { onSuccess: onDone });
  };
  return (
    <form onSubmit={submit}>
      <TextInput label="Name" data-autofocus value={name} onChange={(event) => setName(event.currentTarget.value)} error={rename.error?.message} />
      <Buttons onCancel={onDone}>
        <Button type="submit" loading={rename.isPending} disabled={name.trim() === ''}>
          Rename
        </Button>
      </Buttons>
    </form>
  );
}

function DeleteForm({ cluster, onDone }: { cluster: Cluster; onDone: () => void }) {
  const [typed, setTyped] = useState('');
  const remove = useDeleteCluster();
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    remove.mutate(cluster.id, { onSuccess: onDone });
  };
  return (
    <form onSubmit={submit}>
      <p>
        Its key stops working at once: {plural(cluster.agents, 'connected agent')} will be turned away. What it has sent can no longer be seen.
      </p>
      <TextInput mt="sm" label={`Type ${cluster.name} to confirm`} data-autofocus value={typed} onChange={(event) => setTyped(event.currentTarget.value)} error={remove.error?.message} />
      <Buttons onCancel={onDone}>
        <Button type="submit" color="red" loading={remove.isPending} disabled={typed !== cluster.name}>
          Delete
        </Button>
      </Buttons>
    </form>
  );
}

function Buttons({ onCancel, children }: { onCancel: () => void; children: ReactNode }) {
  return (
    <div className="form-buttons">
      <Button variant="default" onClick={onCancel}>
        Cancel
      </Button>
      {children}
    </div>
  );
}
