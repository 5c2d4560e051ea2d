/** What the views read from the server, cached and kept while newer data is on its way. */

import { infiniteQueryOptions, keepPreviousData, QueryClient, queryOptions, useMutation, useQueryClient, type QueryKey } from '@tanstack/react-query';
import { api } from '@/api/client';
import { ApiError } from '@/api/errors';
import { isLive, type TimeRange } from '@/domain/range';
import type { RequestFilters } from '@/domain/views';

/** Even when nothing arrives a moving range moves on, and figures with it. */
const LIVE_REFETCH_MS = 10_000;
const STATUS_REFETCH_MS = 5000;

/** A question the server understood and refused will not be answered better the next time. */
const shouldRetry = (failures: number, error: Error): boolean => failures < 2 && !(error instanceof ApiError && error.status < 500);

export const makeQueryClient = (): QueryClient =>
  new QueryClient({ defaultOptions: { queries: { retry: shouldRetry, refetchOnWindowFocus: false, staleTime: 1000, retryDelay: (attempt) => 500 * 2 ** attempt } } });

/** Keys begin with the cluster, then with whether the range moves: the live feed refreshes just those. */
const keyOf = (cluster: string, range: TimeRange, ...rest: unknown[]): QueryKey => ['cluster', cluster, isLive(range) ? 'live' : 'pinned', ...rest, range.from, range.to];

export const liveKey = (cluster: string): QueryKey => ['cluster', cluster, 'live'];

const refetching = (range: TimeRange) => (isLive(range) ? LIVE_REFETCH_MS : false);

export const clustersQuery = () => queryOptions({ queryKey: ['clusters'], queryFn: ({ signal }) => api.clusters(signal), refetchInterval: STATUS_REFETCH_MS });

/** One cluster with its install commands; asks often while it waits for its first data. */
export const clusterQuery = (cluster: string) =>
  queryOptions({
    queryKey: ['clusters', cluster],
    queryFn: ({ signal }) => api.cluster(cluster, signal),
    refetchInterval: (query) => (query.state.data?.state === 'connected' ? 30_000 : 2000),
  });

export const qualityQuery = (cluster: string) =>
  queryOptions({ queryKey: ['clusters', cluster, 'quality'], queryFn: ({ signal }) => api.quality(cluster, signal), refetchInterval: STATUS_REFETCH_MS, refetchOnWindowFocus: true, enabled: cluster !== '' });

export const agentQuery = (cluster: string, agent: string, range: TimeRange) =>
  queryOptions({
    queryKey: keyOf(cluster, range, 'agent', agent),
    queryFn: ({ signal }) => api.agent(cluster, agent, range, signal),
    refetchInterval: refetching(range),
    placeholderData: (previous, query) => (query?.queryKey[4] === agent ? previous : undefined),
  });

export const mapQuery = (cluster: string, range: TimeRange) =>
  queryOptions({
    queryKey: keyOf(cluster, range, 'map'),
    queryFn: ({ signal }) => api.map(cluster, range, signal),
    refetchInterval: refetching(range),
    placeholderData: keepSameCluster(cluster),
    // The map compares by itself; comparing deeply here would cost more than it saves.
    structuralSharing: false,
  });

export const resourceQuery = (cluster: string, resource: string, range: TimeRange) =>
  queryOptions({
    queryKey: keyOf(cluster, range, 'resource', resource),
    queryFn: ({ signal }) => api.resource(cluster, resource, range, signal),
    refetchInterval: refetching(range),
    placeholderData: (previous, query) => (query?.queryKey[4] === resource ? previous : undefined),
  });

export const edgeSeriesQuery = (cluster: string, edge: string, range: TimeRange) =>
  queryOptions({
    queryKey: keyOf(cluster, range, 'edge', edge),
    queryFn: ({ signal }) => api.edgeSeries(cluster, edge, range, signal),
    refetchInterval: refetching(range),
    placeholderData: (previous, query) => (query?.queryKey[4] === edge ? previous : undefined),
  });

export const edgeNetworkQuery = (cluster: string, edge: string, range: TimeRange) =>
  queryOptions({
    queryKey: keyOf(cluster, range, 'network', edge),
    queryFn: ({ signal }) => api.edgeNetwork(cluster, edge, range, signal),
    refetchInterval: refetching(range),
    placeholderData: (previous, query) => (query?.queryKey[4] === edge ? previous : undefined),
  });

/** Pages of requests, newest first. Refreshed by `useRequestTail`, not by the live feed: pages must not be torn apart. */
export const requestsQuery = (cluster: string, range: TimeRange, filters: RequestFilters) =>
  infiniteQueryOptions({
    queryKey: ['requests', cluster, range.from, range.to, filters],
    queryFn: ({ signal, pageParam }) => api.requests(cluster, range, filters, { cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
    staleTime: Infinity,
  });

/** Routes and statements whose text contains `text`, among the newest matching requests. */
export const searchQuery = (cluster: string, range: TimeRange, text: string) =>
  queryOptions({
    queryKey: ['search', cluster, range.from, range.to, text],
    queryFn: ({ signal }) => api.requests(cluster, range, { ...NO_REQUEST_FILTERS, text }, { cursor: null, limit: 100 }, signal),
    enabled: cluster !== '' && text.length >= 2,
    placeholderData: keepPreviousData,
    staleTime: 10_000,
  });

export const NO_REQUEST_FILTERS: RequestFilters = { source: '', target: '', resource: '', protocol: '', status: '', method: '', text: '', minLatencyMs: null, errorsOnly: false };

/** Another range keeps the old picture until the new one is there; another cluster does not. */
function keepSameCluster(cluster: string) {
  return <Data>(previous: Data | undefined, query: { queryKey: QueryKey } | undefined): Data | undefined => (query?.queryKey[1] === cluster ? previous : undefined);
}

export function useAddCluster() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: api.addCluster,
    onSuccess: (cluster) => {
      client.setQueryData(clusterQuery(cluster.id).queryKey, cluster);
      return client.invalidateQueries({ queryKey: ['clusters'], exact: true });
    },
  });
}

export function useRenameCluster() {
  const client = useQueryClient();
  return useMutation({ mutationFn: ({ id, name }: { id: string; name: string }) => api.renameCluster(id, name), onSuccess: () => client.invalidateQueries({ queryKey: ['clusters'] }) });
}

export function useDeleteCluster() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: api.deleteCluster,
    onSuccess: (_, id) => {
      client.removeQueries({ queryKey: ['clusters', id] });
      return client.invalidateQueries({ queryKey: ['clusters'], exact: true });
    },
  });
}
