/** Sentences about nodes and edges, for screen readers, tooltips and second lines. */

import { duration, plural, protocolName, rate, share } from './format';
import { BADGE_LABELS, healthOf } from './map/health';
import type { SceneEdge, SceneNode } from './map/scene';

/** The small line under a node's name. */
export function subtitle(node: SceneNode): string {
  if (node.kind === 'Namespace') return plural(node.members.length, 'workload');
  const pods = podsText(node.podsReady, node.podsDesired);
  return [kindName(node.kind), pods, node.isIdle ? 'idle' : null].filter((part) => part !== null).join(' · ');
}

/** Kinds as people say them. */
export function kindName(kind: string): string {
  const names: Record<string, string> = { External: 'external', Unit: 'systemd unit', Process: 'process', OtherWorkload: 'workload' };
  return names[kind] ?? kind;
}

/** "2/2", "1/2"; null where pods are not a thing or not known. */
export const podsText = (ready: number | null, desired: number | null): string | null => (ready === null ? null : desired === null ? String(ready) : `${ready}/${desired}`);

/** "2 of 2 pods ready". */
export function podsSentence(ready: number | null, desired: number | null): string | null {
  if (ready === null) return null;
  return desired === null ? plural(ready, 'pod') : `${ready} of ${plural(desired, 'pod')} ready`;
}

/** All a node shows, as one sentence for those who cannot see it. */
export function nodeSentence(node: SceneNode): string {
  const { badge } = healthOf(node);
  const where = node.room === null ? '' : ` in ${node.room}`;
  const traffic = node.isIdle ? 'idle' : node.rate > 0 ? `${rate(node.rate)} incoming, p95 ${duration(node.p95Ns)}, errors ${share(node.errorRate)}` : 'serves no requests';
  return [`${node.label}, ${kindName(node.kind)}${where}`, podsSentence(node.podsReady, node.podsDesired), traffic, badge === null ? null : BADGE_LABELS[badge]]
    .filter((part) => part !== null)
    .join(', ');
}

/** "HTTP", "HTTPS, PostgreSQL". */
export const protocolsText = (edge: SceneEdge): string => [...new Set(edge.calls.map((call) => protocolName(call.protocol, call.is_tls)))].join(', ');

/** Through which Services the calls go: "currencies:8000". */
export function servicesText(edge: SceneEdge): string | null {
  const names = new Set(edge.calls.flatMap((call) => call.services.map((service) => `${service.name}:${service.port}`)));
  return names.size === 0 ? null : [...names].slice(0, 3).join(', ') + (names.size > 3 ? ` and ${names.size - 3} more` : '');
}

/** Which end measured it. */
export function sideText(edge: SceneEdge): string {
  const sides = new Set(edge.calls.map((call) => call.side));
  if (sides.size > 1) return 'both ends';
  return sides.has('server') ? "server's side" : "client's side";
}
