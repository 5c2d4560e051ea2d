import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { MapRenderer } from '@/components/servicemap/renderer';
import { agent, CURRENCIES, edge, network, POSTGRES, story, TESTSERVER } from '@/testing/data';
import { failing, FakeFeed, renderAt, type Answers } from '@/testing/render';

const CLUSTER = { id: 'c1', name: 'demo', created_ms: 1, state: 'connected', agents: 1, last_seen_ms: 1 };
const INSTALL = { server_url: 'http://s', monitoring_id: 'c1', key: 'k', helm: 'helm x', kubectl: 'kubectl x', host: 'sudo osmia agent run' };
const QUALITY = { agents: [], agents_connected: 1, agents_expected: 1, lag_ms: 800, lost: 0, reduced: 0, sampled: 0, is_exact: true, newest_ms: 1 };
const EMPTY_SERIES = { step_ms: 1000, times_ms: [], rate: [], error_rate: [], p50_ns: [], p95_ns: [], p99_ns: [], request_bytes_rate: [], response_bytes_rate: [] };

const resource = (id: string) => ({
  resource: { ...story().nodes.find((node) => node.id === id), pods: [{ name: 'testserver-abc', node: 'node-1', phase: 'Running', ip: '10.0.0.1' }] },
  summary: { rate: 35, error_rate: 0, p50_ns: 1e6, p95_ns: 24e6, p99_ns: 30e6, count: 1000, errors: 0 },
  series: EMPTY_SERIES,
  incoming: [],
  links_in: [{ peer: { id: CURRENCIES, kind: 'Deployment', namespace: 'testserver', name: 'currencies' }, service: '', port: 9000, side: 'client', network: network({ opened: 0, failed: 7, failures: { timed_out: 7 } }) }],
  links_out: [],
  listening: [{ port: 8200, dropped: 3, waiting: 129, waiting_max: 128 }],
  outgoing: [
    {
      peer: { id: POSTGRES, kind: 'StatefulSet', namespace: 'testserver', name: 'postgres' }, protocol: 'postgres', service: 'postgres', port: 5432, count: 100, rate: 20, errors: 1, error_rate: 0.01, p50_ns: 1e6, p95_ns: 1.8e9, p99_ns: 2e9,
      endpoints: [{ method: 'SELECT', template: 'SELECT rate FROM rates WHERE base = ?', count: 100, rate: 20, errors: 1, error_rate: 0.01, p50_ns: 1e6, p95_ns: 1.8e9, p99_ns: 2e9, latency_sum_ns: 5e9, statuses: { ok: 99, '42P01': 1 } }],
    },
  ],
});

const answers = (more: Answers = {}): Answers => ({
  'GET /api/v1/clusters': { items: [CLUSTER] },
  'GET /api/v1/clusters/c1': { ...CLUSTER, install: INSTALL },
  'GET /api/v1/clusters/c1/quality': QUALITY,
  'GET /api/v1/clusters/c1/map': story(),
  'GET /api/v1/clusters/c1/resources/Deployment%2Ftestserver%2Ftestserver': resource(TESTSERVER),
  [`GET /api/v1/clusters/c1/edges/${encodeURIComponent(`${TESTSERVER}-${POSTGRES}`)}/series`]: EMPTY_SERIES,
  ...more,
});

const nodeButton = (name: RegExp) => screen.findByRole('button', { name });

