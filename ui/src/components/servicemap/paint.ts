/** Paints rooms and edges on the canvas under the nodes. Called for every frame in which something moved. */

import { latencyBin } from '@/domain/latency';
import { overlaps, type Rect } from '@/domain/map/geometry';
import type { Frame } from '@/domain/map/layout';
import type { Route } from '@/domain/map/routes';
import type { SceneEdge } from '@/domain/map/scene';
import { badgeText, figuresText } from '@/domain/network';
import { quantileNs, type EdgeStroke, type Quantile } from '@/domain/map/strokes';
import type { Palette } from './palette';

/** An edge with everything about it that does not change while the camera moves. */
export interface PaintedEdge {
  edge: SceneEdge;
  route: Route;
  path: Path2D;
  stroke: EdgeStroke;
}

export interface Picture {
  frames: readonly Frame[];
  edges: readonly PaintedEdge[];
  dimmed: ReadonlySet<string>;
  hidden: ReadonlySet<string>;
  /** Edges drawn on top, with a halo. */
  selected: string | null;
  hovered: string | null;
  /** Edges of the node under the pointer; the rest steps back. */
  lit: ReadonlySet<string> | null;
  quantile: Quantile;
}

export interface Camera {
  x: number;
  y: number;
  k: number;
}

const DIMMED = 0.13;
const STEPPED_BACK = 0.35;
/** Among many edges the quiet ones step back a little, so that the others are seen. */
const QUIET_IN_A_CROWD = 0.5;
const CROWD = 60;
const LABEL_ZOOM = 0.7;
/** From this share of failing requests on, the badge is filled. */
const LOUD_SHARE = 0.01;

/** The curve of a route, without the stretch that its arrow head covers. */
export function pathOf(route: Route, headLength: number): Path2D {
  const path = new Path2D();
  const { beziers } = route;
  for (let at = 0; at + 7 < beziers.length; at += 8) {
    const [x0, y0, ax, ay, bx, by, x1, y1] = beziers.subarray(at, at + 8) as unknown as [number, number, number, number, number, number, number, number];
    const isLast = at + 8 >= beziers.length;
    path.moveTo(x0, y0);
    path.bezierCurveTo(ax, ay, bx, by, isLast ? x1 - route.tipDirection.x * headLength : x1, isLast ? y1 - route.tipDirection.y * headLength : y1);
  }
  return path;
}

export const headLength = (width: number): number => 6 + width * 0.8;

/** Everything, for one frame. */
export function paint(context: CanvasRenderingContext2D, size: { width: number; height: number; ratio: number }, camera: Camera, picture: Picture, palette: Palette): void {
  context.setTransform(size.ratio, 0, 0, size.ratio, 0, 0);
  context.clearRect(0, 0, size.width, size.height);
  context.setTransform(size.ratio * camera.k, 0, 0, size.ratio * camera.k, size.ratio * camera.x, size.ratio * camera.y);
  const view: Rect = { x: -camera.x / camera.k, y: -camera.y / camera.k, width: size.width / camera.k, height: size.height / camera.k };
  for (const frame of picture.frames) if (overlaps(frame, view)) paintFrame(context, frame, camera, palette);
  const visible = picture.edges.filter((each) => !picture.hidden.has(each.edge.id) && overlaps(each.route.box, view, 20));
  // The widest first, so that thin lines are not buried; what stands out last.
  for (const each of visible) paintEdge(context, each, alphaOf(each, picture));
  const top = visible.filter((each) => each.edge.id === picture.selected || each.edge.id === picture.hovered);
  for (const each of top) paintHalo(context, each, palette);
  if (camera.k >= 0.45) for (const each of visible) paintLabels(context, each, picture, camera, palette);
}

function alphaOf(each: PaintedEdge, picture: Picture): number {
  if (picture.dimmed.has(each.edge.id)) return DIMMED;
  if (picture.lit !== null && !picture.lit.has(each.edge.id)) return STEPPED_BACK;
  return isQuietInCrowd(each, picture) ? QUIET_IN_A_CROWD : 1;
}

