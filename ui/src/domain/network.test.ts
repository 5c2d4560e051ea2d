import { describe, expect, it } from 'vitest';
import { edge, network, node } from '@/testing/data';
import { badgeText, failuresText, figuresText, isLossy, isTcpOnly, mainFailure, networkOf, resetsText } from './network';
import { makeScene } from './map/scene';

const A = 'Deployment/shop/a';
const B = 'Deployment/shop/b';
const sceneEdge = (...calls: ReturnType<typeof edge>[]) => {
  const made = makeScene({ nodes: [node(A), node(B)], edges: calls }, { byNamespace: false, opened: [], folded: [] }).edges[0];
  if (made === undefined) throw new Error('no edge');
  return made;
};

describe('the network in words', () => {
  it('tells the reasons of failed connects, the most frequent first', () => {
    expect(failuresText({ refused: 2, timed_out: 50, failed_otherwise: 1 })).toBe('no answer 50, refused 2, failed 1');
    expect(mainFailure([edge(A, B, { network: network({ failures: { unreachable: 3, refused: 2 } }) }), edge(A, B, { network: null })])).toBe('unreachable');
    expect(mainFailure([edge(A, B)])).toBe(null);
  });

  it('puts the reason on a line that only connects, the share of errors on one with requests', () => {
    const failing = network({ opened: 0, failed: 5, failures: { refused: 5 } });
    expect(badgeText(sceneEdge(edge(A, B, { protocol: 'tcp', count: 5, errors: 5, error_rate: 1, network: failing })))).toBe('refused 100 %');
    expect(badgeText(sceneEdge(edge(A, B, { errors: 10, error_rate: 0.01 })))).toBe('1 %');
    expect(badgeText(sceneEdge(edge(A, B, { network: failing })))).toBe('refused');
    expect(badgeText(sceneEdge(edge(A, B)))).toBe(null);
  });

  it('says connects where no requests are counted', () => {
    const line = sceneEdge(edge(A, B, { protocol: 'tcp', rate: 3 }));
    expect(isTcpOnly(line)).toBe(true);
    expect(figuresText(line, 4e6)).toBe('3/s connects · 4 ms');
    expect(figuresText(sceneEdge(edge(A, B, { rate: 3 })), null)).toBe('3/s · —');
  });

  it('adds what is known and leaves out what is not', () => {
    expect(networkOf([edge(A, B, { network: null })])).toBe(null);
    expect(networkOf([edge(A, B, { network: network({ active: 2, rtt_p95_ns: null }) }), edge(A, B, { network: network({ active: 1.5, rtt_p95_ns: 9e5 }) })])).toEqual({ active: 3.5, failed: 0, rtt_p95_ns: 9e5 });
  });

  it('tells who reset, and when too much is repeated', () => {
    expect(resetsText(network())).toBe('none');
    expect(resetsText(network({ client_resets: 3, server_resets: 1 }))).toBe('3 by the client, 1 by the server');
    expect([isLossy(network({ retransmit_share: 0.02 })), isLossy(network({ retransmit_share: null }))]).toEqual([true, false]);
  });
});
