import { describe, expect, it } from 'vitest';
import { newest, parts, slowest, typical } from '../src/lib/starts';

const points = [
  { at: '2026-01-01T00:00:00Z', seconds: 2 },
  { at: '2026-01-01T00:00:02Z', seconds: 2, started: 2, starts: [{ way: 'cold', total: 1, phases: { exec: 0.25, answer: 0.75 } }, { way: 'cold', total: 2, phases: { exec: 0.5, answer: 1.5 } }] },
  { at: '2026-01-01T00:00:04Z', seconds: 2, started: 1, starts: [{ way: 'warm', total: 0.1, phases: { answer: 0.1 } }] },
];

describe('starts', () => {
  it('are told over time', () => {
    expect(slowest(points, 'cold')).toEqual([null, 2, null]);
    expect(slowest(points, 'cold', 'exec')).toEqual([null, 0.5, null]);
    expect(slowest(points, 'warm')).toEqual([null, null, 0.1]);
    expect(newest(points, 2).map((s) => s.way + ' ' + s.at.slice(17))).toEqual(['warm 04Z', 'cold 02Z']);
  });
  it('have phases', () => {
    expect(parts(points[1].starts![0])).toEqual([{ phase: 'exec', took: 0.25, share: 0.25 }, { phase: 'answer', took: 0.75, share: 0.75 }]);
    expect(parts({ way: 'cold', total: 0 })).toEqual([]);
    expect(typical(newest(points, 9))).toEqual([{ phase: 'exec', took: 0.25 }, { phase: 'answer', took: 0.75 }]);
  });
});
