/** What stands in for the map while there is nothing to draw, and what says that it is old. */

import { Button, Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { CopyBlock } from '@/components/feedback/CopyBlock';
import { Failure, Notice, Stale } from '@/components/feedback/Notice';
import { isLive, rangeLabel } from '@/domain/range';
import { NO_FILTERS } from '@/domain/map/emphasis';
import { mapViewQuery, parseMapView } from '@/domain/views';
import { useClusterId, useQueryText, useRange, useSetQuery } from '@/state/address';
import { useIsAway } from '@/state/away';
import { clusterQuery, mapQuery } from '@/state/queries';

/** Nothing while the map is there and fresh. */
export function MapState() {
  const range = useRange();
  const isOld = useIsAway(useClusterId()) && isLive(range);
  const { data, error, isPending, failureCount, refetch, dataUpdatedAt } = useQuery({
    ...mapQuery(useClusterId(), range),
    select: (map) => ({ isEmpty: map.nodes.length === 0, hasEdges: map.edges.length > 0 }),
    structuralSharing: true,
    notifyOnChangeProps: ['data', 'error', 'isPending', 'failureCount', 'dataUpdatedAt'],
  });
  if (data === undefined && error !== null) return <Failure what="The service map could not be read" error={error} onRetry={() => void refetch()} />;
  if (isPending) return <Loading />;
  if (error !== null || failureCount > 0 || isOld) return <Stale what="The map" asOf={new Date(dataUpdatedAt).toLocaleTimeString(undefined, { hourCycle: 'h23' })} />;
  return data.isEmpty ? <Empty label={rangeLabel(range)} /> : null;
}

function Loading() {
  return (
    <div className="map-loading" role="status" aria-label="Reading the service map">
      {[0, 1, 2].map((column) => (
        <div key={column}>
          {Array.from({ length: 1 + column }, (_, row) => (
            <Skeleton key={row} width={190} height={48} radius={8} />
          ))}
        </div>
      ))}
    </div>
  );
}

/** Which of the two it is: nobody has ever reported, or nothing happened in this range. */
function Empty({ label }: { label: string }) {
  const cluster = useClusterId();
  const setQuery = useSetQuery();
  const { data } = useQuery(clusterQuery(cluster));
  if (data?.state === 'waiting') {
    return (
      <Notice title={`${data.name} waits for its first agent`} action={<Button component={Link} to={`/clusters/${cluster}/setup`}>Show how to install it</Button>}>
        The map fills by itself a few seconds after an agent starts. On a single host this is enough:
        <div style={{ marginTop: 12, textAlign: 'left' }}>
          <CopyBlock text={data.install.host} label="host command" />
        </div>
      </Notice>
    );
  }
  return (
    <Notice
      title={data?.state === 'silent' ? 'No agent is reporting, and nothing is stored for this time range' : 'No traffic in this time range'}
      action={
        <>
          <Button variant="default" onClick={() => setQuery({ from: 'now-1d', to: 'now' })}>
            Look at the last day
          </Button>
          {data?.state === 'silent' && (
            <Button variant="default" component={Link} to={`/clusters/${cluster}/setup`}>
              Show how to connect an agent
            </Button>
          )}
        </>
      }
    >
      {data?.state === 'silent' ? 'Check that the agents run and reach this server.' : `Agents are connected, but saw no request and no workload in: ${label.toLowerCase()}.`}
    </Notice>
  );
}

export function FiltersMatchNothing() {
  const query = useQueryText();
  const setQuery = useSetQuery();
  return (
    <Notice title="The filters leave nothing" action={<Button variant="default" onClick={() => setQuery(mapViewQuery({ ...parseMapView(query), filters: NO_FILTERS }))}>Clear filters</Button>}>
      Everything in this time range is still there, faded.
    </Notice>
  );
}
