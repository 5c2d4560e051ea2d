/** A button that is on or off. */

import { Button } from '@mantine/core';
import type { ReactNode } from 'react';

interface Props {
  isOn: boolean;
  onChange: (isOn: boolean) => void;
  children: ReactNode;
  icon?: ReactNode;
}

export function Toggle({ isOn, onChange, children, icon }: Props) {
  return (
    <Button variant={isOn ? 'light' : 'default'} size="compact-sm" aria-pressed={isOn} leftSection={icon} onClick={() => onChange(!isOn)}>
      {children}
    </Button>
  );
}
