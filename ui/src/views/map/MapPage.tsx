/** The service map: filters above, the map (or its table) below, and a drawer for what is selected. */

import { useComputedColorScheme } from '@mantine/core';
import { QueryObserver, useQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback, useMemo } from 'react';
import type { ServiceMap as MapAnswer } from '@/api/client';
import { ServiceMap } from '@/components/servicemap/ServiceMap';
import type { Selected } from '@/components/servicemap/renderer';
import type { ServiceMapData } from '@/domain/types';
import { mapViewQuery, parseMapView, type MapView } from '@/domain/views';
import { useClusterId, useQueryText, useRange, useSetQuery } from '@/state/address';
import { layoutsOf } from '@/state/layouts';
import { mapQuery } from '@/state/queries';
import { EdgeDrawer } from '../resource/EdgeDrawer';
import { ResourceDrawer } from '../resource/ResourceDrawer';
import { MapTable } from './MapTable';
import { MapToolbar } from './MapToolbar';
import { FiltersMatchNothing, MapState } from './MapStates';
import '@/components/controls/toolbar.css';
import './map.css';

export function MapPage() {
  const cluster = useClusterId();
  const query = useQueryText();
  const view = useMemo(() => parseMapView(query), [query]);
  const setQuery = useSetQuery();
  const change = useCallback((patch: Partial<MapView>) => setQuery(mapViewQuery({ ...view, ...patch })), [setQuery, view]);
  const select = useCallback((selected: Selected) => change({ ...selected, ...(selected.node === null ? { depth: 1, direction: 'both' as const } : {}) }), [change]);
  const close = useCallback(() => select({ node: null, edge: null }), [select]);
  return (
    <div className="map-page">
      <h1 className="visually-hidden">Service map</h1>
      <MapToolbar view={view} onChange={change} />
      <MapState />
      <div className="map-body">
        <div className="map-main">{view.isTable ? <MapTable view={view} onSelect={select} /> : <LiveMap view={view} onChange={change} onSelect={select} />}</div>
        {view.node !== null && <ResourceDrawer key={view.node} cluster={cluster} resource={view.node} view={view} onChange={change} onClose={close} />}
        {view.node === null && view.edge !== null && <EdgeDrawer key={view.edge} cluster={cluster} edge={view.edge} onSelect={select} onClose={close} />}
      </div>
    </div>
  );
}

interface LiveMapProps {
  view: MapView;
  onChange: (patch: Partial<MapView>) => void;
  onSelect: (selected: Selected) => void;
}

function LiveMap({ view, onChange, onSelect }: LiveMapProps) {
  const cluster = useClusterId();
  const scheme = useComputedColorScheme('light');
  const feed = useFeed();
  const hasNodes = useHasNodes();
  const layouts = useMemo(() => layoutsOf(cluster), [cluster]);
  const toggleRoom = useCallback(
    (room: string, fold: boolean) => {
      const { grouping } = view;
      const without = (rooms: readonly string[]): string[] => rooms.filter((each) => each !== room);
      onChange({
        grouping: { ...grouping, opened: fold ? without(grouping.opened) : [...without(grouping.opened), room], folded: fold ? [...without(grouping.folded), room] : without(grouping.folded) },
        node: null,
        edge: null,
      });
    },
    [view, onChange],
  );
  if (!hasNodes) return null;
  return <ServiceMap key={cluster} feed={feed} view={view} scheme={scheme} layouts={layouts} onSelect={onSelect} onToggleRoom={toggleRoom} whenNothingMatches={<FiltersMatchNothing />} />;
}

/** The map's data as a feed that bypasses React. */
function useFeed(): (onData: (data: ServiceMapData) => void) => () => void {
  const client = useQueryClient();
  const cluster = useClusterId();
  const range = useRange();
  return useCallback(
    (onData) => {
      const observer = new QueryObserver<MapAnswer>(client, mapQuery(cluster, range));
      const show = (data: MapAnswer | undefined): void => {
        if (data !== undefined && data.nodes.length > 0) onData(data);
      };
      show(observer.getCurrentResult().data);
      return observer.subscribe((result) => show(result.data));
    },
    [client, cluster, range],
  );
}

function useHasNodes(): boolean {
  const { data } = useQuery({ ...mapQuery(useClusterId(), useRange()), select: (map) => map.nodes.length > 0, notifyOnChangeProps: ['data'] });
  return data ?? false;
}
