/** Keeps map layouts in the browser, per cluster and structure; a few of them, the oldest going first. */

import { fromText, toText } from '@/domain/map/saved';
import type { SavedLayout } from '@/domain/map/stage';

const PREFIX = 'osmia.layout';
const MOST_PER_CLUSTER = 8;

export interface Layouts {
  load: (structure: string) => SavedLayout | null;
  save: (structure: string, saved: SavedLayout) => void;
}

/** The layouts of one cluster. Storage that is full or forbidden only means that nothing is remembered. */
export function layoutsOf(cluster: string, storage: Storage | null = safeStorage()): Layouts {
  const prefix = `${PREFIX}.${cluster}.`;
  return {
    load: (structure) => fromText(storage?.getItem(prefix + structure) ?? null),
    save: (structure, saved) => {
      if (storage === null) return;
      try {
        const order = names(storage, prefix).filter((name) => name !== structure);
        for (const name of order.slice(0, Math.max(0, order.length - MOST_PER_CLUSTER + 1))) storage.removeItem(prefix + name);
        storage.setItem(prefix + structure, toText(saved));
      } catch {
        // The quota is used up: the layout lives as long as the page.
      }
    },
  };
}

function names(storage: Storage, prefix: string): string[] {
  const keys = Array.from({ length: storage.length }, (_, at) => storage.key(at) ?? '');
  return keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
}

function safeStorage(): Storage | null {
  try {
    return globalThis.localStorage;
  } catch {
    return null;
  }
}
