/** The quality of the data itself, always in view, amber when anything is missing from it. */

import { Popover, UnstyledButton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { Quality } from '@/api/client';
import { ApiError } from '@/api/errors';
import { causeName, cores, isReduced, levelName, samplingText } from '@/domain/agents';
import { ago, compact, count, duration, memory, plural } from '@/domain/format';
import { useClusterId } from '@/state/address';
import { useIsAway } from '@/state/away';
import { useNow } from '@/state/clock';
import type { Feed } from '@/state/live';
import { qualityQuery } from '@/state/queries';

const LATE_MS = 15_000;

const NO_AGENT = 'No agent is connected';
const MISSING = 'Some agents are missing';
const LOST = 'Requests were lost';
const REDUCED = 'Detail is reduced';
const NOT_EXACT = 'Counts are not exact';
const LATE = 'The data is late';
/** What the facts in the strip say by themselves; it is not said a second time. */
const SAID_BY_FACTS: ReadonlySet<string> = new Set([NO_AGENT, MISSING, LOST, REDUCED, NOT_EXACT, LATE]);

export function StatusStrip({ feed, isUnknown }: { feed: Feed; isUnknown: boolean }) {
  const named = useClusterId();
  const cluster = isUnknown ? '' : named;
  const isAway = useIsAway(cluster);
  const { data, error, dataUpdatedAt } = useQuery(qualityQuery(cluster));
  const problem = cluster === '' ? null : problemOf(data, { isAway, error, feed });
  return (
    <footer role="contentinfo" className="status-strip" data-problem={problem === null ? undefined : ''} aria-label="Quality of the data">
      {cluster === '' ? <span>{isUnknown ? 'No such cluster' : 'No cluster chosen'}</span> : <Facts quality={data} problem={problem} isAway={isAway} />}
      <span className="grow" />
      {cluster !== '' && dataUpdatedAt > 0 && <Refreshed at={dataUpdatedAt} feed={feed} />}
    </footer>
  );
}

/** Has any agent ever reported? */
const knowsAgents = (quality: Quality): boolean => quality.agents_expected > 0 || quality.agents.length > 0;

/** The first thing that is wrong with the data, in words; null when nothing is. */
function problemOf(quality: Quality | undefined, { isAway, error, feed }: { isAway: boolean; error: Error | null; feed: Feed }): string | null {
  if (isAway) return 'The server does not answer';
  if (error instanceof ApiError && error.status !== 404) return 'The server answers with an error';
  if (feed === 'lost') return 'The live feed is interrupted';
  if (quality === undefined || !knowsAgents(quality)) return null;
  if (quality.agents_connected === 0) return NO_AGENT;
  if (quality.agents_connected < quality.agents_expected) return MISSING;
  if (quality.lost > 0) return LOST;
  if (!quality.is_exact) return NOT_EXACT;
  if (quality.agents.some(isReduced)) return REDUCED;
  return (quality.lag_ms ?? 0) > LATE_MS ? LATE : null;
}

function Facts({ quality, problem, isAway }: { quality: Quality | undefined; problem: string | null; isAway: boolean }) {
  const state = problem !== null ? 'is-silent' : quality === undefined || !knowsAgents(quality) ? 'is-waiting' : 'is-connected';
  const dot = <i className={`state-dot ${state}`} />;
  if (quality === undefined) return <span>{dot}{problem ?? 'Asking the server'}</span>;
  return (
    <Popover position="top-start" shadow="md" width={460}>
      <Popover.Target>
        <UnstyledButton className="status-facts" aria-label={`${problem ?? (knowsAgents(quality) ? 'The data is complete' : 'No agent has reported yet')}. Show each agent`}>
          {knowsAgents(quality) ? <Measures quality={quality} dot={dot} isAway={isAway} /> : <span>{dot}no agent yet</span>}
          {problem !== null && !SAID_BY_FACTS.has(problem) && <span className="warn">{problem}</span>}
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown>
        <Agents quality={quality} />
      </Popover.Dropdown>
    </Popover>
  );
}

/** Each of them amber where it is what is wrong. */
function Measures({ quality, dot, isAway }: { quality: Quality; dot: ReactNode; isAway: boolean }) {
  const lagMs = isAway ? null : quality.lag_ms;
  return (
    <>
      <span className={quality.agents_connected < quality.agents_expected ? 'warn' : ''}>
        {dot}
        {quality.agents_connected} of {plural(quality.agents_expected, 'agent')}
      </span>
      <span className={(lagMs ?? 0) > LATE_MS ? 'warn' : ''}>lag {duration(lagMs === null ? null : lagMs * 1e6)}</span>
      <Lost quality={quality} />
      <Detail quality={quality} />
      <span className={quality.is_exact ? '' : 'warn'}>{quality.is_exact ? 'counts exact' : 'counts not exact'}</span>
    </>
  );
}

/** What is counted but not listed: sampled on purpose, without room, or given up by the governor; silent where all is. */
function Detail({ quality }: { quality: Quality }) {
  const reduced = quality.agents.filter(isReduced);
  const every = Math.max(0, ...quality.agents.map((agent) => agent.sample_every));
  const causes = lostCauses(quality.agents.map((agent) => agent.reduced));
  return (
    <>
      {quality.sampled > 0 && <span title={`${count(quality.sampled)} requests of the last 15 minutes are counted and not listed, on purpose`}>listed {every > 1 ? samplingText(every) : 'in part'}</span>}
      {quality.reduced > 0 && (
        <span title={`Counted, without detail, in the last 15 minutes: ${causes.map(causeText).join(', ')}`}>
          without detail <b>{compact(quality.reduced)}</b>
        </span>
      )}
      {reduced.length > 0 && (
        <span className="warn" title={reduced.map((agent) => `${agent.node || agent.id}: ${levelName(agent.level)}`).join(', ')}>
          {reduced.length === 1 && reduced[0] !== undefined ? levelName(reduced[0].level) : 'less detail'} on {plural(reduced.length, 'agent')}
        </span>
      )}
    </>
  );
}

/** How many requests are missing from counts, and of what most of them. */
function Lost({ quality }: { quality: Quality }) {
  const causes = lostCauses(quality.agents.map((agent) => agent.lost));
  const [first] = causes;
  const more = causes.length > 1 ? ` and ${causes.length - 1} more` : '';
  return (
    <span className={quality.lost > 0 ? 'warn' : ''} title={causes.length === 0 ? undefined : `Lost in the last 15 minutes: ${causes.map(causeText).join(', ')}`}>
      lost <b>{compact(quality.lost)}</b>
      {quality.lost > 0 && first !== undefined && ` (${first[0]}${more})`}
    </span>
  );
}

function Agents({ quality }: { quality: Quality }) {
  const now = useNow();
  const cluster = useClusterId();
  if (quality.agents.length === 0) return <span className="dim">No agent has reported yet.</span>;
  return (
    <>
    <table className="plain-table">
      <thead>
        <tr>
          <th>Agent</th>
          <th className="num">last seen</th>
          <th className="num">seen</th>
          <th className="num">lost (15 min)</th>
          <th className="num">CPU</th>
          <th className="num">memory</th>
        </tr>
      </thead>
      <tbody>
        {quality.agents.map((agent) => (
          <tr key={agent.id}>
            <td className="ellipsis">{agent.node || agent.id}</td>
            <td className="num">{ago(agent.last_seen_ms, now)}</td>
            <td className="num">{compact(agent.seen)}</td>
            <td className="num">{lostText(agent.lost)}</td>
            <td className="num">{cores(agent.cpu_cores)}</td>
            <td className="num">{memory(agent.rss_bytes)}</td>
          </tr>
        ))}
      </tbody>
    </table>
    <Link to="/clusters/$clusterId/agents" params={{ clusterId: cluster }} className="status-more">
      All about the agents
    </Link>
    </>
  );
}

/** "0", or how many by which cause: "120 ring full". */
function lostText(lost: Record<string, number>): string {
  const causes = lostCauses([lost]);
  return causes.length === 0 ? '0' : causes.map(causeText).join(', ');
}

const causeText = ([cause, events]: [cause: string, events: number]): string => `${count(events)} ${cause}`;

/** Causes in words with their events over all agents, most first. */
function lostCauses(agents: readonly Record<string, number>[]): [cause: string, events: number][] {
  const sums = new Map<string, number>();
  for (const [cause, events] of agents.flatMap((lost) => Object.entries(lost))) sums.set(cause, (sums.get(cause) ?? 0) + events);
  return [...sums].filter(([, events]) => events > 0).sort(([, a], [, b]) => b - a).map(([cause, events]) => [causeName(cause), events]);
}

function Refreshed({ at, feed }: { at: number; feed: Feed }) {
  const now = useNow();
  const offset = -new Date(now).getTimezoneOffset() / 60;
  const zone = offset === 0 ? 'UTC' : `UTC${offset > 0 ? '+' : '−'}${Math.abs(offset)}`;
  return (
    <span>
      {zone} · {feed === 'off' ? 'paused' : `refreshed ${ago(at, now)}`}
    </span>
  );
}
