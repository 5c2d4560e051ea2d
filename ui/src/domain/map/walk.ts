/** Moving about the map by arrow keys: the nearest node that way, those one is connected with first. */

import type { Point } from './geometry';

export type Arrow = 'ArrowLeft' | 'ArrowRight' | 'ArrowUp' | 'ArrowDown';

const AHEAD: Record<Arrow, Point> = { ArrowLeft: { x: -1, y: 0 }, ArrowRight: { x: 1, y: 0 }, ArrowUp: { x: 0, y: -1 }, ArrowDown: { x: 0, y: 1 } };

/** Something connected counts as this much nearer. */
const TIE_BONUS = 0.35;
/** Leaving the straight line costs this much more than going along it. */
const ASIDE_COST = 1.8;

/** The node to step to from `at`, or null where there is none that way. */
export function step(at: string, arrow: Arrow, centres: ReadonlyMap<string, Point>, edges: readonly { source: string; target: string }[]): string | null {
  const here = centres.get(at);
  if (here === undefined) return null;
  const tied = new Set(edges.flatMap((edge) => (edge.source === at ? [edge.target] : edge.target === at ? [edge.source] : [])));
  const ahead = AHEAD[arrow];
  let [best, least] = [null as string | null, Infinity];
  for (const [id, centre] of centres) {
    const [dx, dy] = [centre.x - here.x, centre.y - here.y];
    const along = dx * ahead.x + dy * ahead.y;
    if (id === at || along <= 8) continue;
    const aside = Math.abs(dx * ahead.y) + Math.abs(dy * ahead.x);
    const cost = (along + aside * ASIDE_COST) * (tied.has(id) ? TIE_BONUS : 1);
    if (cost < least) [best, least] = [id, cost];
  }
  return best;
}

/** Where the keyboard enters the map: the leftmost node, of several the one nearest to the middle. */
export function entryPoint(centres: ReadonlyMap<string, Point>): string | null {
  let [first, least] = [null as string | null, Infinity];
  for (const [id, centre] of centres) {
    const cost = centre.x * 10 + Math.abs(centre.y);
    if (cost < least) [first, least] = [id, cost];
  }
  return first;
}
