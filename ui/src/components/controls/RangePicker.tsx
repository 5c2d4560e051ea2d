/** Chooses the time range: a usual one that moves with the clock, or two instants. */

import { Button, Popover, TextInput, UnstyledButton } from '@mantine/core';
import { IconChevronDown, IconClock } from '@tabler/icons-react';
import { useState } from 'react';
import { instantMs, isLive, PRESETS, rangeLabel, type TimeRange } from '@/domain/range';
import './controls.css';

interface Props {
  range: TimeRange;
  onChange: (range: TimeRange) => void;
}

export function RangePicker({ range, onChange }: Props) {
  const [isOpen, setOpen] = useState(false);
  const choose = (next: TimeRange): void => {
    onChange(next);
    setOpen(false);
  };
  return (
    <Popover opened={isOpen} onChange={setOpen} position="bottom-end" shadow="md" trapFocus returnFocus>
      <Popover.Target>
        <Button variant="default" size="compact-sm" leftSection={<IconClock size={14} />} rightSection={<IconChevronDown size={13} />} onClick={() => setOpen((open) => !open)} aria-label={`Time range: ${rangeLabel(range)}`}>
          {rangeLabel(range)}
        </Button>
      </Popover.Target>
      <Popover.Dropdown p={0} aria-label="Time range">
        <div className="range-picker">
          <div className="range-presets" role="group" aria-label="Moving ranges">
            {PRESETS.map((preset) => (
              <UnstyledButton key={preset.from} className="range-preset" data-on={isLive(range) && range.from === preset.from ? '' : undefined} onClick={() => choose({ from: preset.from, to: 'now' })}>
                {preset.label}
              </UnstyledButton>
            ))}
          </div>
          {isOpen && <Absolute key={`${range.from}${range.to}`} range={range} onChange={choose} />}
        </div>
      </Popover.Dropdown>
    </Popover>
  );
}

function Absolute({ range, onChange }: Props) {
  const [from, setFrom] = useState(() => toInput(instantMs(range.from, Date.now())));
  const [to, setTo] = useState(() => toInput(instantMs(range.to, Date.now())));
  const [fromMs, toMs] = [new Date(from).getTime(), new Date(to).getTime()];
  const problem = Number.isNaN(fromMs) || Number.isNaN(toMs) ? 'Give both a date and a time' : fromMs >= toMs ? 'From must be before To' : null;
  return (
    <form
      className="range-absolute"
      onSubmit={(event) => {
        event.preventDefault();
        if (problem === null) onChange({ from: String(fromMs), to: String(toMs) });
      }}
    >
      <TextInput size="xs" type="datetime-local" step={1} label="From" value={from} onChange={(event) => setFrom(event.currentTarget.value)} />
      <TextInput size="xs" type="datetime-local" step={1} label="To" value={to} onChange={(event) => setTo(event.currentTarget.value)} error={problem} />
      <Button size="xs" type="submit" disabled={problem !== null}>
        Show this range
      </Button>
      <span className="faint">Times are in {Intl.DateTimeFormat().resolvedOptions().timeZone}</span>
    </form>
  );
}

/** Local date and time as a native input wants it: "2026-11-23T12:00:05". */
function toInput(ms: number): string {
  const date = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
