/** Straightens edges: moves the stacked items of each column towards what they are connected to, without overlap. */

/** One item of a column: where it would like its centre to be, how much it insists, how tall it is. */
export interface Stacked {
  wish: number;
  weight: number;
  height: number;
}

/** Centres of items in their given order, at least `gap` apart, as near to their wishes as least squares allows.
 *
 * Isotonic regression by pooling neighbours that violate the order, after subtracting the room each one needs.
 */
export function stack(items: readonly Stacked[], gap: number): number[] {
  const pools: { mean: number; weight: number; size: number }[] = [];
  const offsets: number[] = [];
  let offset = 0;
  for (const [at, item] of items.entries()) {
    if (at > 0) offset += ((items[at - 1]?.height ?? 0) + item.height) / 2 + gap;
    offsets.push(offset);
    let pool = { mean: item.wish - offset, weight: item.weight, size: 1 };
    for (let last = pools.at(-1); last !== undefined && last.mean > pool.mean; last = pools.at(-1)) {
      const weight = last.weight + pool.weight;
      pool = { mean: (last.mean * last.weight + pool.mean * pool.weight) / weight, weight, size: last.size + pool.size };
      pools.pop();
    }
    pools.push(pool);
  }
  const shifts = pools.flatMap((pool) => Array<number>(pool.size).fill(pool.mean));
  return offsets.map((each, at) => each + (shifts[at] ?? 0));
}

/** Pulls on an item: the height that would make one of its edges level. */
export interface Pull {
  towards: number;
  weight: number;
}

/** Where the pulls want the item, and how strongly; without pulls it stays where it is, weakly. */
export function wishOf(pulls: readonly Pull[], current: number): { wish: number; weight: number } {
  let [sum, weight] = [current * 0.05, 0.05];
  for (const pull of pulls) {
    sum += pull.towards * pull.weight;
    weight += pull.weight;
  }
  return { wish: sum / weight, weight };
}
