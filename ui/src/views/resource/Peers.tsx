/** Who calls, or is called: by peer, and under each the routes or statements with their share of the time. */

import { CopyButton } from '@mantine/core';
import { IconCheck, IconChevronRight, IconCopy, IconListSearch } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import type { Peer } from '@/api/client';
import { ShareBar } from '@/components/figures/Figures';
import { count, duration, protocolName, rate, share } from '@/domain/format';
import { isSlow, latencyBin } from '@/domain/latency';
import { cleaned, useClusterId, useRangeQuery } from '@/state/address';

type Endpoint = Peer['endpoints'][number];
type Direction = 'incoming' | 'outgoing';

interface Props {
  title: string;
  peers: readonly Peer[];
  /** The resource whose peers these are. */
  own: string;
  direction: Direction;
  none: string;
}

const SHOWN_AT_FIRST = 5;

export function Peers({ title, peers, own, direction, none }: Props) {
  const total = peers.reduce((sum, peer) => sum + timeOf(peer), 0);
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      {peers.length === 0 ? (
        <p className="dim">{none}</p>
      ) : (
        <table className="details-table peers">
          <thead>
            <tr>
              <th>{direction === 'incoming' ? 'From, what' : 'To, what'}</th>
              <th className="num">rate</th>
              <th className="num">p95</th>
              <th className="num">errors</th>
              <th>time</th>
            </tr>
          </thead>
          {peers.map((peer) => (
            <PeerRows key={`${peer.peer.id}|${peer.protocol}|${peer.service}|${peer.port}`} peer={peer} total={total} own={own} direction={direction} />
          ))}
        </table>
      )}
    </section>
  );
}

const timeOf = (peer: Peer): number => peer.endpoints.reduce((sum, endpoint) => sum + endpoint.latency_sum_ns, 0);

function PeerRows({ peer, total, own, direction }: { peer: Peer; total: number; own: string; direction: Direction }) {
  const [isAll, setAll] = useState(false);
  const shown = isAll ? peer.endpoints : peer.endpoints.slice(0, SHOWN_AT_FIRST);
  const cluster = useClusterId();
  const range = useRangeQuery();
  const via = peer.service === '' ? '' : ` via ${peer.service}:${peer.port}`;
  return (
    <tbody>
      <tr className="peer-row">
        <th scope="rowgroup">
          <Link to="/clusters/$clusterId/map" params={{ clusterId: cluster }} search={cleaned({ ...range, node: peer.peer.id })} className="peer-name">
            {peer.peer.name}
          </Link>
          <span className="peer-via">
            {protocolName(peer.protocol)}
            {via}
          </span>
        </th>
        <td className="num">{rate(peer.rate)}</td>
        <td className={isSlow(peer.p95_ns) ? 'num slow' : 'num'}>{duration(peer.p95_ns)}</td>
        <td className={peer.errors > 0 ? 'num bad' : 'num'}>{share(peer.error_rate)}</td>
        <td>
          <TimeShare part={timeOf(peer)} total={total} p95Ns={peer.p95_ns} />
        </td>
      </tr>
      {shown.map((endpoint) => (
        <EndpointRows key={`${endpoint.method} ${endpoint.template}`} endpoint={endpoint} peer={peer} total={total} own={own} direction={direction} />
      ))}
      {peer.endpoints.length > shown.length && (
        <tr>
          <td colSpan={5}>
            <button type="button" className="link-button accent" onClick={() => setAll(true)}>
              {count(peer.endpoints.length - shown.length)} more
            </button>
          </td>
        </tr>
      )}
    </tbody>
  );
}

function EndpointRows({ endpoint, peer, total, own, direction }: { endpoint: Endpoint; peer: Peer; total: number; own: string; direction: Direction }) {
  const [isOpen, setOpen] = useState(false);
  const text = endpointText(endpoint, peer.protocol);
  return (
    <>
      <tr className="endpoint-row">
        <td>
          <button type="button" className="endpoint-name" aria-expanded={isOpen} onClick={() => setOpen((open) => !open)}>
            <IconChevronRight size={12} className={isOpen ? 'is-open' : undefined} />
            {/* A route breaks anywhere but between method and path. */}
            <span className={isOpen ? 'mono break' : 'mono clamp'}>{peer.protocol === 'http' ? text.replace(' ', '\u00a0') : text}</span>
          </button>
        </td>
        <td className="num">{rate(endpoint.rate)}</td>
        <td className={isSlow(endpoint.p95_ns) ? 'num slow' : 'num'}>{duration(endpoint.p95_ns)}</td>
        <td className={endpoint.errors > 0 ? 'num bad' : 'num'}>{share(endpoint.error_rate)}</td>
        <td>
          <TimeShare part={endpoint.latency_sum_ns} total={total} p95Ns={endpoint.p95_ns} />
        </td>
      </tr>
      {isOpen && (
        <tr className="endpoint-more">
          <td colSpan={5}>
            <EndpointFacts endpoint={endpoint} peer={peer} own={own} direction={direction} text={text} />
          </td>
        </tr>
      )}
    </>
  );
}

/** Routes carry their method; statements begin with it anyway. */
const endpointText = (endpoint: Endpoint, protocol: string): string => (protocol === 'http' ? `${endpoint.method} ${endpoint.template}` : endpoint.template);

function EndpointFacts({ endpoint, peer, own, direction, text }: { endpoint: Endpoint; peer: Peer; own: string; direction: Direction; text: string }) {
  const cluster = useClusterId();
  const range = useRangeQuery();
  const ends = direction === 'incoming' ? { source: peer.peer.id, target: own } : { source: own, target: peer.peer.id };
  const statuses = Object.entries(endpoint.statuses).sort(([, a], [, b]) => b - a);
  return (
    <div className="endpoint-facts">
      <span>
        {count(endpoint.count)} requests · p50 {duration(endpoint.p50_ns)} · p99 {duration(endpoint.p99_ns)} · average {duration(endpoint.count > 0 ? endpoint.latency_sum_ns / endpoint.count : null)}
      </span>
      <span className="statuses">
        {statuses.map(([status, times]) => (
          <span key={status} className={isErrorStatus(status) ? 'chip is-bad' : 'chip'}>
            {status} <b>{count(times)}</b>
          </span>
        ))}
      </span>
      <span className="endpoint-actions">
        <CopyButton value={text}>
          {({ copied, copy }) => (
            <button type="button" className="link-button accent" onClick={copy}>
              {copied ? <IconCheck size={13} /> : <IconCopy size={13} />} {copied ? 'Copied' : peer.protocol === 'http' ? 'Copy route' : 'Copy statement'}
            </button>
          )}
        </CopyButton>
        <Link to="/clusters/$clusterId/requests" params={{ clusterId: cluster }} search={cleaned({ ...range, ...ends, protocol: peer.protocol, text: endpoint.template })}>
          <IconListSearch size={13} /> Its requests
        </Link>
      </span>
    </div>
  );
}

/** Five hundreds of HTTP, and every SQLSTATE. */
const isErrorStatus = (status: string): boolean => (/^\d{3}$/.test(status) ? Number(status) >= 500 : status !== 'ok' && status !== '');

function TimeShare({ part, total, p95Ns }: { part: number; total: number; p95Ns: number | null }) {
  const fraction = total > 0 ? part / total : 0;
  const bin = latencyBin(p95Ns);
  return <ShareBar share={fraction} label={`${share(fraction)} of the time`} colour={`var(--ramp-${bin})`} />;
}

