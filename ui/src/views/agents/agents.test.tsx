import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';
import type { AgentDetails, Quality } from '@/api/client';
import type { AgentSummary } from '@/domain/types';
import { agent } from '@/testing/data';
import { failing, renderAt, type Answers } from '@/testing/render';

const CLUSTER = { id: 'c1', name: 'demo', created_ms: 1, state: 'connected', agents: 2, last_seen_ms: 1 };

const sum = (counts: Record<string, number>): number => Object.values(counts).reduce((all, each) => all + each, 0);

function quality(...agents: AgentSummary[]): Quality {
  const lost = agents.reduce((all, each) => all + sum(each.lost), 0);
  const reduced = agents.reduce((all, each) => all + sum(each.reduced), 0);
  const sampled = agents.reduce((all, each) => all + each.sampled, 0);
  return { agents, agents_connected: agents.length, agents_expected: agents.length, lag_ms: 20, lost, reduced, sampled, is_exact: lost === 0, newest_ms: 1 };
}

const details = (summary: AgentSummary, more: Partial<AgentDetails> = {}): AgentDetails => ({
  agent: summary, losses: [], features: [], programs: [], steps: [],
  series: { step_ms: 10_000, times_ms: [1e12, 1e12 + 1e4], cpu_cores: [null, 0.04], bpf_cores: [null, 0.01], rss_bytes: [9e7, 9e7], lag_ms: [20, 20], seen_rate: [null, 118] },
  ...more,
});

const answers = (of: Quality, more: Answers = {}): Answers => ({ 'GET /api/v1/clusters': { items: [CLUSTER] }, 'GET /api/v1/clusters/c1/quality': of, ...more });

describe('the agents', () => {
  it('are listed with cost and state, those that need attention first', async () => {
    const sick = agent({ id: 'a2', node: 'node-2', level: 'events', sample_every: 100, lost: { queue_full: 7 }, missing: ['tcp'] });
    renderAt('/clusters/c1/agents', answers(quality(agent(), sick)));
    expect(await screen.findByRole('heading', { name: '2 agents, 7 requests missing from counts in the last 15 minutes' })).toBeTruthy();
    const [, first, second] = screen.getAllByRole('row');
    expect(first?.textContent).toMatch(/^node-2.*fewer events · loses requests · without tcp.*1 in 1007/);
    expect(second?.textContent).toMatch(/^node-1.*well118\/s118\/severy request020 ms0.04 cores0.012 cores90 MiB/);
  });

  it('are calm when nothing is wrong', async () => {
    renderAt('/clusters/c1/agents', answers(quality(agent())));
    expect(await screen.findByRole('heading', { name: '1 agent, every request counted' })).toBeTruthy();
    expect(screen.getByRole('button', { name: 'The data is complete. Show each agent' }).textContent).toBe('1 of 1 agentlag 20 mslost 0counts exact');
  });

  it('say what would fill an empty page', async () => {
    renderAt('/clusters/c1/agents', answers({ ...quality(), agents_expected: 3 }));
    expect(await screen.findByRole('heading', { name: 'No agent has reported in the last 15 minutes' })).toBeTruthy();
    expect(screen.getByText(/3 nodes should have one each/)).toBeTruthy();
    expect(screen.getByRole('link', { name: 'Set up agents' }).getAttribute('href')).toBe('/clusters/c1/setup');
  });

  it('say what failed and try again', async () => {
    const user = userEvent.setup();
    let calls = 0;
    renderAt('/clusters/c1/agents', answers(quality(), { 'GET /api/v1/clusters/c1/quality': () => (calls++ === 0 ? failing(503, 'the store is busy') : quality(agent())) }));
    expect((await screen.findByRole('alert')).textContent).toContain('The agents could not be read');
    await user.click(screen.getByRole('button', { name: 'Try again' }));
    expect(await screen.findByRole('heading', { name: '1 agent, every request counted' })).toBeTruthy();
  });

  it('open in a drawer with losses in words, features, steps and unseen processes, in the address', async () => {
    const user = userEvent.setup();
    const sick = agent({ level: 'payload', unseen: { fio: 2 }, queue_bytes: 2 ** 20, spool_bytes: 0, export_error: 'no answer: refused' });
    const full = details(sick, {
      losses: [
        { cause: 'queue_full', effect: 'counts', meaning: 'the server was away and memory for batches was full', count: 7 },
        { cause: 'sampled', effect: 'choice', meaning: 'left out of the request list above the rate cap; counted exactly', count: 900 },
      ],
      features: [{ name: 'tcp', state: 'off', reason: 'BTF is missing' }],
      programs: [{ name: 'on_receive', cores: 0.009 }],
      steps: [{ time_ms: Date.now() - 12_000, before: 'full', after: 'payload', cause: 'the agent uses 0.600 cores of 0.5' }],
    });
    const { router } = renderAt('/clusters/c1/agents', answers(quality(sick), { 'GET /api/v1/clusters/c1/agents/a1': full }));

    await user.click(await screen.findByRole('button', { name: 'node-1' }));
    const drawer = await screen.findByRole('complementary', { name: 'node-1' });
    expect((await within(drawer).findByRole('region', { name: 'Losses' })).textContent).toContain('7queue full missing from countsthe server was away');
    expect(within(drawer).getByRole('region', { name: 'Features' }).textContent).toContain('tcpoffBTF is missing');
    expect(within(drawer).getByRole('region', { name: 'Detail' }).textContent).toContain('12 s agofull detail → shorter textsthe agent uses 0.600 cores of 0.5');
    expect(within(drawer).getByRole('region', { name: 'Unseen' }).textContent).toContain('fio2');
    expect(within(drawer).getByRole('region', { name: 'Delivery' }).textContent).toContain('1 MiB in memory, 0 KiB on disk.no answer: refused');
    expect(router.state.location.search).toMatchObject({ agent: 'a1' });

    await user.keyboard('{Escape}');
    await waitFor(() => expect(screen.queryByRole('complementary', { name: 'node-1' })).toBe(null));
    expect(router.state.location.search).toEqual({});
  });

  it('say in the drawer that an agent is gone', async () => {
    renderAt('/clusters/c1/agents?agent=a9', answers(quality(agent()), { 'GET /api/v1/clusters/c1/agents/a9': failing(404, 'silent for 15 minutes') }));
    expect((await screen.findByRole('alert')).textContent).toContain('The agent could not be read');
  });
});

describe('the status strip', () => {
  it('tells sampling and missing detail apart from losses', async () => {
    renderAt('/clusters/c1/agents', answers(quality(agent({ sampled: 9000, sample_every: 12, reduced: { ring_full: 40 } }))));
    const strip = await screen.findByRole('button', { name: 'The data is complete. Show each agent' });
    expect(strip.textContent).toBe('1 of 1 agentlag 20 mslost 0listed 1 in 12without detail 40counts exact');
  });

  it('turns amber while an agent has given detail up', async () => {
    renderAt('/clusters/c1/agents', answers(quality(agent(), agent({ id: 'a2', node: 'node-2', level: 'counters', sample_every: 0 }))));
    const strip = await screen.findByRole('button', { name: 'Detail is reduced. Show each agent' });
    expect(strip.textContent).toContain('counters only on 1 agent');
    expect(screen.getByRole('contentinfo', { name: 'Quality of the data' }).hasAttribute('data-problem')).toBe(true);
  });
});