describe('the service map', () => {
  it('shows every workload as a button that says what it does', async () => {
    renderAt('/clusters/c1/map', answers());
    expect(await nodeButton(/^testserver, Deployment in testserver, 2 of 2 pods ready, 35\/s incoming, p95 24 ms/)).toBeTruthy();
    expect(await nodeButton(/^postgres, .* fails more than 1 %/)).toBeTruthy();
    expect(await nodeButton(/^reports, .* idle$/)).toBeTruthy();
    expect(screen.getByTestId('edge-count').textContent).toBe('3 edges');
  });

  it('opens the drawer of the focused node by Enter and closes it by Escape, in the address', async () => {
    const user = userEvent.setup();
    const { router } = renderAt('/clusters/c1/map', answers());
    (await nodeButton(/^testserver,/)).focus();
    await user.keyboard('{Enter}');
    const drawer = await screen.findByRole('complementary', { name: 'testserver' });
    expect(await within(drawer).findByText('35/s')).toBeTruthy();
    expect(router.state.location.search).toMatchObject({ node: TESTSERVER });

    await user.keyboard('{Escape}');
    await waitFor(() => expect(screen.queryByRole('complementary', { name: 'testserver' })).toBe(null));
    expect(router.state.location.search).toEqual({});
  });

  it('moves along calls by arrow keys', async () => {
    const user = userEvent.setup();
    renderAt('/clusters/c1/map', answers());
    (await nodeButton(/^203/)).focus();
    await user.keyboard('{ArrowRight}');
    expect(document.activeElement?.getAttribute('data-node')).toBe(TESTSERVER);
    await user.keyboard('{ArrowRight}');
    expect([CURRENCIES, POSTGRES]).toContain(document.activeElement?.getAttribute('data-node'));
  });

  it('restores filters, selection and table from the address', async () => {
    renderAt(`/clusters/c1/map?view=table&errors=1&edge=${TESTSERVER}-${POSTGRES}`, answers());
    const table = await screen.findByRole('table', { name: 'Calls between services' });
    expect(within(table).getAllByRole('row')).toHaveLength(2);
    expect(within(table).getByRole('row', { name: /postgres.*20\/s.*1\.8 s.*2 %/ })).toBeTruthy();
    expect(screen.getByRole('button', { name: 'Errors only', pressed: true })).toBeTruthy();
    expect(await screen.findByRole('complementary', { name: 'testserver → postgres' })).toBeTruthy();
  });

  it('shows statements with their statuses in the drawer', async () => {
    const user = userEvent.setup();
    renderAt(`/clusters/c1/map?node=${TESTSERVER}`, answers());
    const outgoing = await screen.findByRole('region', { name: 'Outgoing' });
    await user.click(within(outgoing).getByRole('button', { name: /SELECT rate FROM rates/ }));
    expect(within(outgoing).getByText('42P01')).toBeTruthy();
    expect(within(outgoing).getByRole('button', { name: 'Copy statement' })).toBeTruthy();
    expect(within(outgoing).getByRole('link', { name: 'Its requests' }).getAttribute('href')).toContain(`source=${TESTSERVER}`);
  });

  it('says when the filters leave nothing, and clears them', async () => {
    const user = userEvent.setup();
    const { router } = renderAt('/clusters/c1/map?slower=60000', answers());
    await user.click(await screen.findByRole('button', { name: 'Clear filters' }));
    expect(router.state.location.search).toEqual({});
  });
});

