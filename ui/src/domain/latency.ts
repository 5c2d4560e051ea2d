/** The latency ramp: five fixed bins, coloured so that darker (light theme) or brighter (dark theme) is slower.
 *
 * The two ramps stay apart under simulated protan, deutan and tritan vision; the quietest step is faint on
 * purpose, so width, hover card and table carry what it cannot.
 */

/** Upper bounds of the first four bins, in ns. */
export const LATENCY_BOUNDS_NS = [25e6, 100e6, 300e6, 1000e6] as const;

export type LatencyBin = 0 | 1 | 2 | 3 | 4;
export type Scheme = 'light' | 'dark';

export const RAMPS: Record<Scheme, readonly [string, string, string, string, string]> = {
  light: ['#adb5bd', '#c79a00', '#d0652f', '#8a1f0c', '#3d0010'],
  dark: ['#566670', '#876020', '#ff6d0f', '#fba47d', '#f5dadd'],
};

export const BIN_LABELS = ['< 25 ms', '25–100 ms', '100–300 ms', '300 ms–1 s', '≥ 1 s'] as const;

/** Which bin a latency falls in; unknown counts as the quietest. */
export function latencyBin(ns: number | null | undefined): LatencyBin {
  if (ns === null || ns === undefined) return 0;
  let bin = 0;
  for (const bound of LATENCY_BOUNDS_NS) if (ns >= bound) bin += 1;
  return bin as LatencyBin;
}

export const latencyColour = (ns: number | null | undefined, scheme: Scheme): string => RAMPS[scheme][latencyBin(ns)];

/** Is it slow enough to be said in colour outside the map as well? */
export const isSlow = (ns: number | null | undefined): boolean => latencyBin(ns) >= 3;
