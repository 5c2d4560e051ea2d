/** The connections under an edge: how many, how fast they come to be, why they fail, what the way costs. */

import { useComputedColorScheme } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Failure } from '@/components/feedback/Notice';
import { Figures, type Figure } from '@/components/figures/Figures';
import type { NetworkDetails } from '@/api/client';
import { bytes, compact, count, duration, rate, share } from '@/domain/format';
import { failuresText, isLossy, isTcp, resetsText } from '@/domain/network';
import type { EdgeNetwork, ServiceEdge } from '@/domain/types';
import { useRange } from '@/state/address';
import { edgeNetworkQuery } from '@/state/queries';
import { ConnectsChart, RoundTripChart } from './SeriesCharts';

export function EdgeNetworkSection({ cluster, edge }: { cluster: string; edge: ServiceEdge }) {
  const scheme = useComputedColorScheme('light');
  const { network } = edge;
  const { data, error, refetch } = useQuery({ ...edgeNetworkQuery(cluster, edge.id, useRange()), enabled: network !== null });
  return (
    <section aria-label="Network">
      <h2>Network</h2>
      {network === null ? (
        <p className="dim">No agent saw connections of these calls in this time range.</p>
      ) : (
        <div className="details">
          {isTcp(edge) && <p className="dim">{network.opened === 0 && network.failed > 0 ? 'No connect succeeded in this time range.' : 'What is spoken here is not recognised: only connections are counted.'}</p>}
          <Figures items={figuresOf(network)} />
          <Facts network={network} />
          {error !== null && data === undefined && <Failure what="The connections could not be read" error={error} onRetry={() => void refetch()} />}
          {data !== undefined && (
            <div className="details-charts">
              <ConnectsChart series={data.series} scheme={scheme} group="edge" />
              {hasTimes(data.series) && <RoundTripChart series={data.series} scheme={scheme} group="edge" />}
            </div>
          )}
          {data !== undefined && data.ports.length > 1 && <Ports ports={data.ports} />}
        </div>
      )}
    </section>
  );
}

/** Where every connect fails there is nothing to draw. */
const hasTimes = (series: NetworkDetails['series']): boolean => [...series.connect_p95_ns, ...series.rtt_p95_ns].some((value) => value !== null);

function figuresOf(network: EdgeNetwork): Figure[] {
  const attempts = network.opened + network.failed;
  return [
    { label: 'Connects', value: rate(network.rate), note: `${count(attempts)} in all` },
    { label: 'Failed', value: attempts === 0 ? '—' : share(network.failed / attempts), note: `${count(network.failed)} failed`, isBad: network.failed > 0 },
    { label: 'Open', value: compact(network.active), note: 'on average' },
    { label: 'Connect p95', value: duration(network.connect_p95_ns), note: `p50 ${duration(network.connect_p50_ns)}` },
    { label: 'Round trip', value: duration(network.rtt_mean_ns), note: `p95 ${duration(network.rtt_p95_ns)}` },
    { label: 'Repeated', value: share(network.retransmit_share), note: `${count(network.retransmits)} segments`, isBad: isLossy(network) },
  ];
}

function Facts({ network }: { network: EdgeNetwork }) {
  return (
    <dl className="network-facts">
      {network.failed > 0 && (
        <>
          <dt>Failed connects</dt>
          <dd className="bad">{failuresText(network.failures)}</dd>
        </>
      )}
      {network.cancelled > 0 && (
        <>
          <dt>Given up at once</dt>
          <dd>{count(network.cancelled)}</dd>
        </>
      )}
      <dt>Resets</dt>
      <dd>{resetsText(network)}</dd>
      <dt>Payload</dt>
      <dd>
        {bytes(network.client_bytes)} sent, {bytes(network.server_bytes)} received
      </dd>
    </dl>
  );
}

function Ports({ ports }: { ports: NetworkDetails['ports'] }) {
  return (
    <table className="details-table">
      <thead>
        <tr>
          <th>Port</th>
          <th className="num">connects</th>
          <th className="num">failed</th>
          <th className="num">open</th>
          <th className="num">round trip</th>
        </tr>
      </thead>
      <tbody>
        {ports.map(({ service, port, network }) => (
          <tr key={port}>
            <td>{service === '' ? port : `${service}:${port}`}</td>
            <td className="num">{rate(network.rate)}</td>
            <td className={network.failed > 0 ? 'num bad' : 'num'}>{network.failed === 0 ? '0' : failuresText(network.failures)}</td>
            <td className="num">{compact(network.active)}</td>
            <td className="num">{duration(network.rtt_mean_ns)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
