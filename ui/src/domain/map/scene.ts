/** What the map shows of the data: namespaces open or folded into one node, and no more edges than can be read. */

import { groupBy } from '../grouping';
import { isExternal, type ServiceEdge, type ServiceMapData, type ServiceNode } from '../types';

/** Above this many nodes, namespaces start folded. */
export const FOLD_ABOVE = 60;
export const EDGE_BUDGET = 250;
export const OUTSIDE_ROOM = 'outside Kubernetes';

export interface SceneNode {
  id: string;
  label: string;
  kind: string;
  /** The room it stands in; null for outsiders and folded namespaces. */
  room: string | null;
  /** How many workloads it stands for: more than 1 only for a folded namespace. */
  members: readonly ServiceNode[];
  podsReady: number | null;
  podsDesired: number | null;
  rate: number;
  errorRate: number | null;
  p95Ns: number | null;
  isIdle: boolean;
}

export interface SceneEdge {
  id: string;
  source: string;
  target: string;
  protocols: readonly string[];
  /** The calls behind the line: one, unless a namespace is folded. */
  calls: readonly ServiceEdge[];
  rate: number;
  bytesRate: number;
  errors: number;
  errorRate: number;
  p50Ns: number | null;
  p95Ns: number | null;
  p99Ns: number | null;
}

export interface Scene {
  nodes: readonly SceneNode[];
  edges: readonly SceneEdge[];
  /** Edges there are, drawn or not. */
  edgeTotal: number;
  /** Namespaces shown as rooms and as single nodes. */
  open: readonly string[];
  folded: readonly string[];
  /** Changes when nodes may stand elsewhere: layouts are kept per structure. */
  structure: string;
}

/** Which namespaces the user opened or folded by hand, and whether to group at all. */
export interface Grouping {
  byNamespace: boolean;
  opened: readonly string[];
  folded: readonly string[];
}

export const DEFAULT_GROUPING: Grouping = { byNamespace: true, opened: [], folded: [] };

/** The room a node belongs to, before folding. */
export function roomOf(node: ServiceNode): string | null {
  if (node.namespace !== '') return node.namespace;
  return isExternal(node) ? null : OUTSIDE_ROOM;
}

export const foldedId = (room: string): string => `Namespace//${room}`;

/** The scene of `data`. */
export function makeScene(data: Pick<ServiceMapData, 'nodes' | 'edges'>, grouping: Grouping): Scene {
  const rooms = groupBy(data.nodes, roomOf);
  const names = [...rooms.keys()].filter((room) => room !== null).sort();
  const folds = grouping.byNamespace ? names.filter((room) => isFolded(room, data.nodes.length, names.length, grouping)) : [];
  const foldedSet = new Set(folds);
  const standsFor = new Map(data.nodes.map((node) => [node.id, sceneIdOf(node, foldedSet)]));
  const nodes = [
    ...data.nodes.filter((node) => standsFor.get(node.id) === node.id).map((node) => single(node, grouping.byNamespace)),
    ...folds.map((room) => folded(room, rooms.get(room) ?? [])),
  ];
  const edges = sceneEdges(data.edges, standsFor);
  return {
    nodes,
    edges: withinBudget(edges),
    edgeTotal: edges.length,
    open: grouping.byNamespace ? names.filter((room) => !foldedSet.has(room)) : [],
    folded: folds,
    structure: grouping.byNamespace ? `folded:${folds.join(',')}` : 'flat',
  };
}

function isFolded(room: string, nodes: number, rooms: number, grouping: Grouping): boolean {
  if (grouping.opened.includes(room)) return false;
  if (grouping.folded.includes(room)) return true;
  return nodes > FOLD_ABOVE && rooms > 1;
}

function sceneIdOf(node: ServiceNode, folds: ReadonlySet<string>): string {
  const room = roomOf(node);
  return room !== null && folds.has(room) ? foldedId(room) : node.id;
}

const single = (node: ServiceNode, inRoom: boolean): SceneNode => ({
  id: node.id,
  label: node.name,
  kind: node.kind,
  room: inRoom ? roomOf(node) : null,
  members: [node],
  podsReady: node.pods_ready,
  podsDesired: node.pods_desired,
  rate: node.rate_in,
  errorRate: node.error_rate_in,
  p95Ns: node.p95_in_ns,
  isIdle: node.is_idle,
});

function folded(room: string, members: readonly ServiceNode[]): SceneNode {
  const rate = members.reduce((sum, node) => sum + node.rate_in, 0);
  const errors = members.reduce((sum, node) => sum + node.rate_in * (node.error_rate_in ?? 0), 0);
  return {
    id: foldedId(room),
    label: room,
    kind: 'Namespace',
    room: null,
    members,
    podsReady: sumOrNull(members.map((node) => node.pods_ready)),
    podsDesired: sumOrNull(members.map((node) => node.pods_desired)),
    rate,
    errorRate: rate > 0 ? errors / rate : null,
    p95Ns: worst(members.map((node) => node.p95_in_ns)),
    isIdle: members.every((node) => node.is_idle),
  };
}

function sumOrNull(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}

/** Quantiles of several calls cannot be merged; the worst one is a true statement about "at least one of them". */
function worst(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : Math.max(...known);
}

function sceneEdges(calls: readonly ServiceEdge[], standsFor: ReadonlyMap<string, string>): SceneEdge[] {
  const groups = groupBy(calls, (call) => {
    const [source, target] = [standsFor.get(call.source), standsFor.get(call.target)];
    if (source === undefined || target === undefined) return null;
    if (source === call.source && target === call.target) return call.id;
    return source === target ? null : `${source}>${target}`;
  });
  groups.delete(null);
  return [...groups].map(([id, group]) => merged(id ?? '', group, standsFor));
}

function merged(id: string, calls: readonly ServiceEdge[], standsFor: ReadonlyMap<string, string>): SceneEdge {
  const count = calls.reduce((sum, call) => sum + call.count, 0);
  const errors = calls.reduce((sum, call) => sum + call.errors, 0);
  const first = calls[0];
  return {
    id,
    source: standsFor.get(first?.source ?? '') ?? '',
    target: standsFor.get(first?.target ?? '') ?? '',
    protocols: [...new Set(calls.map((call) => call.protocol))],
    calls,
    rate: calls.reduce((sum, call) => sum + call.rate, 0),
    bytesRate: calls.reduce((sum, call) => sum + call.request_bytes_rate + call.response_bytes_rate, 0),
    errors,
    errorRate: count > 0 ? errors / count : 0,
    p50Ns: worst(calls.map((call) => call.p50_ns)),
    p95Ns: worst(calls.map((call) => call.p95_ns)),
    p99Ns: worst(calls.map((call) => call.p99_ns)),
  };
}

/** Edges with errors first, then the busiest. */
function withinBudget(edges: readonly SceneEdge[]): SceneEdge[] {
  if (edges.length <= EDGE_BUDGET) return [...edges];
  return [...edges].sort((a, b) => Number(b.errors > 0) - Number(a.errors > 0) || b.rate - a.rate).slice(0, EDGE_BUDGET);
}
