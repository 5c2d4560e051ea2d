/** Which cluster, which page, search, which time, and whether it moves. */

import { Button, Menu, Tooltip, UnstyledButton } from '@mantine/core';
import { IconCheck, IconChevronDown, IconPlayerPause, IconPlayerPlay, IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useLocation, useNavigate } from '@tanstack/react-router';
import { RangePicker } from '@/components/controls/RangePicker';
import { isLive, pin, unpin, type TimeRange } from '@/domain/range';
import { useClusterId, useRange, useSetQuery } from '@/state/address';
import { useIsAway } from '@/state/away';
import { clustersQuery } from '@/state/queries';
import { Search } from './Search';

const PLACES: readonly [suffix: RegExp, name: string][] = [
  [/\/map$/, 'Service map'],
  [/\/requests$/, 'Requests'],
  [/\/resource$/, 'Resource'],
  [/\/agents$/, 'Agents'],
  [/\/setup$/, 'Set up'],
  [/\/clusters\/new$/, 'Add a cluster'],
  [/\/clusters$/, 'Clusters'],
];

/** Pages that stay when another cluster is chosen. */
const SAME_PAGE = ['/clusters/$clusterId/requests', '/clusters/$clusterId/agents'] as const;

/** An unknown cluster has no time to choose and nothing to find. */
export function TopBar({ isUnknown }: { isUnknown: boolean }) {
  const cluster = useClusterId();
  const { pathname } = useLocation();
  const place = PLACES.find(([suffix]) => suffix.test(pathname))?.[1] ?? '';
  const hasTime = cluster !== '' && !isUnknown && !pathname.endsWith('/setup');
  return (
    <header className="top-bar">
      {cluster !== '' && <ClusterPicker cluster={cluster} />}
      <span className="place">{place}</span>
      <span className="grow" />
      {hasTime && (
        <>
          <Search cluster={cluster} />
          <TimeControls />
        </>
      )}
    </header>
  );
}

function TimeControls() {
  const range = useRange();
  const setQuery = useSetQuery();
  const choose = (next: TimeRange): void => setQuery({ from: next.from, to: next.to });
  const live = isLive(range);
  const isStale = useIsAway(useClusterId()) && live;
  const look = isStale ? 'live-button is-stale' : live ? 'live-button is-live' : 'live-button';
  return (
    <>
      <RangePicker range={range} onChange={choose} />
      <Tooltip label={isStale ? 'The server does not answer: what is shown is old, and is asked for again and again' : live ? 'Stop the clock: keep looking at what is shown now' : 'Follow the clock again'}>
        <Button
          variant="default"
          size="compact-sm"
          className={look}
          aria-label={live ? 'Pause' : 'Go live'}
          leftSection={live ? <i className="live-dot" /> : <IconPlayerPlay size={13} />}
          rightSection={live ? <IconPlayerPause size={13} /> : null}
          onClick={() => choose(live ? pin(range, Date.now()) : unpin(range, Date.now()))}
        >
          {isStale ? 'Not live' : live ? 'Live' : 'Paused'}
        </Button>
      </Tooltip>
    </>
  );
}

function ClusterPicker({ cluster }: { cluster: string }) {
  const { data } = useQuery(clustersQuery());
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const name = data?.items.find((each) => each.id === cluster)?.name ?? cluster;
  const page = SAME_PAGE.find((each) => pathname.endsWith(each.slice(each.lastIndexOf('/')))) ?? '/clusters/$clusterId/map';
  return (
    <Menu position="bottom-start" shadow="md" returnFocus>
      <Menu.Target>
        <UnstyledButton className="cluster-picker" aria-label={`Cluster: ${name}`}>
          <b className="ellipsis">{name}</b>
          <IconChevronDown size={13} />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown aria-label="Clusters">
        {data?.items.map((each) => (
          <Menu.Item key={each.id} leftSection={<i className={`state-dot is-${each.state}`} />} rightSection={each.id === cluster ? <IconCheck size={14} /> : null} onClick={() => void navigate({ to: page, params: { clusterId: each.id } })}>
            {each.name}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item leftSection={<IconPlus size={14} />} onClick={() => void navigate({ to: '/clusters/new' })}>
          Add a cluster
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
