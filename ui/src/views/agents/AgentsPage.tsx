/** Every agent of a cluster: what it sees, what it costs, what it had to give up. */

import { Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { Quality } from '@/api/client';
import { Failure, Notice } from '@/components/feedback/Notice';
import { byAttention, causeName, complaints, cores, isSilent, lostBy, samplingText } from '@/domain/agents';
import { ago, compact, count, duration, memory, plural, rate } from '@/domain/format';
import type { AgentSummary } from '@/domain/types';
import { useClusterId, useQueryText, useSetQuery } from '@/state/address';
import { useNow } from '@/state/clock';
import { qualityQuery } from '@/state/queries';
import { AgentDrawer } from './AgentDrawer';
import './agents.css';

export function AgentsPage() {
  const cluster = useClusterId();
  const { data, error, refetch } = useQuery(qualityQuery(cluster));
  if (data === undefined) {
    if (error !== null) return <Failure what="The agents could not be read" error={error} onRetry={() => void refetch()} />;
    return <Skeleton height={220} m={24} width="auto" />;
  }
  if (data.agents.length === 0) return <NoAgents cluster={cluster} quality={data} />;
  return <Agents cluster={cluster} quality={data} />;
}

function NoAgents({ cluster, quality }: { cluster: string; quality: Quality }) {
  const nodes = quality.agents_expected > 0 ? ` ${plural(quality.agents_expected, 'node')} should have one each.` : '';
  return (
    <Notice
      title="No agent has reported in the last 15 minutes"
      action={
        <Link to="/clusters/$clusterId/setup" params={{ clusterId: cluster }}>
          Set up agents
        </Link>
      }
    >
      An agent watches one node and says every two seconds what it saw, what it cost and what it missed.{nodes}
    </Notice>
  );
}

function Agents({ cluster, quality }: { cluster: string; quality: Quality }) {
  const { agent: opened } = useQueryText();
  const setQuery = useSetQuery();
  const open = (id: string | undefined): void => setQuery({ agent: id });
  return (
    <div className="agents-view">
      <div className="agents-page">
        <header className="page-head">
          <h1>{headline(quality)}</h1>
        </header>
        <div className="agents-scroll">
          <AgentTable quality={quality} opened={opened} onOpen={open} />
        </div>
      </div>
      {opened !== undefined && <AgentDrawer key={opened} cluster={cluster} agent={opened} onClose={() => open(undefined)} />}
    </div>
  );
}

/** The state of all of them as a sentence. */
function headline(quality: Quality): string {
  const { agents_connected: here, agents_expected: expected, lost, reduced } = quality;
  if (here < expected) return `${here} of ${plural(expected, 'agent')} connected`;
  if (lost > 0) return `${plural(expected, 'agent')}, ${count(lost)} requests missing from counts in the last 15 minutes`;
  if (!quality.is_exact) return `${plural(expected, 'agent')}, counts are not exact`;
  if (reduced > 0) return `${plural(expected, 'agent')}, every request counted, ${count(reduced)} without detail`;
  return `${plural(expected, 'agent')}, every request counted`;
}

interface TableProps {
  quality: Quality;
  opened: string | undefined;
  onOpen: (id: string) => void;
}

function AgentTable({ quality, opened, onOpen }: TableProps) {
  const now = useNow();
  return (
    <table className="agent-table">
      <thead>
        <tr>
          <th>Node</th>
          <th>State</th>
          <th className="num">requests</th>
          <th className="num">events</th>
          <th>listed</th>
          <th className="num">lost (15 min)</th>
          <th className="num">lag</th>
          <th className="num">CPU</th>
          <th className="num">in the kernel</th>
          <th className="num">memory</th>
          <th className="num">last seen</th>
        </tr>
      </thead>
      <tbody>
        {byAttention(quality.agents, now).map((agent) => (
          <AgentRow key={agent.id} agent={agent} now={now} isOpened={agent.id === opened} onOpen={onOpen} />
        ))}
      </tbody>
    </table>
  );
}

function AgentRow({ agent, now, isOpened, onOpen }: { agent: AgentSummary; now: number; isOpened: boolean; onOpen: (id: string) => void }) {
  const wrong = complaints(agent, now);
  const lost = lostBy(agent);
  return (
    <tr data-on={isOpened ? '' : undefined}>
      <td>
        <button type="button" className="link-button agent-name" onClick={() => onOpen(agent.id)} aria-expanded={isOpened}>
          {agent.node || agent.id}
        </button>
        <div className="faint">{agent.version}</div>
      </td>
      <td className="agent-state">
        <i className={`state-dot ${wrong.length > 0 ? 'is-silent' : 'is-connected'}`} />
        {wrong.length === 0 ? 'well' : <b>{wrong.join(' · ')}</b>}
      </td>
      <td className="num">{rate(agent.seen_rate)}</td>
      <td className="num">{rate(agent.event_rate)}</td>
      <td>{samplingText(agent.sample_every)}</td>
      <td className={lost > 0 ? 'num warn' : 'num'} title={causes(agent.lost)}>
        {compact(lost)}
      </td>
      <td className="num">{isSilent(agent, now) ? '—' : duration(agent.lag_ms * 1e6)}</td>
      <td className="num">{cores(agent.cpu_cores)}</td>
      <td className="num">{cores(agent.bpf_cores)}</td>
      <td className="num">{memory(agent.rss_bytes)}</td>
      <td className="num">{ago(agent.last_seen_ms, now)}</td>
    </tr>
  );
}

/** "120 queue full, 3 refused"; undefined where there is none. */
function causes(lost: Readonly<Record<string, number>>): string | undefined {
  const parts = Object.entries(lost).map(([cause, events]) => `${count(events)} ${causeName(cause)}`);
  return parts.length === 0 ? undefined : parts.join(', ');
}
