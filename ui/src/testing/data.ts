/** Small, readable data for tests. */

import type { AgentSummary, EdgeNetwork, ServiceEdge, ServiceMapData, ServiceNode } from '@/domain/types';

export const node = (id: string, more: Partial<ServiceNode> = {}): ServiceNode => {
  const [kind = '', namespace = '', name = ''] = id.split('/');
  return { id, kind, namespace, name, pods_ready: 1, pods_desired: 1, rate_in: 10, error_rate_in: 0, p95_in_ns: 5e6, is_idle: false, ...more };
};

export const edge = (source: string, target: string, more: Partial<ServiceEdge> = {}): ServiceEdge => ({
  id: `${source}-${target}`, source, target, protocol: 'http', is_tls: false, services: [{ name: 'svc', port: 80 }], side: 'server',
  count: 1000, rate: 10, errors: 0, error_rate: 0, p50_ns: 2e6, p95_ns: 5e6, p99_ns: 9e6,
  request_bytes: 1e4, response_bytes: 1e5, request_bytes_rate: 100, response_bytes_rate: 1000, first_ms: 1e12, last_ms: 1e12, network: null, ...more,
});

/** An agent that is well. */
export const agent = (more: Partial<AgentSummary> = {}): AgentSummary => ({
  id: 'a1', node: 'node-1', version: '0.1.0', started_ms: 1e12, last_seen_ms: Date.now() - 1000, lag_ms: 20, seen: 5000, seen_rate: 118, event_rate: 118, exported: 5000,
  lost: {}, reduced: {}, sampled: 0, sample_every: 1, level: 'full', cpu_cores: 0.04, bpf_cores: 0.012, rss_bytes: 90 * 2 ** 20, queue_bytes: 0, spool_bytes: 0, export_error: '', missing: [], unseen: {}, ...more,
});

/** The network of an edge on a good day. */
export const network = (more: Partial<EdgeNetwork> = {}): EdgeNetwork => ({
  opened: 40, closed: 38, failed: 0, failures: {}, cancelled: 0, rate: 0.4, active: 2, connect_p50_ns: 2e5, connect_p95_ns: 6e5, connect_p99_ns: 9e5, rtt_mean_ns: 1.5e5, rtt_p95_ns: 4e5,
  client_bytes: 1e4, server_bytes: 1e5, client_bytes_rate: 100, server_bytes_rate: 1000, segments: 2000, retransmits: 1, retransmit_share: 0.0005, client_resets: 0, server_resets: 0, ...more,
});

export const LOADGEN = 'External//203.0.113.7';
export const TESTSERVER = 'Deployment/testserver/testserver';
export const CURRENCIES = 'Deployment/testserver/currencies';
export const POSTGRES = 'StatefulSet/testserver/postgres';

/** The story of the demo: load, a web service, another one behind it, a database. */
export const story = (): ServiceMapData => ({
  from_ms: 1e12,
  to_ms: 1e12 + 900e3,
  newest_ms: 1e12 + 899e3,
  nodes: [
    node(LOADGEN, { pods_ready: null, pods_desired: null, rate_in: 0, error_rate_in: null, p95_in_ns: null }),
    node(TESTSERVER, { pods_ready: 2, pods_desired: 2, rate_in: 35, p95_in_ns: 24e6 }),
    node(CURRENCIES, { pods_ready: 2, pods_desired: 2, rate_in: 30 }),
    node(POSTGRES, { rate_in: 20, p95_in_ns: 1.8e9, error_rate_in: 0.02 }),
    node('Deployment/testserver/reports', { is_idle: true, rate_in: 0, error_rate_in: null, p95_in_ns: null }),
  ],
  edges: [
    edge(LOADGEN, TESTSERVER, { rate: 35, p95_ns: 24e6 }),
    edge(TESTSERVER, CURRENCIES, { rate: 30, services: [{ name: 'currencies', port: 8000 }] }),
    edge(TESTSERVER, POSTGRES, { protocol: 'postgres', rate: 20, p95_ns: 1.8e9, p99_ns: 2.2e9, errors: 20, error_rate: 0.02, services: [{ name: 'postgres', port: 5432 }] }),
  ],
});

/** `total` workloads in namespaces of `size` with about 2.5 calls each; the same for the same seed. */
export function crowd(total: number, size = 14, seed = 7): Pick<ServiceMapData, 'nodes' | 'edges'> {
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const ids = Array.from({ length: total }, (_, at) => `Deployment/team-${Math.floor(at / size)}/workload-${at}`);
  const edges = new Map<string, ServiceEdge>();
  while (edges.size < total * 2.5) {
    const from = Math.floor(random() * total);
    const base = Math.floor(from / size) * size;
    const to = random() < 0.8 ? Math.min(total - 1, base + Math.floor(random() * size)) : Math.floor(random() * total);
    const [source, target] = [ids[from], ids[to]];
    if (source === undefined || target === undefined || source === target) continue;
    edges.set(`${source}-${target}`, edge(source, target, { rate: random() * 200, p95_ns: random() ** 4 * 2e9 }));
  }
  return { nodes: ids.map((id) => node(id)), edges: [...edges.values()] };
}
