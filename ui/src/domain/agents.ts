/** What an agent's condition means, in words; the order in which conditions deserve attention. */

import type { AgentSummary } from './types';

/** Levels of the governor, from nothing given up to all. */
export const LEVELS = ['full', 'payload', 'events', 'protocols', 'counters', 'detached'] as const;

const LEVEL_NAMES: Readonly<Record<string, string>> = {
  full: 'full detail',
  payload: 'shorter texts',
  events: 'fewer events',
  protocols: 'basic protocols',
  counters: 'counters only',
  detached: 'detached',
};

const LEVEL_MEANINGS: Readonly<Record<string, string>> = {
  full: 'Nothing is given up.',
  payload: '128 bytes of a request’s text are read instead of 512; long routes and statements may be cut.',
  events: 'At most one request in a hundred of each edge is listed, one in ten of errors and slow ones. Counts stay exact.',
  protocols: 'As before, and pipelined connections and DNS answers are not followed.',
  counters: 'No request is listed. Counts, errors, bytes and latencies of every edge stay exact, without routes.',
  detached: 'Nothing is watched on this node until there is room again.',
};

/** "fewer events"; a level of a newer agent keeps its own name. */
export const levelName = (level: string): string => LEVEL_NAMES[level] ?? level;

export const levelMeaning = (level: string): string => LEVEL_MEANINGS[level] ?? '';

export const isReduced = (agent: Pick<AgentSummary, 'level'>): boolean => agent.level !== 'full';

/** "every request", "1 in 100", "none listed". */
export function samplingText(every: number): string {
  if (every === 0) return 'none listed';
  return every === 1 ? 'every request' : `1 in ${every.toLocaleString('en-US')}`;
}

const SILENT_MS = 30_000;

export const isSilent = (agent: Pick<AgentSummary, 'last_seen_ms'>, nowMs: number): boolean => nowMs - agent.last_seen_ms > SILENT_MS;

const total = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((sum, each) => sum + each, 0);

/** Requests missing from counts in the last 15 minutes. */
export const lostBy = (agent: Pick<AgentSummary, 'lost'>): number => total(agent.lost);

/** What is wrong with an agent, the worst first, in a few words each; nothing when it is well. */
export function complaints(agent: AgentSummary, nowMs: number): string[] {
  const found: string[] = [];
  if (isSilent(agent, nowMs)) found.push('silent');
  if (isReduced(agent)) found.push(levelName(agent.level));
  if (lostBy(agent) > 0) found.push('loses requests');
  if (agent.export_error !== '') found.push('cannot report');
  if (agent.missing.length > 0) found.push(`without ${agent.missing.join(', ')}`);
  if (Object.keys(agent.unseen).length > 0) found.push('sees not all');
  return found;
}

const severity = (agent: AgentSummary, nowMs: number): number =>
  (isSilent(agent, nowMs) ? 1000 : 0) + 100 * Math.max(0, LEVELS.findIndex((level) => level === agent.level)) + (lostBy(agent) > 0 ? 50 : 0) + (agent.export_error === '' ? 0 : 20) + agent.missing.length + Object.keys(agent.unseen).length;

/** Those that need attention first, then by node. */
export function byAttention(agents: readonly AgentSummary[], nowMs: number): AgentSummary[] {
  return [...agents].sort((a, b) => severity(b, nowMs) - severity(a, nowMs) || a.node.localeCompare(b.node, 'en', { numeric: true }));
}

/** "ring_full" as people write it. */
export const causeName = (cause: string): string => cause.replaceAll('_', ' ');

/** "0.04 cores", in at most two figures. */
export function cores(value: number | null): string {
  if (value === null) return '—';
  if (value > 0 && value < 0.001) return '< 0.001 cores';
  return `${Number(value.toPrecision(2)).toString()} cores`;
}
