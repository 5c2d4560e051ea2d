/** Everything about one workload: its figures, its charts, who calls it and whom it calls, its pods. */

import { Skeleton, useComputedColorScheme } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { Resource } from '@/api/client';
import { Failure, Notice, Stale } from '@/components/feedback/Notice';
import { Figures } from '@/components/figures/Figures';
import { compact, count, duration, rate, share } from '@/domain/format';
import { isSlow } from '@/domain/latency';
import { isLive, rangeLabel } from '@/domain/range';
import { useRange } from '@/state/address';
import { useIsAway } from '@/state/away';
import { resourceQuery } from '@/state/queries';
import { LatencyChart, TrafficChart } from './SeriesCharts';
import { Links, ListeningPorts } from './Links';
import { Peers } from './Peers';

interface Props {
  cluster: string;
  resource: string;
  /** On its own page the parts stand side by side. */
  isWide?: boolean;
}

export function ResourceDetails({ cluster, resource, isWide = false }: Props) {
  const range = useRange();
  const isOld = useIsAway(cluster) && isLive(range);
  const { data, error, refetch, dataUpdatedAt } = useQuery(resourceQuery(cluster, resource, range));
  if (data === undefined) {
    if (error !== null) return <Failure what="This resource could not be read" error={error} onRetry={() => void refetch()} />;
    return <Loading />;
  }
  return (
    <>
      {(error !== null || isOld) && <Stale what="Figures" asOf={new Date(dataUpdatedAt).toLocaleTimeString(undefined, { hourCycle: 'h23' })} />}
      <div className={isWide ? 'details is-wide' : 'details'}>
        <Summary data={data} />
        {data.summary.count > 0 && <Charts data={data} />}
        {data.summary.count === 0 && data.outgoing.length === 0 ? (
          <Notice title={data.resource.is_idle ? 'Idle in this time range' : 'No requests in this time range'}>No request came in and none went out: {rangeLabel(range).toLowerCase()}.</Notice>
        ) : (
          <>
            <Peers title="Incoming" peers={data.incoming} own={resource} direction="incoming" none="Nobody calls it in this time range." />
            <Peers title="Outgoing" peers={data.outgoing} own={resource} direction="outgoing" none="It calls nobody in this time range." />
          </>
        )}
        <Links data={data} />
        <ListeningPorts ports={data.listening} />
        <Pods pods={data.resource.pods} />
      </div>
    </>
  );
}

function Summary({ data }: { data: Resource }) {
  const { summary } = data;
  const hasTraffic = summary.count > 0;
  return (
    <Figures
      items={[
        { label: 'Requests', value: rate(summary.rate), note: `${compact(summary.count)} in all` },
        { label: 'p95', value: duration(hasTraffic ? summary.p95_ns : null), note: `p50 ${duration(summary.p50_ns)}`, isSlow: isSlow(summary.p95_ns) },
        { label: 'p99', value: duration(hasTraffic ? summary.p99_ns : null), isSlow: isSlow(summary.p99_ns) },
        { label: 'Errors', value: share(hasTraffic ? summary.error_rate : null), note: hasTraffic ? `${count(summary.errors)} failed` : '', isBad: summary.errors > 0 },
      ]}
    />
  );
}

function Charts({ data }: { data: Resource }) {
  const scheme = useComputedColorScheme('light');
  return (
    <div className="details-charts">
      <LatencyChart series={data.series} scheme={scheme} group="resource" />
      <TrafficChart series={data.series} scheme={scheme} group="resource" />
    </div>
  );
}

function Pods({ pods }: { pods: Resource['resource']['pods'] }) {
  if (pods.length === 0) return null;
  return (
    <section aria-label="Pods">
      <h2>Pods</h2>
      <table className="details-table">
        <thead>
          <tr>
            <th>Name</th>
            <th>Phase</th>
            <th>Node</th>
            <th>IP</th>
          </tr>
        </thead>
        <tbody>
          {pods.map((pod) => (
            <tr key={pod.name}>
              <td className="mono break">{pod.name}</td>
              <td className={pod.phase === 'Running' || pod.phase === 'Succeeded' ? undefined : 'warn'}>{pod.phase || '—'}</td>
              <td>{pod.node || '—'}</td>
              <td className="mono">{pod.ip || '—'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

export function Loading() {
  return (
    <div className="details" role="status" aria-label="Reading">
      <Skeleton height={56} />
      <Skeleton height={110} />
      <Skeleton height={110} />
      <Skeleton height={160} />
    </div>
  );
}
