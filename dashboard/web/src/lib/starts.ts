// What starts of processors took. No state.
import type { Point, Start } from './types';

/** order is how the phases of a start follow each other. */
export const order = ['decide', 'prepare', 'exec', 'config', 'bindings', 'worker', 'import', 'answer'];

export interface Told extends Start {
  at: string;
}

/** newest are the last starts, the newest first. */
export function newest(points: Point[], most: number): Told[] {
  const out: Told[] = [];
  for (let i = points.length - 1; i >= 0 && out.length < most; i--) for (const s of points[i].starts ?? []) out.push({ ...s, at: points[i].at });
  return out.slice(0, most);
}

/** slowest is, point by point, the longest start of a way, or of one of its phases. */
export function slowest(points: Point[], way: string, phase?: string): (number | null)[] {
  return points.map((p) => {
    const took = (p.starts ?? []).filter((s) => s.way === way).map((s) => (phase ? (s.phases?.[phase] ?? 0) : s.total));
    return took.length > 0 ? Math.max(...took) : null;
  });
}

/** parts are the phases of a start in their order, with their share of it. */
export function parts(s: Start): { phase: string; took: number; share: number }[] {
  return order.filter((n) => (s.phases?.[n] ?? 0) > 0).map((phase) => ({ phase, took: s.phases![phase], share: s.total > 0 ? s.phases![phase] / s.total : 0 }));
}

/** typical is the median of each phase over starts. */
export function typical(starts: Start[]): { phase: string; took: number }[] {
  return order
    .map((phase) => {
      const took = starts.map((s) => s.phases?.[phase] ?? 0).sort((a, b) => a - b);
      return { phase, took: took[Math.floor(took.length / 2)] ?? 0 };
    })
    .filter((p) => p.took > 0);
}
