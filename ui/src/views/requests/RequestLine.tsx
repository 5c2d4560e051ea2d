/** One request: a line, and all its fields when opened. */

import { IconChevronRight } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { Link } from '@tanstack/react-router';
import type { RequestRow } from '@/api/client';
import { CopyBlock } from '@/components/feedback/CopyBlock';
import { bytes, count, duration, protocolName } from '@/domain/format';
import { isSlow } from '@/domain/latency';
import { cleaned, useClusterId, useRangeQuery } from '@/state/address';

/** Two requests of one process on one connection cannot end in the same nanosecond. */
export const rowKey = (row: RequestRow): string => `${row.time_ms}|${row.role}|${row.source.ip}:${row.client_port}|${row.server_port}|${row.pid}`;

interface Props {
  row: RequestRow;
  isOpen: boolean;
  onToggle: () => void;
}

export function RequestLine({ row, isOpen, onToggle }: Props) {
  const text = row.protocol === 'http' ? `${row.method} ${row.template}` : row.template;
  return (
    <article aria-label={`${text}, ${row.source.name} to ${row.target.name}`} data-open={isOpen ? '' : undefined}>
      <div className="request-line request-grid" onClick={onToggle}>
        <button type="button" className="request-time" aria-expanded={isOpen} onClick={stopThen(onToggle)}>
          <IconChevronRight size={12} className={isOpen ? 'is-open' : undefined} />
          {clock(row.time_ms)}
        </button>
        <span className="ellipsis">{row.source.name}</span>
        <span className="ellipsis">{row.target.name}</span>
        <span className="mono ellipsis" title={text}>
          {text}
        </span>
        <span className={row.is_error ? 'num bad' : 'num'}>{row.status || '—'}</span>
        <span className={isSlow(row.latency_ns) ? 'num slow' : 'num'}>{duration(row.latency_ns)}</span>
        <span className="num">{bytes(row.response_bytes)}</span>
      </div>
      {isOpen && <Fields row={row} text={text} />}
    </article>
  );
}

function stopThen(action: () => void): (event: { stopPropagation: () => void }) => void {
  return (event) => {
    event.stopPropagation();
    action();
  };
}

function Fields({ row, text }: { row: RequestRow; text: string }) {
  return (
    <div className="request-fields">
      <CopyBlock text={text} label={row.protocol === 'http' ? 'route' : 'statement'} />
      {row.raw !== '' && (
        <section className="request-raw" aria-label="Raw text">
          <p>
            <b>Raw</b>, with all its values: the agent sends it because both namespaces are named in its raw_namespaces
          </p>
          <CopyBlock text={row.raw} label="raw text" />
        </section>
      )}
      <dl>
        <Field name="From" value={<End end={row.source} port={row.client_port} />} />
        <Field name="To" value={<End end={row.target} port={row.server_port} />} />
        <Field name="Protocol" value={protocolName(row.protocol, row.is_tls)} />
        <Field name="Method" value={row.method || '—'} />
        <Field name="Status" value={row.status || '—'} isBad={row.is_error} />
        {row.transfer_ns > 0 ? (
          <>
            <Field name="First byte" value={`after ${duration(row.latency_ns)}`} />
            <Field name="Last byte" value={`after ${duration(row.latency_ns + row.transfer_ns)}`} />
          </>
        ) : (
          <Field name="Latency" value={duration(row.latency_ns)} />
        )}
        <Field name="Bytes" value={`${bytes(row.request_bytes)} out, ${bytes(row.response_bytes)} in`} />
        <Field name="Seen by" value={`${row.command || 'unknown process'}, pid ${row.pid}, on the ${row.role}'s side`} />
        <Field name="Stands for" value={row.weight === 1 ? 'itself' : `${count(row.weight)} requests like it`} />
        <Field name="Time" value={new Date(row.time_ms).toISOString()} />
      </dl>
    </div>
  );
}

function End({ end, port }: { end: RequestRow['source']; port: number }) {
  const cluster = useClusterId();
  const range = useRangeQuery();
  const address = addressOf(end.ip, port);
  return (
    <>
      <Link to="/clusters/$clusterId/resource" params={{ clusterId: cluster }} search={cleaned({ ...range, id: end.id })}>
        {end.name}
      </Link>
      <span className="faint"> {[end.kind, end.namespace].filter((part) => part !== '').join(' in ')}</span>
      {end.pod !== '' && <div className="mono">{end.pod}</div>}
      {address !== null && <div className="mono dim">{address}</div>}
    </>
  );
}

function Field({ name, value, isBad = false }: { name: string; value: ReactNode; isBad?: boolean }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd className={isBad ? 'bad' : undefined}>{value}</dd>
    </div>
  );
}

/** "10.0.0.7:80", "[fd00::7]:80", the path of an AF_UNIX socket, null where not known. */
function addressOf(ip: string, port: number): string | null {
  if (ip === '' || ip.startsWith('unix:')) return ip || null;
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** "12:04:10.123". */
function clock(ms: number): string {
  const date = new Date(ms);
  return `${date.toLocaleTimeString('en-GB', { hourCycle: 'h23' })}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}
