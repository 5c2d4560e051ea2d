/** The quality of the data itself, always in view, amber when anything is missing from it. */

import { Popover, UnstyledButton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { Quality } from '@/api/client';
import { ApiError } from '@/api/errors';
import { ago, compact, count, duration, memory, plural, significant } from '@/domain/format';
import { useClusterId } from '@/state/address';
import { useIsAway } from '@/state/away';
import { useNow } from '@/state/clock';
import type { Feed } from '@/state/live';
import { qualityQuery } from '@/state/queries';

const LATE_MS = 15_000;

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

/** The first thing that is wrong with the data, in words; null when nothing is. */
function problemOf(quality: Quality | undefined, { isAway, error, feed }: { isAway: boolean; error: Error | null; feed: Feed }): string | null {
  if (isAway) return 'The server does not answer';
  if (error instanceof ApiError && error.status !== 404) return 'The server answers with an error';
  if (feed === 'lost') return 'The live feed is interrupted';
  if (quality === undefined) return null;
  if (quality.agents_connected === 0) return 'No agent is connected';
  if (quality.agents_connected < quality.agents_expected) return 'Some agents are missing';
  if (quality.lost > 0) return 'Events were lost';
  if (!quality.is_exact) return 'Counts are not exact';
  return (quality.lag_ms ?? 0) > LATE_MS ? 'The data is late' : null;
}

function Facts({ quality, problem, isAway }: { quality: Quality | undefined; problem: string | null; isAway: boolean }) {
  const state = problem !== null ? 'is-silent' : quality === undefined ? 'is-waiting' : 'is-connected';
  const dot = <i className={`state-dot ${state}`} />;
  if (quality === undefined) return <span>{dot}{problem ?? 'Asking the server'}</span>;
  const lag = quality.lag_ms === null || isAway ? null : quality.lag_ms * 1e6;
  return (
    <Popover position="top-start" shadow="md" width={460}>
      <Popover.Target>
        <UnstyledButton className="status-facts" aria-label={`${problem ?? 'The data is complete'}. Show each agent`}>
          <span>
            {dot}
            {quality.agents_connected} of {plural(quality.agents_expected, 'agent')}
          </span>
          <span>lag {duration(lag)}</span>
          <span className={quality.lost > 0 ? 'warn' : ''}>
            events lost <b>{compact(quality.lost)}</b>
          </span>
          <span className={quality.is_exact ? '' : 'warn'}>{quality.is_exact ? 'counts exact' : 'counts not exact'}</span>
          {problem !== null && <span className="warn">{problem}</span>}
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown>
        <Agents quality={quality} />
      </Popover.Dropdown>
    </Popover>
  );
}

function Agents({ quality }: { quality: Quality }) {
  const now = useNow();
  if (quality.agents.length === 0) return <span className="dim">No agent has reported yet.</span>;
  return (
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
            <td className="num">{agent.cpu_cores === null ? '—' : `${significant(agent.cpu_cores, 2)} cores`}</td>
            <td className="num">{memory(agent.rss_bytes)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** "0", or how many by which cause: "120 ring_full". */
function lostText(lost: Record<string, number>): string {
  const causes = Object.entries(lost).filter(([, events]) => events > 0);
  return causes.length === 0 ? '0' : causes.map(([cause, events]) => `${count(events)} ${cause.replaceAll('_', ' ')}`).join(', ');
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
