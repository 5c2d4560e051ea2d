import { describe, expect, it } from 'vitest';
import { crowd, CURRENCIES, edge, LOADGEN, node, POSTGRES, story, TESTSERVER } from '@/testing/data';
import { emphasise, isFiltering, NO_FILTERS, type Filters, type Focus } from './emphasis';
import { healthOf } from './health';
import { edgeRows } from './rows';
import { DEFAULT_GROUPING, EDGE_BUDGET, foldedId, makeScene, OUTSIDE_ROOM } from './scene';
import { strokeOf, strokeWidth } from './strokes';
import { entryPoint, step } from './walk';

const NO_FOCUS: Focus = { node: null, edge: null, depth: 1, direction: 'both' };
const scene = makeScene(story(), DEFAULT_GROUPING);
const filtered = (patch: Partial<Filters>) => emphasise(scene, { ...NO_FILTERS, ...patch }, NO_FOCUS);

describe('the scene', () => {
  it('has namespaces as rooms, outsiders as loose nodes, and host processes in a room of their own', () => {
    const made = makeScene({ nodes: [...story().nodes, node('Unit//nginx.service')], edges: [] }, DEFAULT_GROUPING);
    expect(made.nodes.map((each) => each.room)).toEqual([null, 'testserver', 'testserver', 'testserver', 'testserver', OUTSIDE_ROOM]);
  });

  it('folds namespaces by itself when there are many nodes', () => {
    const many = makeScene(crowd(300), DEFAULT_GROUPING);
    expect(many.nodes.every((each) => each.kind === 'Namespace')).toBe(true);
    expect(many.nodes.reduce((sum, each) => sum + each.members.length, 0)).toBe(300);
  });

  it('opens what the user opened and folds what the user folded', () => {
    expect(makeScene(crowd(300), { ...DEFAULT_GROUPING, opened: ['team-1'] }).open).toEqual(['team-1']);
    expect(makeScene(story(), { ...DEFAULT_GROUPING, folded: ['testserver'] }).nodes.map((each) => each.id)).toEqual([LOADGEN, foldedId('testserver')]);
  });

  it('adds up what lies behind a merged edge, and calls the worst latency the worst', () => {
    const data = { nodes: [node('Deployment/a/x'), node('Deployment/b/y'), node('Deployment/b/z')], edges: [edge('Deployment/a/x', 'Deployment/b/y', { rate: 5, p95_ns: 1e6, count: 100, errors: 1 }), edge('Deployment/a/x', 'Deployment/b/z', { rate: 7, p95_ns: 9e6, count: 100, errors: 0 })] };
    const [merged] = makeScene(data, { ...DEFAULT_GROUPING, folded: ['b'] }).edges;
    expect([merged?.rate, merged?.p95Ns, merged?.errorRate, merged?.calls.length]).toEqual([12, 9e6, 0.005, 2]);
  });

  it('drops calls inside a folded namespace', () => {
    expect(makeScene(story(), { ...DEFAULT_GROUPING, folded: ['testserver'] }).edges).toHaveLength(1);
  });

  it('draws no more edges than can be read, those with errors before the busiest, and says so', () => {
    const nodes = Array.from({ length: 40 }, (_, at) => node(`Deployment/a/n${at}`));
    const edges = nodes.flatMap((from, a) => nodes.slice(a + 1).map((to, b) => edge(from.id, to.id, { rate: a + b })));
    edges[0] = { ...edges[0]!, rate: 0.001, errors: 1 };
    const made = makeScene({ nodes, edges }, DEFAULT_GROUPING);
    expect([made.edges.length, made.edgeTotal]).toEqual([EDGE_BUDGET, 780]);
    expect(made.edges.some((each) => each.id === edges[0]!.id)).toBe(true);
  });
});

describe('filters', () => {
  it('dim what does not match, and hide it only when asked', () => {
    expect([...filtered({ protocols: ['postgres'] }).dimmedEdges]).toHaveLength(2);
    expect(filtered({ protocols: ['postgres'] }).hiddenNodes.size).toBe(0);
    expect([...filtered({ protocols: ['postgres'], hideRest: true }).hiddenNodes].sort()).toEqual([CURRENCIES, 'Deployment/testserver/reports', LOADGEN].sort());
  });

  it('leave errors, slow calls or idle workloads alone in full', () => {
    expect(filtered({ errorsOnly: true }).dimmedNodes.has(POSTGRES)).toBe(false);
    expect(filtered({ slowerThanMs: 1000 }).dimmedEdges.size).toBe(2);
    expect(scene.nodes.filter((each) => !filtered({ idleOnly: true }).dimmedNodes.has(each.id)).map((each) => each.label)).toEqual(['reports']);
  });

  it('take outsiders and their calls off the map', () => {
    const emphasis = filtered({ hideExternals: true });
    expect([[...emphasis.hiddenNodes], emphasis.hiddenEdges.size]).toEqual([[LOADGEN], 1]);
  });

  it('know when they leave nothing', () => {
    expect(filtered({ namespaces: ['nowhere'] }).isEmpty).toBe(true);
    expect(filtered({}).isEmpty).toBe(false);
    expect(isFiltering(NO_FILTERS)).toBe(false);
  });
});

