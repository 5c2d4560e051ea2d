/** The curve of every edge: out of the caller's right side, into the callee's left, around the nodes between.
 *
 * Each curve is a chain of cubic Béziers with level ends. Where the straight way would run behind a node, a level
 * lane through the nearest gap above or below is put in. Calls that run backwards are routed in a mirror.
 */

import { groupBy } from '../grouping';
import { contains, NODE_HEIGHT, NODE_WIDTH, nodeRect, overlaps, type Point, type Rect } from './geometry';
import type { Frame, Layout } from './layout';

export interface RouteInput {
  id: string;
  source: string;
  target: string;
}

/** A drawn curve. `beziers` holds x0 y0 c1x c1y c2x c2y x1 y1 per piece; `samples` x y pairs along it. */
export interface Route {
  beziers: Float64Array;
  samples: Float64Array;
  box: Rect;
  /** Where a badge or label goes, and the end with the direction in which the arrow points. */
  middle: Point;
  tip: Point;
  tipDirection: Point;
}

/** A level stretch of a curve, between two x. */
interface Lane {
  from: number;
  to: number;
  y: number;
}

/** Left free between the tip of an arrow and its node. */
const TIP_GAP = 3;
const PORT_STEP = 13;
const CLEARANCE = 13;
const LANE_STEP = 8;
const SAMPLES = 14;
const MOST_LANES = 6;
/** How far a curve goes out of its way to leave other rooms alone. */
const LONGEST_DETOUR = 130;
const TITLE_CHARACTER_WIDTH = 7;

/** Routes for all edges whose ends have a place. */
export function routeAll(edges: readonly RouteInput[], layout: Layout): Map<string, Route> {
  const { centres, frames } = layout;
  const placed = edges.filter((edge) => centres.has(edge.source) && centres.has(edge.target));
  const ports = portOffsets(placed, centres);
  const obstacles = [...centres].map(([id, centre]) => ({ id, rect: nodeRect(centre) }));
  const titles = frames.map(titleRect);
  const taken: Lane[] = [];
  const routes = new Map<string, Route>();
  for (const edge of [...placed].sort((a, b) => span(a, centres) - span(b, centres))) {
    const [from, to] = [centres.get(edge.source), centres.get(edge.target)];
    if (from === undefined || to === undefined) continue;
    const start = { x: from.x, y: from.y + (ports.get(`${edge.id}>out`) ?? 0) };
    const end = { x: to.x, y: to.y + (ports.get(`${edge.id}>in`) ?? 0) };
    const nodes = obstacles.filter((each) => each.id !== edge.source && each.id !== edge.target).map((each) => each.rect);
    const rooms = frames.filter((frame) => !contains(frame, from) && !contains(frame, to));
    routes.set(edge.id, finish(routeOne(edge, { start, end }, { nodes: [...nodes, ...titles], rooms }, taken)));
  }
  return routes;
}

/** Where a room's name stands. */
const titleRect = (frame: Frame): Rect => ({ x: frame.x + 12, y: frame.y + 8, width: frame.room.length * TITLE_CHARACTER_WIDTH + 8, height: 18 });

const span = (edge: RouteInput, centres: ReadonlyMap<string, Point>): number =>
  Math.abs((centres.get(edge.source)?.x ?? 0) - (centres.get(edge.target)?.x ?? 0));

/** How far from the middle of its side each edge leaves or enters, so that edges of one node do not share a port. */
function portOffsets(edges: readonly RouteInput[], centres: ReadonlyMap<string, Point>): Map<string, number> {
  const ends = edges.flatMap((edge) => {
    const [from, to] = [centres.get(edge.source) ?? ORIGIN, centres.get(edge.target) ?? ORIGIN];
    const side = sideOf(from, to);
    return [
      { key: `${edge.id}>out`, place: `${edge.source}|${side.out}`, far: to },
      { key: `${edge.id}>in`, place: `${edge.target}|${side.in}`, far: from },
    ];
  });
  const offsets = new Map<string, number>();
  for (const group of groupBy(ends, (end) => end.place).values()) {
    const step = Math.min(PORT_STEP, (NODE_HEIGHT - 16) / Math.max(1, group.length - 1));
    group.sort((a, b) => a.far.y - b.far.y || a.far.x - b.far.x || (a.key < b.key ? -1 : 1));
    group.forEach((end, at) => offsets.set(end.key, (at - (group.length - 1) / 2) * step));
  }
  return offsets;
}

