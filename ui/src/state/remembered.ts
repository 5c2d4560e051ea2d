/** Small choices of this browser that do not belong in an address. */

const LAST_CLUSTER = 'osmia.cluster';

/** The cluster that was open last, so that the bare address leads back to it. */
export function lastCluster(): string | null {
  try {
    return globalThis.localStorage.getItem(LAST_CLUSTER);
  } catch {
    return null;
  }
}

export function rememberCluster(id: string): void {
  try {
    globalThis.localStorage.setItem(LAST_CLUSTER, id);
  } catch {
    // Storage is forbidden: the bare address leads to the first cluster.
  }
}
