/** The drawer of an edge: its figures, and how they went over the range. */

import { Button, useComputedColorScheme } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Failure, Notice } from '@/components/feedback/Notice';
import { Figures } from '@/components/figures/Figures';
import type { Selected } from '@/components/servicemap/renderer';
import { bytesRate, count, duration, protocolName, rate, share } from '@/domain/format';
import { isSlow } from '@/domain/latency';
import { foldedId } from '@/domain/map/scene';
import type { ServiceEdge, ServiceMapData } from '@/domain/types';
import { isTcp } from '@/domain/network';
import { nameOf } from '@/domain/views';
import { cleaned, useRange, useRangeQuery } from '@/state/address';
import { edgeSeriesQuery, mapQuery } from '@/state/queries';
import { Drawer } from './Drawer';
import { EdgeNetworkSection } from './EdgeNetworkSection';
import { Loading } from './ResourceDetails';
import { LatencyChart, TrafficChart } from './SeriesCharts';

interface Props {
  cluster: string;
  edge: string;
  onSelect: (selected: Selected) => void;
  onClose: () => void;
}

export function EdgeDrawer({ cluster, edge, onSelect, onClose }: Props) {
  const { data: calls } = useQuery({ ...mapQuery(cluster, useRange()), select: (map) => callsOf(map, edge) });
  const only = calls?.length === 1 ? calls[0] : undefined;
  if (calls === undefined) {
    return (
      <Drawer title="Calls" subtitle="" onClose={onClose}>
        <Loading />
      </Drawer>
    );
  }
  if (only !== undefined) return <OneEdge cluster={cluster} edge={only} onSelect={onSelect} onClose={onClose} />;
  return (
    <Drawer title={titleOf(edge, calls)} subtitle={`${count(calls.length)} pairs of workloads`} onClose={onClose}>
      {calls.length === 0 ? <Notice title="These calls do not occur in this time range" /> : <Pairs calls={calls} onSelect={onSelect} />}
    </Drawer>
  );
}

/** The calls behind a line of the map: one, or all between two folded namespaces ("source>target"). */
function callsOf(map: ServiceMapData, edge: string): ServiceEdge[] {
  const single = map.edges.find((each) => each.id === edge);
  if (single !== undefined) return [single];
  const [source = '', target = ''] = edge.split('>');
  const belongs = (id: string, to: string): boolean => id === to || (to.startsWith('Namespace//') && foldedId(map.nodes.find((node) => node.id === id)?.namespace ?? '') === to);
  return map.edges.filter((each) => belongs(each.source, source) && belongs(each.target, target)).sort((a, b) => b.rate - a.rate);
}

function titleOf(edge: string, calls: readonly ServiceEdge[]): string {
  if (calls.length === 0) return 'Calls';
  return edge.split('>').map(nameOf).join(' → ');
}

function OneEdge({ cluster, edge, onSelect, onClose }: Omit<Props, 'edge'> & { edge: ServiceEdge }) {
  const rangeQuery = useRangeQuery();
  const isUnspoken = isTcp(edge);
  const services = edge.services.map((service) => `${service.name}:${service.port}`).join(', ');
  const subtitle = `${protocolName(edge.protocol, edge.is_tls)}${services === '' ? '' : ` via ${services}`} · measured on the ${edge.side}'s side`;
  return (
    <Drawer title={`${nameOf(edge.source)} → ${nameOf(edge.target)}`} subtitle={subtitle} onClose={onClose}>
      <div className="details">
        {!isUnspoken && <Requests cluster={cluster} edge={edge} />}
        <EdgeNetworkSection cluster={cluster} edge={edge} />
        <div className="drawer-links">
          <Button variant="default" size="compact-sm" onClick={() => onSelect({ node: edge.source, edge: null })}>
            {nameOf(edge.source)}
          </Button>
          <Button variant="default" size="compact-sm" onClick={() => onSelect({ node: edge.target, edge: null })}>
            {nameOf(edge.target)}
          </Button>
          {!isUnspoken && (
            <Button variant="default" size="compact-sm" component={Link} to={`/clusters/${cluster}/requests`} search={cleaned({ ...rangeQuery, source: edge.source, target: edge.target, protocol: edge.protocol }) as never}>
              Its requests
            </Button>
          )}
        </div>
      </div>
    </Drawer>
  );
}

function Requests({ cluster, edge }: { cluster: string; edge: ServiceEdge }) {
  const scheme = useComputedColorScheme('light');
  const { data, error, refetch } = useQuery(edgeSeriesQuery(cluster, edge.id, useRange()));
  return (
    <>
      <EdgeFigures edge={edge} />
      {error !== null && data === undefined && <Failure what="The series could not be read" error={error} onRetry={() => void refetch()} />}
      {data !== undefined && (
        <div className="details-charts">
          <LatencyChart series={data} scheme={scheme} group="edge" />
          <TrafficChart series={data} scheme={scheme} group="edge" />
        </div>
      )}
    </>
  );
}

function EdgeFigures({ edge }: { edge: ServiceEdge }) {
  return (
    <Figures
      items={[
        { label: 'Requests', value: rate(edge.rate), note: `${count(edge.count)} in all` },
        { label: 'p95', value: duration(edge.p95_ns), note: `p50 ${duration(edge.p50_ns)}`, isSlow: isSlow(edge.p95_ns) },
        { label: 'p99', value: duration(edge.p99_ns), isSlow: isSlow(edge.p99_ns) },
        { label: 'Errors', value: share(edge.error_rate), note: `${count(edge.errors)} failed`, isBad: edge.errors > 0 },
        { label: 'Bytes out', value: bytesRate(edge.request_bytes_rate) },
        { label: 'Bytes in', value: bytesRate(edge.response_bytes_rate) },
      ]}
    />
  );
}

function Pairs({ calls, onSelect }: { calls: readonly ServiceEdge[]; onSelect: (selected: Selected) => void }) {
  return (
    <div className="details">
      <table className="details-table">
        <thead>
          <tr>
            <th>From → to</th>
            <th className="num">rate</th>
            <th className="num">p95</th>
            <th className="num">errors</th>
          </tr>
        </thead>
        <tbody>
          {calls.map((call) => (
            <tr key={call.id}>
              <td>
                <button type="button" className="link-button" onClick={() => onSelect({ node: null, edge: call.id })}>
                  {nameOf(call.source)} → {nameOf(call.target)}
                </button>{' '}
                <span className="faint">{protocolName(call.protocol, call.is_tls)}</span>
              </td>
              <td className="num">{rate(call.rate)}</td>
              <td className={isSlow(call.p95_ns) ? 'num slow' : 'num'}>{duration(call.p95_ns)}</td>
              <td className={call.errors > 0 ? 'num bad' : 'num'}>{share(call.error_rate)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
