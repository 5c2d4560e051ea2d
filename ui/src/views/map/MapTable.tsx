/** The map's edges as a sortable table: the same figures, for the keyboard, for screen readers, and for many edges. */

import { useQuery } from '@tanstack/react-query';
import { useVirtualizer } from '@tanstack/react-virtual';
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react';
import { useMemo, useRef, useState } from 'react';
import { Notice } from '@/components/feedback/Notice';
import type { Selected } from '@/components/servicemap/renderer';
import { bytesRate, duration, protocolName, rate, share } from '@/domain/format';
import { isSlow } from '@/domain/latency';
import { edgeRows, type EdgeRow, type SortKey, type Sorting } from '@/domain/map/rows';
import type { MapView } from '@/domain/views';
import { useClusterId, useRange } from '@/state/address';
import { mapQuery } from '@/state/queries';
import { FiltersMatchNothing } from './MapStates';

const ROW_HEIGHT = 34;

const COLUMNS: readonly { key: SortKey; label: string; isNumber: boolean }[] = [
  { key: 'sourceName', label: 'From', isNumber: false },
  { key: 'targetName', label: 'To', isNumber: false },
  { key: 'protocol', label: 'Protocol, via', isNumber: false },
  { key: 'rate', label: 'Requests', isNumber: true },
  { key: 'p50Ns', label: 'p50', isNumber: true },
  { key: 'p95Ns', label: 'p95', isNumber: true },
  { key: 'p99Ns', label: 'p99', isNumber: true },
  { key: 'errorRate', label: 'Errors', isNumber: true },
  { key: 'bytesRate', label: 'Bytes', isNumber: true },
];

export function MapTable({ view, onSelect }: { view: MapView; onSelect: (selected: Selected) => void }) {
  const { data } = useQuery(mapQuery(useClusterId(), useRange()));
  const [sorting, setSorting] = useState<Sorting>({ key: 'rate', isDescending: true });
  const rows = useMemo(() => (data === undefined ? [] : edgeRows(data, view.filters, sorting)), [data, view.filters, sorting]);
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => scroller.current, estimateSize: () => ROW_HEIGHT, overscan: 12, initialRect: { width: 900, height: 600 } });
  if (data === undefined || data.nodes.length === 0) return null;
  if (rows.length === 0) return data.edges.length === 0 ? <Notice title="No calls in this time range" /> : <FiltersMatchNothing />;
  const sort = (key: SortKey): void => setSorting((before) => ({ key, isDescending: before.key === key ? !before.isDescending : COLUMNS.find((column) => column.key === key)?.isNumber === true }));
  return (
    <div ref={scroller} className="edge-table" role="table" aria-label="Calls between services" aria-rowcount={rows.length + 1}>
      <div role="rowgroup" className="edge-table-head">
        <div role="row" className="edge-row">
          {COLUMNS.map((column) => (
            <div key={column.key} role="columnheader" className={column.isNumber ? 'num' : undefined} aria-sort={sorting.key !== column.key ? 'none' : sorting.isDescending ? 'descending' : 'ascending'}>
              <button type="button" onClick={() => sort(column.key)}>
                {column.label}
                {sorting.key === column.key && (sorting.isDescending ? <IconArrowDown size={12} /> : <IconArrowUp size={12} />)}
              </button>
            </div>
          ))}
        </div>
      </div>
      <div role="rowgroup" style={{ height: virtual.getTotalSize(), position: 'relative' }}>
        {virtual.getVirtualItems().map((item) => {
          const row = rows[item.index];
          return row === undefined ? null : <Row key={row.id} row={row} index={item.index} top={item.start} isOn={view.edge === row.id} onSelect={onSelect} />;
        })}
      </div>
    </div>
  );
}

interface RowProps {
  row: EdgeRow;
  index: number;
  top: number;
  isOn: boolean;
  onSelect: (selected: Selected) => void;
}

function Row({ row, index, top, isOn, onSelect }: RowProps) {
  return (
    <div role="row" aria-rowindex={index + 2} className="edge-row" data-on={isOn ? '' : undefined} style={{ transform: `translateY(${top}px)` }} onClick={() => onSelect({ node: null, edge: row.id })}>
      <div role="cell">
        <NodeButton id={row.source} name={row.sourceName} onSelect={onSelect} />
      </div>
      <div role="cell">
        <NodeButton id={row.target} name={row.targetName} onSelect={onSelect} />
      </div>
      <div role="cell" className="ellipsis">
        <button type="button" className="link-button" onClick={() => onSelect({ node: null, edge: row.id })} aria-label={`Open calls from ${row.sourceName} to ${row.targetName}`}>
          {protocolName(row.protocol, row.isTls)}
        </button>
        {row.service !== '' && <span className="faint"> {row.service}</span>}
        {row.failure !== '' && <span className="bad"> {row.failure}</span>}
      </div>
      <div role="cell" className="num">{rate(row.rate)}</div>
      <div role="cell" className="num">{duration(row.p50Ns)}</div>
      <div role="cell" className={isSlow(row.p95Ns) ? 'num slow' : 'num'}>{duration(row.p95Ns)}</div>
      <div role="cell" className={isSlow(row.p99Ns) ? 'num slow' : 'num'}>{duration(row.p99Ns)}</div>
      <div role="cell" className={row.errorRate > 0 ? 'num bad' : 'num'}>{share(row.errorRate)}</div>
      <div role="cell" className="num">{bytesRate(row.bytesRate)}</div>
    </div>
  );
}

function NodeButton({ id, name, onSelect }: { id: string; name: string; onSelect: (selected: Selected) => void }) {
  return (
    <button
      type="button"
      className="link-button ellipsis"
      onClick={(event) => {
        event.stopPropagation();
        onSelect({ node: id, edge: null });
      }}
    >
      {name}
    </button>
  );
}
