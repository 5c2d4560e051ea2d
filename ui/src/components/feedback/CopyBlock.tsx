/** A command or text with a button that copies it. */

import { ActionIcon, CopyButton, Tooltip } from '@mantine/core';
import { IconCheck, IconCopy } from '@tabler/icons-react';
import './feedback.css';

interface Props {
  text: string;
  /** What it is, for the button's name: "Copy Helm command". */
  label: string;
  isInline?: boolean;
}

export function CopyBlock({ text, label, isInline = false }: Props) {
  return (
    <div className={isInline ? 'copy is-inline' : 'copy'}>
      <pre className="mono">{text}</pre>
      <CopyButton value={text}>
        {({ copied, copy }) => (
          <Tooltip label={copied ? 'Copied' : 'Copy'} position="left">
            <ActionIcon variant="subtle" color="gray" size="sm" aria-label={copied ? 'Copied' : `Copy ${label}`} onClick={copy}>
              {copied ? <IconCheck size={15} /> : <IconCopy size={15} />}
            </ActionIcon>
          </Tooltip>
        )}
      </CopyButton>
    </div>
  );
}
