/** Light, dark, or as the system says. */

import { Menu, UnstyledButton, useMantineColorScheme, type MantineColorScheme } from '@mantine/core';
import { IconCheck, IconDeviceDesktop, IconMoon, IconSun } from '@tabler/icons-react';

const CHOICES = [
  { value: 'auto', label: 'As the system', icon: IconDeviceDesktop },
  { value: 'light', label: 'Light', icon: IconSun },
  { value: 'dark', label: 'Dark', icon: IconMoon },
] as const satisfies readonly { value: MantineColorScheme; label: string; icon: unknown }[];

export function SchemeToggle() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const { icon: Icon, label } = CHOICES.find((choice) => choice.value === colorScheme) ?? CHOICES[0];
  return (
    <Menu position="right-end" shadow="md" returnFocus>
      <Menu.Target>
        <UnstyledButton className="rail-link" aria-label={`Theme: ${label}`}>
          <Icon size={17} stroke={1.6} />
          <span>Theme</span>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown aria-label="Theme">
        {CHOICES.map((choice) => (
          <Menu.Item key={choice.value} leftSection={<choice.icon size={15} />} rightSection={choice.value === colorScheme ? <IconCheck size={14} /> : null} onClick={() => setColorScheme(choice.value)}>
            {choice.label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
