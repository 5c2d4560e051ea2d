/** The layout of a whole map from nothing: rooms (namespaces) and loose nodes (outsiders) left to right by who
 * calls whom, packed to the shape of the screen. See `placement` for what happens when nodes come and go.
 *
 * Off-the-shelf layered layouts take seconds at 300 nodes and move everything on every change; this one takes
 * milliseconds, and is only asked for at the first paint or by "Tidy up".
 */

import { groupBy } from '../grouping';
import { stack, wishOf, type Pull } from './align';
import { frameAround, NODE_HEIGHT, NODE_WIDTH, ROOM_GAP_X, ROOM_GAP_Y, type Point, type Rect } from './geometry';
import { wholeLevels, type Call } from './levels';
import { layOutRoom, type Outside } from './room';

/** A node to be placed; `room` is null for those that stand outside any room. */
export interface Placeable {
  id: string;
  room: string | null;
}

export interface Frame extends Rect {
  room: string;
}

/** Centres of all nodes and the frames of all rooms. A room that could not grow in place has several frames. */
export interface Layout {
  centres: Map<string, Point>;
  frames: Frame[];
}

export interface LayoutInput {
  nodes: readonly Placeable[];
  calls: readonly Call[];
}

/** A room or a loose node while it is moved about as one piece. `middle` is its origin's distance from its top. */
interface Block {
  key: string;
  members: Map<string, Point>;
  width: number;
  height: number;
  left: number;
  top: number;
  x: number;
  y: number;
}

const SWEEPS = 10;
/** A map up to this wide is readable on any screen, so its levels are never merged. */
const ALWAYS_WIDE_ENOUGH = 2400;

/** Lays out everything; `aspect` is width over height of the space to fill. */
export function layOut(input: LayoutInput, aspect = 1.6): Layout {
  const blockOf = new Map(input.nodes.map((node) => [node.id, node.room ?? node.id]));
  const blocks = makeBlocks(input, blockOf);
  const between = callsBetween(input.calls, blockOf);
  const tied = new Set(between.flatMap((call) => [call.source, call.target]));
  const connected = blocks.filter((block) => tied.has(block.key));
  const columns = intoColumns(connected, between, aspect);
  placeColumns(columns, input.calls, blockOf);
  shelve(blocks.filter((block) => !tied.has(block.key)), columns, aspect);
  return toLayout(input, blocks);
}

function makeBlocks(input: LayoutInput, blockOf: ReadonlyMap<string, string>): Block[] {
  const outside = new Map<string, Outside>();
  for (const call of input.calls) {
    if (blockOf.get(call.source) === blockOf.get(call.target)) continue;
    outside.set(call.source, { incoming: outside.get(call.source)?.incoming ?? false, outgoing: true });
    outside.set(call.target, { incoming: true, outgoing: outside.get(call.target)?.outgoing ?? false });
  }
  const blocks: Block[] = [];
  for (const [room, nodes] of groupBy(input.nodes, (node) => node.room)) {
    if (room === null) blocks.push(...nodes.map((node) => looseBlock(node.id)));
    else blocks.push(roomBlock(room, layOutRoom(nodes.map((node) => node.id), input.calls, outside)));
  }
  return blocks.sort((a, b) => (a.key < b.key ? -1 : 1));
}

const looseBlock = (id: string): Block => ({
  key: id,
  members: new Map([[id, { x: 0, y: 0 }]]),
  width: NODE_WIDTH,
  height: NODE_HEIGHT,
  left: -NODE_WIDTH / 2,
  top: -NODE_HEIGHT / 2,
  x: 0,
  y: 0,
});

/** A room as one piece; also used when a whole namespace appears later. */
export function roomBlock(room: string, members: Map<string, Point>): Block {
  const frame = frameAround(members.values()) ?? { x: 0, y: 0, width: 0, height: 0 };
  return { key: room, members, width: frame.width, height: frame.height, left: frame.x, top: frame.y, x: 0, y: 0 };
}

function callsBetween(calls: readonly Call[], blockOf: ReadonlyMap<string, string>): Call[] {
  const sums = new Map<string, Call>();
  for (const call of calls) {
    const [source, target] = [blockOf.get(call.source), blockOf.get(call.target)];
    if (source === undefined || target === undefined || source === target) continue;
    const key = `${source}\n${target}`;
    const known = sums.get(key);
    if (known === undefined) sums.set(key, { source, target, weight: call.weight });
    else known.weight += call.weight;
  }
  return [...sums.values()];
}

/** Blocks by level, with levels merged where the picture would be a strip and split where it would be a tower. */
function intoColumns(blocks: readonly Block[], between: readonly Call[], aspect: number): Block[][] {
  if (blocks.length === 0) return [];
  const level = wholeLevels(blocks.map((block) => block.key), between);
  const area = blocks.reduce((sum, block) => sum + (block.width + ROOM_GAP_X) * (block.height + ROOM_GAP_Y), 0);
  const tallest = Math.max(...blocks.map((block) => block.height));
  const wanted = Math.max(tallest, Math.sqrt(area / aspect) * 1.1);
  const columns = byLevel(blocks, level, squeezeFor(blocks, level, Math.max(wanted * aspect * 1.4, ALWAYS_WIDE_ENOUGH)));
  return columns.flatMap((column) => splitTall(column, wanted));
}

/** How much to shrink the level numbers so that the columns' widths add up to no more than `width`. */
function squeezeFor(blocks: readonly Block[], level: ReadonlyMap<string, number>, width: number): number {
  const columns = byLevel(blocks, level, 1);
  const total = columns.reduce((sum, column) => sum + Math.max(...column.map((block) => block.width)) + ROOM_GAP_X, 0);
  return columns.length > 2 && total > width ? Math.max(width / total, 1 / (columns.length - 1)) : 1;
}

