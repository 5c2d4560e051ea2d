/** The map as a table: one row per edge, for sorting and for those who read rather than look. */

import { mainFailure } from '../network';
import type { ServiceEdge, ServiceMapData, ServiceNode } from '../types';
import type { Filters } from './emphasis';

export interface EdgeRow {
  id: string;
  source: string;
  target: string;
  sourceName: string;
  targetName: string;
  protocol: string;
  isTls: boolean;
  service: string;
  /** Why connects fail, most of them; empty where none did. */
  failure: string;
  rate: number;
  p50Ns: number | null;
  p95Ns: number | null;
  p99Ns: number | null;
  errorRate: number;
  bytesRate: number;
}

export type SortKey = 'sourceName' | 'targetName' | 'protocol' | 'rate' | 'p50Ns' | 'p95Ns' | 'p99Ns' | 'errorRate' | 'bytesRate';

export interface Sorting {
  key: SortKey;
  isDescending: boolean;
}

/** Rows of what the filters leave, in the asked order; unknown values last. */
export function edgeRows(data: Pick<ServiceMapData, 'nodes' | 'edges'>, filters: Filters, sorting: Sorting): EdgeRow[] {
  const nodes = new Map(data.nodes.map((node) => [node.id, node]));
  const rows = data.edges.flatMap((edge): EdgeRow[] => {
    const [source, target] = [nodes.get(edge.source), nodes.get(edge.target)];
    if (!matches(edge, filters) || !endsMatch([source, target], filters)) return [];
    return [
      {
        id: edge.id,
        source: edge.source,
        target: edge.target,
        sourceName: source?.name ?? edge.source,
        targetName: target?.name ?? edge.target,
        protocol: edge.protocol,
        isTls: edge.is_tls,
        service: edge.services.map((service) => `${service.name}:${service.port}`).join(', '),
        failure: mainFailure([edge]) ?? '',
        rate: edge.rate,
        p50Ns: edge.p50_ns,
        p95Ns: edge.p95_ns,
        p99Ns: edge.p99_ns,
        errorRate: edge.error_rate,
        bytesRate: edge.request_bytes_rate + edge.response_bytes_rate,
      },
    ];
  });
  return rows.sort((a, b) => compare(a[sorting.key], b[sorting.key], sorting.isDescending) || (a.id < b.id ? -1 : 1));
}

function matches(edge: ServiceEdge, filters: Filters): boolean {
  if (filters.idleOnly || (filters.errorsOnly && edge.errors === 0)) return false;
  if (filters.slowerThanMs !== null && (edge.p95_ns ?? 0) < filters.slowerThanMs * 1e6) return false;
  return filters.protocols.length === 0 || filters.protocols.includes(edge.protocol);
}

function endsMatch(ends: readonly (ServiceNode | undefined)[], filters: Filters): boolean {
  if (filters.hideExternals && ends.some((node) => node?.kind === 'External')) return false;
  return filters.namespaces.length === 0 || ends.some((node) => filters.namespaces.includes(node?.namespace ?? ''));
}

function compare(a: string | number | null, b: string | number | null, isDescending: boolean): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  const order = typeof a === 'string' || typeof b === 'string' ? String(a).localeCompare(String(b)) : a - b;
  return isDescending ? -order : order;
}
