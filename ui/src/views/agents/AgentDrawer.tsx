/** One agent: its cost over time, what it lost and why, what it cannot do here, what its governor gave up. */

import { useComputedColorScheme } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import type { AgentDetails } from '@/api/client';
import { TimeSeriesChart, type Line } from '@/components/charts/TimeSeriesChart';
import { Failure } from '@/components/feedback/Notice';
import { Figures } from '@/components/figures/Figures';
import { causeName, cores, isReduced, levelMeaning, levelName, samplingText } from '@/domain/agents';
import { ago, count, duration, memory, rate } from '@/domain/format';
import type { AgentSummary } from '@/domain/types';
import { useRange, useSetQuery } from '@/state/address';
import { useNow } from '@/state/clock';
import { agentQuery } from '@/state/queries';
import { Drawer } from '../resource/Drawer';
import { Loading } from '../resource/ResourceDetails';

const EFFECTS: Readonly<Record<string, string>> = { counts: 'missing from counts', detail: 'counted, without detail', choice: 'left out on purpose' };
const STATES: Readonly<Record<string, string>> = { on: 'works', reduced: 'in part', off: 'off', unused: 'not needed' };

export function AgentDrawer({ cluster, agent, onClose }: { cluster: string; agent: string; onClose: () => void }) {
  const { data, error, refetch } = useQuery(agentQuery(cluster, agent, useRange()));
  const now = useNow();
  const subtitle = data === undefined ? '' : `osmia-agent ${data.agent.version} · started ${ago(data.agent.started_ms, now)}`;
  return (
    <Drawer title={data === undefined || data.agent.node === '' ? agent : data.agent.node} subtitle={subtitle} onClose={onClose}>
      {data === undefined && error !== null && <Failure what="The agent could not be read" error={error} onRetry={() => void refetch()} />}
      {data === undefined && error === null && <Loading />}
      {data !== undefined && <Details details={data} now={now} />}
    </Drawer>
  );
}

function Details({ details, now }: { details: AgentDetails; now: number }) {
  return (
    <div className="details">
      <AgentFigures agent={details.agent} />
      <Charts details={details} />
      <Governor details={details} now={now} />
      <Losses details={details} />
      <Delivery agent={details.agent} />
      <Features details={details} />
      <Unseen unseen={details.agent.unseen} />
      <Programs details={details} />
    </div>
  );
}

function AgentFigures({ agent }: { agent: AgentSummary }) {
  return (
    <Figures
      items={[
        { label: 'CPU', value: cores(agent.cpu_cores), note: 'its process' },
        { label: 'In the kernel', value: cores(agent.bpf_cores), note: agent.bpf_cores === null ? 'not measured' : 'from samples' },
        { label: 'Memory', value: memory(agent.rss_bytes) },
        { label: 'Requests', value: rate(agent.seen_rate), note: 'both ends' },
        { label: 'Listed', value: rate(agent.event_rate), note: samplingText(agent.sample_every) },
        { label: 'Lag', value: duration(agent.lag_ms * 1e6) },
      ]}
    />
  );
}

function Charts({ details }: { details: AgentDetails }) {
  const scheme = useComputedColorScheme('light');
  const setQuery = useSetQuery();
  const zoom = (fromMs: number, toMs: number): void => setQuery({ from: String(fromMs), to: String(toMs) });
  const { series } = details;
  const cpu = useMemo(
    (): Line[] => [
      { label: 'its process', values: series.cpu_cores, colour: '--series-1', isMain: true },
      { label: 'in the kernel', values: series.bpf_cores, colour: '--series-2' },
    ],
    [series],
  );
  const rss = useMemo((): Line[] => [{ label: 'memory', values: series.rss_bytes, colour: '--series-1', isMain: true }], [series]);
  return (
    <div className="details-charts">
      <TimeSeriesChart title="Cores" timesMs={series.times_ms} lines={cpu} format={(value) => cores(value).replace(' cores', '')} group="agent" scheme={scheme} onRange={zoom} />
      <TimeSeriesChart title="Memory" timesMs={series.times_ms} lines={rss} format={memory} group="agent" scheme={scheme} height={84} onRange={zoom} />
    </div>
  );
}

