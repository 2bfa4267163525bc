import { describe, expect, it } from 'vitest';
import { codeOf, coded, withoutCode } from '../src/lib/code';
import { diff, hunks } from '../src/lib/diff';
import { failing, give, said, same, stepsOf, without } from '../src/lib/traffic';

const w = (...all: [string, number][]) => all.map(([version, weight]) => ({ version, weight }));

describe('weights', () => {
  it('are said', () => {
    expect(said(w(['3', 90], ['4', 10]))).toBe('90 % v3, 10 % v4');
    expect(said(w(['$latest', 33.333]))).toBe('33.33 % working copy');
    expect(said(undefined)).toBe('nowhere');
    expect(same(w(['1', 40], ['2', 60]), w(['2', 60], ['1', 40]))).toBe(true);
    expect(same(w(['1', 100]), w(['2', 100]))).toBe(false);
  });
  it('add up to 100 whatever is given', () => {
    expect(give(w(['1', 100], ['2', 0]), 1, 10)).toEqual(w(['1', 90], ['2', 10]));
    expect(give(w(['1', 100], ['2', 0]), 0, 40)).toEqual(w(['1', 40], ['2', 60]));
    expect(give(w(['1', 70], ['2', 20], ['3', 10]), 0, 10)).toEqual(w(['1', 10], ['2', 60], ['3', 30]));
    expect(give(w(['1', 12]), 0, 3)).toEqual(w(['1', 100]));
    expect(without(w(['1', 50], ['2', 50]), 0)).toEqual(w(['2', 100]));
    for (let i = 0; i < 500; i++) {
      const fine = i % 2 ? 1 : 0.01;
      const list = Array.from({ length: 2 + (i % 5) }, (_, n) => ({ version: String(n + 1), weight: (i * (n + 3)) % 37 }));
      const got = give(list, i % list.length, Math.round(((i * 7919) % 10001) * fine * 100) / 10000);
      expect(Math.round(got.reduce((a, b) => a + b.weight, 0) * 100)).toBe(10000);
      expect(got.every((x) => x.weight >= 0)).toBe(true);
    }
  });
  it('come in steps', () => {
    expect(stepsOf('10:1m, 50%:30s 100')).toEqual({ steps: [{ weight: 10, pause: '1m' }, { weight: 50, pause: '30s' }, { weight: 100 }], wrong: '' });
    for (const bad of ['', '10:1m', '50 10 100', '10:long, 100', '0 100']) expect(stepsOf(bad).wrong).not.toBe('');
    expect(failing({ requests: 190, errors: 1, p99Micros: 0, events: 10, eventErrors: 3 })).toBe('2 %');
    expect(failing({ requests: 0, errors: 0, p99Micros: 0 })).toBe('–');
  });
});

describe('diff', () => {
  const shown = (a: string, b: string) => diff(a, b).map((l) => l.sign + l.text).join('\n');
  it('is short', () => {
    expect(shown('a\nb\nc\n', 'a\nx\nc\n')).toBe(' a\n-b\n+x\n c');
    expect(shown('', 'a\n')).toBe('+a');
    expect(shown('a', '')).toBe('-a');
    expect(shown('a\nb', 'a\nb\n')).toBe(' a\n b');
  });
  it('leads from one text to the other', () => {
    let seed = 7;
    const next = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
    for (let i = 0; i < 300; i++) {
      const text = () => Array.from({ length: next(12) }, () => 'abcd'[next(4)]).join('\n');
      const [a, b] = [text(), text()];
      const d = diff(a, b);
      expect(d.filter((l) => l.sign !== '+').map((l) => l.text).join('\n')).toBe(a);
      expect(d.filter((l) => l.sign !== '-').map((l) => l.text).join('\n')).toBe(b);
    }
  });
  it('ends, whatever it is given', () => {
    const many = (n: number, of: string) => Array.from({ length: n }, (_, i) => of + i).join('\n');
    expect(diff(many(20000, 'a'), many(20000, 'b')).length).toBe(40000);
    expect(diff(many(20000, 'a'), many(20000, 'a') + '\nx').filter((l) => l.sign !== ' ').length).toBe(1);
  });
  it('is shown with what is around', () => {
    const a = Array.from({ length: 20 }, (_, i) => 'l' + i);
    const b = a.with(10, 'x').with(19, 'y');
    const h = hunks(diff(a.join('\n'), b.join('\n')));
    expect(h.map((x) => [x.skipped, x.lines.length])).toEqual([[7, 8], [2, 5]]);
    expect(h[0].lines.map((l) => l.before ?? '-')).toEqual([8, 9, 10, 11, '-', 12, 13, 14]);
  });
});

describe('code', () => {
  it('is kept in the configuration', () => {
    const code = 'print("grüße 🌍")\n';
    const spec = { runtime: 'python', build: { functionSourceCode: coded(code), commands: ['x'] } };
    expect(codeOf(spec)).toBe(code);
    expect(withoutCode(spec)).toEqual({ runtime: 'python', build: { commands: ['x'] } });
    expect(withoutCode({ build: { functionSourceCode: 'eA==' } })).toEqual({});
    for (const build of [undefined, {}, { functionSourceCode: '%' }, { functionSourceCode: '/w==' }]) expect(codeOf({ build })).toBe('');
  });
});
