/** What the map costs without drawing: first layout, a refresh, churn, routes. `npm run bench` prints the table. */

import { bench, describe } from 'vitest';
import { emphasise, NO_FILTERS } from '@/domain/map/emphasis';
import { layOut } from '@/domain/map/layout';
import { place } from '@/domain/map/placement';
import { routeAll } from '@/domain/map/routes';
import { DEFAULT_GROUPING, makeScene, type Grouping } from '@/domain/map/scene';
import { advance, freshStage } from '@/domain/map/stage';
import { crowd } from '@/testing/data';

const OPTIONS = { time: 1000, warmupTime: 200 };

for (const total of [60, 300, 1000]) {
  describe(`${total} workloads, ${total * 2.5} calls, all namespaces open`, () => {
    const data = crowd(total);
    const grouping: Grouping = { ...DEFAULT_GROUPING, opened: Array.from({ length: total }, (_, at) => `team-${at}`) };
    const scene = makeScene(data, grouping);
    const input = { nodes: scene.nodes.map(({ id, room }) => ({ id, room })), calls: scene.edges.map(({ source, target }) => ({ source, target, weight: 1 })) };
    const layout = layOut(input);
    const stage = freshStage(scene, 1.6);
    const kept = { ...input, nodes: input.nodes.filter((_, at) => at % 50 !== 0).concat(Array.from({ length: Math.ceil(total / 50) }, (_, at) => ({ id: `new-${at}`, room: `team-${at % 3}` }))) };

    bench('first layout', () => void layOut(input), OPTIONS);
    bench('first layout with routes', () => void freshStage(scene, 1.6), OPTIONS);
    bench('routes', () => void routeAll(scene.edges, layout), OPTIONS);
    bench('2 % of the nodes come and go', () => void place(layout, kept), OPTIONS);
    bench('refresh of all figures', () => {
      const next = advance(stage, makeScene(data, grouping), { aspect: 1.6, saved: null, isHeld: false });
      emphasise(next.scene, NO_FILTERS, { node: null, edge: null, depth: 1, direction: 'both' });
    }, OPTIONS);
  });
}
