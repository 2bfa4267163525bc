import { describe, expect, it } from 'vitest';
import { heatOf, span } from '../src/lib/heat';
import type { Point } from '../src/lib/types';

const point = (s: number, times: Point['times'], seconds = 2): Point => ({ at: new Date(s * 1000).toISOString(), seconds, times });

describe('the heat map', () => {
  it('has a row for each bucket and a column for each point', () => {
    const h = heatOf([point(2, [{ upTo: 0.01, events: 10 }, { events: 1 }]), point(4, undefined), point(19, [{ upTo: 0.001, events: 150 }], 15)]);
    expect(h.rows).toEqual([0.001, 0.01, 0]);
    expect(h.cells.map((c) => [c.column, c.row, c.count])).toEqual([[0, 1, 5], [0, 2, 0.5], [2, 0, 10]]);
    expect(h.most).toBe(10);
    expect(h.cells[2].part).toBe(1);
    expect(h.cells[1].part).toBeGreaterThan(0.12);
    expect(h.cells[1].part).toBeLessThan(h.cells[0].part);
    expect(span(h, 0)[0]).toBe(0);
    expect(span(h, 2)).toEqual([4 / 19, 1]);
  });
  it('is empty without points', () => {
    expect(heatOf([])).toMatchObject({ rows: [], cells: [], most: 0 });
  });
});
