/** The map as a React component: a host element, the keyboard, the hover card, the zoom buttons and the legend.
 *
 * It renders once per change of view, never per refresh: data goes from the feed straight to the director.
 */

import { ActionIcon, Button, Tooltip } from '@mantine/core';
import { IconFocusCentered, IconMinus, IconPlus, IconWand } from '@tabler/icons-react';
import { useCallback, useEffect, useEffectEvent, useMemo, useRef, useState, useSyncExternalStore, type KeyboardEvent, type ReactNode } from 'react';
import type { Scheme } from '@/domain/latency';
import type { Arrow } from '@/domain/map/walk';
import type { ServiceMapData } from '@/domain/types';
import type { MapView } from '@/domain/views';
import { MapDirector, type LayoutStore, type MapSummary } from './director';
import { HoverCard } from './HoverCard';
import { Legend } from './Legend';
import { forgetFittedTexts } from './nodes';
import type { Hovered, Selected } from './renderer';
import './servicemap.css';

interface Props {
  /** Calls back with the present data, and with every refresh, until the returned function is called. */
  feed: (onData: (data: ServiceMapData) => void) => () => void;
  view: MapView;
  scheme: Scheme;
  layouts: LayoutStore;
  onSelect: (selected: Selected) => void;
  onToggleRoom: (room: string, fold: boolean) => void;
  /** Shown instead when the filters leave nothing. */
  whenNothingMatches: ReactNode;
}

const EMPTY: MapSummary = { shownEdges: 0, allEdges: 0, wantsTidying: false, nothingMatches: false, fold: { open: [], folded: [] } };
const nothing = (): (() => void) => () => undefined;

export function ServiceMap({ feed, view, scheme, layouts, onSelect, onToggleRoom, whenNothingMatches }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const [director, setDirector] = useState<MapDirector | null>(null);
  const [hovered, setHovered] = useState<Hovered | null>(null);
  const select = useEffectEvent((selected: Selected) => onSelect(selected));
  const toggleRoom = useEffectEvent((room: string, fold: boolean) => onToggleRoom(room, fold));

  useEffect(() => {
    if (host.current === null) return undefined;
    const made = new MapDirector(host.current, layouts, {
      onSelect: (selected) => select(selected),
      onToggleRoom: (room, fold) => toggleRoom(room, fold),
      onHover: setHovered,
    });
    setDirector(made);
    return () => {
      made.destroy();
      setDirector(null);
    };
  }, [layouts]);

  useEffect(() => director?.setView(view, scheme), [director, view, scheme]);
  useEffect(() => (director === null ? undefined : feed((data) => director.setData(data))), [director, feed]);
  useEffect(() => director?.revealSelected(), [director, view.node, view.edge]);
  useEffect(() => whenFontsAreThere(() => director?.setView(view, scheme)), [director]); // eslint-disable-line react-hooks/exhaustive-deps -- once is enough

  const summary = useSyncExternalStore(director?.subscribe ?? nothing, director?.summary ?? (() => EMPTY));
  const onKeyDown = useKeyboard(director, view, onSelect, onToggleRoom);
  return (
    <div className="map-area" onKeyDown={onKeyDown}>
      <div ref={host} className="service-map" data-testid="service-map" />
      {summary.nothingMatches && <div className="map-message">{whenNothingMatches}</div>}
      {director !== null && hovered !== null && <HoverCard hovered={hovered} director={director} scheme={scheme} />}
      <Legend scheme={scheme} view={view} summary={summary} />
      <div className="map-buttons">
        {summary.wantsTidying && (
          <Button variant="default" size="compact-sm" leftSection={<IconWand size={14} />} onClick={() => director?.tidy()}>
            Tidy up
          </Button>
        )}
        {!summary.wantsTidying && <MapButton label="Tidy up" icon={<IconWand size={16} />} onClick={() => director?.tidy()} />}
        <MapButton label="Zoom out (−)" icon={<IconMinus size={16} />} onClick={() => director?.zoomBy(-1)} />
        <MapButton label="Zoom in (+)" icon={<IconPlus size={16} />} onClick={() => director?.zoomBy(1)} />
        <MapButton label="Show all (0)" icon={<IconFocusCentered size={16} />} onClick={() => director?.fit()} />
      </div>
    </div>
  );
}

function MapButton({ label, icon, onClick }: { label: string; icon: ReactNode; onClick: () => void }) {
  return (
    <Tooltip label={label} position="top">
      <ActionIcon variant="default" size={28} aria-label={label} onClick={onClick}>
        {icon}
      </ActionIcon>
    </Tooltip>
  );
}

/** Names are cut to fit by measuring; measures taken before the font arrived are wrong. */
function whenFontsAreThere(redraw: () => void): () => void {
  let isWanted = true;
  void (document as Partial<Document>).fonts?.ready.then(() => {
    forgetFittedTexts();
    if (isWanted) redraw();
  });
  return () => {
    isWanted = false;
  };
}

function useKeyboard(director: MapDirector | null, view: MapView, onSelect: (selected: Selected) => void, onToggleRoom: (room: string, fold: boolean) => void): (event: KeyboardEvent) => void {
  const isFocused = view.node !== null || view.edge !== null;
  const keys = useMemo(() => new Map<string, () => void>([
    ['+', () => director?.zoomBy(1)],
    ['=', () => director?.zoomBy(1)],
    ['-', () => director?.zoomBy(-1)],
    ['0', () => director?.fit()],
  ]), [director]);
  return useCallback(
    (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const node = (event.target as Element).closest('[data-node]')?.getAttribute('data-node') ?? null;
      const room = (event.target as Element).closest('[data-room]')?.getAttribute('data-room') ?? null;
      const action = keyAction(event.key, { node, room }, { director, isFocused, onSelect, onToggleRoom }) ?? (node !== null || event.target === event.currentTarget ? keys.get(event.key) : undefined);
      if (action === undefined) return;
      event.preventDefault();
      action();
    },
    [director, isFocused, keys, onSelect, onToggleRoom],
  );
}

interface KeyContext {
  director: MapDirector | null;
  isFocused: boolean;
  onSelect: (selected: Selected) => void;
  onToggleRoom: (room: string, fold: boolean) => void;
}

function keyAction(key: string, at: { node: string | null; room: string | null }, context: KeyContext): (() => void) | undefined {
  const { node, room } = at;
  if (key === 'Escape' && context.isFocused) return () => context.onSelect({ node: null, edge: null });
  if ((key === 'Enter' || key === ' ') && room !== null) return () => context.onToggleRoom(room, true);
  if (node === null) return undefined;
  if (key === 'Enter' || key === ' ') return () => context.onSelect({ node, edge: null });
  return key.startsWith('Arrow') ? () => context.director?.walk(node, key as Arrow) : undefined;
}
