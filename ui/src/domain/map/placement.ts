/** What happens to a layout when nodes come and go: survivors never move.
 *
 * A newcomer takes the nearest free slot of its room, right of its callers and left of its callees where it can.
 * A full room grows one row or column into free space; hemmed in on all sides, it opens a second frame. Nothing
 * already placed is pushed, so nothing ever lands on anything else.
 */

import { groupBy } from '../grouping';
import {
  bounds,
  frameAround,
  NODE_GAP_Y,
  NODE_HEIGHT,
  NODE_WIDTH,
  nodeRect,
  overlaps,
  ROOM_GAP_Y,
  ROOM_HEADER,
  ROOM_PADDING,
  type Point,
  type Rect,
} from './geometry';
import type { Frame, Layout, LayoutInput, Placeable } from './layout';
import type { Call } from './levels';
import { COLUMN_STEP, layOutRoom, ROW_STEP } from './room';

/** Growing a frame is dearer than a free slot this many units away. */
const GROWTH_COST = 120;
const BACKWARDS_COST = 400;
const SEARCH_STEP = 30;
const CLEARANCE = 24;

/** The layout of `input` that keeps every node of `previous` that is still there exactly where it was. */
export function place(previous: Layout, input: LayoutInput): Layout {
  const floor = survivorsOf(previous, input);
  const newcomers = input.nodes.filter((node) => !floor.centres.has(node.id));
  if (newcomers.length === 0) return { centres: floor.centres, frames: floor.frames };
  for (const [room, nodes] of groupBy(newcomers, (node) => node.room)) {
    if (room === null) nodes.forEach((node) => floor.addLoose(node, input.calls));
    else if (floor.frames.some((frame) => frame.room === room)) byTies(nodes, input.calls, floor).forEach((node) => floor.addToRoom(node, room, input.calls));
    else floor.addRoom(room, nodes, input.calls);
  }
  return { centres: floor.centres, frames: floor.frames };
}

/** The share of nodes that came after the layout was made: above a threshold, "Tidy up" is worth offering. */
export function newcomerShare(previous: Layout, nodes: readonly Placeable[]): number {
  if (nodes.length === 0) return 0;
  return nodes.filter((node) => !previous.centres.has(node.id)).length / nodes.length;
}

function survivorsOf(previous: Layout, input: LayoutInput): Floor {
  const roomOf = new Map(input.nodes.map((node) => [node.id, node.room]));
  const centres = new Map([...previous.centres].filter(([id]) => roomOf.has(id)));
  const frames = previous.frames.filter((frame) =>
    [...centres].some(([id, centre]) => roomOf.get(id) === frame.room && overlaps(frame, nodeRect(centre))),
  );
  return new Floor(centres, frames.map((frame) => ({ ...frame })), roomOf);
}

/** Those with most ties to what stands already go first. */
function byTies(nodes: readonly Placeable[], calls: readonly Call[], floor: Floor): Placeable[] {
  const ties = (id: string): number =>
    calls.filter((call) => (call.source === id && floor.centres.has(call.target)) || (call.target === id && floor.centres.has(call.source))).length;
  const known = new Map(nodes.map((node) => [node.id, ties(node.id)]));
  return [...nodes].sort((a, b) => (known.get(b.id) ?? 0) - (known.get(a.id) ?? 0) || (a.id < b.id ? -1 : 1));
}

/** The ground on which things stand: answers what is free, and where a newcomer would like to be. */
class Floor {
  readonly centres: Map<string, Point>;
  readonly frames: Frame[];
  readonly #roomOf: Map<string, string | null>;

  constructor(centres: Map<string, Point>, frames: Frame[], roomOf: Map<string, string | null>) {
    this.centres = centres;
    this.frames = frames;
    this.#roomOf = roomOf;
  }

  addLoose(node: Placeable, calls: readonly Call[]): void {
    const wish = this.#wish([node.id], calls);
    const spot = this.#nearestFree({ width: NODE_WIDTH, height: NODE_HEIGHT }, wish, CLEARANCE);
    this.centres.set(node.id, spot);
  }

  addRoom(room: string, nodes: readonly Placeable[], calls: readonly Call[]): void {
    const ids = nodes.map((node) => node.id);
    const members = layOutRoom(ids, calls, new Map());
    const frame = frameAround(members.values());
    if (frame === null) return;
    const middle = this.#nearestFree(frame, this.#wish(ids, calls), ROOM_GAP_Y);
    const shift = { x: middle.x - frame.x - frame.width / 2, y: middle.y - frame.y - frame.height / 2 };
    for (const [id, centre] of members) this.centres.set(id, { x: centre.x + shift.x, y: centre.y + shift.y });
    this.frames.push({ ...frame, room, x: frame.x + shift.x, y: frame.y + shift.y });
  }

