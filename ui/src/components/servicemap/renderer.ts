/** The map on the screen: canvas for rooms and edges, SVG for nodes, moved by one camera.
 *
 * Works outside React on purpose: a refresh of the figures touches only what changed, and panning touches nothing
 * but one transform and one repaint.
 */

import { select, type Selection } from 'd3-selection';
import { zoom, zoomIdentity, type D3ZoomEvent, type ZoomBehavior } from 'd3-zoom';
import { bounds, nodeRect, type Point, type Rect } from '@/domain/map/geometry';
import { edgeAt } from '@/domain/map/routes';
import { strokeOf, type Quantile, type WidthMetric } from '@/domain/map/strokes';
import type { Emphasis } from '@/domain/map/emphasis';
import type { Stage } from '@/domain/map/stage';
import type { Scheme } from '@/domain/latency';
import { drawTitles, NodeElement, svg } from './nodes';
import { headLength, paint, pathOf, type PaintedEdge, type Picture } from './paint';
import { readPalette, type Palette } from './palette';

/** What of the map is drawn how. */
export interface Look {
  quantile: Quantile;
  width: WidthMetric;
  scheme: Scheme;
}

export interface Selected {
  node: string | null;
  edge: string | null;
}

/** What lies under the pointer, and where in the map's own pixels. */
export interface Hovered {
  kind: 'node' | 'edge';
  id: string;
  x: number;
  y: number;
}

export interface RendererEvents {
  onSelect: (selected: Selected) => void;
  onToggleRoom: (room: string, fold: boolean) => void;
  onHover: (hovered: Hovered | null) => void;
  /** The user has panned or zoomed. */
  onHold: () => void;
}

/** Kept free around the content when fitting: the legend stands at the bottom. */
const MARGIN = { top: 24, right: 32, bottom: 76, left: 32 };
/** Names can still be read at this scale; a page never opens smaller. */
export const READABLE_FIT = 0.7;
/** When all is asked for. */
const SMALLEST_FIT = 0.45;
const LARGEST_FIT = 1.2;
const ZOOM_STEP = 1.3;
const HIT_REACH = 5;

export class MapRenderer {
  readonly #host: HTMLElement;
  readonly #events: RendererEvents;
  readonly #canvas: HTMLCanvasElement;
  readonly #svg: SVGSVGElement;
  readonly #world: SVGGElement;
  readonly #titles: SVGGElement;
  readonly #nodesLayer: SVGGElement;
  readonly #nodes = new Map<string, NodeElement>();
  readonly #zoom: ZoomBehavior<SVGSVGElement, unknown>;
  readonly #surface: Selection<SVGSVGElement, unknown, null, undefined>;
  readonly #resized: ResizeObserver;
  #camera = { x: 0, y: 0, k: 1 };
  #size = { width: 1, height: 1, ratio: 1 };
  #stage: Stage | null = null;
  #look: Look | null = null;
  #palette: Palette | null = null;
  #picture: Picture = { frames: [], edges: [], dimmed: new Set(), hidden: new Set(), selected: null, hovered: null, lit: null, quantile: 'p95' };
  #frame = 0;
  #focusable: string | null = null;
  #fitOnResize = false;
  /** What was clicked last: its card stays away until the pointer has been elsewhere. */
  #clicked: string | null = null;
  /** What is to stay in view when the space changes, until the user moves the map. */
  #wanted: { ids: readonly string[]; others: readonly string[] } | null = null;

