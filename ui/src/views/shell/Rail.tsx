/** The rail on the left: only what exists, as icons where the window is narrow. */

import { Tooltip } from '@mantine/core';
import { IconHeartRateMonitor, IconList, IconServer2, IconTopologyStar3 } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ComponentType } from 'react';
import { useClusterId, useRangeQuery } from '@/state/address';
import { clustersQuery } from '@/state/queries';
import { lastCluster } from '@/state/remembered';
import { SchemeToggle } from './SchemeToggle';

export function Rail() {
  const here = useClusterId();
  const { data } = useQuery({ ...clustersQuery(), select: ({ items }) => items.map((each) => each.id), notifyOnChangeProps: ['data'] });
  // Outside any cluster the links lead to the one that was open last, as long as it exists.
  const cluster = here !== '' ? here : (data?.find((id) => id === lastCluster()) ?? data?.[0] ?? '');
  const range = useRangeQuery();
  return (
    <nav className="rail" aria-label="Pages">
      <Link to="/" className="brand" aria-label="Osmia, home">
        <Logo />
        <span>Osmia</span>
      </Link>
      {cluster !== '' && (
        <>
          <RailLink icon={IconTopologyStar3} label="Service map" to="/clusters/$clusterId/map" cluster={cluster} search={range} />
          <RailLink icon={IconList} label="Requests" to="/clusters/$clusterId/requests" cluster={cluster} search={range} />
        </>
      )}
      <span className="rail-heading">Manage</span>
      {cluster !== '' && <RailLink icon={IconHeartRateMonitor} label="Agents" to="/clusters/$clusterId/agents" cluster={cluster} search={range} />}
      <RailLink icon={IconServer2} label="Clusters" to="/clusters" cluster="" search={{}} />
      <span className="rail-space" />
      <SchemeToggle />
    </nav>
  );
}

interface RailLinkProps {
  icon: ComponentType<{ size?: number; stroke?: number }>;
  label: string;
  to: '/clusters' | '/clusters/$clusterId/map' | '/clusters/$clusterId/requests' | '/clusters/$clusterId/agents';
  cluster: string;
  search: Partial<Record<string, string>>;
}

function RailLink({ icon: Icon, label, to, cluster, search }: RailLinkProps) {
  return (
    <Tooltip label={label} position="right" classNames={{ tooltip: 'rail-tooltip' }}>
      <Link to={to} params={{ clusterId: cluster }} search={search} className="rail-link" activeOptions={{ exact: true, includeSearch: false }} activeProps={{ 'data-on': '', 'aria-current': 'page' }} aria-label={label}>
        <Icon size={17} stroke={1.6} />
        <span>{label}</span>
      </Link>
    </Tooltip>
  );
}

function Logo() {
  return (
    <svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true">
      <g fill="none" stroke="var(--accent)" strokeWidth="2">
        <path d="M11 2l7.8 4.5v9L11 20l-7.8-4.5v-9z" />
        <circle cx="11" cy="11" r="3.2" fill="var(--accent)" />
      </g>
    </svg>
  );
}
