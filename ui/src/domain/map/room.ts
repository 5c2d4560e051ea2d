/** The layout inside one room: its workloads in bounded columns, callers left, idle ones in rows at the bottom. */

import { stack, wishOf, type Pull } from './align';
import { NODE_GAP_X, NODE_GAP_Y, NODE_HEIGHT, NODE_WIDTH, type Point } from './geometry';
import { wholeLevels, type Call } from './levels';

const SWEEPS = 8;
export const COLUMN_STEP = NODE_WIDTH + NODE_GAP_X;
export const ROW_STEP = NODE_HEIGHT + NODE_GAP_Y;

/** How a node is tied to the world outside its room. */
export interface Outside {
  incoming: boolean;
  outgoing: boolean;
}

/** Centres relative to the room's own origin (first column, middle of the columns' height near 0). */
export function layOutRoom(ids: readonly string[], calls: readonly Call[], outside: ReadonlyMap<string, Outside>): Map<string, Point> {
  const inside = new Set(ids);
  const own = calls.filter((call) => inside.has(call.source) && inside.has(call.target) && call.source !== call.target);
  const tied = new Set(own.flatMap((call) => [call.source, call.target]));
  const busy = ids.filter((id) => tied.has(id) || outside.has(id));
  const columns = intoColumns(busy, own, tied, outside);
  order(columns, own);
  const centres = alignRows(columns, own);
  addIdleRows(ids.filter((id) => !tied.has(id) && !outside.has(id)), columns.length, centres);
  return centres;
}

function intoColumns(busy: readonly string[], own: readonly Call[], tied: ReadonlySet<string>, outside: ReadonlyMap<string, Outside>): string[][] {
  if (busy.length === 0) return [];
  const level = wholeLevels(busy, own);
  const deepest = Math.max(...level.values());
  for (const id of busy) {
    // Calls only out of the room: at its right edge, so that the call does not run past its neighbours.
    if (!tied.has(id) && outside.get(id)?.incoming === false) level.set(id, deepest);
  }
  const most = Math.max(3, Math.ceil(Math.sqrt(busy.length * 0.9)));
  const squeeze = deepest + 1 > most ? (most - 1) / deepest : 1;
  const columns: string[][] = [];
  for (const id of [...busy].sort()) {
    const at = Math.round((level.get(id) ?? 0) * squeeze);
    (columns[at] ??= []).push(id);
  }
  // Levels may be left without a node: `filter` skips the holes.
  return split(columns.filter((column) => column.length > 0), busy.length);
}

/** Breaks columns that would be much taller than the room is wide into neighbours. */
function split(columns: readonly string[][], total: number): string[][] {
  const tallest = Math.max(6, Math.ceil(Math.sqrt(total * 2)));
  return columns.flatMap((column) => {
    const parts = Math.ceil(column.length / tallest);
    const size = Math.ceil(column.length / parts);
    return Array.from({ length: parts }, (_, part) => column.slice(part * size, (part + 1) * size));
  });
}

/** Sorts each column by the mean position of its neighbours, a few times in both directions. */
function order(columns: string[][], own: readonly Call[]): void {
  const neighbours = neighbourhood(own);
  const rank = new Map<string, number>();
  const rerank = (column: readonly string[]): void => column.forEach((id, at) => rank.set(id, at - (column.length - 1) / 2));
  columns.forEach(rerank);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const column of sweep % 2 === 0 ? columns : [...columns].reverse()) {
      const mean = new Map(column.map((id) => [id, meanRank(id, neighbours, rank)]));
      column.sort((a, b) => (mean.get(a) ?? 0) - (mean.get(b) ?? 0) || (a < b ? -1 : 1));
      rerank(column);
    }
  }
}

function meanRank(id: string, neighbours: ReadonlyMap<string, Neighbour[]>, rank: ReadonlyMap<string, number>): number {
  const around = neighbours.get(id) ?? [];
  if (around.length === 0) return rank.get(id) ?? 0;
  return around.reduce((sum, each) => sum + (rank.get(each.id) ?? 0), 0) / around.length;
}

interface Neighbour {
  id: string;
  weight: number;
}

function neighbourhood(calls: readonly Call[]): Map<string, Neighbour[]> {
  const around = new Map<string, Neighbour[]>();
  const add = (from: string, to: string, weight: number): void => {
    const list = around.get(from);
    if (list === undefined) around.set(from, [{ id: to, weight }]);
    else list.push({ id: to, weight });
  };
  for (const call of calls) {
    add(call.source, call.target, call.weight);
    add(call.target, call.source, call.weight);
  }
  return around;
}

function alignRows(columns: readonly string[][], own: readonly Call[]): Map<string, Point> {
  const neighbours = neighbourhood(own);
  const centres = new Map<string, Point>();
  for (const [at, column] of columns.entries()) {
    const top = (-(column.length - 1) / 2) * ROW_STEP;
    column.forEach((id, row) => centres.set(id, { x: at * COLUMN_STEP, y: top + row * ROW_STEP }));
  }
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const column of sweep % 2 === 0 ? [...columns].reverse() : columns) {
      const items = column.map((id) => {
        const pulls: Pull[] = (neighbours.get(id) ?? []).map((each) => ({ towards: centres.get(each.id)?.y ?? 0, weight: each.weight }));
        return { ...wishOf(pulls, centres.get(id)?.y ?? 0), height: NODE_HEIGHT };
      });
      const heights = stack(items, NODE_GAP_Y);
      column.forEach((id, row) => centres.set(id, { x: centres.get(id)?.x ?? 0, y: Math.round(heights[row] ?? 0) }));
    }
  }
  return centres;
}

/** Idle workloads fill rows under the busy ones, across the room's width. */
function addIdleRows(idle: readonly string[], columns: number, centres: Map<string, Point>): void {
  if (idle.length === 0) return;
  const wide = Math.max(columns, Math.min(3, Math.ceil(Math.sqrt(idle.length))));
  const bottom = centres.size === 0 ? 0 : Math.max(...[...centres.values()].map((centre) => centre.y)) + ROW_STEP;
  for (const [at, id] of [...idle].sort().entries()) {
    centres.set(id, { x: (at % wide) * COLUMN_STEP, y: bottom + Math.floor(at / wide) * ROW_STEP });
  }
}
