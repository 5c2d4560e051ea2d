/** What the connections under an edge say, in words: failed connects, round trips, repeated segments. */

import { count, duration, rate, share } from './format';
import type { SceneEdge } from './map/scene';
import type { EdgeNetwork, ServiceEdge } from './types';

const FAILURES: Record<string, string> = { refused: 'refused', timed_out: 'no answer', unreachable: 'unreachable', failed_otherwise: 'failed' };

/** The share of repeated segments from which a line is called lossy. */
const LOSSY_SHARE = 0.01;

/** An edge on which no protocol was recognised: its figures are of connects. */
export const isTcp = (edge: { protocol: string }): boolean => edge.protocol === 'tcp';

/** Does a line of the map stand for connections only? */
export const isTcpOnly = (edge: SceneEdge): boolean => edge.calls.length > 0 && edge.calls.every(isTcp);

/** Why connects failed, the most frequent reason first: "refused 5, no answer 2". */
export function failuresText(failures: Readonly<Record<string, number>>): string {
  return sorted(failures)
    .map(([cause, times]) => `${FAILURES[cause] ?? cause} ${count(times)}`)
    .join(', ');
}

/** The most frequent reason alone; null where nothing failed. */
export function mainFailure(calls: readonly Pick<ServiceEdge, 'network'>[]): string | null {
  const all: Record<string, number> = {};
  for (const { network } of calls) for (const [cause, times] of Object.entries(network?.failures ?? {})) all[cause] = (all[cause] ?? 0) + times;
  const cause = sorted(all)[0]?.[0];
  return cause === undefined ? null : (FAILURES[cause] ?? cause);
}

const sorted = (failures: Readonly<Record<string, number>>): [string, number][] => Object.entries(failures).sort(([a, times], [b, others]) => others - times || a.localeCompare(b));

export const failedConnects = (calls: readonly Pick<ServiceEdge, 'network'>[]): number => calls.reduce((sum, { network }) => sum + (network?.failed ?? 0), 0);

/** What stands on a line where something fails: the share of errors, or why connects fail; null on a good day. */
export function badgeText(edge: SceneEdge): string | null {
  const reason = mainFailure(edge.calls);
  if (edge.errors > 0) return isTcpOnly(edge) && reason !== null ? `${reason} ${share(edge.errorRate)}` : share(edge.errorRate);
  return reason;
}

/** "12/s · 4 ms", with the word where it is not requests that are counted. */
export const figuresText = (edge: SceneEdge, latencyNs: number | null): string => `${rate(edge.rate)}${isTcpOnly(edge) ? ' connects' : ''} · ${duration(latencyNs)}`;

/** Sums of the networks under several calls, as far as they are known. */
export function networkOf(calls: readonly Pick<ServiceEdge, 'network'>[]): Pick<EdgeNetwork, 'active' | 'failed' | 'rtt_p95_ns'> | null {
  const known = calls.flatMap(({ network }) => (network === null ? [] : [network]));
  if (known.length === 0) return null;
  const trips = known.flatMap((network) => (network.rtt_p95_ns === null ? [] : [network.rtt_p95_ns]));
  return { active: known.reduce((sum, network) => sum + network.active, 0), failed: known.reduce((sum, network) => sum + network.failed, 0), rtt_p95_ns: trips.length === 0 ? null : Math.max(...trips) };
}

/** Connections reset by either end: "3 by the client, 1 by the server". */
export function resetsText(network: Pick<EdgeNetwork, 'client_resets' | 'server_resets'>): string {
  const parts = [
    [network.client_resets, 'client'],
    [network.server_resets, 'server'],
  ].flatMap(([times, end]) => (Number(times) > 0 ? [`${count(Number(times))} by the ${end}`] : []));
  return parts.length === 0 ? 'none' : parts.join(', ');
}

export const isLossy = (network: Pick<EdgeNetwork, 'retransmit_share'>): boolean => (network.retransmit_share ?? 0) >= LOSSY_SHARE;
