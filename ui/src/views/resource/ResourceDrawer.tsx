/** The drawer of a node on the map: one workload, or the workloads of a folded namespace. */

import { ActionIcon, Button, SegmentedControl, Tooltip } from '@mantine/core';
import { IconArrowsMaximize, IconListSearch } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { kindName, podsSentence } from '@/domain/describe';
import { duration, plural, rate } from '@/domain/format';
import { isSlow } from '@/domain/latency';
import { OUTSIDE_ROOM, roomOf } from '@/domain/map/scene';
import { nameOf, type MapView } from '@/domain/views';
import { cleaned, useRange, useRangeQuery } from '@/state/address';
import { mapQuery } from '@/state/queries';
import { Drawer } from './Drawer';
import { ResourceDetails } from './ResourceDetails';

interface Props {
  cluster: string;
  resource: string;
  view: MapView;
  onChange: (patch: Partial<MapView>) => void;
  onClose: () => void;
}

export function ResourceDrawer({ cluster, resource, view, onChange, onClose }: Props) {
  if (resource.startsWith('Namespace//')) return <NamespaceDrawer cluster={cluster} room={nameOf(resource)} view={view} onChange={onChange} onClose={onClose} />;
  return <WorkloadDrawer cluster={cluster} resource={resource} view={view} onChange={onChange} onClose={onClose} />;
}

function WorkloadDrawer({ cluster, resource, view, onChange, onClose }: Props) {
  const range = useRangeQuery();
  const subtitle = useSubtitle(cluster, resource);
  return (
    <Drawer
      title={nameOf(resource)}
      subtitle={subtitle}
      onClose={onClose}
      actions={
        <>
          <Tooltip label="Its requests">
            <ActionIcon component={Link} to={`/clusters/${cluster}/requests`} search={cleaned({ ...range, resource }) as never} aria-label="Its requests">
              <IconListSearch size={16} />
            </ActionIcon>
          </Tooltip>
          <Tooltip label="Open as a page">
            <ActionIcon component={Link} to={`/clusters/${cluster}/resource`} search={cleaned({ ...range, id: resource }) as never} aria-label="Open as a page">
              <IconArrowsMaximize size={15} />
            </ActionIcon>
          </Tooltip>
        </>
      }
    >
      {!view.isTable && <FocusControls view={view} onChange={onChange} />}
      <ResourceDetails cluster={cluster} resource={resource} />
    </Drawer>
  );
}

/** Kind, namespace and replicas, from the map that is there anyway. */
export function useSubtitle(cluster: string, resource: string): string {
  const { data } = useQuery({
    ...mapQuery(cluster, useRange()),
    select: (map) => {
      const node = map.nodes.find((each) => each.id === resource);
      const [kind = '', namespace = ''] = resource.split('/');
      return [kindName(node?.kind ?? kind), node?.namespace ?? namespace, node === undefined ? null : podsSentence(node.pods_ready, node.pods_desired)].filter((part) => part !== null && part !== '').join(' · ');
    },
    notifyOnChangeProps: ['data'],
  });
  return data ?? '';
}

/** How far, and which way, the map is lit around the selected node. */
function FocusControls({ view, onChange }: Pick<Props, 'view' | 'onChange'>) {
  return (
    <div className="focus-controls">
      <SegmentedControl
        size="xs"
        aria-label="Which way to look"
        value={view.direction}
        data={[
          { value: 'callers', label: 'Callers' },
          { value: 'both', label: 'Both' },
          { value: 'callees', label: 'Callees' },
        ]}
        onChange={(direction) => onChange({ direction: direction })}
      />
      <SegmentedControl size="xs" aria-label="How many calls away" value={String(view.depth)} data={[{ value: '1', label: '1 call' }, { value: '2', label: '2' }, { value: '3', label: '3' }]} onChange={(depth) => onChange({ depth: Number(depth) })} />
    </div>
  );
}

function NamespaceDrawer({ cluster, room, view, onChange, onClose }: Omit<Props, 'resource'> & { room: string }) {
  const { data } = useQuery({
    ...mapQuery(cluster, useRange()),
    select: (map) => map.nodes.filter((node) => roomOf(node) === room).sort((a, b) => b.rate_in - a.rate_in),
  });
  const members = data ?? [];
  const open = (): void => {
    const { grouping } = view;
    onChange({ grouping: { ...grouping, opened: [...grouping.opened, room], folded: grouping.folded.filter((each) => each !== room) }, node: null });
  };
  return (
    <Drawer title={room} subtitle={`${room === OUTSIDE_ROOM ? 'On this host' : 'Namespace'} · ${plural(members.length, 'workload')}`} onClose={onClose}>
      <div className="details">
        <Button onClick={open}>Open on the map</Button>
        <table className="details-table">
          <thead>
            <tr>
              <th>Workload</th>
              <th className="num">incoming</th>
              <th className="num">p95</th>
            </tr>
          </thead>
          <tbody>
            {members.map((node) => (
              <tr key={node.id}>
                <td>
                  <button type="button" className="link-button" onClick={() => onChange({ node: node.id })}>
                    {node.name}
                  </button>{' '}
                  <span className="faint">{kindName(node.kind)}</span>
                </td>
                <td className="num">{node.is_idle ? 'idle' : rate(node.rate_in)}</td>
                <td className={isSlow(node.p95_in_ns) ? 'num slow' : 'num'}>{duration(node.p95_in_ns)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Drawer>
  );
}
