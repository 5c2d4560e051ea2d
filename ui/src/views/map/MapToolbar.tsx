/** The map's filters and how it is drawn. */

import { ActionIcon, Button, Menu } from '@mantine/core';
import { IconAdjustmentsHorizontal, IconCheck, IconTable, IconTopologyStar3, IconX } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { ChoiceMenu } from '@/components/controls/ChoiceMenu';
import { FilterMenu } from '@/components/controls/FilterMenu';
import { Toggle } from '@/components/controls/Toggle';
import { protocolName } from '@/domain/format';
import { isFiltering, NO_FILTERS, type Filters } from '@/domain/map/emphasis';
import type { MapView } from '@/domain/views';
import { useClusterId, useRange } from '@/state/address';
import { mapQuery } from '@/state/queries';

interface Props {
  view: MapView;
  onChange: (patch: Partial<MapView>) => void;
}

const SLOWER = [
  { value: '', label: 'p95 > …' },
  ...[10, 25, 50, 100, 300, 1000].map((ms) => ({ value: String(ms), label: `p95 > ${ms < 1000 ? `${ms} ms` : `${ms / 1000} s`}` })),
];
const COLOURS = [
  { value: 'p50', label: 'p50 latency' },
  { value: 'p95', label: 'p95 latency' },
  { value: 'p99', label: 'p99 latency' },
] as const;

export function MapToolbar({ view, onChange }: Props) {
  const { namespaces, protocols } = useChoices();
  const { filters } = view;
  const filter = (patch: Partial<Filters>): void => onChange({ filters: { ...filters, ...patch } });
  return (
    <div className="toolbar" role="toolbar" aria-label="Filters of the map">
      <FilterMenu name="Namespace" choices={namespaces} chosen={filters.namespaces} onChange={(chosen) => filter({ namespaces: chosen })} />
      <FilterMenu name="Protocol" choices={protocols} chosen={filters.protocols} onChange={(chosen) => filter({ protocols: chosen })} />
      <ChoiceMenu name="Slower than" choices={SLOWER} chosen={filters.slowerThanMs === null ? '' : String(filters.slowerThanMs)} isFilter onChange={(ms) => filter({ slowerThanMs: ms === '' ? null : Number(ms) })} />
      <Toggle isOn={filters.errorsOnly} onChange={(errorsOnly) => filter({ errorsOnly })}>
        Errors only
      </Toggle>
      <Toggle isOn={filters.idleOnly} onChange={(idleOnly) => filter({ idleOnly })}>
        Idle only
      </Toggle>
      <Toggle isOn={filters.hideExternals} onChange={(hideExternals) => filter({ hideExternals })}>
        Hide external
      </Toggle>
      {isFiltering(filters) && (
        <>
          <Toggle isOn={filters.hideRest} onChange={(hideRest) => filter({ hideRest })}>
            Hide rest
          </Toggle>
          <ActionIcon size={26} aria-label="Clear" onClick={() => onChange({ filters: NO_FILTERS })}>
            <IconX size={15} />
          </ActionIcon>
        </>
      )}
      <div className="toolbar-end">
        <span className="toolbar-label">Colour</span>
        <ChoiceMenu name="Colour" choices={COLOURS} chosen={view.colour} onChange={(colour) => onChange({ colour })} />
        <DrawingMenu view={view} onChange={onChange} />
        <Button variant="default" size="compact-sm" leftSection={view.isTable ? <IconTopologyStar3 size={14} /> : <IconTable size={14} />} onClick={() => onChange({ isTable: !view.isTable })}>
          {view.isTable ? 'Map' : 'Table'}
        </Button>
      </div>
    </div>
  );
}

function DrawingMenu({ view, onChange }: Props) {
  const check = (is: boolean) => (is ? <IconCheck size={14} /> : <span style={{ width: 14 }} />);
  const { grouping } = view;
  return (
    <Menu position="bottom-end" shadow="md" returnFocus closeOnItemClick={false}>
      <Menu.Target>
        <Button variant="default" size="compact-sm" aria-label="How the map is drawn">
          <IconAdjustmentsHorizontal size={15} />
        </Button>
      </Menu.Target>
      <Menu.Dropdown aria-label="How the map is drawn">
        <Menu.Label>Width of edges</Menu.Label>
        <Menu.Item leftSection={check(view.width === 'rate')} onClick={() => onChange({ width: 'rate' })}>
          Requests per second
        </Menu.Item>
        <Menu.Item leftSection={check(view.width === 'bytes')} onClick={() => onChange({ width: 'bytes' })}>
          Bytes per second
        </Menu.Item>
        <Menu.Label>Grouping</Menu.Label>
        <Menu.Item leftSection={check(grouping.byNamespace)} onClick={() => onChange({ grouping: { ...grouping, byNamespace: true } })}>
          Namespaces as rooms
        </Menu.Item>
        <Menu.Item leftSection={check(!grouping.byNamespace)} onClick={() => onChange({ grouping: { ...grouping, byNamespace: false } })}>
          No grouping
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** Namespaces and protocols that occur; the same object while they stay the same. */
function useChoices() {
  const { data } = useQuery({
    ...mapQuery(useClusterId(), useRange()),
    select: (map) => ({
      namespaces: [...new Set(map.nodes.map((node) => node.namespace))].filter((name) => name !== '').sort().map((name) => ({ value: name, label: name })),
      protocols: [...new Set(map.edges.map((edge) => edge.protocol))].sort().map((name) => ({ value: name, label: protocolName(name) })),
    }),
    structuralSharing: true,
    notifyOnChangeProps: ['data'],
  });
  return data ?? { namespaces: [], protocols: [] };
}
