/** The server's live feed: says that something new arrived, and what shows a moving range asks again. */

import { useEffect, useEffectEvent, useState } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { liveAddress } from '@/api/client';
import { liveKey } from './queries';

/** Figures that change more often than this cannot be read. */
const LEAST_INTERVAL_MS = 2000;
const RECONNECT_MS = 5000;

export type Feed = 'off' | 'connecting' | 'open' | 'lost';

/** Refreshes everything live of a cluster when its data changes; returns the state of the connection. */
export function useLiveFeed(cluster: string, isOn: boolean): Feed {
  const client = useQueryClient();
  const [feed, setFeed] = useState<Feed>('connecting');
  const refresh = useEffectEvent(() => void client.invalidateQueries({ queryKey: liveKey(cluster) }, { cancelRefetch: false }));
  const isWanted = isOn && cluster !== '';
  useEffect(() => (isWanted ? listen(liveAddress(cluster), setFeed, throttled(refresh, LEAST_INTERVAL_MS)) : undefined), [cluster, isWanted]);
  return isWanted ? feed : 'off';
}

/** Calls `onData` for each event, and connects anew for as long as it is wanted. Returns how to stop. */
function listen(address: string, onFeed: (feed: Feed) => void, onData: Throttled): () => void {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const connect = (): void => {
    onFeed('connecting');
    source = new EventSource(address);
    source.onopen = () => onFeed('open');
    source.addEventListener('data', onData.call);
    source.onerror = () => {
      onFeed('lost');
      source?.close();
      timer = setTimeout(connect, RECONNECT_MS);
    };
  };
  connect();
  return () => {
    source?.close();
    clearTimeout(timer);
    onData.cancel();
  };
}

interface Throttled {
  call: () => void;
  cancel: () => void;
}

/** At once, and then at most once per interval; the last call is never lost. */
export function throttled(action: () => void, intervalMs: number): Throttled {
  let last = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const run = (): void => {
    timer = undefined;
    last = performance.now();
    action();
  };
  return {
    call: () => {
      timer ??= setTimeout(run, Math.max(0, last + intervalMs - performance.now()));
    },
    cancel: () => clearTimeout(timer),
  };
}
