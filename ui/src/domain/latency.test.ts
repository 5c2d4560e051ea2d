import { describe, expect, it } from 'vitest';
import { latencyBin, latencyColour, RAMPS } from './latency';

describe('latencyBin', () => {
  it.each([[null, 0], [0, 0], [24.9e6, 0], [25e6, 1], [99e6, 1], [100e6, 2], [300e6, 3], [999e6, 3], [1e9, 4], [60e9, 4]])('puts %s ns into bin %s', (ns, bin) => {
    expect(latencyBin(ns)).toBe(bin);
  });
});

/** Relative luminance as WCAG defines it. */
function luminance(colour: string): number {
  const channels = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * (channels[0] ?? 0) + 0.7152 * (channels[1] ?? 0) + 0.0722 * (channels[2] ?? 0);
}

describe('ramps', () => {
  it('grow darker with latency on light, and brighter on dark, so that they read without colour', () => {
    const light = RAMPS.light.map(luminance);
    const dark = RAMPS.dark.map(luminance);
    expect(light).toEqual([...light].sort((a, b) => b - a));
    expect(dark).toEqual([...dark].sort((a, b) => a - b));
  });

  it('follow the scheme', () => {
    expect([latencyColour(2e9, 'light'), latencyColour(2e9, 'dark')]).toEqual(['#3d0010', '#f5dadd']);
  });
});
