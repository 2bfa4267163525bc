import { describe, expect, it, vi } from 'vitest';
import type { Capture, Captured } from '../src/lib/captures';

vi.stubGlobal('sessionStorage', { getItem: () => null });
const { merged, names, told, whence } = await import('../src/lib/captures');

const event = (seq: number, more: Partial<Captured> = {}): Captured => ({ seq, at: '', trigger: 't', kind: 'k', from: { shard: 0, offset: 0 }, attempt: 1, event: { id: 'e' + seq, time: '' }, size: 0, status: 200, ms: 1, ...more });

describe('captured events', () => {
  it('are known once', () => {
    expect(merged([event(1), event(2)], [event(2), event(3)]).map((e) => e.seq)).toEqual([1, 2, 3]);
    expect(merged([], [event(5)]).map((e) => e.seq)).toEqual([5]);
  });
  it('say where they came from', () => {
    expect(whence(event(1, { event: { id: 'x', time: '', method: 'GET', path: '/a', url: '/a?b=c' } }))).toBe('GET /a?b=c');
    expect(whence(event(1, { class: 'stream', from: { topic: 'orders', shard: 3, offset: 17 } }))).toBe('orders/3@17');
    expect(whence(event(1, { class: 'queue', from: { topic: 'jobs', shard: 0, offset: 0 } }))).toBe('jobs');
    expect(whence(event(7))).toBe('e7');
  });
  it('are told of', () => {
    const c: Capture = { id: 'i', spec: { count: 20, for: '1m0s', eventSize: '64Ki', size: '4Mi' }, state: 'running', began: '', until: '2026-03-01T12:00:30Z', captured: 3, seen: 45, dropped: 1, processors: 1, events: [] };
    expect(told(c, Date.parse('2026-03-01T12:00:00Z'))).toBe('Capturing: 3 of 20 events, 45 looked at, 1 did not fit, 30 s left.');
    expect(told({ ...c, state: 'over' }, 0)).toBe('Its time is up: 3 of 20 events, 45 looked at, 1 did not fit.');
  });
  it('names are taken apart', () => expect(names(' iban, X-Customer ,,')).toEqual(['iban', 'X-Customer']));
});
