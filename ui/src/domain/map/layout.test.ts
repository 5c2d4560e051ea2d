import { describe, expect, it } from 'vitest';
import { crowd, story, LOADGEN, TESTSERVER, CURRENCIES, POSTGRES } from '@/testing/data';
import { nodeRect, overlaps, type Rect } from './geometry';
import { layOut, type Layout, type LayoutInput } from './layout';
import { stack } from './align';
import { wholeLevels } from './levels';
import { newcomerShare, place } from './placement';
import { makeScene, DEFAULT_GROUPING, type Grouping } from './scene';

const ALL_OPEN = (rooms: number): Grouping => ({ ...DEFAULT_GROUPING, opened: Array.from({ length: rooms }, (_, at) => `team-${at}`) });

function inputOf(data: Parameters<typeof makeScene>[0], grouping: Grouping = DEFAULT_GROUPING): LayoutInput {
  const scene = makeScene(data, grouping);
  return { nodes: scene.nodes.map(({ id, room }) => ({ id, room })), calls: scene.edges.map(({ source, target }) => ({ source, target, weight: 1 })) };
}

/** Pairs that share area: nodes with nodes, frames with frames, frames with nodes of others. */
function collisions(layout: Layout, input: LayoutInput): string[] {
  const roomOf = new Map(input.nodes.map((node) => [node.id, node.room]));
  const nodes = [...layout.centres].map(([id, centre]) => ({ id, room: roomOf.get(id) ?? null, rect: nodeRect(centre) }));
  const found: string[] = [];
  const check = (a: { id: string; rect: Rect }, b: { id: string; rect: Rect }): void => {
    if (overlaps(a.rect, b.rect)) found.push(`${a.id} on ${b.id}`);
  };
  nodes.forEach((a, at) => nodes.slice(at + 1).forEach((b) => check(a, b)));
  const frames = layout.frames.map((frame, at) => ({ id: `frame ${at} of ${frame.room}`, room: frame.room, rect: frame }));
  frames.forEach((a, at) => frames.slice(at + 1).forEach((b) => check(a, b)));
  frames.forEach((frame) => nodes.filter((node) => node.room !== frame.room).forEach((node) => check(frame, node)));
  return found;
}

const x = (layout: Layout, id: string): number => layout.centres.get(id)?.x ?? Number.NaN;
const y = (layout: Layout, id: string): number => layout.centres.get(id)?.y ?? Number.NaN;

describe('levels', () => {
  it('put each callee right of its caller', () => {
    const level = wholeLevels(['a', 'b', 'c', 'd'], [['a', 'b'], ['b', 'c'], ['a', 'c'], ['c', 'd']].map(([source = '', target = '']) => ({ source, target, weight: 1 })));
    expect(['a', 'b', 'c', 'd'].map((id) => level.get(id))).toEqual([0, 1, 2, 3]);
  });

  it('end for cycles, with most calls running forward', () => {
    const level = wholeLevels(['a', 'b', 'c'], [['a', 'b'], ['b', 'c'], ['c', 'a']].map(([source = '', target = '']) => ({ source, target, weight: 1 })));
    expect([...level.values()].sort()).toEqual([0, 1, 2]);
  });

  it('move a caller nobody calls next to its callee', () => {
    const level = wholeLevels(['a', 'b', 'c', 'cron'], [['a', 'b'], ['b', 'c'], ['cron', 'c']].map(([source = '', target = '']) => ({ source, target, weight: 1 })));
    expect(level.get('cron')).toBe(1);
  });
});

describe('stack', () => {
  it('gives everyone their wish where there is room', () => {
    expect(stack([{ wish: 0, weight: 1, height: 10 }, { wish: 100, weight: 1, height: 10 }], 5)).toEqual([0, 100]);
  });

  it('parts the difference where there is none, and keeps the gap', () => {
    expect(stack([{ wish: 0, weight: 1, height: 10 }, { wish: 0, weight: 1, height: 10 }], 5)).toEqual([-7.5, 7.5]);
  });
});

