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
}

export interface ServiceMapData {
  from_ms: number;
  to_ms: number;
  newest_ms: number | null;
  nodes: ServiceNode[];
  edges: ServiceEdge[];
}

/** Is this peer outside everything the agents watch? */
export const isExternal = (node: { kind: string }): boolean => node.kind === 'External';
