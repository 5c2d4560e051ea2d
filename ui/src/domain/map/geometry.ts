/** Sizes and rectangles of the map's world, in world units (one unit is one CSS pixel at zoom 1). */

export const NODE_WIDTH = 204;
export const NODE_HEIGHT = 50;
export const NODE_GAP_X = 116;
export const NODE_GAP_Y = 26;
export const ROOM_PADDING = 22;
export const ROOM_HEADER = 34;
export const ROOM_GAP_X = 84;
export const ROOM_GAP_Y = 30;

export interface Point {
  x: number;
  y: number;
}

/** Top-left corner and size. */
export interface Rect extends Point {
  width: number;
  height: number;
}

/** The rectangle of a node whose centre is given, grown by `margin` on every side. */
export function nodeRect(centre: Point, margin = 0): Rect {
  return {
    x: centre.x - NODE_WIDTH / 2 - margin,
    y: centre.y - NODE_HEIGHT / 2 - margin,
    width: NODE_WIDTH + 2 * margin,
    height: NODE_HEIGHT + 2 * margin,
  };
}

/** Do two rectangles share area, or come closer than `gap`? */
export function overlaps(a: Rect, b: Rect, gap = 0): boolean {
  return a.x < b.x + b.width + gap && b.x < a.x + a.width + gap && a.y < b.y + b.height + gap && b.y < a.y + a.height + gap;
}

export const contains = (rect: Rect, point: Point): boolean =>
  point.x > rect.x && point.x < rect.x + rect.width && point.y > rect.y && point.y < rect.y + rect.height;

/** The smallest rectangle around all of them; null for none. */
export function bounds(rects: Iterable<Rect>): Rect | null {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const rect of rects) {
    left = Math.min(left, rect.x);
    top = Math.min(top, rect.y);
    right = Math.max(right, rect.x + rect.width);
    bottom = Math.max(bottom, rect.y + rect.height);
  }
  return left === Infinity ? null : { x: left, y: top, width: right - left, height: bottom - top };
}

/** The frame that holds these node centres, with room for its title. */
export function frameAround(centres: Iterable<Point>): Rect | null {
  const inner = bounds([...centres].map((centre) => nodeRect(centre)));
  if (inner === null) return null;
  return {
    x: inner.x - ROOM_PADDING,
    y: inner.y - ROOM_HEADER,
    width: inner.width + 2 * ROOM_PADDING,
    height: inner.height + ROOM_HEADER + ROOM_PADDING,
  };
}
