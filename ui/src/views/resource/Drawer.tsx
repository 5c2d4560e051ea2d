/** The panel at the right of the map; Escape closes it. */

import { ActionIcon } from '@mantine/core';
import { IconX } from '@tabler/icons-react';
import { useEffect, type ReactNode } from 'react';
import './resource.css';

interface Props {
  title: string;
  subtitle: ReactNode;
  actions?: ReactNode;
  onClose: () => void;
  children: ReactNode;
}

export function Drawer({ title, subtitle, actions, onClose, children }: Props) {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === 'Escape' && !event.defaultPrevented && document.querySelector('[role="dialog"], [role="menu"]') === null) onClose();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [onClose]);
  return (
    <aside className="drawer" aria-label={title}>
      <header className="drawer-head">
        <div className="drawer-title">
          <h1>{title}</h1>
          <span className="dim">{subtitle}</span>
        </div>
        {actions}
        <ActionIcon aria-label="Close" onClick={onClose}>
          <IconX size={16} />
        </ActionIcon>
      </header>
      <div className="drawer-body">{children}</div>
    </aside>
  );
}
