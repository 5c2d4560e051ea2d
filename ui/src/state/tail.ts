/** The live tail of the request list: the newest page replaces all pages, but only while the reader is at the top. */

import { useEffect, useEffectEvent } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { api } from '@/api/client';
import { isLive, type TimeRange } from '@/domain/range';
import type { RequestFilters } from '@/domain/views';
import { requestsQuery } from './queries';

const TAIL_INTERVAL_MS = 2000;

/** Follows while `isFollowing`: the list is never moved under a reader who has scrolled down or opened a row. */
export function useRequestTail(cluster: string, range: TimeRange, filters: RequestFilters, isFollowing: boolean): void {
  const client = useQueryClient();
  const isOn = isFollowing && isLive(range) && cluster !== '';
  const pull = useEffectEvent(async (signal: AbortSignal) => {
    const { queryKey } = requestsQuery(cluster, range, filters);
    const state = client.getQueryState(queryKey);
    if (state?.data === undefined || state.fetchStatus === 'fetching') return;
    const page = await api.requests(cluster, range, filters, { cursor: null }, signal);
    client.setQueryData(queryKey, { pages: [page], pageParams: [null] });
  });
  useEffect(() => {
    if (!isOn) return undefined;
    const aborted = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const next = (): void => {
      // A failed pull leaves the list as it is; the status strip tells that the server is away.
      timer = setTimeout(() => void pull(aborted.signal).catch(() => undefined).finally(() => !aborted.signal.aborted && next()), TAIL_INTERVAL_MS);
    };
    next();
    return () => {
      aborted.abort();
      clearTimeout(timer);
    };
  }, [isOn]);
}
