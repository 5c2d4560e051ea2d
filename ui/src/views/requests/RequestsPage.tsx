/** Every request, newest first: filtered by the address, followed live while the reader is at the top. */

import { Button, Skeleton } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useMemo, useRef, useState } from 'react';
import type { RequestRow } from '@/api/client';
import { Failure, Notice, Stale } from '@/components/feedback/Notice';
import { count } from '@/domain/format';
import { isLive, rangeLabel } from '@/domain/range';
import { isFilteringRequests, parseRequestFilters, requestFilterQuery, type RequestFilters } from '@/domain/views';
import { useClusterId, useQueryText, useRange, useSetQuery } from '@/state/address';
import { NO_REQUEST_FILTERS, requestsQuery } from '@/state/queries';
import { useIsAway } from '@/state/away';
import { useRequestTail } from '@/state/tail';
import { RequestFiltersBar } from './RequestFiltersBar';
import { RequestLine, rowKey } from './RequestLine';
import '@/components/controls/toolbar.css';
import './requests.css';

const ROW_HEIGHT = 32;

export function RequestsPage() {
  const cluster = useClusterId();
  const range = useRange();
  const query = useQueryText();
  const filters = useMemo(() => parseRequestFilters(query), [query]);
  const setQuery = useSetQuery();
  const change = (patch: Partial<RequestFilters>): void => setQuery({ ...requestFilterQuery({ ...filters, ...patch }), rows: undefined }, { replace: true });
  const isOld = useIsAway(cluster) && isLive(range);
  const pages = useInfiniteQuery(requestsQuery(cluster, range, filters));
  const rows = useMemo(() => pages.data?.pages.flatMap((page) => page.items) ?? [], [pages.data]);
  return (
    <div className="requests-page">
      <h1 className="visually-hidden">Requests</h1>
      <RequestFiltersBar filters={filters} onChange={change} onClear={() => change(NO_REQUEST_FILTERS)} />
      {(pages.error !== null || isOld) && pages.data !== undefined && <Stale what="The list" asOf={new Date(pages.dataUpdatedAt).toLocaleTimeString(undefined, { hourCycle: 'h23' })} />}
      {pages.data === undefined && pages.error !== null && <Failure what="The requests could not be read" error={pages.error} onRetry={() => void pages.refetch()} />}
      {pages.isPending && <Loading />}
      {pages.data !== undefined && rows.length === 0 && <Nothing filters={filters} label={rangeLabel(range)} onClear={() => change(NO_REQUEST_FILTERS)} />}
      {rows.length > 0 && (
        <List key={JSON.stringify(filters)} rows={rows} filters={filters} hasMore={pages.hasNextPage} isLoadingMore={pages.isFetchingNextPage} onMore={() => void pages.fetchNextPage()} />
      )}
    </div>
  );
}

interface ListProps {
  rows: readonly RequestRow[];
  filters: RequestFilters;
  hasMore: boolean;
  isLoadingMore: boolean;
  onMore: () => void;
}

function List({ rows, filters, hasMore, isLoadingMore, onMore }: ListProps) {
  const cluster = useClusterId();
  const range = useRange();
  const scroller = useRef<HTMLDivElement>(null);
  const opened = useQueryText()['rows'] ?? '';
  const setQuery = useSetQuery();
  const open = useMemo(() => new Set(opened === '' ? [] : opened.split(',')), [opened]);
  const setOpen = (keys: readonly string[]): void => setQuery({ rows: keys.join(',') }, { replace: true });
  const [isAtTop, setAtTop] = useState(true);
  const isFollowing = isAtTop && open.size === 0;
  useRequestTail(cluster, range, filters, isFollowing);
  const virtual = useVirtualizer({
    count: rows.length + (hasMore ? 1 : 0),
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
    getItemKey: (index) => (rows[index] === undefined ? 'more' : rowKey(rows[index])),
    initialRect: { width: 900, height: 600 },
  });
  const items = virtual.getVirtualItems();
  const reachedEnd = hasMore && !isLoadingMore && (items.at(-1)?.index ?? 0) >= rows.length;
  useEffect(() => {
    if (reachedEnd) onMore();
  }, [reachedEnd, onMore]);
  const toggle = (key: string): void => setOpen(open.has(key) ? [...open].filter((each) => each !== key) : [...open, key]);
  const resume = (): void => {
    setOpen([]);
    scroller.current?.scrollTo({ top: 0 });
  };
  return (
    <>
      <div className="requests-head request-grid" aria-hidden="true">
        <span>Time</span>
        <span>From</span>
        <span>To</span>
        <span>Request</span>
        <span className="num">Status</span>
        <span className="num">Latency</span>
        <span className="num">Response</span>
      </div>
      <div ref={scroller} className="requests-list" role="feed" aria-label="Requests, newest first" aria-busy={isLoadingMore} tabIndex={0} onScroll={(event) => setAtTop(event.currentTarget.scrollTop < 8)}>
        <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
          {items.map((item) => {
            const row = rows[item.index];
            const key = String(item.key);
            return (
              <div key={key} ref={virtual.measureElement} data-index={item.index} className="request-item" style={{ transform: `translateY(${item.start}px)` }}>
                {row === undefined ? <span className="request-more">Reading older requests</span> : <RequestLine row={row} isOpen={open.has(key)} onToggle={() => toggle(key)} />}
              </div>
            );
          })}
        </div>
      </div>
      <footer className="requests-foot">
        <span>
          {count(rows.length)} {hasMore ? 'newest requests read; scroll for older ones' : 'requests, all there are'}
        </span>
        {isLive(range) && !isFollowing && (
          <Button size="compact-xs" variant="light" onClick={resume}>
            Follow new requests again
          </Button>
        )}
        {isLive(range) && isFollowing && (
          <span className="following">
            <i className="live-dot" /> following
          </span>
        )}
      </footer>
    </>
  );
}

function Loading() {
  return (
    <div className="requests-loading" role="status" aria-label="Reading requests">
      {Array.from({ length: 14 }, (_, row) => (
        <Skeleton key={row} height={18} />
      ))}
    </div>
  );
}

function Nothing({ filters, label, onClear }: { filters: RequestFilters; label: string; onClear: () => void }) {
  if (isFilteringRequests(filters)) {
    return (
      <Notice title="No request matches these filters" action={<Button variant="default" onClick={onClear}>Clear filters</Button>}>
        Time range: {label.toLowerCase()}.
      </Notice>
    );
  }
  return <Notice title="No requests in this time range">Looked at: {label.toLowerCase()}. Requests appear a few seconds after an agent saw them.</Notice>;
}
