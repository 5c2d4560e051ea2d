/** What a node's border and badge say. Quiet until something is wrong. */

import { latencyBin, type LatencyBin } from '../latency';
import type { SceneNode } from './scene';

export type Badge = 'failing' | 'slow' | 'unready' | null;

export interface Health {
  /** The latency bin its border takes its colour from; 0 and 1 are not coloured. */
  bin: LatencyBin;
  badge: Badge;
  isIdle: boolean;
}

const FAILING_SHARE = 0.01;

export function healthOf(node: SceneNode): Health {
  const bin = latencyBin(node.p95Ns);
  return { bin, badge: badgeOf(node, bin), isIdle: node.isIdle };
}

function badgeOf(node: SceneNode, bin: LatencyBin): Badge {
  if ((node.errorRate ?? 0) >= FAILING_SHARE) return 'failing';
  if (node.podsReady !== null && node.podsDesired !== null && node.podsReady < node.podsDesired) return 'unready';
  return bin >= 3 ? 'slow' : null;
}

export const BADGE_LABELS: Record<Exclude<Badge, null>, string> = {
  failing: 'fails more than 1 % of its requests',
  unready: 'has pods that are not ready',
  slow: 'p95 above 300 ms',
};