  addToRoom(node: Placeable, room: string, calls: readonly Call[]): void {
    const wish = this.#wish([node.id], calls, room);
    let best: { centre: Point; frame: Frame; cost: number } | null = null;
    for (const frame of this.frames.filter((each) => each.room === room)) {
      for (const centre of this.#slots(frame, wish)) {
        const cost = this.#cost(node.id, centre, wish, calls) + (fits(frame, centre) ? 0 : GROWTH_COST);
        if ((best === null || cost < best.cost) && this.#isFree(centre, frame)) best = { centre, frame, cost };
      }
    }
    if (best === null) { this.addRoom(room, [node], calls); return; }
    this.centres.set(node.id, best.centre);
    Object.assign(best.frame, grown(best.frame, best.centre));
  }

  /** Slots of a frame, and those just outside it on every side: its own rows and columns, and the wished height. */
  #slots(frame: Frame, wish: Point): Point[] {
    const own = [...this.centres].filter(([id, centre]) => this.#roomOf.get(id) === frame.room && overlaps(frame, nodeRect(centre))).map(([, centre]) => centre);
    const columns = new Set(own.map((centre) => centre.x));
    const rows = new Set(own.map((centre) => centre.y).concat(wish.y));
    const [left, right] = [Math.min(...columns), Math.max(...columns)];
    columns.add(left - COLUMN_STEP).add(right + COLUMN_STEP);
    for (const y of [...rows]) rows.add(y - ROW_STEP).add(y + ROW_STEP);
    return [...columns].flatMap((x) => [...rows].map((y) => ({ x, y })));
  }

  #isFree(centre: Point, frame: Frame): boolean {
    const rect = nodeRect(centre);
    for (const other of this.centres.values()) if (overlaps(rect, nodeRect(other), NODE_GAP_Y - 4)) return false;
    if (fits(frame, centre)) return true;
    const larger = grown(frame, centre);
    return !this.#solids(frame).some((solid) => overlaps(larger, solid, ROOM_GAP_Y / 2));
  }

  /** Everything a frame must not touch: other frames, and nodes outside any room. */
  #solids(except: Frame | null): Rect[] {
    const loose = [...this.centres].filter(([id]) => (this.#roomOf.get(id) ?? null) === null).map(([, centre]) => nodeRect(centre));
    return [...this.frames.filter((frame) => frame !== except), ...loose];
  }

  #cost(id: string, centre: Point, wish: Point, calls: readonly Call[]): number {
    let cost = Math.abs(centre.x - wish.x) + Math.abs(centre.y - wish.y);
    for (const call of calls) {
      const other = call.source === id ? this.centres.get(call.target) : call.target === id ? this.centres.get(call.source) : undefined;
      if (other === undefined) continue;
      const runsRight = call.source === id ? centre.x < other.x : centre.x > other.x;
      if (!runsRight) cost += BACKWARDS_COST;
    }
    return cost;
  }

  /** Where `ids` would like their middle: one column right of their callers, level with what they are tied to. */
  #wish(ids: readonly string[], calls: readonly Call[], room?: string): Point {
    const members = new Set(ids);
    const wishes: Point[] = [];
    for (const call of calls) {
      const [from, to] = [this.centres.get(call.source), this.centres.get(call.target)];
      if (members.has(call.target) && from !== undefined) wishes.push({ x: from.x + COLUMN_STEP, y: from.y });
      if (members.has(call.source) && to !== undefined) wishes.push({ x: to.x - COLUMN_STEP, y: to.y });
    }
    const mean = (axis: 'x' | 'y'): number => wishes.reduce((sum, each) => sum + each[axis], 0) / wishes.length;
    if (wishes.length > 0) return { x: mean('x'), y: mean('y') };
    const home = bounds(this.frames.filter((frame) => frame.room === room)) ?? this.#belowEverything();
    return { x: home.x + ROOM_PADDING + NODE_WIDTH / 2, y: home.y + home.height };
  }

  #belowEverything(): Rect {
    const all = bounds([...this.frames, ...[...this.centres.values()].map((centre) => nodeRect(centre))]);
    return { x: all?.x ?? 0, y: (all?.y ?? 0) + (all?.height ?? 0) + ROOM_GAP_Y, width: 0, height: ROOM_HEADER };
  }

  /** The free middle for a rectangle of this size that is nearest to `wish`. */
  #nearestFree(size: { width: number; height: number }, wish: Point, gap: number): Point {
    const solids = this.#solids(null);
    const free = (middle: Point): boolean => {
      const rect = { x: middle.x - size.width / 2, y: middle.y - size.height / 2, width: size.width, height: size.height };
      return !solids.some((solid) => overlaps(rect, solid, gap));
    };
    for (let radius = 0; radius < 100_000; radius += SEARCH_STEP) {
      const ring = ringAround(wish, radius).filter(free);
      const nearest = ring.sort((a, b) => distance(a, wish) - distance(b, wish))[0];
      if (nearest !== undefined) return nearest;
    }
    return { x: wish.x, y: this.#belowEverything().y + size.height };
  }
}

/** Vertical moves keep the column, so they count for less. */
const distance = (a: Point, b: Point): number => Math.abs(a.x - b.x) * 1.5 + Math.abs(a.y - b.y);

function ringAround(middle: Point, radius: number): Point[] {
  if (radius === 0) return [middle];
  const points: Point[] = [];
  for (let along = -radius; along <= radius; along += SEARCH_STEP) {
    points.push({ x: middle.x + along, y: middle.y - radius }, { x: middle.x + along, y: middle.y + radius });
    points.push({ x: middle.x - radius, y: middle.y + along }, { x: middle.x + radius, y: middle.y + along });
  }
  return points;
}

/** Does a node there leave the frame's padding alone? */
function fits(frame: Rect, centre: Point): boolean {
  const needed = frameAround([centre]);
  return needed !== null && needed.x >= frame.x && needed.y >= frame.y && needed.x + needed.width <= frame.x + frame.width && needed.y + needed.height <= frame.y + frame.height;
}

const grown = (frame: Rect, centre: Point): Rect => bounds([frame, frameAround([centre]) ?? frame]) ?? frame;

