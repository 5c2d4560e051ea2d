/** How to connect a cluster: commands ready to copy, then the wait for its first data. */

import { Button, Loader, Skeleton, Tabs } from '@mantine/core';
import { IconAlertTriangle, IconCircleCheckFilled } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ClusterSetup } from '@/api/client';
import { CopyBlock } from '@/components/feedback/CopyBlock';
import { Failure } from '@/components/feedback/Notice';
import { ago, plural } from '@/domain/format';
import { useClusterId, useQueryText, useSetQuery } from '@/state/address';
import { useNow } from '@/state/clock';
import { clusterQuery } from '@/state/queries';
import './clusters.css';

const WAYS = [
  { value: 'helm', label: 'Helm', note: 'Installs the agent on every node as a DaemonSet, by the chart in deploy/helm/osmia-agent of the source.' },
  { value: 'kubectl', label: 'kubectl', note: 'The same without Helm: deploy/kubernetes/osmia-agent.yaml, with id, key and address filled in by this server.' },
  { value: 'host', label: 'Plain host', note: 'Watches one Linux machine, without Kubernetes. Needs root and a kernel with BTF (5.8 or later).' },
] as const;

export function SetupPage() {
  const { data, error, refetch } = useQuery(clusterQuery(useClusterId()));
  if (data === undefined) {
    if (error !== null) return <Failure what="This cluster could not be read" error={error} onRetry={() => void refetch()} />;
    return <Skeleton height={300} m={24} width="auto" />;
  }
  return (
    <div className="setup-page">
      <h1>Connect {data.name}</h1>
      <Instructions cluster={data} />
      <Arrival cluster={data} />
    </div>
  );
}

function Instructions({ cluster }: { cluster: ClusterSetup }) {
  const { install } = cluster;
  const setQuery = useSetQuery();
  const asked = useQueryText()['way'];
  const way = WAYS.find((each) => each.value === asked)?.value ?? 'helm';
  return (
    <section className="card" aria-label="Instructions">
      <dl className="setup-facts">
        <dt>Monitoring id</dt>
        <dd>
          <CopyBlock text={install.monitoring_id} label="monitoring id" isInline />
        </dd>
        <dt>Server address</dt>
        <dd>
          <CopyBlock text={install.server_url} label="server address" isInline />
        </dd>
        <dt>Key</dt>
        <dd>
          <CopyBlock text={install.key} label="key" isInline />
        </dd>
      </dl>
      <Tabs value={way} onChange={(value) => setQuery({ way: value === 'helm' || value === null ? undefined : value }, { replace: true })} keepMounted={false}>
        <Tabs.List>
          {WAYS.map((each) => (
            <Tabs.Tab key={each.value} value={each.value}>
              {each.label}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {WAYS.map((each) => (
          <Tabs.Panel key={each.value} value={each.value} pt="sm">
            <p className="dim setup-note">{each.note}</p>
            <CopyBlock text={install[each.value]} label={`${each.label} command`} />
          </Tabs.Panel>
        ))}
      </Tabs>
    </section>
  );
}

function Sign({ state }: { state: ClusterSetup['state'] }) {
  if (state === 'connected') return <IconCircleCheckFilled size={22} color="var(--good)" />;
  return state === 'silent' ? <IconAlertTriangle size={20} color="var(--warn)" /> : <Loader size={18} />;
}

/** Waits with the user: turns by itself when the first data is there. */
function Arrival({ cluster }: { cluster: ClusterSetup }) {
  const now = useNow();
  const isConnected = cluster.state === 'connected';
  return (
    <section className="card arrival" aria-label="State of the connection" aria-live="polite">
      <Sign state={cluster.state} />
      <div>
        <b>{isConnected ? 'Connected' : cluster.state === 'silent' ? 'Silent' : 'Waiting for the first data'}</b>
        <div className="dim">
          {isConnected && `${plural(cluster.agents, 'agent')}, last data ${ago(cluster.last_seen_ms, now)}`}
          {cluster.state === 'silent' && `The last data came ${ago(cluster.last_seen_ms, now)}`}
          {cluster.state === 'waiting' && 'This page notices by itself, usually within 15 seconds of the agent’s start.'}
        </div>
      </div>
      <span className="grow" />
      {cluster.state !== 'waiting' && (
        <Button component={Link} to={`/clusters/${cluster.id}/map`} variant={isConnected ? 'filled' : 'default'}>
          Open the service map
        </Button>
      )}
    </section>
  );
}
