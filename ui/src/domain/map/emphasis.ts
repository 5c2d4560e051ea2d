/** Which parts of the scene stand out: filters dim (or hide) what does not match, focus dims all but a neighbourhood. */

import type { Scene, SceneEdge, SceneNode } from './scene';

export interface Filters {
  namespaces: readonly string[];
  protocols: readonly string[];
  slowerThanMs: number | null;
  errorsOnly: boolean;
  idleOnly: boolean;
  hideExternals: boolean;
  /** Take what does not match off the map instead of dimming it. */
  hideRest: boolean;
}

export const NO_FILTERS: Filters = {
  namespaces: [],
  protocols: [],
  slowerThanMs: null,
  errorsOnly: false,
  idleOnly: false,
  hideExternals: false,
  hideRest: false,
};

/** What to draw faintly and what not at all; anything in neither set is drawn in full. */
export interface Emphasis {
  dimmedNodes: ReadonlySet<string>;
  dimmedEdges: ReadonlySet<string>;
  hiddenNodes: ReadonlySet<string>;
  hiddenEdges: ReadonlySet<string>;
  /** The filters match nothing at all. */
  isEmpty: boolean;
}

export type Direction = 'both' | 'callers' | 'callees';

export interface Focus {
  node: string | null;
  edge: string | null;
  depth: number;
  direction: Direction;
}

const filtersEdges = (filters: Filters): boolean => filters.protocols.length > 0 || filters.slowerThanMs !== null || filters.errorsOnly;

export const isFiltering = (filters: Filters): boolean =>
  filtersEdges(filters) || filters.namespaces.length > 0 || filters.idleOnly || filters.hideExternals;

/** Filters and focus together. */
export function emphasise(scene: Scene, filters: Filters, focus: Focus): Emphasis {
  const nodeById = new Map(scene.nodes.map((node) => [node.id, node]));
  const matching = scene.edges.filter((edge) => edgeMatches(edge, nodeById, filters));
  const edgeIds = new Set(matching.map((edge) => edge.id));
  const touched = new Set(matching.flatMap((edge) => [edge.source, edge.target]));
  const hiddenNodes = new Set(filters.hideExternals ? scene.nodes.filter((node) => node.kind === 'External').map((node) => node.id) : []);
  const failing = scene.nodes.filter((node) => !nodeMatches(node, touched, filters)).map((node) => node.id);
  const near = neighbourhood(scene, focus);
  const rest = { nodes: new Set(failing), edges: new Set(scene.edges.filter((edge) => !edgeIds.has(edge.id)).map((edge) => edge.id)) };
  const hidden = {
    nodes: filters.hideRest ? new Set([...hiddenNodes, ...rest.nodes]) : hiddenNodes,
    edges: new Set(scene.edges.filter((edge) => isHidden(edge, hiddenNodes, rest.edges, filters)).map((edge) => edge.id)),
  };
  return {
    dimmedNodes: new Set(scene.nodes.map((node) => node.id).filter((id) => rest.nodes.has(id) || (near !== null && !near.nodes.has(id)))),
    dimmedEdges: new Set(scene.edges.map((edge) => edge.id).filter((id) => rest.edges.has(id) || (near !== null && !near.edges.has(id)))),
    hiddenNodes: hidden.nodes,
    hiddenEdges: hidden.edges,
    isEmpty: isFiltering(filters) && scene.nodes.every((node) => rest.nodes.has(node.id) || hidden.nodes.has(node.id)),
  };
}

function isHidden(edge: SceneEdge, hiddenNodes: ReadonlySet<string>, restEdges: ReadonlySet<string>, filters: Filters): boolean {
  return hiddenNodes.has(edge.source) || hiddenNodes.has(edge.target) || (filters.hideRest && restEdges.has(edge.id));
}

function edgeMatches(edge: SceneEdge, nodes: ReadonlyMap<string, SceneNode>, filters: Filters): boolean {
  if (filters.idleOnly) return false;
  if (filters.errorsOnly && edge.errors === 0) return false;
  if (filters.slowerThanMs !== null && (edge.p95Ns ?? 0) < filters.slowerThanMs * 1e6) return false;
  if (filters.protocols.length > 0 && !edge.protocols.some((protocol) => filters.protocols.includes(protocol))) return false;
  if (filters.namespaces.length === 0) return true;
  return [edge.source, edge.target].some((id) => inNamespaces(nodes.get(id), filters.namespaces));
}

const inNamespaces = (node: SceneNode | undefined, namespaces: readonly string[]): boolean =>
  node?.members.some((member) => namespaces.includes(member.namespace)) ?? false;

function nodeMatches(node: SceneNode, touched: ReadonlySet<string>, filters: Filters): boolean {
  if (filters.idleOnly) return node.isIdle && (filters.namespaces.length === 0 || inNamespaces(node, filters.namespaces));
  if (filtersEdges(filters)) return touched.has(node.id);
  return filters.namespaces.length === 0 || inNamespaces(node, filters.namespaces) || touched.has(node.id);
}

/** What lies within `depth` calls of the focus; null when nothing is in focus. */
export function neighbourhood(scene: Scene, focus: Focus): { nodes: Set<string>; edges: Set<string> } | null {
  const edge = scene.edges.find((each) => each.id === focus.edge);
  if (edge !== undefined) return { nodes: new Set([edge.source, edge.target]), edges: new Set([edge.id]) };
  if (focus.node === null || !scene.nodes.some((node) => node.id === focus.node)) return null;
  const nodes = new Set([focus.node]);
  const edges = new Set<string>();
  if (focus.direction !== 'callers') spread(scene, focus, { nodes, edges }, (each) => [each.source, each.target]);
  if (focus.direction !== 'callees') spread(scene, focus, { nodes, edges }, (each) => [each.target, each.source]);
  return { nodes, edges };
}

function spread(scene: Scene, focus: Focus, found: { nodes: Set<string>; edges: Set<string> }, ends: (edge: SceneEdge) => [string, string]): void {
  let frontier = new Set(focus.node === null ? [] : [focus.node]);
  const seen = new Set(frontier);
  for (let step = 0; step < focus.depth; step += 1) {
    const next = new Set<string>();
    for (const edge of scene.edges) {
      const [near, far] = ends(edge);
      if (!frontier.has(near)) continue;
      found.edges.add(edge.id);
      if (!seen.has(far)) next.add(far);
      seen.add(far);
      found.nodes.add(far);
    }
    frontier = next;
  }
}
