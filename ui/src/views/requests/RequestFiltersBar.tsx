/** The filters of the request list. Texts wait until the typing pauses. */

import { Button, TextInput } from '@mantine/core';
import { IconSearch, IconX } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useEffectEvent, useState } from 'react';
import { ChoiceMenu } from '@/components/controls/ChoiceMenu';
import { Toggle } from '@/components/controls/Toggle';
import { protocolName } from '@/domain/format';
import { isFilteringRequests, nameOf, type RequestFilters } from '@/domain/views';
import { useClusterId, useRange } from '@/state/address';
import { mapQuery } from '@/state/queries';

interface Props {
  filters: RequestFilters;
  onChange: (patch: Partial<RequestFilters>) => void;
  onClear: () => void;
}

const SLOWER = [{ value: '', label: 'Latency > …' }, ...[10, 50, 100, 300, 1000, 5000].map((ms) => ({ value: String(ms), label: `Latency > ${ms < 1000 ? `${ms} ms` : `${ms / 1000} s`}` }))];
const METHODS = ['', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'].map((method) => ({ value: method, label: method === '' ? 'Method' : method }));
const PAUSE_MS = 300;

export function RequestFiltersBar({ filters, onChange, onClear }: Props) {
  const { resources, protocols } = useChoices();
  return (
    <div className="toolbar" role="toolbar" aria-label="Filters of the request list">
      <TextFilter label="Route or statement contains" placeholder="Route or statement" value={filters.text} width={240} hasIcon onChange={(text) => onChange({ text })} />
      <ChoiceMenu name="From" choices={[{ value: '', label: 'From' }, ...named('From', resources, filters.source)]} chosen={filters.source} isFilter onChange={(source) => onChange({ source })} />
      <ChoiceMenu name="To" choices={[{ value: '', label: 'To' }, ...named('To', resources, filters.target)]} chosen={filters.target} isFilter onChange={(target) => onChange({ target })} />
      <ChoiceMenu name="Protocol" choices={[{ value: '', label: 'Protocol' }, ...protocols]} chosen={filters.protocol} isFilter onChange={(protocol) => onChange({ protocol })} />
      <ChoiceMenu name="Method" choices={METHODS} chosen={filters.method} isFilter onChange={(method) => onChange({ method })} />
      <TextFilter label="Status" placeholder="Status" value={filters.status} width={84} onChange={(status) => onChange({ status })} />
      <ChoiceMenu name="Slower than" choices={SLOWER} chosen={filters.minLatencyMs === null ? '' : String(filters.minLatencyMs)} isFilter onChange={(ms) => onChange({ minLatencyMs: ms === '' ? null : Number(ms) })} />
      <Toggle isOn={filters.errorsOnly} onChange={(errorsOnly) => onChange({ errorsOnly })}>
        Errors only
      </Toggle>
      {filters.resource !== '' && (
        <Button variant="light" size="compact-sm" rightSection={<IconX size={12} />} aria-label={`Stop showing only ${nameOf(filters.resource)}`} onClick={() => onChange({ resource: '' })}>
          To or from: {nameOf(filters.resource)}
        </Button>
      )}
      {isFilteringRequests(filters) && (
        <Button variant="subtle" size="compact-sm" onClick={onClear}>
          Clear
        </Button>
      )}
    </div>
  );
}

interface Choice {
  value: string;
  label: string;
}

/** The choices, with the chosen one even where it has just gone, said together with its end: "From: checkout". */
function named(end: string, resources: readonly Choice[], chosen: string): Choice[] {
  const known = resources.some((each) => each.value === chosen) || chosen === '' ? resources : [...resources, { value: chosen, label: nameOf(chosen) }];
  return known.map((each) => (each.value === chosen ? { ...each, label: `${end}: ${each.label}` } : each));
}

interface TextFilterProps {
  label: string;
  placeholder: string;
  value: string;
  width: number;
  hasIcon?: boolean;
  onChange: (value: string) => void;
}

function TextFilter({ label, placeholder, value, width, hasIcon = false, onChange }: TextFilterProps) {
  const [text, setText] = useState(value);
  const [known, setKnown] = useState(value);
  if (known !== value) {
    // The address changed (a link, Back, Clear): it wins over what was typed.
    setKnown(value);
    setText(value);
  }
  const settle = useEffectEvent((typed: string) => {
    if (typed !== value) onChange(typed);
  });
  useEffect(() => {
    const timer = setTimeout(() => settle(text), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return <TextInput size="xs" w={width} aria-label={label} placeholder={placeholder} value={text} leftSection={hasIcon ? <IconSearch size={14} /> : undefined} classNames={{ input: 'filter-input' }} onChange={(event) => setText(event.currentTarget.value)} />;
}

function useChoices(): { resources: Choice[]; protocols: Choice[] } {
  const { data } = useQuery({
    ...mapQuery(useClusterId(), useRange()),
    select: (map) => ({
      resources: map.nodes.filter((node) => !node.is_idle).map((node) => ({ value: node.id, label: node.name })).sort((a, b) => a.label.localeCompare(b.label)),
      protocols: [...new Set(map.edges.map((edge) => edge.protocol))].sort().map((name) => ({ value: name, label: protocolName(name) })),
    }),
    structuralSharing: true,
    notifyOnChangeProps: ['data'],
  });
  return data ?? { resources: [], protocols: [] };
}