const ORIGIN: Point = { x: 0, y: 0 };

type Way = 'forward' | 'backward' | 'around';

function wayOf(from: Point, to: Point): Way {
  if (to.x - from.x > NODE_WIDTH) return 'forward';
  return from.x - to.x > NODE_WIDTH ? 'backward' : 'around';
}

function sideOf(from: Point, to: Point): { out: string; in: string } {
  const way = wayOf(from, to);
  if (way === 'forward') return { out: 'right', in: 'left' };
  return way === 'backward' ? { out: 'left', in: 'right' } : { out: 'right', in: 'right' };
}

interface Ends {
  start: Point;
  end: Point;
}

/** What a curve must not run through, and the rooms of others, which it would rather not. */
interface Obstacles {
  nodes: readonly Rect[];
  rooms: readonly Rect[];
}

function routeOne(edge: RouteInput, ends: Ends, obstacles: Obstacles, taken: Lane[]): Point[][] {
  if (edge.source === edge.target) return selfLoop(ends.start);
  const way = wayOf(ends.start, ends.end);
  if (way === 'around') return bulge(ends);
  if (way === 'forward') return throughGaps(ends, obstacles, taken);
  const mirror = (point: Point): Point => ({ x: -point.x, y: point.y });
  const flip = (rects: readonly Rect[]): Rect[] => rects.map((rect) => ({ ...rect, x: -rect.x - rect.width }));
  const flipped = { nodes: flip(obstacles.nodes), rooms: flip(obstacles.rooms) };
  const mirrored: Lane[] = taken.map((lane) => ({ from: -lane.to, to: -lane.from, y: lane.y }));
  const known = mirrored.length;
  const pieces = throughGaps({ start: mirror(ends.start), end: mirror(ends.end) }, flipped, mirrored);
  taken.push(...mirrored.slice(known).map((lane) => ({ from: -lane.to, to: -lane.from, y: lane.y })));
  return pieces.map((piece) => piece.map(mirror));
}

function selfLoop(centre: Point): Point[][] {
  const top = centre.y - NODE_HEIGHT / 2;
  const [from, to] = [centre.x + NODE_WIDTH / 2 - 52, centre.x + NODE_WIDTH / 2 - 20];
  return [[{ x: from, y: top }, { x: from - 8, y: top - 34 }, { x: to + 8, y: top - 34 }, { x: to, y: top - TIP_GAP }]];
}

/** Between nodes above each other: out to the right and back in. */
function bulge(ends: Ends): Point[][] {
  const [fromX, toX] = [ends.start.x + NODE_WIDTH / 2, ends.end.x + NODE_WIDTH / 2 + TIP_GAP];
  const reach = Math.max(fromX, toX) + 44 + Math.min(40, Math.abs(ends.end.y - ends.start.y) / 10);
  return [[{ x: fromX, y: ends.start.y }, { x: reach, y: ends.start.y }, { x: reach, y: ends.end.y }, { x: toX, y: ends.end.y }]];
}

/** Left to right from the source's right side, with lanes where nodes are in the way. */
function throughGaps(ends: Ends, obstacles: Obstacles, taken: Lane[]): Point[][] {
  const start = { x: ends.start.x + NODE_WIDTH / 2, y: ends.start.y };
  const end = { x: ends.end.x - NODE_WIDTH / 2 - TIP_GAP, y: ends.end.y };
  const between = (rects: readonly Rect[]): Rect[] => rects.filter((rect) => rect.x < end.x && rect.x + rect.width > start.x);
  const nodes = between(obstacles.nodes);
  const around = lanesAround({ start, end }, [...nodes, ...between(obstacles.rooms)], taken);
  const lanes = around !== null && isShortDetour(around, { start, end }) ? around : (lanesAround({ start, end }, nodes, taken) ?? []);
  taken.push(...lanes);
  return pieces(start, end, lanes);
}

