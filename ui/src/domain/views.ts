/** What a view shows, to and from the query of its address. Only what differs from the default is written. */

import { DEFAULT_GROUPING, type Grouping } from './map/scene';
import { NO_FILTERS, type Direction, type Filters } from './map/emphasis';
import type { Quantile, WidthMetric } from './map/strokes';

/** The query of an address: plain texts, no nesting. Undefined removes a key. */
export type Query = Partial<Record<string, string>>;

export interface MapView {
  filters: Filters;
  grouping: Grouping;
  /** The node or edge in focus, with its drawer open. */
  node: string | null;
  edge: string | null;
  depth: number;
  direction: Direction;
  colour: Quantile;
  width: WidthMetric;
  isTable: boolean;
}

const list = (text: string | undefined): string[] => (text === undefined || text === '' ? [] : text.split(','));
const joined = (values: readonly string[]): string | undefined => (values.length === 0 ? undefined : values.join(','));
const flag = (is: boolean): string | undefined => (is ? '1' : undefined);

function oneOf<Choice extends string>(text: string | undefined, choices: readonly Choice[], fallback: Choice): Choice {
  return choices.find((choice) => choice === text) ?? fallback;
}

function positive(text: string | undefined): number | null {
  const value = Number(text);
  return text !== undefined && Number.isFinite(value) && value > 0 ? value : null;
}

export function parseMapView(query: Query): MapView {
  return {
    filters: {
      ...NO_FILTERS,
      namespaces: list(query['ns']),
      protocols: list(query['protocol']),
      slowerThanMs: positive(query['slower']),
      errorsOnly: query['errors'] === '1',
      idleOnly: query['idle'] === '1',
      hideExternals: query['externals'] === '0',
      hideRest: query['rest'] === 'hide',
    },
    grouping: { ...DEFAULT_GROUPING, byNamespace: query['group'] !== 'none', opened: list(query['open']), folded: list(query['fold']) },
    node: query['node'] ?? null,
    edge: query['edge'] ?? null,
    depth: Math.min(3, Math.round(positive(query['depth']) ?? 1)),
    direction: oneOf(query['direction'], ['both', 'callers', 'callees'], 'both'),
    colour: oneOf(query['colour'], ['p50', 'p95', 'p99'], 'p95'),
    width: oneOf(query['width'], ['rate', 'bytes'], 'rate'),
    isTable: query['view'] === 'table',
  };
}

export function mapViewQuery(view: MapView): Query {
  const { filters, grouping } = view;
  return {
    ns: joined(filters.namespaces),
    protocol: joined(filters.protocols),
    slower: filters.slowerThanMs === null ? undefined : String(filters.slowerThanMs),
    errors: flag(filters.errorsOnly),
    idle: flag(filters.idleOnly),
    externals: filters.hideExternals ? '0' : undefined,
    rest: filters.hideRest ? 'hide' : undefined,
    group: grouping.byNamespace ? undefined : 'none',
    open: joined(grouping.opened),
    fold: joined(grouping.folded),
    node: view.node ?? undefined,
    edge: view.edge ?? undefined,
    depth: view.depth === 1 ? undefined : String(view.depth),
    direction: view.direction === 'both' ? undefined : view.direction,
    colour: view.colour === 'p95' ? undefined : view.colour,
    width: view.width === 'rate' ? undefined : view.width,
    view: view.isTable ? 'table' : undefined,
  };
}

/** The filters of the request list, in the server's terms; empty texts are no filter. */
export interface RequestFilters {
  source: string;
  target: string;
  resource: string;
  protocol: string;
  status: string;
  method: string;
  text: string;
  minLatencyMs: number | null;
  errorsOnly: boolean;
}

export function parseRequestFilters(query: Query): RequestFilters {
  return {
    source: query['source'] ?? '',
    target: query['target'] ?? '',
    resource: query['resource'] ?? '',
    protocol: query['protocol'] ?? '',
    status: query['status'] ?? '',
    method: query['method'] ?? '',
    text: query['text'] ?? '',
    minLatencyMs: positive(query['slower']),
    errorsOnly: query['errors'] === '1',
  };
}

export function requestFilterQuery(filters: RequestFilters): Query {
  const text = (value: string): string | undefined => (value === '' ? undefined : value);
  return {
    source: text(filters.source),
    target: text(filters.target),
    resource: text(filters.resource),
    protocol: text(filters.protocol),
    status: text(filters.status),
    method: text(filters.method),
    text: text(filters.text),
    slower: filters.minLatencyMs === null ? undefined : String(filters.minLatencyMs),
    errors: flag(filters.errorsOnly),
  };
}

export const isFilteringRequests = (filters: RequestFilters): boolean => Object.values(requestFilterQuery(filters)).some((value) => value !== undefined);

/** Name of an entity id "kind/namespace/name". */
export function nameOf(id: string): string {
  return id.split('/').slice(2).join('/') || id;
}
