/** What a page says when it has nothing to show: what is the case, what still holds, and the next step. */

import type { ReactNode } from 'react';
import { Button } from '@mantine/core';
import './feedback.css';

interface NoticeProps {
  title: string;
  children?: ReactNode;
  /** Buttons, or a command to copy. */
  action?: ReactNode;
}

/** A calm, centred message in place of content. */
export function Notice({ title, children, action }: NoticeProps) {
  return (
    <div className="notice">
      <h2>{title}</h2>
      {children !== undefined && <div className="notice-text">{children}</div>}
      {action !== undefined && <div className="notice-action">{action}</div>}
    </div>
  );
}

interface FailureProps {
  what: string;
  error: Error & { remedy?: string | null };
  onRetry: () => void;
}

/** A request failed and there is nothing older to show. */
export function Failure({ what, error, onRetry }: FailureProps) {
  const remedy = error.remedy ?? '';
  return (
    <div role="alert">
      <Notice title={what} action={<Button variant="default" onClick={onRetry}>Try again</Button>}>
        {sentence(error.message)} {remedy === '' ? 'What is stored is not touched.' : sentence(remedy)}
      </Notice>
    </div>
  );
}

/** With a capital and a full stop, whatever the server sent. */
function sentence(text: string): string {
  const trimmed = text.trim();
  return trimmed === '' ? '' : `${trimmed.charAt(0).toUpperCase()}${trimmed.slice(1)}${/[.!?]$/.test(trimmed) ? '' : '.'}`;
}

interface StaleProps {
  what: string;
  asOf: string;
}

/** What is on the page is old because the last refresh failed. */
export function Stale({ what, asOf }: StaleProps) {
  return (
    <div className="stale" role="status">
      {what} as of {asOf}: the last refresh failed, retrying
    </div>
  );
}
