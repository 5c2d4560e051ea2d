/** The address bar as the store of everything one can see: time range, filters, selection. */

import { useCallback, useMemo } from 'react';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { parseRange, type TimeRange } from '@/domain/range';
import type { Query } from '@/domain/views';

/** The query of the present address. */
export const useQueryText = (): Query => useSearch({ strict: false });

/** Changes some keys of the query and leaves the rest. `replace` for what is not worth a step back. */
export function useSetQuery(): (patch: Query, options?: { replace?: boolean }) => void {
  const navigate = useNavigate();
  return useCallback(
    (patch, options) => {
      void navigate({ to: '.', search: (before: Query) => cleaned({ ...before, ...patch }), replace: options?.replace ?? false } as never);
    },
    [navigate],
  );
}

/** Without keys that are not set. */
export const cleaned = (query: Query): Query => Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined && value !== ''));

/** The asked time range; the same object while the address does not change it. */
export function useRange(): TimeRange {
  const { from, to } = useQueryText();
  return useMemo(() => parseRange(from, to), [from, to]);
}

/** What of the query goes along when the page changes: the time range. */
export function useRangeQuery(): Query {
  const { from, to } = useQueryText();
  return useMemo(() => cleaned({ from, to }), [from, to]);
}

/** The cluster in the path; empty outside clusters. */
export function useClusterId(): string {
  const parameters: { clusterId?: string } = useParams({ strict: false });
  return parameters.clusterId ?? '';
}

/** Reads "?a=b" into a query; everything is text. */
export const parseSearch = (text: string): Query => Object.fromEntries(new URLSearchParams(text));

/** Writes a query, leaving readable what may stand as it is. */
export function stringifySearch(query: Query): string {
  const text = new URLSearchParams(cleaned(query) as Record<string, string>).toString();
  return text === '' ? '' : `?${text.replaceAll('%2F', '/').replaceAll('%2C', ',').replaceAll('%3A', ':')}`;
}
