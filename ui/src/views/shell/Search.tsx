/** Ctrl-K: finds services by name, and routes and statements by their text. */

import { Modal, UnstyledButton } from '@mantine/core';
import { useDebouncedValue, useHotkeys } from '@mantine/hooks';
import { IconArrowRight, IconSearch } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useId, useState, type KeyboardEvent } from 'react';
import type { RequestRow } from '@/api/client';
import { kindName } from '@/domain/describe';
import { protocolName } from '@/domain/format';
import type { ServiceNode } from '@/domain/types';
import { useRange, useRangeQuery } from '@/state/address';
import { mapQuery, searchQuery } from '@/state/queries';

const MOST_SERVICES = 8;
const MOST_ENDPOINTS = 8;

export function Search({ cluster }: { cluster: string }) {
  const [isOpen, setOpen] = useState(false);
  useHotkeys([['mod+K', () => setOpen(true)]], []);
  return (
    <>
      <UnstyledButton className="search-button" onClick={() => setOpen(true)} aria-label="Find service, route or statement" aria-keyshortcuts="Control+K">
        <IconSearch size={14} />
        <span>Find service, route, statement</span>
        <kbd>Ctrl K</kbd>
      </UnstyledButton>
      <Modal opened={isOpen} onClose={() => setOpen(false)} withCloseButton={false} padding={0} size={560} yOffset="12vh" aria-label="Find">
        <Finder cluster={cluster} onDone={() => setOpen(false)} />
      </Modal>
    </>
  );
}

interface Hit {
  key: string;
  group: 'Services' | 'Routes and statements';
  title: string;
  note: string;
  isMono: boolean;
  open: () => void;
}

function Finder({ cluster, onDone }: { cluster: string; onDone: () => void }) {
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const listId = useId();
  const hits = useHits(cluster, text.trim());
  const chosen = hits[Math.min(at, hits.length - 1)];
  const open = (hit: Hit | undefined): void => {
    if (hit === undefined) return;
    onDone();
    hit.open();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const move = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (move !== 0) setAt((before) => Math.max(0, Math.min(hits.length - 1, before + move)));
    if (event.key === 'Enter') open(chosen);
    if (move !== 0 || event.key === 'Enter') event.preventDefault();
  };
  return (
    <div className="finder">
      <div className="finder-input">
        <IconSearch size={16} />
        <input
          data-autofocus
          placeholder="Service, route or statement"
          aria-label="Find"
          role="combobox"
          aria-expanded={hits.length > 0}
          aria-controls={listId}
          aria-activedescendant={chosen === undefined ? undefined : `${listId}-${chosen.key}`}
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            setAt(0);
          }}
          onKeyDown={onKeyDown}
        />
      </div>
      <ul id={listId} role="listbox" aria-label="Results">
        {hits.map((hit, index) => (
          <li key={hit.key} id={`${listId}-${hit.key}`} role="option" aria-selected={hit === chosen} onClick={() => open(hit)} onPointerMove={() => setAt(index)}>
            {hit.group !== hits[index - 1]?.group && <span className="finder-group">{hit.group}</span>}
            <span className="finder-hit">
              <span className={hit.isMono ? 'mono ellipsis' : 'ellipsis'}>{hit.title}</span>
              <span className="faint ellipsis">{hit.note}</span>
              <IconArrowRight size={14} />
            </span>
          </li>
        ))}
      </ul>
      {hits.length === 0 && <p className="finder-empty">{text === '' ? 'No service has been seen in this time range.' : `Nothing in this time range contains “${text}”.`}</p>}
    </div>
  );
}

function useHits(cluster: string, text: string): Hit[] {
  const range = useRange();
  const rangeQuery = useRangeQuery();
  const navigate = useNavigate();
  const [debounced] = useDebouncedValue(text, 200);
  const { data: map } = useQuery(mapQuery(cluster, range));
  const { data: found } = useQuery(searchQuery(cluster, range, debounced));
  const services = matchingServices(map?.nodes ?? [], text).map((node): Hit => ({
    key: node.id,
    group: 'Services',
    title: node.name,
    note: [kindName(node.kind), node.namespace].filter((part) => part !== '').join(' in '),
    isMono: false,
    open: () => void navigate({ to: '/clusters/$clusterId/map', params: { clusterId: cluster }, search: { ...rangeQuery, node: node.id } }),
  }));
  const endpoints = text.length < 2 ? [] : distinctEndpoints(found?.items ?? []).map((row): Hit => ({
    key: `${row.target.id}|${row.method}|${row.template}`,
    group: 'Routes and statements',
    title: row.protocol === 'http' ? `${row.method} ${row.template}` : row.template,
    note: `${row.target.name} · ${protocolName(row.protocol, row.is_tls)}`,
    isMono: true,
    open: () => void navigate({ to: '/clusters/$clusterId/requests', params: { clusterId: cluster }, search: { ...rangeQuery, target: row.target.id, text: row.template } }),
  }));
  return [...services, ...endpoints];
}

function matchingServices(nodes: readonly ServiceNode[], text: string): ServiceNode[] {
  const wanted = text.toLowerCase();
  const score = (node: ServiceNode): number => (node.name.toLowerCase().startsWith(wanted) ? 0 : 1);
  return nodes
    .filter((node) => `${node.name} ${node.namespace}`.toLowerCase().includes(wanted))
    .sort((a, b) => score(a) - score(b) || b.rate_in - a.rate_in)
    .slice(0, MOST_SERVICES);
}

function distinctEndpoints(rows: readonly RequestRow[]): RequestRow[] {
  const byKey = new Map(rows.map((row) => [`${row.target.id}|${row.method}|${row.template}`, row]));
  return [...byKey.values()].slice(0, MOST_ENDPOINTS);
}
