/** What browsers have and jsdom lacks, in its smallest honest form. */

import { cleanup } from '@testing-library/react';
import { afterEach, vi } from 'vitest';

vi.stubGlobal('matchMedia', (query: string) => ({ matches: false, media: query, addEventListener: () => undefined, removeEventListener: () => undefined, addListener: () => undefined, removeListener: () => undefined }));

vi.stubGlobal(
  'ResizeObserver',
  class {
    observe(): void {}
    unobserve(): void {}
    disconnect(): void {}
  },
);

/** An object whose every method can be called and does nothing: drawing is looked at in a real browser. */
const silent = (known: object): object => new Proxy(known, { get: (target, name): unknown => Reflect.get(target, name) ?? (() => undefined), set: () => true });

vi.stubGlobal('Path2D', function Path() {
  return silent({});
});
HTMLCanvasElement.prototype.getContext = (() => silent({ measureText: (text: string) => ({ width: text.length * 7 }) })) as never;
Element.prototype.scrollIntoView = () => undefined;
Element.prototype.scrollTo = () => undefined;
vi.stubGlobal('scrollTo', () => undefined);

afterEach(() => {
  cleanup();
  localStorage.clear();
});

// jsdom has no layout: every element is as large as a page, and every row as high as a row.
const sizes = { clientWidth: 900, clientHeight: 600, offsetWidth: 900, offsetHeight: 32 };
for (const [name, size] of Object.entries(sizes)) Object.defineProperty(name.startsWith('client') ? Element.prototype : HTMLElement.prototype, name, { configurable: true, get: () => size });
