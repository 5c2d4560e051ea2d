/** Which way calls run: a whole-number level per node such that callers stand left of those they call.
 *
 * Real graphs have cycles, so two steps: trophic levels (least squares of "a callee is one above its caller")
 * give a smooth order in which few calls run backwards; longest paths over the calls that run forward in that
 * order then give whole levels.
 */

import { groupBy } from '../grouping';

export interface Call {
  source: string;
  target: string;
  weight: number;
}

const SWEEPS = 40;

/** Trophic level of every node, smallest 0 in each connected part. */
export function trophicLevels(ids: readonly string[], calls: readonly Call[]): Map<string, number> {
  const index = new Map(ids.map((id, at) => [id, at]));
  const neighbours: { at: number; step: number; weight: number }[][] = ids.map(() => []);
  for (const call of calls) {
    const [from, to] = [index.get(call.source), index.get(call.target)];
    if (from === undefined || to === undefined || from === to) continue;
    neighbours[from]?.push({ at: to, step: -1, weight: call.weight });
    neighbours[to]?.push({ at: from, step: 1, weight: call.weight });
  }
  const level = new Float64Array(ids.length);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const [at, around] of neighbours.entries()) {
      let [sum, total] = [0, 0];
      for (const each of around) {
        sum += ((level[each.at] ?? 0) + each.step) * each.weight;
        total += each.weight;
      }
      if (total > 0) level[at] = sum / total;
    }
  }
  return new Map(ids.map((id, at) => [id, level[at] ?? 0]));
}

/** Whole levels from 0: calls that do not run backwards in trophic order go at least one level right. */
export function wholeLevels(ids: readonly string[], calls: readonly Call[]): Map<string, number> {
  const smooth = trophicLevels(ids, calls);
  const forward = calls.filter((call) => runsForward(call, smooth));
  const level = new Map(ids.map((id) => [id, 0]));
  const order = [...ids].sort((a, b) => before(a, b, smooth));
  const outgoing = groupBy(forward, (call) => call.source);
  for (const id of order) {
    for (const call of outgoing.get(id) ?? []) {
      level.set(call.target, Math.max(level.get(call.target) ?? 0, (level.get(id) ?? 0) + 1));
    }
  }
  pullSourcesRight(order, forward, outgoing, level);
  return level;
}

/** Ties (perfect cycles) are broken by name, so that the same graph always gives the same picture. */
function before(a: string, b: string, smooth: Map<string, number>): number {
  const difference = (smooth.get(a) ?? 0) - (smooth.get(b) ?? 0);
  if (Math.abs(difference) > 1e-6) return difference;
  return a < b ? -1 : 1;
}

const runsForward = (call: Call, smooth: Map<string, number>): boolean =>
  smooth.has(call.source) && smooth.has(call.target) && call.source !== call.target && before(call.source, call.target, smooth) < 0;

/** A node nobody calls stands right before its first callee instead of at the far left. */
function pullSourcesRight(order: readonly string[], forward: readonly Call[], outgoing: Map<string, Call[]>, level: Map<string, number>): void {
  const called = new Set(forward.map((call) => call.target));
  for (const id of [...order].reverse()) {
    const calls = outgoing.get(id);
    if (called.has(id) || calls === undefined) continue;
    level.set(id, Math.max(0, Math.min(...calls.map((call) => level.get(call.target) ?? 0)) - 1));
  }
}
