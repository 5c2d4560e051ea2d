import { describe, expect, it } from 'vitest';
import { isFilteringRequests, mapViewQuery, nameOf, parseMapView, parseRequestFilters, requestFilterQuery, type Query } from './views';

const written = (query: Query): Query => Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));

describe('the map in its address', () => {
  const query = {
    ns: 'shop,payments', protocol: 'http', slower: '300', errors: '1', externals: '0', rest: 'hide', group: 'none', open: 'a,b', fold: 'c',
    node: 'Deployment/shop/checkout', depth: '2', direction: 'callers', colour: 'p99', width: 'bytes', view: 'table',
  };

  it('survives being read and written', () => {
    expect(written(mapViewQuery(parseMapView(query)))).toEqual(query);
  });

  it('writes nothing for what is as usual', () => {
    expect(written(mapViewQuery(parseMapView({})))).toEqual({});
  });

  it('takes the usual for what it does not understand', () => {
    const view = parseMapView({ slower: 'fast', colour: 'pink', direction: 'up', depth: '99' });
    expect([view.filters.slowerThanMs, view.colour, view.direction, view.depth]).toEqual([null, 'p95', 'both', 3]);
  });
});

describe('the request list in its address', () => {
  const query = { source: 'External//10.0.0.1', target: 'Deployment/shop/checkout', resource: 'Deployment/a/b', protocol: 'http', status: '503', method: 'GET', text: 'GET /x?', slower: '50', errors: '1' };

  it('survives being read and written', () => {
    expect(written(requestFilterQuery(parseRequestFilters(query)))).toEqual(query);
  });

  it('knows whether it filters at all', () => {
    expect([isFilteringRequests(parseRequestFilters({})), isFilteringRequests(parseRequestFilters({ errors: '1' }))]).toEqual([false, true]);
  });
});

describe('nameOf', () => {
  it.each([['Deployment/shop/checkout', 'checkout'], ['External//203.0.113.7', '203.0.113.7'], ['External//2001:db8::1', '2001:db8::1'], ['odd', 'odd']])('reads %s as %s', (id, name) => {
    expect(nameOf(id)).toBe(name);
  });
});
