/** Renders the whole UI at an address, against answers that a test gives. */

import { MantineProvider } from '@mantine/core';
import { QueryClientProvider } from '@tanstack/react-query';
import { createMemoryHistory, RouterProvider } from '@tanstack/react-router';
import { render } from '@testing-library/react';
import { vi } from 'vitest';
import { theme } from '@/components/theme';
import { makeQueryClient } from '@/state/queries';
import { makeRouter } from '@/views/router';

/** Answers by "METHOD path"; a function `(url, body) => answer` is called. */
export type Answers = Record<string, unknown>;

/** An answer with a status other than 200. */
export const failing = (status: number, message: string, remedy = ''): Response => Response.json({ error: { field: '', value: '', message, remedy } }, { status });

/** The live feed of a page under test: `emit` says that new data arrived. */
export class FakeFeed extends EventTarget {
  static last: FakeFeed | null = null;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  isClosed = false;
  readonly url: string;

  constructor(url: string) {
    super();
    this.url = url;
    FakeFeed.last = this;
  }

  emit(): void {
    this.dispatchEvent(new MessageEvent('data', { data: '{"newest_ms":1}' }));
  }

  close(): void {
    this.isClosed = true;
  }
}

/** The UI at `address`; returns the router to look at the address, and the calls that were made. */
export function renderAt(address: string, answers: Answers) {
  const calls: string[] = [];
  vi.stubGlobal('EventSource', FakeFeed);
  vi.stubGlobal('fetch', async (request: Request) => {
    const url = new URL(request.url);
    calls.push(`${request.method} ${url.pathname}${url.search}`);
    const found = answers[`${request.method} ${url.pathname}`];
    if (found === undefined) return failing(404, `the test has no answer for ${request.method} ${url.pathname}`);
    const body: unknown = request.method === 'GET' || request.method === 'DELETE' ? null : await request.json();
    const answer: unknown = typeof found === 'function' ? (found as (url: URL, body: unknown) => unknown)(url, body) : found;
    return answer instanceof Response ? answer.clone() : Response.json(answer);
  });
  const client = makeQueryClient();
  client.setDefaultOptions({ queries: { ...client.getDefaultOptions().queries, retry: false } });
  const router = makeRouter(client);
  router.update({ ...router.options, history: createMemoryHistory({ initialEntries: [address] }) } as never);
  const view = render(
    <MantineProvider theme={theme} env="test">
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>,
  );
  return { ...view, router, calls, client };
}
