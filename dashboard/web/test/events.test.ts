import { describe, expect, it } from 'vitest';
import { examples, examplesFor, hand, keep, load, replay, take } from '../src/lib/events';
import type { Letter } from '../src/lib/letters';

class Memory implements Storage {
  kept = new Map<string, string>();
  get length() { return this.kept.size; }
  clear() { this.kept.clear(); }
  getItem(k: string) { return this.kept.get(k) ?? null; }
  key() { return null; }
  removeItem(k: string) { this.kept.delete(k); }
  setItem(k: string, v: string) {
    if (v.length > 150_000) throw new Error('full');
    this.kept.set(k, v);
  }
}
const event = (name: string, body = 'b') => ({ name, method: 'POST', path: '', headers: [] as [string, string][], body });

describe('saved events', () => {
  it('are kept by function, and bounded', () => {
    const m = new Memory();
    expect(keep('default', 'f', [event('a')], m)).toBe('');
    expect(load('default', 'f', m).map((e) => e.name)).toEqual(['a']);
    expect(load('default', 'g', m)).toEqual([]);
    expect(keep('default', 'f', Array.from({ length: 51 }, (_, i) => event('e' + i)), m)).toMatch('50');
    expect(keep('default', 'f', [event('a', 'x'.repeat(300_000))], m)).toMatch('characters');
    expect(keep('default', 'f', [event('a', 'x'.repeat(180_000))], m)).toMatch('no room');
    m.setItem('myelin.events.default/f', '{"no": "list"}');
    expect(load('default', 'f', m)).toEqual([]);
    m.setItem('myelin.events.default/f', '[{"name":1},null');
    expect(load('default', 'f', m)).toEqual([]);
  });
  it('have examples of the kinds of triggers', () => {
    expect(examplesFor(['cron', 'kafka']).map(([n]) => n)).toEqual(['JSON', 'a form', 'a query', 'a tick', 'a message', 'a CloudEvent']);
    for (const family of Object.values(examples)) for (const r of Object.values(family)) if (r.headers.some(([, v]) => v.includes('json'))) JSON.parse(r.body);
  });
});

describe('replay', () => {
  const letter = (e: Partial<Letter['event']>): Letter => ({ id: '1', size: 1, reason: 'attempts', trigger: 't', kind: 'k', attempts: 1, first: '', last: '', from: { shard: 0, offset: 0 }, event: { id: '1', time: '', ...e } });
  it('makes a request of an event', () => {
    expect(replay(letter({ path: '/a?b=1', contentType: 'text/plain', headers: [{ key: 'X-A', value: 'v' }, { key: 'Host', value: 'h' }, { key: 'bad name', value: 'x' }, { key: 'X-Bin', value: { base64: '/w==' } }, { key: 'X-Lines', value: 'a\nb' }], body: 'text' }))).toEqual(
      { method: 'POST', path: 'a?b=1', headers: [['Content-Type', 'text/plain'], ['X-A', 'v']], body: 'text' });
    expect(replay(letter({ method: 'GET', body: 'x' }))!.method).toBe('POST');
    expect(replay(letter({ method: 'GET' }))!.method).toBe('GET');
    expect(replay(letter({ body: { base64: '/w==' } }))).toBeUndefined();
  });
  it('is handed over once', () => {
    const r = replay(letter({ body: 'x' }))!;
    hand('default', 'f', r);
    expect(take('default', 'g')).toBeUndefined();
    expect(take('default', 'f')).toBe(r);
    expect(take('default', 'f')).toBeUndefined();
  });
});
