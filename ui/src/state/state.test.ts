import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { layOut } from '@/domain/map/layout';
import { parseSearch, stringifySearch } from './address';
import { layoutsOf } from './layouts';
import { throttled } from './live';

describe('addresses', () => {
  it('stay readable and come back as they were', () => {
    const query = { node: 'Deployment/shop/checkout', ns: 'a,b', text: 'SELECT * FROM x WHERE a = ? & b' };
    expect(stringifySearch({ node: query.node, ns: query.ns })).toBe('?node=Deployment/shop/checkout&ns=a,b');
    expect(parseSearch(stringifySearch(query))).toEqual(query);
    expect(stringifySearch({ from: undefined, to: '' })).toBe('');
  });
});

describe('throttled', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('acts at once, then at most once per interval, and never loses the last call', () => {
    const action = vi.fn();
    const { call } = throttled(action, 2000);
    call();
    vi.advanceTimersByTime(0);
    expect(action).toHaveBeenCalledTimes(1);
    for (let ms = 0; ms < 1000; ms += 100) {
      call();
      vi.advanceTimersByTime(100);
    }
    expect(action).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(1000);
    expect(action).toHaveBeenCalledTimes(2);
  });

  it('stops', () => {
    const action = vi.fn();
    const { call, cancel } = throttled(action, 2000);
    call();
    cancel();
    vi.advanceTimersByTime(5000);
    expect(action).not.toHaveBeenCalled();
  });
});

describe('remembered layouts', () => {
  const saved = { layout: layOut({ nodes: [{ id: 'a', room: null }], calls: [] }), made: { calls: 0, nodes: 1 } };

  it('come back per cluster and structure', () => {
    layoutsOf('c1').save('flat', saved);
    expect(layoutsOf('c1').load('flat')).toEqual(saved);
    expect(layoutsOf('c2').load('flat')).toBe(null);
    expect(layoutsOf('c1').load('other')).toBe(null);
  });

  it('are bounded in number', () => {
    for (let at = 0; at < 30; at += 1) layoutsOf('c1').save(`structure-${at}`, saved);
    expect(localStorage.length).toBeLessThanOrEqual(8);
    expect(layoutsOf('c1').load('structure-29')).toEqual(saved);
  });

  it('do without storage, and with one that is full', () => {
    expect(layoutsOf('c1', null).load('flat')).toBe(null);
    layoutsOf('c1', null).save('flat', saved);
    const full = { length: 0, key: () => null, getItem: () => null, setItem: () => { throw new DOMException('full', 'QuotaExceededError'); }, removeItem: () => undefined, clear: () => undefined };
    expect(() => layoutsOf('c1', full).save('flat', saved)).not.toThrow();
  });
});
