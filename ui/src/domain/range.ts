/** The asked time range. Relative ("now-15m" to "now") is live; absolute (two Unix ms) is pinned. */

export interface TimeRange {
  from: string;
  to: string;
}

export const DEFAULT_RANGE: TimeRange = { from: 'now-15m', to: 'now' };

export const PRESETS: readonly { from: string; label: string }[] = [
  { from: 'now-5m', label: 'Last 5 minutes' },
  { from: 'now-15m', label: 'Last 15 minutes' },
  { from: 'now-30m', label: 'Last 30 minutes' },
  { from: 'now-1h', label: 'Last hour' },
  { from: 'now-3h', label: 'Last 3 hours' },
  { from: 'now-12h', label: 'Last 12 hours' },
  { from: 'now-1d', label: 'Last day' },
  { from: 'now-7d', label: 'Last 7 days' },
];

const UNIT_MS: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 };
const RELATIVE = /^now(?:-(\d+)([smhd]))?$/;

const isInstant = (text: string): boolean => RELATIVE.test(text) || /^\d{10,15}$/.test(text);

/** The instant a text means, in Unix ms. */
export function instantMs(text: string, nowMs: number): number {
  const match = RELATIVE.exec(text);
  if (match === null) return Number(text);
  return nowMs - Number(match[1] ?? 0) * (UNIT_MS[match[2] ?? 's'] ?? 0);
}

/** A range out of two texts of a URL; anything that is not one gives the default. */
export function parseRange(from: string | undefined, to: string | undefined): TimeRange {
  const range = { from: from ?? DEFAULT_RANGE.from, to: to ?? DEFAULT_RANGE.to };
  return isInstant(range.from) && isInstant(range.to) ? range : DEFAULT_RANGE;
}

/** Does the range move with the clock? */
export const isLive = (range: TimeRange): boolean => range.to === 'now';

/** The same range nailed to the clock: what "Pause" does. */
export function pin(range: TimeRange, nowMs: number): TimeRange {
  return { from: String(instantMs(range.from, nowMs)), to: String(instantMs(range.to, nowMs)) };
}

/** A moving range of about the same length: what "Live" does. */
export function unpin(range: TimeRange, nowMs: number): TimeRange {
  if (isLive(range)) return range;
  const length = instantMs(range.to, nowMs) - instantMs(range.from, nowMs);
  const nearest = PRESETS.reduce((best, preset) =>
    Math.abs(lengthMs(preset.from) - length) < Math.abs(lengthMs(best.from) - length) ? preset : best,
  );
  return { from: nearest.from, to: 'now' };
}

const lengthMs = (from: string): number => -instantMs(from, 0);

/** What the range is called: "Last 15 minutes", or "23 Nov 12:00 – 12:15". */
export function rangeLabel(range: TimeRange, locale?: string): string {
  const preset = PRESETS.find((each) => each.from === range.from);
  if (isLive(range) && preset !== undefined) return preset.label;
  if (isLive(range)) return `${range.from} to now`;
  const [from, to] = [Number(range.from), Number(range.to)];
  const day = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' });
  const time = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  const sameDay = day.format(from) === day.format(to);
  return `${day.format(from)} ${time.format(from)} – ${sameDay ? '' : `${day.format(to)} `}${time.format(to)}`;
}
