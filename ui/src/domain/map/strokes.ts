/** How an edge looks: width says traffic, colour says latency, dashes say errors; connects that fail are red. */

import { latencyColour, type Scheme } from '../latency';
import { isTcpOnly } from '../network';
import type { SceneEdge } from './scene';

export type Quantile = 'p50' | 'p95' | 'p99';
export type WidthMetric = 'rate' | 'bytes';

/** The tokens `--bad` of both schemes. */
const FAILING: Record<Scheme, string> = { light: '#b3261e', dark: '#ff8f85' };

export interface EdgeStroke {
  width: number;
  colour: string;
  isDashed: boolean;
}

/** 1 px for no traffic, 9 px at most, a decade of requests per second being 1.7 px. */
export function strokeWidth(perSecond: number): number {
  return Math.min(9, 1 + 1.7 * Math.log10(1 + Math.max(0, perSecond)));
}

export const quantileNs = (edge: { p50Ns: number | null; p95Ns: number | null; p99Ns: number | null }, quantile: Quantile): number | null =>
  quantile === 'p50' ? edge.p50Ns : quantile === 'p95' ? edge.p95Ns : edge.p99Ns;

/** Bytes are scaled so that 1 kB/s is as wide as 1 request/s. */
export function strokeOf(edge: SceneEdge, look: { quantile: Quantile; width: WidthMetric; scheme: Scheme }): EdgeStroke {
  return {
    width: strokeWidth(look.width === 'rate' ? edge.rate : edge.bytesRate / 1000),
    colour: edge.errors > 0 && isTcpOnly(edge) ? FAILING[look.scheme] : latencyColour(quantileNs(edge, look.quantile), look.scheme),
    isDashed: edge.errors > 0,
  };
}