function Governor({ details, now }: { details: AgentDetails; now: number }) {
  const { agent, steps } = details;
  return (
    <section aria-label="Detail">
      <h2>Captures {isReduced(agent) ? <span className="warn">{levelName(agent.level)}</span> : levelName(agent.level)}</h2>
      <p className="dim agent-note">{levelMeaning(agent.level)}</p>
      {steps.length === 0 ? (
        <p className="faint agent-note">The governor took no step in this time range.</p>
      ) : (
        <table className="details-table">
          <thead>
            <tr>
              <th>When</th>
              <th>Step</th>
              <th>Because</th>
            </tr>
          </thead>
          <tbody>
            {steps.map((step) => (
              <tr key={`${step.time_ms}-${step.after}`}>
                <td className="nowrap" title={new Date(step.time_ms).toISOString()}>
                  {ago(step.time_ms, now)}
                </td>
                <td>
                  {levelName(step.before)} → {levelName(step.after)}
                </td>
                <td className="dim">{step.cause}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Losses({ details }: { details: AgentDetails }) {
  return (
    <section aria-label="Losses">
      <h2>Lost in the last 15 minutes</h2>
      {details.losses.length === 0 ? (
        <p className="dim agent-note">Nothing: every request is counted and listed.</p>
      ) : (
        <table className="details-table">
          <tbody>
            {details.losses.map((loss) => (
              <tr key={loss.cause}>
                <td className={loss.effect === 'counts' ? 'num warn' : 'num'}>{count(loss.count)}</td>
                <td>
                  {causeName(loss.cause)} <span className="faint">{EFFECTS[loss.effect] ?? loss.effect}</span>
                  <div className="dim">{loss.meaning}</div>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

/** What waits for the server, on the node. */
function Delivery({ agent }: { agent: AgentSummary }) {
  if (agent.queue_bytes + agent.spool_bytes === 0 && agent.export_error === '') return null;
  return (
    <section aria-label="Delivery">
      <h2>On its way to the server</h2>
      <p className="dim agent-note">
        {memory(agent.queue_bytes)} in memory, {memory(agent.spool_bytes)} on disk.
      </p>
      {agent.export_error !== '' && <p className="warn agent-note">{agent.export_error}</p>}
    </section>
  );
}

function Features({ details }: { details: AgentDetails }) {
  if (details.features.length === 0) return null;
  return (
    <section aria-label="Features">
      <h2>What works on this node</h2>
      <table className="details-table">
        <tbody>
          {details.features.map((feature) => (
            <tr key={feature.name}>
              <td>{feature.name}</td>
              <td className={feature.state === 'off' || feature.state === 'reduced' ? 'nowrap warn' : 'nowrap dim'}>{STATES[feature.state] ?? feature.state}</td>
              <td className="dim">{feature.reason}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Unseen({ unseen }: { unseen: Readonly<Record<string, number>> }) {
  const commands = Object.entries(unseen);
  if (commands.length === 0) return null;
  return (
    <section aria-label="Unseen">
      <h2>Processes that are not fully seen</h2>
      <p className="dim agent-note">
        They use io_uring, or take several messages of a stream in one call: what they carry so is not seen.
      </p>
      <table className="details-table">
        <tbody>
          {commands.map(([command, processes]) => (
            <tr key={command}>
              <td className="mono">{command}</td>
              <td className="num">{count(processes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Programs({ details }: { details: AgentDetails }) {
  if (details.programs.length === 0) return null;
  return (
    <section aria-label="Programs">
      <h2>Programs in the kernel, since the start</h2>
      <table className="details-table">
        <tbody>
          {details.programs.map((program) => (
            <tr key={program.name}>
              <td className="mono">{program.name}</td>
              <td className="num">{cores(program.cores)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
