/** Turns data and view into what the renderer shows, and tells React only what React shows: a handful of numbers. */

import { emphasise, type Emphasis } from '@/domain/map/emphasis';
import { makeScene } from '@/domain/map/scene';
import { advance, freshStage, wantsTidying, type SavedLayout, type Stage } from '@/domain/map/stage';
import { step, type Arrow } from '@/domain/map/walk';
import type { Scheme } from '@/domain/latency';
import type { ServiceMapData } from '@/domain/types';
import type { MapView } from '@/domain/views';
import { MapRenderer, READABLE_FIT, type RendererEvents } from './renderer';

/** Where layouts survive between visits. */
export interface LayoutStore {
  load: (structure: string) => SavedLayout | null;
  save: (structure: string, saved: SavedLayout) => void;
}

/** What the page around the map shows of it. */
export interface MapSummary {
  shownEdges: number;
  allEdges: number;
  wantsTidying: boolean;
  /** There is data, but the filters leave nothing of it. */
  nothingMatches: boolean;
  fold: { open: readonly string[]; folded: readonly string[] };
}

const NOTHING: MapSummary = { shownEdges: 0, allEdges: 0, wantsTidying: false, nothingMatches: false, fold: { open: [], folded: [] } };

export class MapDirector {
  readonly #renderer: MapRenderer;
  readonly #store: LayoutStore;
  readonly #listeners = new Set<() => void>();
  #data: ServiceMapData | null = null;
  #view: MapView | null = null;
  #scheme: Scheme = 'light';
  #stage: Stage | null = null;
  #emphasis: Emphasis | null = null;
  #summary: MapSummary = NOTHING;
  #isHeld = false;
  #wasFitted = false;

  constructor(host: HTMLElement, store: LayoutStore, events: Omit<RendererEvents, 'onHold'>) {
    this.#store = store;
    this.#renderer = new MapRenderer(host, { ...events, onHold: () => (this.#isHeld = true) });
  }

  destroy(): void {
    this.#renderer.destroy();
    this.#listeners.clear();
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly summary = (): MapSummary => this.#summary;
  readonly stage = (): Stage | null => this.#stage;

  setData(data: ServiceMapData): void {
    this.#data = data;
    this.#update();
  }

  setView(view: MapView, scheme: Scheme): void {
    this.#view = view;
    this.#scheme = scheme;
    this.#update();
  }

  /** A new layout, whatever stands where. */
  tidy(): void {
    if (this.#stage === null) return;
    this.#stage = freshStage(this.#stage.scene, this.#renderer.aspect);
    this.#keep();
    this.#draw();
    this.#renderer.fit();
  }

  fit(): void {
    this.#renderer.fit();
  }

  zoomBy(direction: 1 | -1): void {
    this.#renderer.zoomBy(direction);
  }

  /** The focused node changes by an arrow key. */
  walk(from: string, arrow: Arrow): void {
    if (this.#stage === null) return;
    const visible = new Map([...this.#stage.layout.centres].filter(([id]) => this.#emphasis?.hiddenNodes.has(id) !== true));
    const next = step(from, arrow, visible, this.#stage.scene.edges);
    if (next !== null) this.#renderer.focusNode(next);
  }

  focusNode(id: string): void {
    this.#renderer.focusNode(id);
  }

  /** Brings what is selected into view, with its neighbours where there is room. */
  revealSelected(): void {
    const { node = null, edge: chosen = null } = this.#view ?? {};
    const edges = this.#stage?.scene.edges ?? [];
    const edge = edges.find((each) => each.id === chosen);
    const ids = node !== null ? [node] : edge === undefined ? [] : [edge.source, edge.target];
    const others = edges.filter((each) => ids.includes(each.source) || ids.includes(each.target)).flatMap((each) => [each.source, each.target]);
    this.#renderer.reveal(ids, others);
  }

  #update(): void {
    if (this.#data === null || this.#view === null) return;
    const scene = makeScene(this.#data, this.#view.grouping);
    const previous = this.#stage?.scene.structure === scene.structure ? this.#stage : null;
    const isHeld = this.#isHeld || this.#view.node !== null || this.#view.edge !== null;
    const saved = previous === null ? this.#store.load(scene.structure) : null;
    const before = this.#stage;
    this.#stage = advance(previous, scene, { aspect: this.#renderer.aspect, saved, isHeld });
    if (this.#stage.layout !== before?.layout && scene.nodes.length > 0) this.#keep();
    this.#draw();
    this.#fitIfNew(this.#stage, before);
  }

  /** Fits once, when the first nodes are there; again only where the layout itself was made anew. */
  #fitIfNew(stage: Stage, before: Stage | null): void {
    if (stage.scene.nodes.length === 0) return;
    const isRemade = stage.isFresh && before !== null && stage.layout !== before.layout;
    if (!this.#wasFitted || isRemade) {
      this.#renderer.fit(READABLE_FIT);
      this.revealSelected();
    }
    this.#wasFitted = true;
  }

  #draw(): void {
    if (this.#stage === null || this.#view === null) return;
    const view = this.#view;
    this.#emphasis = emphasise(this.#stage.scene, view.filters, view);
    this.#renderer.show(this.#stage, { quantile: view.colour, width: view.width, scheme: this.#scheme }, this.#emphasis, view);
    this.#announce(this.#stage, this.#emphasis);
  }

  #announce(stage: Stage, emphasis: Emphasis): void {
    const next: MapSummary = {
      shownEdges: stage.scene.edges.length - emphasis.hiddenEdges.size,
      allEdges: stage.scene.edgeTotal,
      wantsTidying: wantsTidying(stage),
      nothingMatches: emphasis.isEmpty,
      fold: { open: stage.scene.open, folded: stage.scene.folded },
    };
    // Everyone is told; whoever reads the summary sees the same object while it says the same.
    if (JSON.stringify(next) !== JSON.stringify(this.#summary)) this.#summary = next;
    for (const listener of this.#listeners) listener();
  }

  #keep(): void {
    if (this.#stage !== null) this.#store.save(this.#stage.scene.structure, { layout: this.#stage.layout, made: this.#stage.made });
  }
}