/** The lanes that lead past all obstacles; null where so many would be needed that it is no longer a curve. */
function lanesAround(ends: Ends, obstacles: readonly Rect[], taken: readonly Lane[]): Lane[] | null {
  let lanes: Lane[] = [];
  for (let round = 0; round < MOST_LANES; round += 1) {
    const hit = firstHit(pieces(ends.start, ends.end, lanes), obstacles);
    if (hit === null) return lanes;
    lanes = withLane(lanes, hit, ends, obstacles, taken);
  }
  return firstHit(pieces(ends.start, ends.end, lanes), obstacles) === null ? lanes : null;
}

function isShortDetour(lanes: readonly Lane[], { start, end }: Ends): boolean {
  const [top, bottom] = [Math.min(start.y, end.y) - LONGEST_DETOUR, Math.max(start.y, end.y) + LONGEST_DETOUR];
  return lanes.every((lane) => lane.y > top && lane.y < bottom);
}

function pieces(start: Point, end: Point, lanes: readonly Lane[]): Point[][] {
  const result: Point[][] = [];
  let at = start;
  for (const lane of lanes) {
    result.push(levelCurve(at, { x: lane.from, y: lane.y }));
    result.push(levelCurve({ x: lane.from, y: lane.y }, { x: lane.to, y: lane.y }));
    at = { x: lane.to, y: lane.y };
  }
  return [...result, levelCurve(at, end)];
}

function levelCurve(from: Point, to: Point): Point[] {
  const reach = (to.x - from.x) / 2;
  return [from, { x: from.x + reach, y: from.y }, { x: to.x - reach, y: to.y }, to];
}

function firstHit(curves: readonly Point[][], obstacles: readonly Rect[]): Rect | null {
  for (const curve of curves) {
    for (let step = 0; step <= SAMPLES; step += 1) {
      const point = bezierAt(curve, step / SAMPLES);
      const hit = obstacles.find((rect) => inside(rect, point, 6));
      if (hit !== undefined) return hit;
    }
  }
  return null;
}

const inside = (rect: Rect, point: Point, margin: number): boolean =>
  point.x > rect.x - margin && point.x < rect.x + rect.width + margin && point.y > rect.y - margin && point.y < rect.y + rect.height + margin;

/** The lanes with one more around `hit`, merged with those it touches. */
function withLane(lanes: readonly Lane[], hit: Rect, ends: Ends, obstacles: readonly Rect[], taken: readonly Lane[]): Lane[] {
  const { start, end } = ends;
  let [from, to] = [Math.max(hit.x - 10, start.x + 12), Math.min(hit.x + hit.width + 10, end.x - 12)];
  const apart = lanes.filter((lane) => lane.to < from - 24 || lane.from > to + 24);
  for (const lane of lanes) {
    if (!apart.includes(lane)) [from, to] = [Math.min(from, lane.from), Math.max(to, lane.to)];
  }
  if (to <= from) [from, to] = [Math.min(from, to), Math.min(from, to) + 1];
  const along = (x: number): number => start.y + ((end.y - start.y) * (x - start.x)) / Math.max(1, end.x - start.x);
  const y = freeHeight({ from, to, y: along((from + to) / 2) }, obstacles, taken);
  return [...apart, { from, to, y }].sort((a, b) => a.from - b.from);
}

/** The height nearest to the lane's own at which it touches no node and no other lane. */
function freeHeight(lane: Lane, obstacles: readonly Rect[], taken: readonly Lane[]): number {
  const blocked: [number, number][] = obstacles
    .filter((rect) => rect.x < lane.to + 8 && rect.x + rect.width > lane.from - 8)
    .map((rect) => [rect.y - CLEARANCE, rect.y + rect.height + CLEARANCE]);
  const lanes: [number, number][] = taken
    .filter((other) => other.from < lane.to && other.to > lane.from)
    .map((other) => [other.y - LANE_STEP, other.y + LANE_STEP]);
  return nearestOutside(lane.y, [...blocked, ...lanes]) ?? nearestOutside(lane.y, blocked) ?? lane.y;
}

