/** A filter button that opens a list of check boxes; says in its own text what is chosen. */

import { Button, Checkbox, Popover, ScrollArea, Stack, TextInput } from '@mantine/core';
import { IconChevronDown } from '@tabler/icons-react';
import { useState } from 'react';

export interface Choice {
  value: string;
  label: string;
}

interface Props {
  name: string;
  choices: readonly Choice[];
  chosen: readonly string[];
  onChange: (chosen: string[]) => void;
}

const SEARCH_FROM = 9;

export function FilterMenu({ name, choices, chosen, onChange }: Props) {
  const [text, setText] = useState('');
  const labels = chosen.map((value) => choices.find((choice) => choice.value === value)?.label ?? value);
  const shown = choices.filter((choice) => choice.label.toLowerCase().includes(text.toLowerCase()));
  return (
    <Popover position="bottom-start" shadow="md" trapFocus returnFocus>
      <Popover.Target>
        <Button variant={chosen.length > 0 ? 'light' : 'default'} size="compact-sm" rightSection={<IconChevronDown size={13} />}>
          {labels.length === 0 ? name : `${name}: ${labels.slice(0, 2).join(', ')}${labels.length > 2 ? ` +${labels.length - 2}` : ''}`}
        </Button>
      </Popover.Target>
      <Popover.Dropdown p="xs" aria-label={name}>
        {choices.length >= SEARCH_FROM && <TextInput size="xs" mb="xs" placeholder="Find" aria-label={`Find in ${name}`} value={text} onChange={(event) => setText(event.currentTarget.value)} />}
        <ScrollArea.Autosize mah={320} type="auto">
          <Checkbox.Group value={[...chosen]} onChange={onChange} aria-label={name}>
            <Stack gap={7} p={4}>
              {shown.map((choice) => (
                <Checkbox key={choice.value} size="xs" value={choice.value} label={choice.label} />
              ))}
              {shown.length === 0 && <span className="dim">{choices.length === 0 ? 'Nothing to choose from yet' : 'No match'}</span>}
            </Stack>
          </Checkbox.Group>
        </ScrollArea.Autosize>
        {chosen.length > 0 && (
          <Button variant="subtle" size="compact-xs" mt={6} onClick={() => onChange([])}>
            Clear
          </Button>
        )}
      </Popover.Dropdown>
    </Popover>
  );
}
