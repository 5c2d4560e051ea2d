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

/** The address names a cluster that does not exist, or no longer. */
export function UnknownCluster({ id }: { id: string }) {
  return (
    <Notice title="There is no such cluster" action={<Button variant="default" component={Link} to="/clusters">See all clusters</Button>}>
      The address names the cluster <span className="mono">{id}</span>, which does not exist, or no longer.
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
