import { describe, expect, it } from 'vitest';
import { ago, bytes, bytesRate, compact, count, duration, memory, plural, protocolName, rate, share, significant } from './format';

describe('duration', () => {
  it.each([
    [null, '—'], [undefined, '—'], [Number.NaN, '—'], [0, '0 ms'], [412_000, '412 µs'], [9_600, '9.6 µs'], [12_400_000, '12.4 ms'],
    [999_600_000, '1 s'], [1_900_000_000, '1.9 s'], [119e9, '119 s'], [252e9, '4.2 min'], [7.2e12, '2 h'],
  ])('shows %s ns as %s', (ns, text) => {
    expect(duration(ns)).toBe(text);
  });
});

describe('numbers', () => {
  it('keep three significant figures and no trailing zeros', () => {
    expect([1234, 0.045678, 40, 1.005].map((value) => significant(value))).toEqual(['1,230', '0.0457', '40', '1']);
  });

  it('say "not known" by a dash and zero by 0', () => {
    expect([rate(null), share(null), bytes(undefined), count(null), compact(null), memory(null)]).toEqual(['—', '—', '—', '—', '—', '—']);
    expect([rate(0), share(0), bytes(0), count(0), compact(0)]).toEqual(['0/s', '0 %', '0 B', '0', '0']);
  });

  it('shorten what is large', () => {
    expect([rate(12_400), compact(3_140_000), compact(2.5e9), rate(9999)]).toEqual(['12.4k/s', '3.14M', '2.5G', '10k/s']);
  });

  it('show shares as per cent, never a real one as zero', () => {
    expect([share(0.021), share(1), share(0.00005), share(0.0042)]).toEqual(['2.1 %', '100 %', '< 0.01 %', '0.42 %']);
  });

  it('count traffic in decimal and memory in binary units', () => {
    expect([bytes(999), bytes(61_000), bytesRate(1_234_567), bytes(2e9)]).toEqual(['999 B', '61 kB', '1.23 MB/s', '2 GB']);
    expect([memory(512 * 1024), memory(71e6), memory(3 * 1024 ** 3)]).toEqual(['512 KiB', '67.7 MiB', '3 GiB']);
  });
});

describe('words', () => {
  it('name protocols as people do', () => {
    expect([protocolName('http'), protocolName('http', true), protocolName('postgres'), protocolName('postgres', true), protocolName('amqp')]).toEqual(['HTTP', 'HTTPS', 'PostgreSQL', 'PostgreSQL over TLS', 'amqp']);
  });

  it('put nouns in the plural', () => {
    expect([plural(1, 'pod'), plural(0, 'pod'), plural(1200, 'edge')]).toEqual(['1 pod', '0 pods', '1,200 edges']);
  });

  it.each([[500, 'now'], [12_000, '12 s ago'], [240_000, '4 min ago'], [3 * 3600e3, '3 h ago'], [5 * 86_400e3, '5 days ago']])('say that %s ms are %s', (passed, text) => {
    expect(ago(1e12, 1e12 + passed)).toBe(text);
  });
});
