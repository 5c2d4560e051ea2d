import { describe, expect, it } from 'vitest';
import { DEFAULT_RANGE, instantMs, isLive, parseRange, pin, rangeLabel, unpin } from './range';

const NOW = 1_795_460_000_000;

describe('parseRange', () => {
  it('takes relative and absolute instants', () => {
    expect(parseRange('now-1h', 'now')).toEqual({ from: 'now-1h', to: 'now' });
    expect(parseRange('1795460000000', '1795460900000')).toEqual({ from: '1795460000000', to: '1795460900000' });
  });

  it.each(['yesterday', 'now-5y', '12', '<script>', 'now+1h'])('falls back from %s', (text) => {
    expect(parseRange(text, 'now')).toEqual(DEFAULT_RANGE);
  });
});

describe('pause and live', () => {
  it('pins a moving range to the clock', () => {
    expect(pin({ from: 'now-15m', to: 'now' }, NOW)).toEqual({ from: String(NOW - 900_000), to: String(NOW) });
    expect(isLive(pin(DEFAULT_RANGE, NOW))).toBe(false);
  });

  it('comes back to the usual range nearest in length', () => {
    expect(unpin(pin({ from: 'now-1h', to: 'now' }, NOW), NOW + 5000)).toEqual({ from: 'now-1h', to: 'now' });
    expect(unpin({ from: String(NOW - 14 * 60_000), to: String(NOW) }, NOW)).toEqual({ from: 'now-15m', to: 'now' });
  });

  it('leaves a moving range as it is', () => {
    expect(unpin({ from: 'now-7d', to: 'now' }, NOW)).toEqual({ from: 'now-7d', to: 'now' });
  });
});

describe('instantMs', () => {
  it.each([['now', 0], ['now-30s', 30e3], ['now-15m', 900e3], ['now-2h', 7200e3], ['now-7d', 604_800e3]])('reads %s', (text, before) => {
    expect(instantMs(text, NOW)).toBe(NOW - before);
  });
});

describe('rangeLabel', () => {
  it('names the usual ranges', () => {
    expect(rangeLabel(DEFAULT_RANGE)).toBe('Last 15 minutes');
  });

  it('gives both ends of others, the day once', () => {
    const [from, to] = [new Date(2026, 10, 23, 12, 0).getTime(), new Date(2026, 10, 23, 12, 15).getTime()];
    expect(rangeLabel({ from: String(from), to: String(to) }, 'en-GB')).toBe('23 Nov 12:00 – 12:15');
  });
});
