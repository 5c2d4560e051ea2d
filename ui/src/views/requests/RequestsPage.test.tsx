import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';
import { CURRENCIES, story, TESTSERVER } from '@/testing/data';
import { renderAt, type Answers } from '@/testing/render';

const end = (id: string) => ({ id, kind: 'Deployment', namespace: 'testserver', name: id.split('/')[2] ?? '', pod: 'pod-1', ip: '10.0.0.1' });
const row = (at: number, more: object = {}) => ({
  time_ms: 1_795_460_000_000 - at * 10, role: 'server', protocol: 'http', is_tls: false, source: end(TESTSERVER), target: end(CURRENCIES), server_port: 8000, client_port: 40_000 + at,
  method: 'GET', template: `/rates/${at}`, fingerprint: '0123456789ab', raw: '', status: '200', is_error: false, latency_ns: 12e6, transfer_ns: 3e6, request_bytes: 180, response_bytes: 2300, command: 'gunicorn', pid: 7, weight: 1, ...more,
});
const answers = (requests: unknown): Answers => ({
  'GET /api/v1/clusters': { items: [{ id: 'c1', name: 'demo', created_ms: 1, state: 'connected', agents: 1, last_seen_ms: 1 }] },
  'GET /api/v1/clusters/c1/quality': { agents: [], agents_connected: 1, agents_expected: 1, lag_ms: 1, lost: 0, reduced: 0, sampled: 0, is_exact: true, newest_ms: 1 },
  'GET /api/v1/clusters/c1/map': story(),
  'GET /api/v1/clusters/c1/requests': requests,
});
const lastQuery = (calls: readonly string[]): URLSearchParams => new URLSearchParams(calls.findLast((call) => call.includes('/requests'))?.split('?')[1]);

describe('the request list', () => {
  it('shows requests newest first, and all fields of an opened one', async () => {
    const user = userEvent.setup();
    renderAt('/clusters/c1/requests', answers({ items: [row(0, { status: '503', is_error: true }), row(1)], next_cursor: null }));
    const first = await screen.findByRole('article', { name: 'GET /rates/0, testserver to currencies' });
    await user.click(within(first).getByRole('button', { expanded: false }));
    expect(within(first).getByText("gunicorn, pid 7, on the server's side")).toBeTruthy();
    expect(within(first).getByText('10.0.0.1:8000')).toBeTruthy();
    expect(within(first).getByText('after 15 ms')).toBeTruthy();
    expect(within(first).getByText('180 B out, 2.3 kB in')).toBeTruthy();
    expect(screen.getByText('2 requests, all there are')).toBeTruthy();
    expect(within(first).queryByRole('region', { name: 'Raw text' })).toBeNull();
  });

  it('marks the raw text of a request whose agent was told to send it', async () => {
    const user = userEvent.setup();
    renderAt('/clusters/c1/requests', answers({ items: [row(0, { raw: '/rates/0?key=abc' })], next_cursor: null }));
    const first = await screen.findByRole('article', { name: 'GET /rates/0, testserver to currencies' });
    await user.click(within(first).getByRole('button', { expanded: false }));
    const raw = within(first).getByRole('region', { name: 'Raw text' });
    expect(within(raw).getByText('/rates/0?key=abc')).toBeTruthy();
    expect(within(raw).getByText(/raw_namespaces/)).toBeTruthy();
  });

  it('asks the server with the filters of the address', async () => {
    const { calls } = renderAt(`/clusters/c1/requests?target=${CURRENCIES}&slower=100&errors=1&status=503&from=now-1h&to=now`, answers({ items: [row(0)], next_cursor: null }));
    await screen.findByRole('article');
    const query = lastQuery(calls);
    expect(Object.fromEntries(query)).toEqual({ from: 'now-1h', to: 'now', target: CURRENCIES, status: '503', min_latency_ns: '100000000', errors_only: 'true', limit: '200' });
  });

  it('puts typed text into the address once the typing pauses', async () => {
    const user = userEvent.setup();
    const { router } = renderAt('/clusters/c1/requests', answers({ items: [row(0)], next_cursor: null }));
    await user.type(await screen.findByLabelText('Route or statement contains'), 'rates');
    await waitFor(() => expect(router.state.location.search).toEqual({ text: 'rates' }));
  });

  it('goes on by the cursor', async () => {
    const { calls } = renderAt('/clusters/c1/requests', answers((url: URL) => (url.searchParams.get('cursor') === null ? { items: [row(0), row(1)], next_cursor: 'next' } : { items: [row(2)], next_cursor: null })));
    expect(await screen.findByRole('article', { name: /rates\/2/ })).toBeTruthy();
    expect(calls.some((call) => call.includes('cursor=next'))).toBe(true);
  });

  it('follows new requests at the top, and stops while a row is open', async () => {
    const user = userEvent.setup();
    let newest = 0;
    renderAt('/clusters/c1/requests', answers(() => ({ items: [row(-newest)], next_cursor: null })));
    await screen.findByRole('article', { name: /rates\/0/ });
    newest = 5;
    const followed = await screen.findByRole('article', { name: /rates\/-5/ }, { timeout: 6000 });
    await user.click(within(followed).getByRole('button', { expanded: false }));
    newest = 6;
    await user.click(await screen.findByRole('button', { name: 'Follow new requests again' }));
    expect(await screen.findByRole('article', { name: /rates\/-6/ }, { timeout: 6000 })).toBeTruthy();
  });

  it('tells an empty range from filters that leave nothing', async () => {
    const user = userEvent.setup();
    renderAt('/clusters/c1/requests?method=POST', answers((url: URL) => ({ items: url.searchParams.has('method') ? [] : [row(0)], next_cursor: null })));
    expect(await screen.findByRole('heading', { name: 'No request matches these filters' })).toBeTruthy();
    await user.click(screen.getByRole('button', { name: 'Clear filters' }));
    expect(await screen.findByRole('article')).toBeTruthy();
  });
});
