/** The map over time: each new scene is set on the stage where the last one stood.
 *
 * Vanished nodes stay for a few refreshes, faded, so that a short gap in traffic neither blinks nor frees a place
 * that its owner will want back. A layout made from less than half of today's calls (a cluster that has only just
 * begun to talk) is not worth keeping and is made anew, unless the user has already taken hold of the map.
 */

import { layOut, type Layout, type LayoutInput } from './layout';
import { place } from './placement';
import { routeAll, type Route } from './routes';
import type { Scene, SceneNode } from './scene';

const LINGER = 3;

export interface Stage {
  scene: Scene;
  layout: Layout;
  routes: ReadonlyMap<string, Route>;
  /** Nodes no longer in the data, with the refreshes they have left. */
  ghosts: ReadonlyMap<string, { node: SceneNode; left: number }>;
  /** Calls and nodes there were when the layout was made. */
  made: { calls: number; nodes: number };
  /** Nodes placed since: many of them make "Tidy up" worth offering. */
  newcomers: number;
  /** The layout was made anew, so the view may be fitted to it. */
  isFresh: boolean;
}

/** What is kept of a layout between visits. */
export interface SavedLayout {
  layout: Layout;
  made: { calls: number; nodes: number };
}

export interface StageOptions {
  aspect: number;
  saved: SavedLayout | null;
  /** Has the user panned, zoomed or selected: then nothing may move by itself. */
  isHeld: boolean;
}

/** The next stage. `previous` is null at first, or where the structure (folding, grouping) changed. */
export function advance(previous: Stage | null, scene: Scene, options: StageOptions): Stage {
  const ghosts = lingering(previous, scene);
  const input = inputOf(scene, ghosts);
  const base = previous === null ? options.saved : { layout: previous.layout, made: previous.made };
  if (base === null || isOutgrown(base, scene, options)) return freshStage(scene, options.aspect);
  if (previous !== null && sameStructure(previous, scene)) return { ...previous, scene, ghosts, isFresh: false };
  const layout = place(base.layout, input);
  const newcomers = (previous?.newcomers ?? 0) + input.nodes.filter((node) => !base.layout.centres.has(node.id)).length;
  return { scene, layout, ghosts, made: base.made, newcomers, routes: routeAll(scene.edges, layout), isFresh: previous === null };
}

/** A new layout from nothing: the first one, and what "Tidy up" asks for. */
export function freshStage(scene: Scene, aspect: number): Stage {
  const layout = layOut(inputOf(scene, new Map()), aspect);
  return {
    scene,
    layout,
    routes: routeAll(scene.edges, layout),
    ghosts: new Map(),
    made: { calls: scene.edges.length, nodes: scene.nodes.length },
    newcomers: 0,
    isFresh: true,
  };
}

/** Are enough nodes new that a fresh layout would read better? */
export const wantsTidying = (stage: Stage): boolean => stage.newcomers > 0.15 * stage.scene.nodes.length;

function isOutgrown(base: SavedLayout, scene: Scene, options: StageOptions): boolean {
  const survivors = scene.nodes.filter((node) => base.layout.centres.has(node.id)).length;
  if (survivors === 0) return true;
  return !options.isHeld && scene.edges.length >= 2 * base.made.calls && scene.edges.length > base.made.calls;
}

function lingering(previous: Stage | null, scene: Scene): Map<string, { node: SceneNode; left: number }> {
  const present = new Set(scene.nodes.map((node) => node.id));
  const ghosts = new Map<string, { node: SceneNode; left: number }>();
  for (const { node, left } of previous?.ghosts.values() ?? []) {
    if (!present.has(node.id) && left > 1) ghosts.set(node.id, { node, left: left - 1 });
  }
  for (const node of previous?.scene.nodes ?? []) {
    if (!present.has(node.id)) ghosts.set(node.id, { node, left: LINGER });
  }
  return ghosts;
}

function inputOf(scene: Scene, ghosts: ReadonlyMap<string, { node: SceneNode }>): LayoutInput {
  const nodes = [...scene.nodes, ...[...ghosts.values()].map((ghost) => ghost.node)];
  const calls = scene.edges.map((edge) => ({ source: edge.source, target: edge.target, weight: 1 + Math.log10(1 + edge.rate) }));
  return { nodes: nodes.map(({ id, room }) => ({ id, room })), calls };
}

/** Same nodes (or still lingering) and same edges: places and routes stand as they are. */
function sameStructure(previous: Stage, scene: Scene): boolean {
  if (scene.edges.length !== previous.scene.edges.length) return false;
  if (!scene.nodes.every((node) => previous.layout.centres.has(node.id))) return false;
  const shown = new Set(scene.nodes.map((node) => node.id));
  const known = [...previous.layout.centres.keys()];
  if (known.some((id) => !shown.has(id) && (previous.ghosts.get(id)?.left ?? LINGER + 1) <= 1)) return false;
  return scene.edges.every((edge) => previous.routes.has(edge.id));
}