  constructor(host: HTMLElement, events: RendererEvents) {
    this.#host = host;
    this.#events = events;
    this.#canvas = document.createElement('canvas');
    this.#canvas.setAttribute('aria-hidden', 'true');
    this.#svg = svg('svg', { role: 'group', 'aria-label': 'Service map. Arrow keys move between services, Enter opens one, Escape closes it.' });
    host.replaceChildren(this.#canvas, this.#svg);
    this.#world = svg('g', {}, this.#svg);
    this.#titles = svg('g', {}, this.#world);
    this.#nodesLayer = svg('g', {}, this.#world);
    this.#surface = select(this.#svg);
    this.#zoom = zoom<SVGSVGElement, unknown>()
      .scaleExtent([0.08, 3])
      .extent(() => [
        [0, 0],
        [this.#size.width, this.#size.height],
      ])
      .on('zoom', (event: D3ZoomEvent<SVGSVGElement, unknown>) => this.#onZoom(event));
    // d3-zoom would swallow the double click that opens a namespace.
    this.#surface.call(this.#zoom).on('dblclick.zoom', null);
    this.#listen();
    this.#resized = new ResizeObserver(() => this.#resize());
    this.#resized.observe(host);
    this.#resize();
  }

  destroy(): void {
    this.#resized.disconnect();
    cancelAnimationFrame(this.#frame);
    this.#host.replaceChildren();
  }

  /** Width over height of the space there is. */
  get aspect(): number {
    return (this.#size.width - MARGIN.left - MARGIN.right) / Math.max(1, this.#size.height - MARGIN.top - MARGIN.bottom);
  }

  /** Draws a stage. Positions and texts that did not change are left alone. */
  show(stage: Stage, look: Look, emphasis: Emphasis, selected: Selected): void {
    const schemeChanged = look.scheme !== this.#look?.scheme;
    if (this.#palette === null || schemeChanged) this.#palette = readPalette(this.#host, look.scheme);
    this.#look = look;
    this.#showNodes(stage, emphasis, selected);
    drawTitles(this.#titles, stage.layout.frames);
    this.#picture = {
      ...this.#picture,
      frames: stage.layout.frames,
      edges: this.#paintedEdges(stage, look),
      dimmed: emphasis.dimmedEdges,
      hidden: emphasis.hiddenEdges,
      selected: selected.edge,
      quantile: look.quantile,
    };
    this.#stage = stage;
    this.#repaint();
  }

  /** Fits everything into the free space, but never so small that names cannot be read: then at the entry points. */
  fit(smallest = SMALLEST_FIT): void {
    const content = this.#contentBox();
    if (content === null) return;
    this.#fitOnResize = this.#size.width < 50;
    const free = { width: this.#size.width - MARGIN.left - MARGIN.right, height: this.#size.height - MARGIN.top - MARGIN.bottom };
    const whole = Math.min(free.width / content.width, free.height / content.height, LARGEST_FIT);
    const k = Math.max(whole, smallest);
    const x = content.width * k > free.width ? MARGIN.left - content.x * k : MARGIN.left + (free.width - content.width * k) / 2 - content.x * k;
    const y = MARGIN.top + (free.height - content.height * k) / 2 - content.y * k;
    this.#surface.call((surface) => this.#zoom.transform(surface, zoomIdentity.translate(x, y).scale(k)));
  }

  zoomBy(direction: 1 | -1): void {
    this.#wanted = null;
    this.#surface.call((surface) => this.#zoom.scaleBy(surface, direction > 0 ? ZOOM_STEP : 1 / ZOOM_STEP));
    this.#events.onHold();
  }

  /** Moves the camera, no more than needed, so that nodes are in view, and of `others` as many as there is room for. */
  reveal(ids: readonly string[], others: readonly string[] = []): void {
    this.#wanted = { ids, others };
    this.#bringIntoView();
  }

  /** What is to be seen of the wanted nodes: all that must be, then the nearest others while they fit. */
  #wantedBox(): Rect | null {
    const boxes = (ids: readonly string[]): Rect[] => ids.flatMap((id) => this.#stage?.layout.centres.get(id) ?? []).map((centre) => nodeRect(centre, 16));
    const must = bounds(boxes(this.#wanted?.ids ?? []));
    if (must === null) return null;
    const room = { width: (this.#size.width - 16) / this.#camera.k, height: (this.#size.height - MARGIN.bottom) / this.#camera.k };
    const distance = (rect: Rect): number => Math.hypot(rect.x - must.x, rect.y - must.y);
    let box = must;
    for (const rect of boxes(this.#wanted?.others ?? []).sort((a, b) => distance(a) - distance(b))) {
      const larger = bounds([box, rect]);
      if (larger !== null && larger.width <= room.width && larger.height <= room.height) box = larger;
    }
    return box;
  }

  #bringIntoView(): void {
    const rect = this.#wantedBox();
    if (rect === null || this.#size.width < 50) return;
    const { x, y, k } = this.#camera;
    const [left, top, right, bottom] = [rect.x * k + x, rect.y * k + y, (rect.x + rect.width) * k + x, (rect.y + rect.height) * k + y];
    const dx = left < 0 ? -left : right > this.#size.width ? this.#size.width - right : 0;
    const dy = top < 0 ? -top : bottom > this.#size.height - MARGIN.bottom + 20 ? this.#size.height - MARGIN.bottom + 20 - bottom : 0;
    if (dx !== 0 || dy !== 0) this.#surface.call((surface) => this.#zoom.transform(surface, zoomIdentity.translate(x + dx, y + dy).scale(k)));
  }

  /** Puts the keyboard on a node. */
  focusNode(id: string): void {
    this.#makeFocusable(id);
    this.reveal([id]);
    this.#nodes.get(id)?.root.focus({ preventScroll: true });
  }

  #contentBox(): Rect | null {
    const { layout } = this.#stage ?? {};
    if (layout === undefined) return null;
    return bounds([...layout.frames, ...[...layout.centres.values()].map((centre) => nodeRect(centre, 6))]);
  }

  #showNodes(stage: Stage, emphasis: Emphasis, selected: Selected): void {
    const scheme = this.#look?.scheme ?? 'light';
    const shown = [...stage.scene.nodes.map((node) => ({ node, isGhost: false })), ...[...stage.ghosts.values()].map(({ node }) => ({ node, isGhost: true }))];
    const gone = new Set(this.#nodes.keys());
    for (const { node, isGhost } of shown) {
      const centre = stage.layout.centres.get(node.id);
      if (centre === undefined) continue;
      gone.delete(node.id);
      let element = this.#nodes.get(node.id);
      if (element === undefined) {
        element = new NodeElement(node.id, node.kind, this.#nodesLayer);
        this.#nodes.set(node.id, element);
      }
      element.move(centre);
      element.show(node, scheme, isGhost);
      element.flag('data-dimmed', emphasis.dimmedNodes.has(node.id));
      element.flag('data-hidden', emphasis.hiddenNodes.has(node.id));
      element.flag('data-selected', selected.node === node.id);
    }
    for (const id of gone) {
      this.#nodes.get(id)?.root.remove();
      this.#nodes.delete(id);
    }
    if (this.#focusable === null || !this.#nodes.has(this.#focusable)) this.#makeFocusable(selected.node ?? shown[0]?.node.id ?? null);
  }

  #paintedEdges(stage: Stage, look: Look): PaintedEdge[] {
    const before = new Map(this.#picture.edges.map((each) => [each.edge.id, each]));
    const edges = stage.scene.edges.flatMap((edge) => {
      const route = stage.routes.get(edge.id);
      if (route === undefined) return [];
      const stroke = strokeOf(edge, look);
      const known = before.get(edge.id);
      const isSame = known?.route === route && Math.abs(known.stroke.width - stroke.width) < 0.5;
      return [{ edge, route, stroke, path: isSame ? known.path : pathOf(route, headLength(stroke.width)) }];
    });
    return edges.sort((a, b) => b.stroke.width - a.stroke.width);
  }

  #makeFocusable(id: string | null): void {
    if (this.#focusable !== null) this.#nodes.get(this.#focusable)?.root.setAttribute('tabindex', '-1');
    this.#focusable = id;
    if (id !== null) this.#nodes.get(id)?.root.setAttribute('tabindex', '0');
  }

  #onZoom(event: D3ZoomEvent<SVGSVGElement, unknown>): void {
    this.#camera = { x: event.transform.x, y: event.transform.y, k: event.transform.k };
    if (event.sourceEvent !== null) {
      this.#wanted = null;
      this.#events.onHold();
    }
    this.#repaint();
  }

  #resize(): void {
    const { clientWidth: width, clientHeight: height } = this.#host;
    const ratio = globalThis.devicePixelRatio || 1;
    this.#size = { width: Math.max(1, width), height: Math.max(1, height), ratio };
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    if (this.#fitOnResize && width >= 50) this.fit(READABLE_FIT);
    this.#bringIntoView();
    this.#repaint(true);
  }

  /** Once per frame at most; at once after a resize, which has just emptied the canvas. */
  #repaint(now = false): void {
    if (now) this.#paint();
    else if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#paint());
  }

  #paint(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const { x, y, k } = this.#camera;
    this.#world.setAttribute('transform', `translate(${x} ${y}) scale(${k})`);
    const level = k < 0.42 ? 'far' : k < 0.75 ? 'middle' : 'near';
    if (this.#svg.dataset['zoom'] !== level) this.#svg.dataset['zoom'] = level;
    const context = this.#canvas.getContext('2d');
    if (context !== null && this.#palette !== null) paint(context, this.#size, this.#camera, this.#picture, this.#palette);
  }

  #listen(): void {
    this.#svg.addEventListener('click', (event) => this.#onClick(event));
    this.#svg.addEventListener('dblclick', (event) => this.#onDoubleClick(event));
    this.#svg.addEventListener('pointermove', (event) => this.#onPointer(event));
    this.#svg.addEventListener('pointerleave', () => this.#hover(null));
    this.#svg.addEventListener('focusin', (event) => this.#onFocus(event));
  }

  #onClick(event: MouseEvent): void {
    this.#clicked = closest(event.target, 'data-node') ?? this.#edgeUnder(event);
    this.#hover(null);
    const room = closest(event.target, 'data-room');
    if (room !== null) { this.#events.onToggleRoom(room, true); return; }
    const node = closest(event.target, 'data-node');
    if (node !== null) { this.#events.onSelect({ node, edge: null }); return; }
    this.#events.onSelect({ node: null, edge: this.#edgeUnder(event) });
  }

  #onDoubleClick(event: MouseEvent): void {
    const id = closest(event.target, 'data-node');
    const node = this.#stage?.scene.nodes.find((each) => each.id === id);
    if (node?.kind === 'Namespace') this.#events.onToggleRoom(node.label, false);
  }

  #onPointer(event: PointerEvent): void {
    if (event.buttons !== 0) { this.#hover(null); return; }
    const at = this.#local(event);
    const node = closest(event.target, 'data-node');
    if (node !== null) { this.#hover({ kind: 'node', id: node, ...at }); return; }
    const edge = this.#edgeUnder(event);
    this.#hover(edge === null ? null : { kind: 'edge', id: edge, ...at });
  }

  #onFocus(event: FocusEvent): void {
    const id = closest(event.target, 'data-node');
    if (id !== null) this.#makeFocusable(id);
  }

  #hover(hovered: Hovered | null): void {
    const lit = hovered?.kind === 'node' ? new Set(this.#picture.edges.filter(({ edge }) => edge.source === hovered.id || edge.target === hovered.id).map(({ edge }) => edge.id)) : null;
    const edge = hovered?.kind === 'edge' ? hovered.id : null;
    const changed = edge !== this.#picture.hovered || (lit === null) !== (this.#picture.lit === null);
    this.#picture = { ...this.#picture, hovered: edge, lit };
    this.#svg.style.cursor = edge === null ? '' : 'pointer';
    if (changed || lit !== null) this.#repaint();
    if (hovered !== null && hovered.id !== this.#clicked) this.#clicked = null;
    this.#events.onHover(hovered?.id === this.#clicked ? null : hovered);
  }

  #local(event: MouseEvent): Point {
    const box = this.#svg.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #edgeUnder(event: MouseEvent): string | null {
    const { x, y, k } = this.#camera;
    const at = this.#local(event);
    const widths = new Map(this.#picture.edges.filter(({ edge }) => !this.#picture.hidden.has(edge.id)).map(({ edge, stroke }) => [edge.id, stroke.width]));
    const reachOf = (id: string): number => (widths.has(id) ? (widths.get(id) ?? 1) / 2 + HIT_REACH / k : -1);
    return edgeAt(this.#stage?.routes ?? new Map(), { x: (at.x - x) / k, y: (at.y - y) / k }, reachOf);
  }
}

function closest(target: EventTarget | null, attribute: string): string | null {
  return target instanceof Element ? (target.closest(`[${attribute}]`)?.getAttribute(attribute) ?? null) : null;
}
