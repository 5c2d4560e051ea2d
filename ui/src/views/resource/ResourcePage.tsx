/** One workload on a page of its own. */

import { Button } from '@mantine/core';
import { IconTopologyStar3 } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { Notice } from '@/components/feedback/Notice';
import { nameOf } from '@/domain/views';
import { cleaned, useClusterId, useQueryText, useRangeQuery } from '@/state/address';
import { ResourceDetails } from './ResourceDetails';
import { useSubtitle } from './ResourceDrawer';
import './resource.css';

export function ResourcePage() {
  const cluster = useClusterId();
  const range = useRangeQuery();
  const resource = useQueryText()['id'] ?? '';
  const subtitle = useSubtitle(cluster, resource);
  if (resource === '') return <Notice title="No resource is named in the address">Choose one on the service map.</Notice>;
  return (
    <div className="resource-page">
      <header className="page-head">
        <div>
          <h1>{nameOf(resource)}</h1>
          <span className="dim">{subtitle}</span>
        </div>
        <span className="grow" />
        <Button variant="default" size="compact-sm" leftSection={<IconTopologyStar3 size={14} />} component={Link} to={`/clusters/${cluster}/map`} search={cleaned({ ...range, node: resource }) as never}>
          Show on the map
        </Button>
      </header>
      <ResourceDetails key={resource} cluster={cluster} resource={resource} isWide />
    </div>
  );
}
