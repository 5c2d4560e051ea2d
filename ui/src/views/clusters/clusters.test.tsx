import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';
import { failing, renderAt } from '@/testing/render';

const cluster = (more: object = {}) => ({ id: 'c1', name: 'shop', created_ms: 1, state: 'connected', agents: 2, last_seen_ms: Date.now() - 4000, ...more });
const INSTALL = { server_url: 'http://192.0.2.1:8460', monitoring_id: 'c1', key: 'osk_1', helm: 'helm install osmia', kubectl: 'kubectl apply', host: 'sudo osmia agent run' };

describe('clusters', () => {
  it('are listed with state, agents and last data', async () => {
    renderAt('/clusters', { 'GET /api/v1/clusters': { items: [cluster(), cluster({ id: 'c2', name: 'lab', state: 'waiting', agents: 0, last_seen_ms: null })] } });
    const row = await screen.findByRole('row', { name: /shop.*Connected.*2.*4 s ago/ });
    expect(within(row).getByRole('link', { name: 'shop' }).getAttribute('href')).toBe('/clusters/c1/map');
    const waiting = screen.getByRole('row', { name: /lab.*Waiting for its first data.*—/ });
    expect(within(waiting).getByRole('link', { name: 'lab' }).getAttribute('href')).toBe('/clusters/c2/setup');
  });

  it('begin with a form when there is none', async () => {
    renderAt('/', { 'GET /api/v1/clusters': { items: [] } });
    expect(await screen.findByRole('heading', { name: 'Add the first cluster' })).toBeTruthy();
    expect(screen.getByRole('button', { name: 'Save and show instructions' }).hasAttribute('disabled')).toBe(true);
  });

  it('are added by name, then instructions, then the first data', async () => {
    const user = userEvent.setup();
    let asked = 0;
    const { router } = renderAt('/clusters/new', {
      'GET /api/v1/clusters': () => ({ items: asked === 0 ? [] : [cluster({ state: 'waiting' })] }),
      'POST /api/v1/clusters': (_: URL, body: unknown) => {
        asked = 1;
        return Response.json({ ...cluster({ state: 'waiting', agents: 0, last_seen_ms: null }), name: (body as { name: string }).name, install: INSTALL }, { status: 201 });
      },
      'GET /api/v1/clusters/c1': () => ({ ...cluster(asked++ > 1 ? {} : { state: 'waiting', agents: 0, last_seen_ms: null }), install: INSTALL }),
      'GET /api/v1/clusters/c1/quality': { agents: [], agents_connected: 0, agents_expected: null, lag_ms: null, lost: 0, reduced: 0, sampled: 0, is_exact: true, newest_ms: null },
    });
    await user.type(await screen.findByLabelText('Name'), 'shop');
    await user.click(screen.getByRole('button', { name: 'Save and show instructions' }));

    expect(await screen.findByRole('heading', { name: 'Connect shop' })).toBeTruthy();
    expect(router.state.location.pathname).toBe('/clusters/c1/setup');
    expect(screen.getByText('c1')).toBeTruthy();
    expect(screen.getByText('http://192.0.2.1:8460')).toBeTruthy();
    expect(screen.getByText('helm install osmia')).toBeTruthy();
    await user.click(screen.getByRole('tab', { name: 'Plain host' }));
    expect(await screen.findByText('sudo osmia agent run')).toBeTruthy();
    expect(screen.getByText('Waiting for the first data')).toBeTruthy();

    expect(await screen.findByText('Connected', {}, { timeout: 8000 })).toBeTruthy();
    expect(screen.getByRole('link', { name: 'Open the service map' }).getAttribute('href')).toBe('/clusters/c1/map');
  });

  it('say what is wrong with a name', async () => {
    const user = userEvent.setup();
    renderAt('/clusters/new', { 'GET /api/v1/clusters': { items: [] }, 'POST /api/v1/clusters': failing(400, 'the name is taken', 'choose another one') });
    await user.type(await screen.findByLabelText('Name'), 'shop{Enter}');
    expect(await screen.findByText('the name is taken: choose another one')).toBeTruthy();
  });

  it('are deleted only when the name is typed', async () => {
    const user = userEvent.setup();
    const { calls } = renderAt('/clusters', { 'GET /api/v1/clusters': { items: [cluster()] }, 'DELETE /api/v1/clusters/c1': () => new Response(null, { status: 204 }) });
    await user.click(await screen.findByRole('button', { name: 'Actions for shop' }));
    await user.click(await screen.findByRole('menuitem', { name: 'Delete' }));
    const dialog = await screen.findByRole('dialog', { name: 'Delete shop?' });
    const button = within(dialog).getByRole('button', { name: 'Delete' });
    expect(button.hasAttribute('disabled')).toBe(true);
    await user.type(within(dialog).getByLabelText('Type shop to confirm'), 'shop');
    await user.click(button);
    await waitFor(() => expect(calls).toContain('DELETE /api/v1/clusters/c1'));
    await waitFor(() => expect(screen.queryByRole('dialog')).toBe(null));
  });

  it('are renamed', async () => {
    const user = userEvent.setup();
    let name = 'shop';
    renderAt('/clusters', { 'GET /api/v1/clusters': () => ({ items: [cluster({ name })] }), 'PATCH /api/v1/clusters/c1': (_: URL, body: unknown) => ({ ...cluster({ name: (name = (body as { name: string }).name) }), install: INSTALL }) });
    await user.click(await screen.findByRole('button', { name: 'Actions for shop' }));
    await user.click(await screen.findByRole('menuitem', { name: 'Rename' }));
    const field = await screen.findByLabelText('Name');
    await user.clear(field);
    await user.type(field, 'store{Enter}');
    expect(await screen.findByRole('link', { name: 'store' })).toBeTruthy();
  });
});
