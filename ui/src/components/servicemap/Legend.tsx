/** What width, colour and dashes mean, and how many of the edges are drawn. */

import { BIN_LABELS, RAMPS, type Scheme } from '@/domain/latency';
import { strokeWidth } from '@/domain/map/strokes';
import { count } from '@/domain/format';
import type { MapView } from '@/domain/views';
import type { MapSummary } from './director';

const SHORT = ['< 25 ms', '< 100 ms', '< 300 ms', '< 1 s', '≥ 1 s'];

export function Legend({ scheme, view, summary }: { scheme: Scheme; view: MapView; summary: MapSummary }) {
  const unit = view.width === 'rate' ? '/s' : ' kB/s';
  return (
    <div className="map-legend" aria-label="Legend">
      <span className="legend-group">
        {view.colour}
        {RAMPS[scheme].map((colour, bin) => (
          <span key={colour} title={BIN_LABELS[bin]}>
            <i style={{ background: colour, height: 4 }} />
            {SHORT[bin]}
          </span>
        ))}
      </span>
      <span className="legend-group">
        {[1, 100, 10_000].map((perSecond) => (
          <span key={perSecond}>
            <i style={{ background: 'var(--faint)', height: strokeWidth(perSecond) }} />
            {count(perSecond)}
            {unit}
          </span>
        ))}
      </span>
      <span className="legend-group">
        <span>
          <i className="legend-dashes" />
          errors
        </span>
        <span>
          <i className="legend-dashes is-failing" />
          connects fail
        </span>
      </span>
      <span className="legend-group" data-testid="edge-count">
        {summary.shownEdges === summary.allEdges ? `${count(summary.allEdges)} edges` : `${count(summary.shownEdges)} of ${count(summary.allEdges)} edges`}
      </span>
    </div>
  );
}
