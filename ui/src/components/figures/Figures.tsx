/** The few large numbers at the head of a page or drawer. */

import './figures.css';

export interface Figure {
  label: string;
  value: string;
  note?: string;
  /** Shown in the colour of errors. */
  isBad?: boolean;
  /** A long latency: shown in bold ink, never in the colour of errors. */
  isSlow?: boolean;
}

export function Figures({ items }: { items: readonly Figure[] }) {
  return (
    <dl className="figures">
      {items.map((item) => (
        <div key={item.label}>
          <dt>{item.label}</dt>
          <dd className={item.isBad === true ? 'bad' : item.isSlow === true ? 'slow' : undefined}>{item.value}</dd>
          <dd className="figures-note">{item.note ?? ' '}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A share between 0 and 1 as a bar; the number itself stands in its label. */
export function ShareBar({ share, label, colour = 'var(--ramp-0)' }: { share: number; label: string; colour?: string }) {
  return (
    <span className="share-bar" role="img" aria-label={label} title={label}>
      <i style={{ width: `${Math.max(share > 0 ? 2 : 0, Math.min(100, share * 100))}%`, background: colour }} />
    </span>
  );
}