/** The value nearest to `wish` outside all intervals, not further than the map is likely to be readable. */
function nearestOutside(wish: number, intervals: readonly [number, number][]): number | null {
  const candidates = [wish, ...intervals.flat()].sort((a, b) => Math.abs(a - wish) - Math.abs(b - wish));
  return candidates.find((y) => Math.abs(y - wish) < 400 && !intervals.some(([low, high]) => y > low && y < high)) ?? null;
}

/** A point of a cubic Bézier. */
export function bezierAt(curve: readonly Point[], t: number): Point {
  const [a, b, c, d] = [curve[0] ?? ORIGIN, curve[1] ?? ORIGIN, curve[2] ?? ORIGIN, curve[3] ?? ORIGIN];
  const u = 1 - t;
  const [wa, wb, wc, wd] = [u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t];
  return { x: wa * a.x + wb * b.x + wc * c.x + wd * d.x, y: wa * a.y + wb * b.y + wc * c.y + wd * d.y };
}

function finish(curves: readonly Point[][]): Route {
  const points = curves.flatMap((curve) => Array.from({ length: SAMPLES + 1 }, (_, step) => bezierAt(curve, step / SAMPLES)));
  const [xs, ys] = [points.map((point) => point.x), points.map((point) => point.y)];
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const [tip, approach] = [points.at(-1) ?? ORIGIN, curves.at(-1)?.[2] ?? ORIGIN];
  const length = Math.hypot(tip.x - approach.x, tip.y - approach.y) || 1;
  return {
    beziers: Float64Array.from(curves.flat().flatMap((point) => [point.x, point.y])),
    samples: Float64Array.from(points.flatMap((point) => [point.x, point.y])),
    box: { x: left, y: top, width: Math.max(...xs) - left, height: Math.max(...ys) - top },
    middle: halfWay(points),
    tip,
    tipDirection: { x: (tip.x - approach.x) / length, y: (tip.y - approach.y) / length },
  };
}

function halfWay(points: readonly Point[]): Point {
  const lengths = points.map((point, at) => (at === 0 ? 0 : Math.hypot(point.x - (points[at - 1]?.x ?? 0), point.y - (points[at - 1]?.y ?? 0))));
  let left = lengths.reduce((sum, length) => sum + length, 0) / 2;
  for (const [at, length] of lengths.entries()) {
    left -= length;
    if (left <= 0 && at > 0) return points[at] ?? ORIGIN;
  }
  return points[0] ?? ORIGIN;
}

/** How far a point is from a route, in world units; Infinity when further than `reach`. */
export function distanceTo(route: Route, point: Point, reach: number): number {
  const { box, samples } = route;
  if (!overlaps({ x: point.x, y: point.y, width: 0, height: 0 }, box, reach)) return Infinity;
  let nearest = Infinity;
  for (let at = 0; at + 3 < samples.length; at += 2) {
    const [ax, ay, bx, by] = [samples[at] ?? 0, samples[at + 1] ?? 0, samples[at + 2] ?? 0, samples[at + 3] ?? 0];
    const [dx, dy] = [bx - ax, by - ay];
    const t = Math.max(0, Math.min(1, ((point.x - ax) * dx + (point.y - ay) * dy) / (dx * dx + dy * dy || 1)));
    nearest = Math.min(nearest, Math.hypot(point.x - ax - t * dx, point.y - ay - t * dy));
  }
  return nearest <= reach ? nearest : Infinity;
}

/** Which edge is under the pointer: the nearest whose stroke, made a little wider, holds the point. */
export function edgeAt(routes: ReadonlyMap<string, Route>, point: Point, reachOf: (id: string) => number): string | null {
  let [found, nearest] = [null as string | null, Infinity];
  for (const [id, route] of routes) {
    const distance = distanceTo(route, point, reachOf(id));
    if (distance < nearest) [found, nearest] = [id, distance];
  }
  return found;
}
