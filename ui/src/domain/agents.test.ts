import { describe, expect, it } from 'vitest';
import { agent } from '@/testing/data';
import { byAttention, complaints, cores, levelName, samplingText } from './agents';

const NOW = 1e12;
const well = (more = {}) => agent({ last_seen_ms: NOW, ...more });

describe('agents', () => {
  it('come by attention, then by node in the order of numbers', () => {
    const agents = [well({ node: 'node-10' }), well({ node: 'node-9' }), well({ node: 'node-2', lost: { queue_full: 1 } }), well({ node: 'node-1', level: 'detached' }), well({ node: 'node-3', last_seen_ms: NOW - 60_000 })];
    expect(byAttention(agents, NOW).map((each) => each.node)).toEqual(['node-3', 'node-1', 'node-2', 'node-9', 'node-10']);
  });

  it('have complaints only where something is wrong', () => {
    expect(complaints(well({ sampled: 1000, sample_every: 10, reduced: { ring_full: 5 } }), NOW)).toEqual([]);
    expect(complaints(well({ level: 'counters', missing: ['tcp', 'dns'], export_error: '401', unseen: { fio: 1 } }), NOW)).toEqual(['counters only', 'cannot report', 'without tcp, dns', 'sees not all']);
  });

  it('cost in words', () => {
    expect([null, 0, 0.0004, 0.0123, 1.5].map(cores)).toEqual(['—', '0 cores', '< 0.001 cores', '0.012 cores', '1.5 cores']);
    expect([0, 1, 12_000].map(samplingText)).toEqual(['none listed', 'every request', '1 in 12,000']);
    expect(levelName('of_tomorrow')).toBe('of_tomorrow');
  });
});
