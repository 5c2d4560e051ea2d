/** Lines over time (uPlot): crosshairs move together within a group, a drag asks for that time range. */

import { useEffect, useEffectEvent, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import './chart.css';

export interface Line {
  label: string;
  values: readonly (number | null)[];
  /** A token of the page's colours, "--series-1". */
  colour: string;
  /** Drawn thicker than the others. */
  isMain?: boolean;
}

interface Props {
  title: string;
  timesMs: readonly number[];
  lines: readonly Line[];
  format: (value: number | null) => string;
  /** Charts of one group share their crosshair. */
  group: string;
  scheme: 'light' | 'dark';
  height?: number;
  onRange?: (fromMs: number, toMs: number) => void;
}

export function TimeSeriesChart({ title, timesMs, lines, format, group, scheme, height = 104, onRange }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const formatValue = useEffectEvent((value: number | null) => format(value));
  const select = useEffectEvent((fromMs: number, toMs: number) => onRange?.(fromMs, toMs));
  const shape = lines.map((line) => `${line.label}|${line.colour}|${line.isMain === true}`).join();
  const data = useEffectEvent((): uPlot.AlignedData => [timesMs.map((time) => time / 1000), ...lines.map((line) => [...line.values])] as uPlot.AlignedData);
  const series = useEffectEvent(() => lines);

  useEffect(() => {
    const element = host.current;
    if (element === null) return undefined;
    const options = optionsFor(element, { lines: series(), group, height, format: formatValue, select });
    const made = new uPlot(options, data(), element);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, group, height, scheme]);

  useEffect(() => {
    plot.current?.setData(data());
  }, [timesMs, lines]);

  return (
    <figure className="chart">
      <figcaption>
        {title}
        <span className="chart-keys">
          {lines.length > 1 &&
            lines.map((line) => (
              <span key={line.label}>
                <i style={{ background: `var(${line.colour})` }} />
                {line.label}
              </span>
            ))}
        </span>
      </figcaption>
      <div ref={host} className="chart-plot" role="img" aria-label={sentence(title, lines, format)} style={{ height }} />
    </figure>
  );
}

/** What the picture shows, for those who cannot see it: the last and the largest value of each line. */
function sentence(title: string, lines: readonly Line[], format: (value: number | null) => string): string {
  const parts = lines.map((line) => {
    const known = line.values.filter((value) => value !== null);
    return known.length === 0 ? `${line.label}: no data` : `${line.label}: now ${format(known.at(-1) ?? null)}, at most ${format(Math.max(...known))}`;
  });
  return `${title}. ${parts.join('. ')}`;
}

interface OptionInput {
  lines: readonly Line[];
  group: string;
  height: number;
  format: (value: number | null) => string;
  select: (fromMs: number, toMs: number) => void;
}

function optionsFor(element: HTMLElement, input: OptionInput): uPlot.Options {
  const style = getComputedStyle(element);
  const token = (name: string): string => style.getPropertyValue(name).trim();
  const axis = { stroke: token('--faint'), font: "11px 'Inter Variable', sans-serif", ticks: { show: false }, grid: { stroke: token('--line'), width: 1 } };
  return {
    width: element.clientWidth || 300,
    height: input.height,
    padding: [8, 6, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: input.group }, drag: { x: true, y: false, setScale: false }, points: { size: 5 }, y: false },
    scales: { y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] } },
    axes: [
      { ...axis, grid: { show: false }, size: 22, gap: 4, space: 70, values: (_, splits) => splits.map(clockText) },
      { ...axis, size: 54, gap: 6, space: 28, values: (_, splits) => splits.map((value) => input.format(value)) },
    ],
    series: [
      {},
      ...input.lines.map((line) => ({ label: line.label, stroke: token(line.colour), width: line.isMain === true ? 2 : 1.25, points: { show: false }, spanGaps: false })),
    ],
    plugins: [tooltip(input)],
    hooks: { setSelect: [(plot) => onSelect(plot, input.select)] },
  };
}

const clockText = (seconds: number): string => new Date(seconds * 1000).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...(seconds % 60 === 0 ? {} : { second: '2-digit' }) });

function onSelect(plot: uPlot, select: (fromMs: number, toMs: number) => void): void {
  const { left, width } = plot.select;
  if (width < 4) return;
  select(Math.round(plot.posToVal(left, 'x') * 1000), Math.round(plot.posToVal(left + width, 'x') * 1000));
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
}

/** The values under the crosshair, in a line at the chart's top. */
function tooltip({ lines, format }: OptionInput): uPlot.Plugin {
  const box = document.createElement('div');
  box.className = 'chart-values';
  box.hidden = true;
  return {
    hooks: {
      init: [(plot) => plot.over.append(box)],
      setCursor: [
        (plot) => {
          const at = plot.cursor.idx;
          box.hidden = at === null || at === undefined || (plot.cursor.left ?? -1) < 0;
          if (box.hidden || at === null || at === undefined) return;
          const texts = lines.map((line) => `${lines.length > 1 ? `${line.label} ` : ''}${format(line.values[at] ?? null)}`);
          box.textContent = [clockText(Math.round(plot.data[0][at] ?? 0)), ...texts].join('  ');
          box.classList.toggle('is-right', (plot.cursor.left ?? 0) < plot.over.clientWidth / 2);
        },
      ],
    },
  };
}
