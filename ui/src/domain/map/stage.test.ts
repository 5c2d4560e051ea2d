import { describe, expect, it } from 'vitest';
import { edge, LOADGEN, node, POSTGRES, story, TESTSERVER } from '@/testing/data';
import { fromText, toText } from './saved';
import { DEFAULT_GROUPING, makeScene, type Scene } from './scene';
import { advance, freshStage, wantsTidying, type StageOptions } from './stage';

const OPTIONS: StageOptions = { aspect: 1.6, saved: null, isHeld: false };
const sceneOf = (data: Parameters<typeof makeScene>[0]): Scene => makeScene(data, DEFAULT_GROUPING);

describe('the stage', () => {
  it('keeps layout and routes untouched while only figures change', () => {
    const first = advance(null, sceneOf(story()), OPTIONS);
    const second = advance(first, sceneOf({ nodes: story().nodes, edges: story().edges.map((each) => ({ ...each, rate: each.rate * 2 })) }), OPTIONS);
    expect(second.layout).toBe(first.layout);
    expect(second.routes).toBe(first.routes);
    expect(second.scene.edges[0]?.rate).toBe(70);
  });

  it('lets a vanished node linger for three refreshes in its place', () => {
    const without = sceneOf({ nodes: story().nodes.filter((each) => each.id !== LOADGEN), edges: story().edges.slice(1) });
    let stage = advance(null, sceneOf(story()), OPTIONS);
    const place = stage.layout.centres.get(LOADGEN);
    const seen: (number | undefined)[] = [];
    for (let refresh = 0; refresh < 4; refresh += 1) {
      stage = advance(stage, without, OPTIONS);
      seen.push(stage.ghosts.get(LOADGEN)?.left);
      if (refresh < 3) expect(stage.layout.centres.get(LOADGEN)).toEqual(place);
    }
    expect(seen).toEqual([3, 2, 1, undefined]);
    expect(stage.layout.centres.has(LOADGEN)).toBe(false);
  });

  it('gives a node that comes back the place it had', () => {
    const first = advance(null, sceneOf(story()), OPTIONS);
    const gone = advance(first, sceneOf({ nodes: story().nodes.slice(1), edges: story().edges.slice(1) }), OPTIONS);
    const back = advance(gone, sceneOf(story()), OPTIONS);
    expect(back.layout.centres.get(LOADGEN)).toEqual(first.layout.centres.get(LOADGEN));
    expect(back.ghosts.size).toBe(0);
  });

  it('lays out anew once the calls of a young cluster have more than doubled, unless the user holds the map', () => {
    const young = sceneOf({ nodes: story().nodes, edges: [] });
    const first = advance(null, young, OPTIONS);
    expect(advance(first, sceneOf(story()), OPTIONS).isFresh).toBe(true);
    const held = advance(first, sceneOf(story()), { ...OPTIONS, isHeld: true });
    expect(held.layout.centres.get(TESTSERVER)).toEqual(first.layout.centres.get(TESTSERVER));
  });

  it('stands where it stood at the last visit', () => {
    const first = freshStage(sceneOf(story()), 1.6);
    const moved = new Map([...first.layout.centres].map(([id, centre]) => [id, { x: centre.x + 40, y: centre.y }]));
    const saved = { layout: { ...first.layout, centres: moved }, made: first.made };
    expect(advance(null, sceneOf(story()), { ...OPTIONS, saved }).layout.centres.get(POSTGRES)).toEqual(moved.get(POSTGRES));
  });

  it('does not trust a saved layout of which nothing is left', () => {
    const saved = { layout: freshStage(sceneOf(story()), 1.6).layout, made: { calls: 3, nodes: 5 } };
    const other = sceneOf({ nodes: [node('Deployment/a/b'), node('Deployment/a/c')], edges: [edge('Deployment/a/b', 'Deployment/a/c')] });
    expect(advance(null, other, { ...OPTIONS, saved }).newcomers).toBe(0);
  });

  it('offers to tidy up when many are new', () => {
    const first = advance(null, sceneOf(story()), OPTIONS);
    const more = advance(first, sceneOf({ nodes: [...story().nodes, node('Deployment/testserver/a'), node('Deployment/testserver/b')], edges: story().edges }), OPTIONS);
    expect([wantsTidying(first), wantsTidying(more)]).toEqual([false, true]);
  });
});

describe('saved layouts', () => {
  const saved = { layout: freshStage(sceneOf(story()), 1.6).layout, made: { calls: 3, nodes: 5 } };

  it('come back as they were', () => {
    expect(fromText(toText(saved))).toEqual(saved);
  });

  it.each([null, '', 'null', '{}', '[1]', '{"version":1,"centres":[["a","x",1]],"frames":[],"made":{"calls":1,"nodes":1}}', '{"version":99}', 'not json'])('are refused when they are %s', (text) => {
    expect(fromText(text)).toBe(null);
  });
});