describe('refreshes', () => {
  it('draw new figures without rendering React anew', async () => {
    let calls = 0;
    const show = vi.spyOn(MapRenderer.prototype, 'show');
    renderAt('/clusters/c1/map', answers({
      'GET /api/v1/clusters/c1/map': () => {
        calls += 1;
        const data = story();
        return { ...data, nodes: data.nodes.map((node) => ({ ...node, rate_in: node.rate_in * calls })) };
      },
    }));
    const button = await nodeButton(/^testserver, .* 35\/s/);
    const legend = screen.getByTestId('edge-count');
    const mutations: MutationRecord[] = [];
    const watcher = new MutationObserver((records) => mutations.push(...records));
    watcher.observe(screen.getByTestId('service-map').parentElement!, { subtree: true, childList: true, attributes: true, characterData: true });
    const drawn = show.mock.calls.length;

    FakeFeed.last?.emit();

    await waitFor(() => expect(button.getAttribute('aria-label')).toContain('70/s'));
    expect(show.mock.calls.length).toBeGreaterThan(drawn);
    // Only the drawing changed, and in it only texts and attributes: no element came or went.
    mutations.push(...watcher.takeRecords());
    expect(mutations.filter((record) => record.target.parentElement?.closest('svg') === null)).toEqual([]);
    expect(mutations.some((record) => [...record.addedNodes].some((added) => added instanceof Element))).toBe(false);
    expect(screen.getByTestId('edge-count')).toBe(legend);
    show.mockRestore();
  });

  it('keep the last map when one fails, and say how old it is', async () => {
    let calls = 0;
    renderAt('/clusters/c1/map', answers({ 'GET /api/v1/clusters/c1/map': () => (calls++ === 0 ? story() : failing(503, 'the store is busy')) }));
    await nodeButton(/^testserver,/);
    FakeFeed.last?.emit();
    expect((await screen.findByText(/The map as of .* retrying/)).textContent).toMatch(/\d\d:\d\d:\d\d/);
    expect(await nodeButton(/^testserver,/)).toBeTruthy();
  });

  it('stop when paused, by pinning the range in the address', async () => {
    const user = userEvent.setup();
    const { router } = renderAt('/clusters/c1/map', answers());
    await user.click(await screen.findByRole('button', { name: 'Pause' }));
    expect(await screen.findByRole('button', { name: 'Go live' })).toBeTruthy();
    const { from, to } = router.state.location.search as Record<string, string>;
    expect(Number(to) - Number(from)).toBe(900_000);
    expect(FakeFeed.last?.isClosed).toBe(true);
  });
});

describe('when there is nothing to draw', () => {
  const empty = { ...story(), nodes: [], edges: [] };

  it('offers the command while the first agent is awaited', async () => {
    const waiting = { ...CLUSTER, state: 'waiting', agents: 0, last_seen_ms: null };
    renderAt('/clusters/c1/map', answers({ 'GET /api/v1/clusters/c1/map': empty, 'GET /api/v1/clusters/c1': { ...waiting, install: INSTALL } }));
    expect(await screen.findByRole('heading', { name: 'demo waits for its first agent' })).toBeTruthy();
    expect(screen.getByText('sudo osmia agent run')).toBeTruthy();
  });

  it('says that a connected cluster was quiet', async () => {
    renderAt('/clusters/c1/map', answers({ 'GET /api/v1/clusters/c1/map': empty }));
    expect(await screen.findByRole('heading', { name: 'No traffic in this time range' })).toBeTruthy();
  });

  it('says what failed, what to do, and tries again', async () => {
    const user = userEvent.setup();
    let calls = 0;
    renderAt('/clusters/c1/map', answers({ 'GET /api/v1/clusters/c1/map': () => (calls++ === 0 ? failing(503, 'the store is busy', 'wait a moment') : story()) }));
    expect((await screen.findByRole('alert')).textContent).toContain('The store is busy. Wait a moment.');
    await user.click(screen.getByRole('button', { name: 'Try again' }));
    expect(await nodeButton(/^testserver,/)).toBeTruthy();
  });

  it('says that a cluster does not exist', async () => {
    renderAt('/clusters/nope/map', answers());
    expect(await screen.findByRole('heading', { name: 'There is no such cluster' })).toBeTruthy();
  });
});

