/** The charts of a resource or an edge; a drag on one asks for that time range. */

import { useMemo } from 'react';
import type { NetworkDetails, Series } from '@/api/client';
import { TimeSeriesChart, type Line } from '@/components/charts/TimeSeriesChart';
import { duration, rate } from '@/domain/format';
import { useSetQuery } from '@/state/address';

interface Props {
  series: Series;
  scheme: 'light' | 'dark';
  /** Charts of one group share their crosshair. */
  group: string;
}

type NetworkSeries = NetworkDetails['series'];

function useZoom(): (fromMs: number, toMs: number) => void {
  const setQuery = useSetQuery();
  return (fromMs, toMs) => setQuery({ from: String(fromMs), to: String(toMs) });
}

export function LatencyChart({ series, scheme, group }: Props) {
  const lines = useMemo(
    (): Line[] => [
      { label: 'p50', values: series.p50_ns, colour: '--series-3' },
      { label: 'p95', values: series.p95_ns, colour: '--series-1', isMain: true },
      { label: 'p99', values: series.p99_ns, colour: '--series-2' },
    ],
    [series],
  );
  return <TimeSeriesChart title="Latency" timesMs={series.times_ms} lines={lines} format={duration} group={group} scheme={scheme} onRange={useZoom()} />;
}

export function TrafficChart({ series, scheme, group }: Props) {
  const lines = useMemo((): Line[] => {
    const failing = series.rate.map((value, at) => (value === null ? null : value * (series.error_rate[at] ?? 0)));
    const all: Line = { label: 'requests', values: series.rate, colour: '--series-1', isMain: true };
    return failing.some((value) => (value ?? 0) > 0) ? [all, { label: 'errors', values: failing, colour: '--bad' }] : [all];
  }, [series]);
  return <TimeSeriesChart title="Requests per second" timesMs={series.times_ms} lines={lines} format={rate} group={group} scheme={scheme} onRange={useZoom()} />;
}

export function ConnectsChart({ series, scheme, group }: Omit<Props, 'series'> & { series: NetworkSeries }) {
  const lines = useMemo((): Line[] => {
    const opened: Line = { label: 'opened', values: series.opened_rate, colour: '--series-1', isMain: true };
    return series.failed_rate.some((value) => (value ?? 0) > 0) ? [opened, { label: 'failed', values: series.failed_rate, colour: '--bad' }] : [opened];
  }, [series]);
  return <TimeSeriesChart title="Connects per second" timesMs={series.times_ms} lines={lines} format={rate} group={group} scheme={scheme} onRange={useZoom()} />;
}

export function RoundTripChart({ series, scheme, group }: Omit<Props, 'series'> & { series: NetworkSeries }) {
  const lines = useMemo(
    (): Line[] => [
      { label: 'connect p95', values: series.connect_p95_ns, colour: '--series-1', isMain: true },
      { label: 'round trip p95', values: series.rtt_p95_ns, colour: '--series-2' },
    ],
    [series],
  );
  return <TimeSeriesChart title="Connect and round trip" timesMs={series.times_ms} lines={lines} format={duration} group={group} scheme={scheme} onRange={useZoom()} />;
}
