/** Addresses that lead nowhere, and pages that broke. */

import { Button } from '@mantine/core';
import { Link, useRouter, type ErrorComponentProps } from '@tanstack/react-router';
import { Failure, Notice } from '@/components/feedback/Notice';

export function NotFound() {
  return (
    <Notice title="There is no such page" action={<Button variant="default" component={Link} to="/">Go to the service map</Button>}>
      The address may be mistyped, or from another version of Osmia.
    </Notice>
  );
}

export function PageFailure({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  const retry = (): void => {
    reset();
    void router.invalidate();
  };
  return <Failure what="This page could not be drawn" error={error instanceof Error ? error : new Error(String(error))} onRetry={retry} />;
}
