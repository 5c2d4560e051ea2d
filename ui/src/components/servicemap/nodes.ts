/** Draws nodes and room titles as SVG by hand, outside React, touching only what changed since the last refresh. */

import { nodeSentence, subtitle } from '@/domain/describe';
import { RAMPS, type Scheme } from '@/domain/latency';
import { NODE_HEIGHT, NODE_WIDTH, type Point } from '@/domain/map/geometry';
import { healthOf, type Badge } from '@/domain/map/health';
import type { Frame } from '@/domain/map/layout';
import type { SceneNode } from '@/domain/map/scene';
import { glyphOf } from './glyphs';

const SVG = 'http://www.w3.org/2000/svg';
const TEXT_LEFT = 35;
const TEXT_SPACE = NODE_WIDTH - TEXT_LEFT - 11;

/** Creates an SVG element with attributes, under a parent. */
export function svg<Tag extends keyof SVGElementTagNameMap>(tag: Tag, attributes: Record<string, string | number>, parent?: Element): SVGElementTagNameMap[Tag] {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  parent?.append(element);
  return element;
}

function setAttribute(element: Element, name: string, value: string | null): void {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/** One node on the page. */
export class NodeElement {
  readonly root: SVGGElement;
  readonly #body: SVGRectElement;
  readonly #name: SVGTextElement;
  readonly #sub: SVGTextElement;
  readonly #badge: SVGGElement;
  readonly #title: SVGTitleElement;

  constructor(id: string, kind: string, parent: Element) {
    this.root = svg('g', { class: 'node', 'data-node': id, 'data-kind': kind, role: 'button', tabindex: '-1' }, parent);
    const radius = kind === 'External' ? NODE_HEIGHT / 2 : kind === 'Namespace' ? 14 : 8;
    const shape = { width: NODE_WIDTH, height: NODE_HEIGHT, rx: radius };
    svg('rect', { class: 'ring', x: -5, y: -5, width: NODE_WIDTH + 10, height: NODE_HEIGHT + 10, rx: radius + 5 }, this.root);
    if (kind === 'Namespace') svg('rect', { class: 'behind', x: 5, y: 5, ...shape }, this.root);
    this.#body = svg('rect', { class: 'body', ...shape }, this.root);
    svg('path', { class: 'glyph', transform: `translate(13 ${NODE_HEIGHT / 2 - 8})`, d: glyphOf(kind) }, this.root);
    this.#name = svg('text', { class: 'name', x: TEXT_LEFT, y: 22 }, this.root);
    this.#sub = svg('text', { class: 'sub', x: TEXT_LEFT, y: 38 }, this.root);
    this.#badge = svg('g', { class: 'badge', transform: `translate(${NODE_WIDTH - 6} 4)` }, this.root);
    this.#title = svg('title', {}, this.root);
  }

  move(centre: Point): void {
    setAttribute(this.root, 'transform', `translate(${centre.x - NODE_WIDTH / 2} ${centre.y - NODE_HEIGHT / 2})`);
  }

  /** Shows the node's present state; `isGhost` for one that has just vanished from the data. */
  show(node: SceneNode, scheme: Scheme, isGhost: boolean): void {
    const health = healthOf(node);
    showFitted(this.#name, node.label, 'name');
    showFitted(this.#sub, isGhost ? 'gone' : subtitle(node), 'sub');
    setText(this.#title, node.label);
    setAttribute(this.root, 'aria-label', nodeSentence(node));
    setAttribute(this.root, 'data-state', isGhost ? 'ghost' : health.isIdle ? 'idle' : health.badge === null && health.bin < 2 ? 'calm' : 'loud');
    const border = health.badge === 'failing' ? 'var(--bad)' : health.bin >= 2 ? RAMPS[scheme][health.bin] : health.badge === 'unready' ? 'var(--warn)' : null;
    setAttribute(this.#body, 'style', border === null ? null : `stroke:${border};stroke-width:2`);
    this.#showBadge(health.badge, border);
  }

  #showBadge(badge: Badge, colour: string | null): void {
    setAttribute(this.#badge, 'data-badge', badge ?? '');
    if (badge === null) {
      this.#badge.replaceChildren();
      return;
    }
    if (this.#badge.childElementCount === 0) {
      svg('circle', { r: 8 }, this.#badge);
      svg('path', {}, this.#badge);
    }
    const [circle, sign] = [...this.#badge.children];
    if (circle !== undefined) setAttribute(circle, 'style', `fill:${colour ?? 'var(--warn)'}`);
    if (sign !== undefined) setAttribute(sign, 'd', badge === 'failing' ? 'M-2.6-2.6 2.6 2.6M2.6-2.6-2.6 2.6' : 'M0-4V.8M0 3.4v.3');
  }

  flag(name: 'data-dimmed' | 'data-hidden' | 'data-selected', is: boolean): void {
    setAttribute(this.root, name, is ? '' : null);
  }
}

/** Titles of rooms: buttons that fold their namespace. */
export function drawTitles(parent: Element, frames: readonly Frame[]): void {
  const known = new Map([...parent.children].map((child) => [child.getAttribute('data-frame'), child]));
  for (const [at, frame] of frames.entries()) {
    const key = `${at}:${frame.room}`;
    let title = known.get(key);
    if (title === undefined) {
      title = svg('g', { class: 'title', 'data-frame': key, 'data-room': frame.room, role: 'button', tabindex: '-1', 'aria-label': `Fold namespace ${frame.room}` }, parent);
      svg('text', { x: 0, y: 0 }, title).textContent = frame.room;
    }
    known.delete(key);
    setAttribute(title, 'transform', `translate(${frame.x + 16} ${frame.y + 22})`);
  }
  for (const gone of known.values()) gone.remove();
}

function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

const FONTS = { name: "600 13px 'Inter Variable', sans-serif", sub: "400 11px 'Inter Variable', sans-serif" };
/** A text a little too long is set narrower; only one that is much too long is cut. */
const MOST_SQUEEZED = 0.86;
const MOST_FITTED = 5000;

interface FittedText {
  text: string;
  squeezedTo: number | null;
}

const fittedTexts = new Map<string, FittedText>();
let ruler: CanvasRenderingContext2D | null = null;

function showFitted(element: Element, text: string, font: keyof typeof FONTS): void {
  const fit = fitted(text, TEXT_SPACE, font);
  setText(element, fit.text);
  setAttribute(element, 'textLength', fit.squeezedTo === null ? null : String(fit.squeezedTo));
  setAttribute(element, 'lengthAdjust', fit.squeezedTo === null ? null : 'spacingAndGlyphs');
}

function fitted(text: string, space: number, font: keyof typeof FONTS): FittedText {
  const key = `${font}|${text}`;
  const known = fittedTexts.get(key);
  if (known !== undefined) return known;
  ruler ??= document.createElement('canvas').getContext('2d');
  if (fittedTexts.size >= MOST_FITTED) fittedTexts.clear();
  const made = ruler === null ? { text, squeezedTo: null } : fit(text, space, font, ruler);
  fittedTexts.set(key, made);
  return made;
}

function fit(text: string, space: number, font: keyof typeof FONTS, measure: CanvasRenderingContext2D): FittedText {
  measure.font = FONTS[font];
  const widthOf = (part: string): number => measure.measureText(part).width;
  if (widthOf(text) <= space) return { text, squeezedTo: null };
  if (widthOf(text) * MOST_SQUEEZED <= space) return { text, squeezedTo: space };
  let cut = text;
  while (cut.length > 4 && widthOf(`${cut}…`) * MOST_SQUEEZED > space) cut = cut.slice(0, -1);
  return { text: `${cut.trimEnd()}…`, squeezedTo: Math.min(space, widthOf(`${cut}…`)) };
}

/** Widths change when the web font arrives. */
export const forgetFittedTexts = (): void => fittedTexts.clear();