describe('focus', () => {
  const lit = (focus: Partial<Focus>): string[] => {
    const { dimmedNodes } = emphasise(scene, NO_FILTERS, { ...NO_FOCUS, ...focus });
    return scene.nodes.filter((each) => !dimmedNodes.has(each.id)).map((each) => each.label).sort();
  };

  it('lights the neighbours, further with depth, one way with direction', () => {
    expect(lit({ node: CURRENCIES })).toEqual(['currencies', 'testserver']);
    expect(lit({ node: CURRENCIES, depth: 2 })).toEqual(['203.0.113.7', 'currencies', 'testserver']);
    expect(lit({ node: TESTSERVER, direction: 'callees' })).toEqual(['currencies', 'postgres', 'testserver']);
  });

  it('lights both ends of an edge', () => {
    expect(lit({ edge: `${TESTSERVER}-${POSTGRES}` })).toEqual(['postgres', 'testserver']);
  });

  it('is ignored for what is not on the map', () => {
    expect(lit({ node: 'Deployment/gone/gone' })).toHaveLength(5);
  });
});

describe('how things look', () => {
  it('gives edges 1 to 9 px by traffic', () => {
    expect([strokeWidth(0), strokeWidth(9), strokeWidth(1e9)]).toEqual([1, 2.7, 9]);
  });

  it('dashes edges with errors and colours them by the chosen quantile', () => {
    const slow = scene.edges.find((each) => each.target === POSTGRES)!;
    expect(strokeOf(slow, { quantile: 'p95', width: 'rate', scheme: 'light' })).toMatchObject({ colour: '#3d0010', isDashed: true });
    expect(strokeOf(slow, { quantile: 'p50', width: 'rate', scheme: 'light' }).colour).toBe('#adb5bd');
  });

  it('badges failing before unready before slow, and nothing that is well', () => {
    const health = (more: object) => healthOf(makeScene({ nodes: [node('Deployment/a/b', more)], edges: [] }, DEFAULT_GROUPING).nodes[0]!).badge;
    expect([health({ error_rate_in: 0.05, pods_ready: 0 }), health({ pods_ready: 0 }), health({ p95_in_ns: 4e8 }), health({}), health({ error_rate_in: null, p95_in_ns: null })]).toEqual(['failing', 'unready', 'slow', null, null]);
  });
});

describe('the table', () => {
  it('sorts by any column with unknown values last', () => {
    const data = { nodes: story().nodes, edges: [...story().edges, edge(CURRENCIES, POSTGRES, { p95_ns: null })] };
    const rows = (isDescending: boolean) => edgeRows(data, NO_FILTERS, { key: 'p95Ns', isDescending }).map((row) => row.p95Ns);
    expect(rows(true)).toEqual([1.8e9, 24e6, 5e6, null]);
    expect(rows(false)).toEqual([5e6, 24e6, 1.8e9, null]);
  });

  it('filters as the map does', () => {
    expect(edgeRows(story(), { ...NO_FILTERS, errorsOnly: true }, { key: 'rate', isDescending: true }).map((row) => row.targetName)).toEqual(['postgres']);
    expect(edgeRows(story(), { ...NO_FILTERS, hideExternals: true }, { key: 'targetName', isDescending: false }).map((row) => row.targetName)).toEqual(['currencies', 'postgres']);
  });
});

describe('walking by arrow keys', () => {
  const centres = new Map([[LOADGEN, { x: 0, y: 0 }], [TESTSERVER, { x: 300, y: 0 }], [CURRENCIES, { x: 600, y: -40 }], [POSTGRES, { x: 600, y: 40 }], ['near', { x: 320, y: 300 }]]);

  it('goes to the connected node that way', () => {
    expect(step(LOADGEN, 'ArrowRight', centres, scene.edges)).toBe(TESTSERVER);
    expect(step(CURRENCIES, 'ArrowDown', centres, scene.edges)).toBe(POSTGRES);
    expect(step(POSTGRES, 'ArrowLeft', centres, scene.edges)).toBe(TESTSERVER);
  });

  it('stays where there is nothing', () => {
    expect(step(LOADGEN, 'ArrowLeft', centres, scene.edges)).toBe(null);
  });

  it('enters at the left', () => {
    expect(entryPoint(centres)).toBe(LOADGEN);
  });
});
