// The heat map of how long events ran: a column for each point, a row for each
// bucket of the histogram.
import type { Point } from './types';

export interface Heat {
  rows: number[]; // upper bounds in seconds, the shortest first; 0 last: longer than all
  from: number; // of the first column, in ms
  to: number;
  cells: { column: number; row: number; count: number; part: number }[]; // part: of the greatest, 0 to 1
  columns: Point[];
  most: number; // the greatest count a second
}

/** heatOf lays points out. Counts are taken by the second, as points are of different lengths. */
export function heatOf(points: Point[]): Heat {
  const bounds = new Set<number>();
  for (const p of points) for (const t of p.times ?? []) bounds.add(t.upTo ?? 0);
  const rows = [...bounds].sort((a, b) => (a || Infinity) - (b || Infinity));
  const at = new Map(rows.map((b, i) => [b, i]));
  const cells: Heat['cells'] = [];
  let most = 0;
  points.forEach((p, column) => {
    for (const t of p.times ?? []) {
      const count = t.events / (p.seconds || 1);
      most = Math.max(most, count);
      cells.push({ column, row: at.get(t.upTo ?? 0)!, count, part: 0 });
    }
  });
  // By its logarithm, so that what is rare is seen beside what is frequent.
  for (const c of cells) c.part = most > 0 ? 0.12 + 0.88 * (Math.log1p((c.count / most) * 50) / Math.log1p(50)) : 0;
  const first = points[0];
  return { rows, from: first ? Date.parse(first.at) - first.seconds * 1000 : 0, to: first ? Date.parse(points[points.length - 1].at) : 0, cells, columns: points, most };
}

/** span is where a column begins and ends, as parts of the whole width. */
export function span(h: Heat, column: number): [number, number] {
  const p = h.columns[column];
  const end = Date.parse(p.at);
  const all = Math.max(1, h.to - h.from);
  return [Math.max(0, (end - p.seconds * 1000 - h.from) / all), (end - h.from) / all];
}