function byLevel(blocks: readonly Block[], level: ReadonlyMap<string, number>, squeeze: number): Block[][] {
  const columns: Block[][] = [];
  for (const block of blocks) (columns[Math.round((level.get(block.key) ?? 0) * squeeze)] ??= []).push(block);
  // Levels may be left without a block: `filter` skips the holes.
  return columns.filter((column) => column.length > 0);
}

function splitTall(column: Block[], wanted: number): Block[][] {
  const total = column.reduce((sum, block) => sum + block.height + ROOM_GAP_Y, 0);
  const parts = Math.max(1, Math.round(total / (wanted * 1.15)));
  if (parts === 1) return [column];
  const result: Block[][] = [[]];
  let filled = 0;
  for (const block of column) {
    if (filled > 0 && filled + block.height / 2 > (total / parts) * result.length) result.push([]);
    result.at(-1)?.push(block);
    filled += block.height + ROOM_GAP_Y;
  }
  return result;
}

/** Gives every block its x by column, then moves columns up and down until calls are as level as they can be. */
function placeColumns(columns: Block[][], calls: readonly Call[], blockOf: ReadonlyMap<string, string>): void {
  let x = 0;
  for (const column of columns) {
    const width = Math.max(...column.map((block) => block.width));
    let y = -column.reduce((sum, block) => sum + block.height + ROOM_GAP_Y, -ROOM_GAP_Y) / 2;
    for (const block of column) {
      block.x = x + (width - block.width) / 2 - block.left;
      block.y = y - block.top;
      y += block.height + ROOM_GAP_Y;
    }
    x += width + ROOM_GAP_X;
  }
  const ties = tiesOf(columns.flat(), calls, blockOf);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const column of sweep % 2 === 0 ? columns : [...columns].reverse()) settle(column, ties, sweep < SWEEPS / 2);
  }
}

/** One call seen from a block: its own end's height inside the block, and the other end. */
interface Tie {
  own: number;
  other: Block;
  otherOffset: number;
  weight: number;
}

function tiesOf(blocks: readonly Block[], calls: readonly Call[], blockOf: ReadonlyMap<string, string>): Map<Block, Tie[]> {
  const byKey = new Map(blocks.map((block) => [block.key, block]));
  const ties = new Map<Block, Tie[]>(blocks.map((block) => [block, []]));
  for (const call of calls) {
    const [from, to] = [byKey.get(blockOf.get(call.source) ?? ''), byKey.get(blockOf.get(call.target) ?? '')];
    if (from === undefined || to === undefined || from === to) continue;
    const [a, b] = [from.members.get(call.source)?.y ?? 0, to.members.get(call.target)?.y ?? 0];
    ties.get(from)?.push({ own: a, other: to, otherOffset: b, weight: call.weight });
    ties.get(to)?.push({ own: b, other: from, otherOffset: a, weight: call.weight });
  }
  return ties;
}

function settle(column: Block[], ties: ReadonlyMap<Block, Tie[]>, mayReorder: boolean): void {
  const items = column.map((block) => {
    const pulls: Pull[] = (ties.get(block) ?? []).map((tie) => ({ towards: tie.other.y + tie.otherOffset - tie.own, weight: tie.weight }));
    const { wish, weight } = wishOf(pulls, block.y);
    // `stack` works on centres; a block's origin is not its centre.
    return { block, wish: wish + block.top + block.height / 2, weight, height: block.height };
  });
  if (mayReorder) items.sort((a, b) => a.wish - b.wish || (a.block.key < b.block.key ? -1 : 1));
  const middles = stack(items, ROOM_GAP_Y);
  items.forEach((item, at) => {
    item.block.y = Math.round((middles[at] ?? 0) - item.height / 2 - item.block.top);
    column[at] = item.block;
  });
}

/** Blocks that nobody calls and that call nobody: rows under everything else. */
function shelve(blocks: readonly Block[], columns: readonly Block[][], aspect: number): void {
  const placed = columns.flat();
  const right = Math.max(0, ...placed.map((block) => block.x + block.left + block.width));
  const bottom = placed.length === 0 ? 0 : Math.max(...placed.map((block) => block.y + block.top + block.height)) + 1.5 * ROOM_GAP_Y;
  const area = blocks.reduce((sum, block) => sum + (block.width + ROOM_GAP_Y) * (block.height + ROOM_GAP_Y), 0);
  const wide = Math.max(right, Math.sqrt(area * aspect));
  let [x, y, tall] = [0, bottom, 0];
  for (const block of [...blocks].sort((a, b) => b.height - a.height || (a.key < b.key ? -1 : 1))) {
    if (x > 0 && x + block.width > wide) [x, y, tall] = [0, y + tall + ROOM_GAP_Y, 0];
    [block.x, block.y] = [x - block.left, y - block.top];
    x += block.width + ROOM_GAP_Y;
    tall = Math.max(tall, block.height);
  }
}

function toLayout(input: LayoutInput, blocks: readonly Block[]): Layout {
  const centres = new Map<string, Point>();
  const rooms = new Set(input.nodes.map((node) => node.room));
  const frames: Frame[] = [];
  for (const block of blocks) {
    for (const [id, centre] of block.members) centres.set(id, { x: block.x + centre.x, y: block.y + centre.y });
    if (rooms.has(block.key)) {
      frames.push({ room: block.key, x: block.x + block.left, y: block.y + block.top, width: block.width, height: block.height });
    }
  }
  return { centres, frames };
}

