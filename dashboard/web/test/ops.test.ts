import { describe, expect, it } from 'vitest';
import { layout, type Table } from '../src/lib/dealing';
import { place, words } from '../src/lib/letters';
import { parse, to } from '../src/lib/route';

const table = (more: Partial<Table>): Table => ({ namespace: 'default', function: 'f', trigger: 't', resources: 0, unowned: 0, moving: 0, skew: 0, moves: 0, without: 0, longest: 0, processors: null, ...more });
const member = (name: string) => ({ name, capacity: 1, due: 1, has: 1, silent: 0 });

describe('the map of shards', () => {
  const t = table({
    processors: [member('p10'), member('p2')],
    leases: [{ name: 's/10', holder: 'p2', epoch: 1 }, { name: 's/2', holder: 'p2', to: 'p10', epoch: 1 }, { name: 's/3', epoch: 0 }, { name: 's/4', holder: 'gone', epoch: 3 }],
  });
  it('has a lane for each processor and for what nobody has', () => {
    const { lanes, cells, left } = layout(t, 300, 100);
    expect(lanes.map((l) => l.name)).toEqual(['p2', 'p10', '', 'gone']);
    expect(cells.map((c) => [c.name, c.state])).toEqual([['s/2', 'moving'], ['s/3', 'free'], ['s/4', 'held'], ['s/10', 'held']]);
    expect(cells[0].x).toBeLessThan(cells[3].x);
    expect(cells[0].y).toBe(cells[3].y);
    expect(cells[0].about).toBe('s/2: p2 has it, p10 shall have it, epoch 1');
    expect(left).toBe(0);
  });
  it('breaks lanes and draws a bounded number', () => {
    const many = table({ processors: [member('p')], leases: Array.from({ length: 100 }, (_, i) => ({ name: 's/' + i, holder: 'p', epoch: 1 })) });
    const { cells, high, left } = layout(many, 58, 30);
    expect([cells.length, left]).toEqual([30, 70]);
    expect(new Set(cells.map((c) => c.y)).size).toBe(15);
    expect(Math.max(...cells.map((c) => c.y))).toBeLessThan(high);
    expect(layout(table({}), 10, 5)).toEqual({ lanes: [], cells: [], high: 0, left: 0 });
  });
});

describe('letters', () => {
  it('show what is no text as numbers', () => {
    expect(words('text')).toEqual({ text: 'text', binary: false, size: 4 });
    expect(words(undefined).size).toBe(0);
    const b = words({ base64: btoa('\x00\xffAB') });
    expect([b.binary, b.size, b.text]).toEqual([true, 4, '000000  00 ff 41 42' + ' '.repeat(38) + '..AB\n']);
    expect(words({ base64: btoa('x'.repeat(1 << 20)) }).text.length).toBeLessThan(20_000);
  });
  it('say where they come from', () => {
    expect(place({ topic: 'a', shard: 1, offset: 2 })).toBe('a/1@2');
    expect(place({ shard: 0, offset: 7 })).toBe('0@7');
  });
});

describe('places', () => {
  it('have addresses', () => {
    expect(to('letters', 'default', 'orders:2')).toBe('#/letters/default/orders%3A2');
    expect(parse(to('letters', 'default', 'orders:2'))).toEqual({ page: 'place', place: 'letters', rest: ['default', 'orders:2'] });
    expect(parse('#/dealer')).toEqual({ page: 'place', place: 'dealer', rest: [] });
  });
});
