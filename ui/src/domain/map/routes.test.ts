import { describe, expect, it } from 'vitest';
import { nodeRect, NODE_HEIGHT, NODE_WIDTH, type Point } from './geometry';
import { distanceTo, edgeAt, routeAll, type Route } from './routes';

const at = (places: Record<string, Point>) => ({ centres: new Map(Object.entries(places)), frames: [] });

function points(route: Route): Point[] {
  return Array.from({ length: route.samples.length / 2 }, (_, index) => ({ x: route.samples[index * 2] ?? 0, y: route.samples[index * 2 + 1] ?? 0 }));
}

const touches = (route: Route, centre: Point): boolean => {
  const rect = nodeRect(centre);
  return points(route).some((point) => point.x > rect.x && point.x < rect.x + rect.width && point.y > rect.y && point.y < rect.y + rect.height);
};

describe('routes', () => {
  it('leave on the right and arrive on the left', () => {
    const route = routeAll([{ id: 'e', source: 'a', target: 'b' }], at({ a: { x: 0, y: 0 }, b: { x: 400, y: 80 } })).get('e')!;
    expect(points(route)[0]).toEqual({ x: NODE_WIDTH / 2, y: 0 });
    expect(route.tip.x).toBeCloseTo(400 - NODE_WIDTH / 2, -1);
    expect(route.tipDirection.x).toBeCloseTo(1);
  });

  it('go around a node in the way', () => {
    const places = { a: { x: 0, y: 0 }, wall: { x: 400, y: 0 }, b: { x: 800, y: 0 } };
    const route = routeAll([{ id: 'e', source: 'a', target: 'b' }], at(places)).get('e')!;
    expect(touches(route, places.wall)).toBe(false);
  });

  it('go around backwards as well', () => {
    const places = { a: { x: 800, y: 0 }, wall: { x: 400, y: 0 }, b: { x: 0, y: 0 } };
    const route = routeAll([{ id: 'e', source: 'a', target: 'b' }], at(places)).get('e')!;
    expect(touches(route, places.wall)).toBe(false);
    expect(route.tipDirection.x).toBeCloseTo(-1);
  });

  it('leave other rooms alone where the way around is short', () => {
    const centres = new Map([['a', { x: 0, y: 0 }], ['b', { x: 1000, y: 0 }]]);
    const frame = { room: 'other', x: 300, y: -60, width: 300, height: 400 };
    const route = routeAll([{ id: 'e', source: 'a', target: 'b' }], { centres, frames: [frame] }).get('e')!;
    expect(points(route).some((point) => point.x > 310 && point.x < 590 && point.y > -60)).toBe(false);
  });

  it('do not share a port where a node has several', () => {
    const routes = routeAll([{ id: 'e', source: 'a', target: 'b' }, { id: 'f', source: 'a', target: 'c' }], at({ a: { x: 0, y: 0 }, b: { x: 400, y: -60 }, c: { x: 400, y: 60 } }));
    const [first, second] = [points(routes.get('e')!)[0]!, points(routes.get('f')!)[0]!];
    expect(first.y).toBeLessThan(second.y);
  });

  it('bow out to the side between nodes above each other, and loop at a node that calls itself', () => {
    const routes = routeAll([{ id: 'e', source: 'a', target: 'b' }, { id: 'self', source: 'a', target: 'a' }], at({ a: { x: 0, y: 0 }, b: { x: 0, y: 200 } }));
    expect(Math.max(...points(routes.get('e')!).map((point) => point.x))).toBeGreaterThan(NODE_WIDTH / 2 + 20);
    expect(Math.min(...points(routes.get('self')!).map((point) => point.y))).toBeLessThan(-NODE_HEIGHT / 2 - 10);
  });

  it('leave out edges whose ends have no place', () => {
    expect(routeAll([{ id: 'e', source: 'a', target: 'gone' }], at({ a: { x: 0, y: 0 } })).size).toBe(0);
  });
});

describe('finding the edge under the pointer', () => {
  const routes = routeAll([{ id: 'up', source: 'a', target: 'b' }, { id: 'down', source: 'a', target: 'c' }], at({ a: { x: 0, y: 0 }, b: { x: 500, y: -200 }, c: { x: 500, y: 200 } }));

  it('takes the nearest within reach', () => {
    expect(edgeAt(routes, routes.get('up')!.middle, () => 6)).toBe('up');
    expect(edgeAt(routes, { x: 250, y: 500 }, () => 6)).toBe(null);
  });

  it('measures the distance to the curve', () => {
    const { middle } = routes.get('down')!;
    expect(distanceTo(routes.get('down')!, middle, 10)).toBeLessThan(1);
    expect(distanceTo(routes.get('down')!, { x: middle.x, y: middle.y + 300 }, 10)).toBe(Infinity);
  });
});
