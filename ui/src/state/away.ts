/** Whether the server answers at all, judged by the age of its last good answer and not by the state of a connection. */

import { useEffect, useState } from 'react';
import { useQuery } from '@tanstack/react-query';
import { NetworkError } from '@/api/errors';
import { qualityQuery } from './queries';

/** More than two turns of the question asked every 5 s. */
const SILENT_MS = 12_000;

/** True while the server has not answered for too long; a tab that was hidden gets the same time anew. */
export function useIsAway(cluster: string): boolean {
  const { dataUpdatedAt, error } = useQuery({ ...qualityQuery(cluster), notifyOnChangeProps: ['dataUpdatedAt', 'error'] });
  const answer = error === null || error instanceof NetworkError ? `${cluster} ${dataUpdatedAt}` : null;
  const [silentSince, setSilentSince] = useState<string | null>(null);
  useEffect(() => {
    if (cluster === '' || answer === null) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const restart = (): void => {
      clearTimeout(timer);
      if (!document.hidden) timer = setTimeout(() => setSilentSince(answer), SILENT_MS);
    };
    restart();
    document.addEventListener('visibilitychange', restart);
    return () => {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', restart);
    };
  }, [cluster, answer]);
  return error instanceof NetworkError || (answer !== null && silentSince === answer);
}
