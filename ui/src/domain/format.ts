/** How numbers become text: three significant figures, the unit beside them, an em dash for "not known". */

export const UNKNOWN = '—';

const MICROSECOND = 1e3;
const MILLISECOND = 1e6;
const SECOND = 1e9;

type Maybe = number | null | undefined;

const isKnown = (value: Maybe): value is number => value !== null && value !== undefined && Number.isFinite(value);

/** Three significant figures without trailing noise: 1234 -> "1,230", 0.04567 -> "0.0457", 40 -> "40". */
export function significant(value: number, digits = 3): string {
  if (value === 0) return '0';
  const rounded = Number(value.toPrecision(digits));
  return rounded.toLocaleString('en-US', { maximumSignificantDigits: digits });
}

/** A span of time given in ns, in the unit that fits: "412 µs", "12.4 ms", "1.9 s", "4.2 min". */
export function duration(ns: Maybe): string {
  if (!isKnown(ns)) return UNKNOWN;
  if (ns === 0) return '0 ms';
  const size = Math.abs(Number(ns.toPrecision(3)));
  if (size < MILLISECOND) return `${significant(ns / MICROSECOND)} µs`;
  if (size < SECOND) return `${significant(ns / MILLISECOND)} ms`;
  if (size < 120 * SECOND) return `${significant(ns / SECOND)} s`;
  if (size < 7200 * SECOND) return `${significant(ns / (60 * SECOND))} min`;
  return `${significant(ns / (3600 * SECOND))} h`;
}

/** Events per second: "118/s", "0.42/s", "12.4k/s"; what is rarer than one in 100 s: "<0.01/s". */
export function rate(perSecond: Maybe): string {
  if (!isKnown(perSecond)) return UNKNOWN;
  return perSecond > 0 && perSecond < 0.01 ? '<0.01/s' : `${compact(perSecond)}/s`;
}

/** A bare number that may be large: "980", "12.4k", "3.1M". */
export function compact(value: Maybe): string {
  if (!isKnown(value)) return UNKNOWN;
  const size = Math.abs(Number(value.toPrecision(3)));
  if (size >= 1e9) return `${significant(value / 1e9)}G`;
  if (size >= 1e6) return `${significant(value / 1e6)}M`;
  if (size >= 1e4) return `${significant(value / 1e3)}k`;
  return significant(value);
}

/** A whole number in full: "51,204". */
export function count(value: Maybe): string {
  return isKnown(value) ? Math.round(value).toLocaleString('en-US') : UNKNOWN;
}

/** A share between 0 and 1 as per cent: "2.1 %", "0 %", "< 0.01 %". */
export function share(fraction: Maybe): string {
  if (!isKnown(fraction)) return UNKNOWN;
  if (fraction === 0) return '0 %';
  if (fraction < 1e-4) return '< 0.01 %';
  return `${significant(fraction * 100, fraction < 0.01 ? 2 : 3)} %`;
}

/** Traffic volume in decimal units, as networks count: "61 kB", "1.2 MB". */
export function bytes(size: Maybe): string {
  if (!isKnown(size)) return UNKNOWN;
  const rounded = Math.abs(Number(size.toPrecision(3)));
  if (rounded < 1e3) return `${significant(size)} B`;
  if (rounded < 1e6) return `${significant(size / 1e3)} kB`;
  if (rounded < 1e9) return `${significant(size / 1e6)} MB`;
  return `${significant(size / 1e9)} GB`;
}

/** Bytes per second: "61 kB/s". */
export function bytesRate(perSecond: Maybe): string {
  return isKnown(perSecond) ? `${bytes(perSecond)}/s` : UNKNOWN;
}

/** Memory, in binary units: "42 MiB". */
export function memory(size: Maybe): string {
  if (!isKnown(size)) return UNKNOWN;
  if (size < 1024 ** 2) return `${significant(size / 1024)} KiB`;
  if (size < 1024 ** 3) return `${significant(size / 1024 ** 2)} MiB`;
  return `${significant(size / 1024 ** 3)} GiB`;
}

/** The protocol as people write it. */
export function protocolName(protocol: string, isTls = false): string {
  const names: Record<string, string> = { http: 'HTTP', postgres: 'PostgreSQL', tcp: 'TCP' };
  const name = names[protocol] ?? protocol;
  if (!isTls) return name;
  return protocol === 'http' ? 'HTTPS' : `${name} over TLS`;
}

/** "1 pod", "2 pods". */
export function plural(value: number, noun: string): string {
  if (value === 1) return `1 ${noun}`;
  return `${count(value)} ${noun}s`;
}

/** How long ago, coarsely: "now", "12 s ago", "4 min ago", "3 h ago", "5 days ago". */
export function ago(ms: Maybe, nowMs: number): string {
  if (!isKnown(ms)) return UNKNOWN;
  const seconds = Math.max(0, Math.round((nowMs - ms) / 1000));
  if (seconds < 2) return 'now';
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} days ago`;
}
