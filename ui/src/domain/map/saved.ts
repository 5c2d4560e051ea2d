/** Layouts as text, for the browser's storage: bounded, versioned, and distrusted when read back. */

import type { Point } from './geometry';
import type { Frame } from './layout';
import type { SavedLayout } from './stage';

const VERSION = 1;

interface Document {
  version: number;
  made: { calls: number; nodes: number };
  centres: [string, number, number][];
  frames: Frame[];
}

export function toText(saved: SavedLayout): string {
  const document: Document = {
    version: VERSION,
    made: saved.made,
    centres: [...saved.layout.centres].map(([id, centre]) => [id, centre.x, centre.y]),
    frames: saved.layout.frames,
  };
  return JSON.stringify(document);
}

/** The layout a text holds, or null for anything that is not one. */
export function fromText(text: string | null): SavedLayout | null {
  if (text === null) return null;
  try {
    const document = JSON.parse(text) as Partial<Document> | null;
    if (document?.version !== VERSION || !Array.isArray(document.centres) || !Array.isArray(document.frames)) return null;
    if (typeof document.made?.calls !== 'number' || typeof document.made.nodes !== 'number') return null;
    const centres = new Map<string, Point>(document.centres.map(([id, x, y]) => [id, { x, y }]));
    if (![...centres.values()].every((centre) => Number.isFinite(centre.x) && Number.isFinite(centre.y))) return null;
    return { layout: { centres, frames: document.frames }, made: document.made };
  } catch {
    return null;
  }
}
