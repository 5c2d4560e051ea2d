/** A button that opens a list of which one is chosen. */

import { Button, Menu } from '@mantine/core';
import { IconCheck, IconChevronDown } from '@tabler/icons-react';

interface Props<Value extends string> {
  name: string;
  choices: readonly { value: Value; label: string }[];
  chosen: Value;
  /** Lit when something other than the first choice is chosen. */
  isFilter?: boolean;
  onChange: (value: Value) => void;
}

export function ChoiceMenu<Value extends string>({ name, choices, chosen, isFilter = false, onChange }: Props<Value>) {
  const label = choices.find((choice) => choice.value === chosen)?.label ?? chosen;
  const isLit = isFilter && chosen !== choices[0]?.value;
  return (
    <Menu position="bottom-start" shadow="md" returnFocus>
      <Menu.Target>
        <Button variant={isLit ? 'light' : 'default'} size="compact-sm" rightSection={<IconChevronDown size={13} />} aria-label={label.startsWith(name) ? label : `${name}: ${label}`}>
          {label}
        </Button>
      </Menu.Target>
      <Menu.Dropdown aria-label={name}>
        {choices.map((choice) => (
          <Menu.Item key={choice.value} onClick={() => onChange(choice.value)} rightSection={choice.value === chosen ? <IconCheck size={14} /> : null} aria-current={choice.value === chosen}>
            {choice.label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
