/** The colours the canvas paints with, read from the page's tokens whenever the scheme changes. */

import type { Scheme } from '@/domain/latency';

export interface Palette {
  scheme: Scheme;
  room: string;
  line: string;
  panel: string;
  background: string;
  ink: string;
  dim: string;
  accent: string;
  bad: string;
  onBad: string;
}

/** Reads the tokens as they apply to `element`. */
export function readPalette(element: Element, scheme: Scheme): Palette {
  const style = getComputedStyle(element);
  const token = (name: string): string => style.getPropertyValue(name).trim();
  return {
    scheme,
    room: token('--room'),
    line: token('--line'),
    panel: token('--panel'),
    background: token('--bg'),
    ink: token('--ink'),
    dim: token('--dim'),
    accent: token('--accent'),
    bad: token('--bad'),
    onBad: token('--on-bad'),
  };
}
