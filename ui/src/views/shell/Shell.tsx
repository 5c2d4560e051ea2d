/** The frame around every page: rail, top bar, the page itself, and the quality of the data at the bottom. */

import { useQuery } from '@tanstack/react-query';
import { Outlet } from '@tanstack/react-router';
import { useEffect } from 'react';
import { isLive } from '@/domain/range';
import { useClusterId, useQueryText, useRange, useSetQuery } from '@/state/address';
import { useLiveFeed } from '@/state/live';
import { clustersQuery } from '@/state/queries';
import { rememberCluster } from '@/state/remembered';
import { UnknownCluster } from './Fallbacks';
import { Rail } from './Rail';
import { StatusStrip } from './StatusStrip';
import { TopBar } from './TopBar';
import './shell.css';

export function Shell() {
  const cluster = useClusterId();
  const range = useRange();
  const { data: isUnknown } = useQuery({ ...clustersQuery(), select: ({ items }) => cluster !== '' && !items.some((each) => each.id === cluster), notifyOnChangeProps: ['data'] });
  const { data: notice } = useQuery({ ...clustersQuery(), select: (list) => list.notice, notifyOnChangeProps: ['data'] });
  const feed = useLiveFeed(cluster, isLive(range) && isUnknown !== true);
  useShownRange();
  useEffect(() => {
    if (cluster !== '') rememberCluster(cluster);
  }, [cluster]);
  return (
    <div className="shell">
      <a className="skip-link" href="#content">
        Skip to content
      </a>
      <Rail />
      <TopBar isUnknown={isUnknown === true} />
      <div className="stage">
        {notice ? (
          <p className="server-notice" role="note">
            {notice}
          </p>
        ) : null}
        <main id="content" tabIndex={-1} className="content">
          {isUnknown ? <UnknownCluster id={cluster} /> : <Outlet />}
        </main>
      </div>
      <StatusStrip feed={feed} isUnknown={isUnknown === true} />
    </div>
  );
}

/** An address whose times mean nothing gets those of the range that is shown instead. */
function useShownRange(): void {
  const { from, to } = useQueryText();
  const range = useRange();
  const setQuery = useSetQuery();
  const isOther = (from !== undefined && from !== range.from) || (to !== undefined && to !== range.to);
  useEffect(() => {
    if (isOther) setQuery({ from: range.from, to: range.to }, { replace: true });
  }, [isOther, range, setQuery]);
}