describe('the first layout', () => {
  it('runs the demo from left to right, the database beside the service', () => {
    const layout = layOut(inputOf(story()));
    expect(x(layout, LOADGEN)).toBeLessThan(x(layout, TESTSERVER));
    expect(x(layout, TESTSERVER)).toBeLessThan(x(layout, CURRENCIES));
    expect(x(layout, CURRENCIES)).toBe(x(layout, POSTGRES));
  });

  it('levels a caller with the one it calls', () => {
    const layout = layOut(inputOf(story()));
    expect(Math.abs(y(layout, LOADGEN) - y(layout, TESTSERVER))).toBeLessThanOrEqual(1);
  });

  it.each([20, 60, 300])('puts nothing on anything with %s workloads', (total) => {
    const input = inputOf(crowd(total), ALL_OPEN(Math.ceil(total / 14)));
    expect(collisions(layOut(input), input)).toEqual([]);
  });

  it('is the same for the same graph in another order', () => {
    const data = crowd(60);
    const forward = layOut(inputOf(data, ALL_OPEN(5)));
    const backward = layOut(inputOf({ nodes: [...data.nodes].reverse(), edges: [...data.edges].reverse() }, ALL_OPEN(5)));
    expect(new Map([...backward.centres].sort())).toEqual(new Map([...forward.centres].sort()));
  });

  it('fills a screen rather than a strip', () => {
    const { frames } = layOut(inputOf(crowd(300), ALL_OPEN(22)), 1.8);
    const width = Math.max(...frames.map((frame) => frame.x + frame.width)) - Math.min(...frames.map((frame) => frame.x));
    const height = Math.max(...frames.map((frame) => frame.y + frame.height)) - Math.min(...frames.map((frame) => frame.y));
    expect(width / height).toBeGreaterThan(0.8);
    expect(width / height).toBeLessThan(4);
  });

  it('has a place for nodes without any call', () => {
    const input = inputOf({ nodes: story().nodes, edges: [] });
    expect(layOut(input).centres.size).toBe(5);
    expect(collisions(layOut(input), input)).toEqual([]);
  });

  it('is empty for an empty map', () => {
    expect(layOut({ nodes: [], calls: [] })).toEqual({ centres: new Map(), frames: [] });
  });
});

describe('coming and going', () => {
  it.each([[60, 1], [60, 2], [300, 3], [300, 4]])('moves no survivor and lets nothing overlap (%s workloads, seed %s)', (total, seed) => {
    const rooms = ALL_OPEN(40);
    const data = crowd(total, 14, seed);
    const before = layOut(inputOf(data, rooms));
    const staying = data.nodes.filter((_, at) => at % 10 !== seed);
    const arriving = crowd(total + Math.ceil(total / 8), 14, seed).nodes.slice(total).concat(
      Array.from({ length: 9 }, (_, at) => ({ ...data.nodes[at]!, id: `Deployment/team-${at % 3}/new-${at}`, namespace: `team-${at % 3}`, name: `new-${at}` })),
      [{ ...data.nodes[0]!, id: 'External//198.51.100.1', kind: 'External', namespace: '', name: '198.51.100.1' }],
    );
    const nodes = [...staying, ...arriving];
    const ids = new Set(nodes.map((node) => node.id));
    const calls = [...data.edges.filter((call) => ids.has(call.source) && ids.has(call.target)), { ...data.edges[0]!, id: 'x', source: 'External//198.51.100.1', target: staying[3]!.id }];
    const input = inputOf({ nodes, edges: calls }, rooms);

    const after = place(before, input);

    const moved = staying.filter((node) => x(before, node.id) !== x(after, node.id) || y(before, node.id) !== y(after, node.id));
    expect(moved).toEqual([]);
    expect(after.centres.size).toBe(nodes.length);
    expect(collisions(after, input)).toEqual([]);
  });

  it('survives thirty rounds of churn without an overlap', () => {
    const rooms = ALL_OPEN(40);
    let data: Parameters<typeof makeScene>[0] = crowd(56, 14, 9);
    let layout = layOut(inputOf(data, rooms));
    for (let round = 0; round < 30; round += 1) {
      const kept = data.nodes.filter((_, at) => (at + round) % 12 !== 0);
      const fresh = Array.from({ length: 4 }, (_, at) => ({ ...kept[0]!, id: `Deployment/team-${(at + round) % 5}/round-${round}-${at}`, namespace: `team-${(at + round) % 5}`, name: `round-${round}-${at}` }));
      const nodes = [...kept, ...fresh];
      const ids = new Set(nodes.map((node) => node.id));
      const links = fresh.map((each, at) => ({ ...data.edges[0]!, id: each.id, source: kept[at * 3]!.id, target: each.id }));
      data = { nodes, edges: [...data.edges.filter((call) => ids.has(call.source) && ids.has(call.target)), ...links] };
      const input = inputOf(data, rooms);
      layout = place(layout, input);
      expect(collisions(layout, input)).toEqual([]);
    }
  });

  it('puts a newcomer into its room, right of its caller', () => {
    const data = story();
    const before = layOut(inputOf(data));
    const cache = 'Deployment/testserver/cache';
    const input = inputOf({ nodes: [...data.nodes, { ...data.nodes[2]!, id: cache, name: 'cache' }], edges: [...data.edges, { ...data.edges[1]!, id: 'new', target: cache }] });

    const after = place(before, input);

    const frame = after.frames.find((each) => each.room === 'testserver')!;
    expect(x(after, cache)).toBeGreaterThan(x(after, TESTSERVER));
    expect(overlaps(frame, nodeRect(after.centres.get(cache)!))).toBe(true);
    expect(after.frames).toHaveLength(1);
  });

  it('tells how much of the map is new', () => {
    const before = layOut(inputOf(story()));
    expect(newcomerShare(before, [{ id: TESTSERVER, room: 'testserver' }, { id: 'x', room: null }])).toBe(0.5);
  });
});