function isQuietInCrowd(each: PaintedEdge, picture: Picture): boolean {
  const isLit = picture.lit !== null || each.edge.id === picture.selected;
  return !isLit && picture.edges.length > CROWD && each.edge.errors === 0 && latencyBin(quantileNs(each.edge, picture.quantile)) === 0;
}

function paintFrame(context: CanvasRenderingContext2D, frame: Frame, camera: Camera, palette: Palette): void {
  context.beginPath();
  context.roundRect(frame.x, frame.y, frame.width, frame.height, 12);
  context.fillStyle = palette.room;
  context.fill();
  context.lineWidth = 1 / Math.min(1, camera.k);
  context.strokeStyle = palette.line;
  context.stroke();
}

function paintEdge(context: CanvasRenderingContext2D, each: PaintedEdge, alpha: number, stroke: EdgeStroke = each.stroke): void {
  context.globalAlpha = alpha;
  context.strokeStyle = stroke.colour;
  context.fillStyle = stroke.colour;
  context.lineWidth = stroke.width;
  context.lineJoin = 'round';
  context.setLineDash(stroke.isDashed ? [5 + stroke.width, 3 + stroke.width * 0.7] : []);
  context.stroke(each.path);
  context.setLineDash([]);
  paintHead(context, each.route, stroke.width);
  context.globalAlpha = 1;
}

function paintHead(context: CanvasRenderingContext2D, route: Route, width: number): void {
  const [length, half] = [headLength(width), width / 2 + 3];
  const { tip, tipDirection: ahead } = route;
  const [baseX, baseY] = [tip.x - ahead.x * length, tip.y - ahead.y * length];
  context.beginPath();
  context.moveTo(tip.x, tip.y);
  context.lineTo(baseX - ahead.y * half, baseY + ahead.x * half);
  context.lineTo(baseX + ahead.y * half, baseY - ahead.x * half);
  context.closePath();
  context.fill();
}

function paintHalo(context: CanvasRenderingContext2D, each: PaintedEdge, palette: Palette): void {
  context.globalAlpha = 0.28;
  context.strokeStyle = palette.accent;
  context.lineWidth = each.stroke.width + 8;
  context.lineCap = 'round';
  context.stroke(each.path);
  context.lineCap = 'butt';
  context.globalAlpha = 1;
  paintEdge(context, each, 1);
}

/** A badge where requests fail; figures on edges in focus. */
function paintLabels(context: CanvasRenderingContext2D, each: PaintedEdge, picture: Picture, camera: Camera, palette: Palette): void {
  if (alphaOf(each, picture) === DIMMED) return;
  const isFocus = each.edge.id === picture.selected || (picture.lit?.has(each.edge.id) === true && camera.k >= LABEL_ZOOM);
  if (isFocus) {
    const figures = figuresText(each.edge, quantileNs(each.edge, picture.quantile));
    pill(context, each.route.middle, figures, { fill: palette.panel, border: palette.line, text: palette.ink });
    return;
  }
  const badge = badgeText(each.edge);
  if (badge !== null) {
    const isLoud = each.edge.errorRate >= LOUD_SHARE;
    const colours = isLoud ? { fill: palette.bad, border: palette.bad, text: palette.onBad } : { fill: palette.panel, border: palette.line, text: palette.bad };
    pill(context, each.route.middle, badge, colours);
  }
}

function pill(context: CanvasRenderingContext2D, at: { x: number; y: number }, text: string, colours: { fill: string; border: string; text: string }): void {
  context.font = "600 10.5px 'Inter Variable', sans-serif";
  const width = context.measureText(text).width + 11;
  context.beginPath();
  context.roundRect(at.x - width / 2, at.y - 8.5, width, 17, 8.5);
  context.fillStyle = colours.fill;
  context.fill();
  context.lineWidth = 1;
  context.strokeStyle = colours.border;
  context.stroke();
  context.fillStyle = colours.text;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillText(text, at.x, at.y + 0.5);
}