describe('the frame', () => {
  it('turns amber and says why when the data is not clean', async () => {
    renderAt('/clusters/c1/map', answers({ 'GET /api/v1/clusters/c1/quality': { ...QUALITY, agents: [agent({ lost: { queue_full: 100, edges_full: 20 } })], lost: 120, is_exact: false } }));
    const strip = await screen.findByRole('button', { name: 'Requests were lost. Show each agent' });
    expect(strip.textContent).toBe('1 of 1 agentlag 800 mslost 120 (queue full and 1 more)counts not exact');
    expect(within(strip).getByTitle('Lost in the last 15 minutes: 100 queue full, 20 edges full')).toBeTruthy();
    expect(screen.getByRole('contentinfo', { name: 'Quality of the data' }).hasAttribute('data-problem')).toBe(true);
  });

  it('finds a service by Ctrl-K and shows it on the map', async () => {
    const user = userEvent.setup();
    const { router } = renderAt('/clusters/c1/map', answers());
    await nodeButton(/^testserver,/);
    await user.keyboard('{Control>}k{/Control}');
    await user.type(await screen.findByRole('combobox', { name: 'Find' }), 'post');
    expect(await screen.findByRole('option', { name: /postgres/ })).toBeTruthy();
    await user.keyboard('{Enter}');
    await waitFor(() => expect(router.state.location.search).toMatchObject({ node: POSTGRES }));
  });

  it('sets the time range and keeps everything else in the address', async () => {
    const user = userEvent.setup();
    const { router } = renderAt('/clusters/c1/map?errors=1', answers());
    await user.click(await screen.findByRole('button', { name: 'Time range: Last 15 minutes' }));
    await user.click(await screen.findByRole('button', { name: 'Last hour' }));
    expect(router.state.location.search).toEqual({ errors: '1', from: 'now-1h', to: 'now' });
  });

  it('has only links that lead somewhere', async () => {
    renderAt('/clusters/c1/map', answers());
    const rail = await screen.findByRole('navigation', { name: 'Pages' });
    expect(within(rail).getAllByRole('link').map((link) => link.getAttribute('href'))).toEqual(['/', '/clusters/c1/map', '/clusters/c1/requests', '/clusters/c1/agents', '/clusters']);
  });

  it('opens a line of failing connects: why they fail, and no list of requests', async () => {
    const failing = network({ opened: 0, closed: 0, failed: 12, failures: { refused: 9, timed_out: 3 }, connect_p95_ns: null, active: 0 });
    const line = edge(TESTSERVER, CURRENCIES, { id: 'a-tcp-edge', protocol: 'tcp', count: 12, errors: 12, error_rate: 1, p95_ns: null, network: failing });
    const steps = { step_ms: 1000, times_ms: [], opened_rate: [], failed_rate: [], active: [], connect_p95_ns: [], rtt_p95_ns: [], retransmit_rate: [], client_bytes_rate: [], server_bytes_rate: [] };
    const map = { ...story(), edges: [line] };
    renderAt('/clusters/c1/map?edge=a-tcp-edge', answers({ 'GET /api/v1/clusters/c1/map': map, 'GET /api/v1/clusters/c1/edges/a-tcp-edge/network': { from_ms: 0, to_ms: 1, total: failing, ports: [], series: steps } }));
    const section = await screen.findByRole('region', { name: 'Network' });
    expect(within(section).getByText('refused 9, no answer 3')).toBeTruthy();
    expect(within(section).getByText('12 failed')).toBeTruthy();
    expect(await within(section).findByRole('img', { name: /^Connects per second/ })).toBeTruthy();
    expect(screen.queryByText('Its requests')).toBe(null);
  });

  it('says that nobody reports connections where that is so', async () => {
    renderAt(`/clusters/c1/map?edge=${encodeURIComponent(`${TESTSERVER}-${POSTGRES}`)}`, answers());
    expect(await screen.findByText(/No agent saw connections/)).toBeTruthy();
  });

  it('tells a workload of connections that nobody understands and of its full queue', async () => {
    renderAt(`/clusters/c1/map?node=${encodeURIComponent(TESTSERVER)}`, answers());
    const links = await screen.findByRole('region', { name: 'Other connections' });
    expect(within(links).getByText('no answer 7')).toBeTruthy();
    expect(within(links).getByRole('link', { name: 'currencies' })).toBeTruthy();
    const queues = screen.getByRole('region', { name: 'Accept queues' });
    expect(within(queues).getByText('129')).toBeTruthy();
  });
});
