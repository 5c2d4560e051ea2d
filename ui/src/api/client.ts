/** Every call the UI makes to the server, typed by the server's own OpenAPI. Nothing else in the UI fetches. */

import createClient from 'openapi-fetch';
import type { TimeRange } from '@/domain/range';
import type { RequestFilters } from '@/domain/views';
import { ApiError, NetworkError } from './errors';
import type { paths } from './schema';

type Body<Path extends keyof paths, Method extends keyof paths[Path]> = paths[Path][Method] extends {
  responses: { 200: { content: { 'application/json': infer Content } } };
}
  ? Content
  : never;

export type Cluster = Body<'/api/v1/clusters', 'get'>['items'][number];
export type ClusterSetup = Body<'/api/v1/clusters/{cluster_id}', 'get'>;
export type Quality = Body<'/api/v1/clusters/{cluster_id}/quality', 'get'>;
export type AgentDetails = Body<'/api/v1/clusters/{cluster_id}/agents/{agent_id}', 'get'>;
export type ServiceMap = Body<'/api/v1/clusters/{cluster_id}/map', 'get'>;
export type Series = Body<'/api/v1/clusters/{cluster_id}/edges/{edge_id}/series', 'get'>;
export type NetworkDetails = Body<'/api/v1/clusters/{cluster_id}/edges/{edge_id}/network', 'get'>;
export type Resource = Body<'/api/v1/clusters/{cluster_id}/resources/{resource_id}', 'get'>;
export type Peer = Resource['incoming'][number];
export type RequestPage = Body<'/api/v1/clusters/{cluster_id}/requests', 'get'>;
export type RequestRow = RequestPage['items'][number];

/** A server that takes longer counts as one that does not answer. */
const TIMEOUT_MS = 10_000;

// `fetch` is looked up at each call, so that whoever replaces it (tests) need not come first.
const client = createClient<paths>({
  baseUrl: globalThis.location.origin,
  fetch: (request) => globalThis.fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(TIMEOUT_MS)]) }),
});

interface Answer<Data> {
  data?: Data;
  error?: unknown;
  response: Response;
}

/** The data of an answer; anything else becomes an error that can be shown. */
async function unwrap<Data>(answer: Promise<Answer<Data>>): Promise<Data> {
  let settled: Answer<Data>;
  try {
    settled = await answer;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new NetworkError(cause);
  }
  if (settled.error !== undefined || !settled.response.ok) throw ApiError.from(settled.response.status, settled.error);
  return settled.data as Data;
}

export const PAGE_SIZE = 200;

export const api = {
  clusters: (signal: AbortSignal) => unwrap(client.GET('/api/v1/clusters', { signal })),

  cluster: (id: string, signal: AbortSignal) => unwrap(client.GET('/api/v1/clusters/{cluster_id}', { params: { path: { cluster_id: id } }, signal })),

  addCluster: (name: string) => unwrap(client.POST('/api/v1/clusters', { body: { name } })),

  renameCluster: (id: string, name: string) => unwrap(client.PATCH('/api/v1/clusters/{cluster_id}', { params: { path: { cluster_id: id } }, body: { name } })),

  deleteCluster: (id: string) => unwrap(client.DELETE('/api/v1/clusters/{cluster_id}', { params: { path: { cluster_id: id } } })),

  quality: (id: string, signal: AbortSignal) => unwrap(client.GET('/api/v1/clusters/{cluster_id}/quality', { params: { path: { cluster_id: id } }, signal })),

  agent: (id: string, agent: string, range: TimeRange, signal: AbortSignal) =>
    unwrap(client.GET('/api/v1/clusters/{cluster_id}/agents/{agent_id}', { params: { path: { cluster_id: id, agent_id: agent }, query: range }, signal })),

  map: (id: string, range: TimeRange, signal: AbortSignal) =>
    unwrap(client.GET('/api/v1/clusters/{cluster_id}/map', { params: { path: { cluster_id: id }, query: range }, signal })),

  edgeSeries: (id: string, edge: string, range: TimeRange, signal: AbortSignal) =>
    unwrap(client.GET('/api/v1/clusters/{cluster_id}/edges/{edge_id}/series', { params: { path: { cluster_id: id, edge_id: edge }, query: { ...range, points: 60 } }, signal })),

  edgeNetwork: (id: string, edge: string, range: TimeRange, signal: AbortSignal) =>
    unwrap(client.GET('/api/v1/clusters/{cluster_id}/edges/{edge_id}/network', { params: { path: { cluster_id: id, edge_id: edge }, query: { ...range, points: 60 } }, signal })),

  resource: (id: string, resource: string, range: TimeRange, signal: AbortSignal) =>
    unwrap(client.GET('/api/v1/clusters/{cluster_id}/resources/{resource_id}', { params: { path: { cluster_id: id, resource_id: resource }, query: range }, signal })),

  requests: (id: string, range: TimeRange, filters: RequestFilters, page: { cursor: string | null; limit?: number }, signal: AbortSignal) =>
    unwrap(client.GET('/api/v1/clusters/{cluster_id}/requests', { params: { path: { cluster_id: id }, query: { ...range, ...requestParameters(filters), ...paging(page) } }, signal })),
};

const paging = (page: { cursor: string | null; limit?: number }) => ({ limit: page.limit ?? PAGE_SIZE, ...(page.cursor === null ? {} : { cursor: page.cursor }) });

/** The filters in the server's parameters; those not set are left out. */
function requestParameters(filters: RequestFilters) {
  const { minLatencyMs, errorsOnly, ...texts } = filters;
  const set = Object.fromEntries(Object.entries(texts).filter(([, value]) => value !== '')) as Partial<typeof texts>;
  return {
    ...set,
    ...(minLatencyMs === null ? {} : { min_latency_ns: Math.round(minLatencyMs * 1e6) }),
    ...(errorsOnly ? { errors_only: true } : {}),
  };
}

/** Where the server says that something new has arrived. */
export const liveAddress = (cluster: string): string => `/api/v1/clusters/${encodeURIComponent(cluster)}/live`;
