/** The vocabulary of the UI, in the server's own field names. The generated API types must fit these. */

export interface EntityRef {
  id: string;
  kind: string;
  namespace: string;
  name: string;
}

/** One workload, external peer or host process on the map. Unknown is null, zero is 0. */
export interface ServiceNode extends EntityRef {
  pods_ready: number | null;
  pods_desired: number | null;
  rate_in: number;
  error_rate_in: number | null;
  p95_in_ns: number | null;
  is_idle: boolean;
}

/** What the connections under an edge did. Failures count failed connects by cause; `active` is an average. */
export interface EdgeNetwork {
  opened: number;
  closed: number;
  failed: number;
  failures: Record<string, number>;
  cancelled: number;
  rate: number;
  active: number;
  connect_p50_ns: number | null;
  connect_p95_ns: number | null;
  connect_p99_ns: number | null;
  rtt_mean_ns: number | null;
  rtt_p95_ns: number | null;
  client_bytes: number;
  server_bytes: number;
  client_bytes_rate: number;
  server_bytes_rate: number;
  segments: number;
  retransmits: number;
  retransmit_share: number | null;
  client_resets: number;
  server_resets: number;
}

/** All calls of one protocol from one workload to another, over the asked range. */
export interface ServiceEdge {
  id: string;
  source: string;
  target: string;
  protocol: string;
  is_tls: boolean;
  services: { name: string; port: number }[];
  side: string;
  count: number;
  rate: number;
  errors: number;
  error_rate: number;
  p50_ns: number | null;
  p95_ns: number | null;
  p99_ns: number | null;
  request_bytes: number;
  response_bytes: number;
  request_bytes_rate: number;
  response_bytes_rate: number;
  first_ms: number;
  last_ms: number;
  /** Null where no agent reports connections. */
  network: EdgeNetwork | null;
}

export interface ServiceMapData {
  from_ms: number;
  to_ms: number;
  newest_ms: number | null;
  nodes: ServiceNode[];
  edges: ServiceEdge[];
}

/** What an agent says of its own work in the last 15 minutes. */
export interface AgentSummary {
  id: string;
  node: string;
  version: string;
  started_ms: number;
  last_seen_ms: number;
  lag_ms: number;
  seen: number;
  seen_rate: number | null;
  event_rate: number | null;
  exported: number;
  /** Requests missing from counts, by cause. */
  lost: Record<string, number>;
  /** Requests that are counted, but missing from the list or poorer there, by cause. */
  reduced: Record<string, number>;
  sampled: number;
  sample_every: number;
  level: string;
  cpu_cores: number | null;
  bpf_cores: number | null;
  rss_bytes: number;
  queue_bytes: number;
  spool_bytes: number;
  export_error: string;
  missing: string[];
  unseen: Record<string, number>;
}

/** Is this peer outside everything the agents watch? */
export const isExternal = (node: { kind: string }): boolean => node.kind === 'External';
