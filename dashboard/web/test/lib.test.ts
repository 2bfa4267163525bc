import { describe, expect, it } from 'vitest';
import { healthOf, merge, nowOf, path, worstFirst } from '../src/lib/figures';
import { ago, bytes, cut, number, plain, seconds } from '../src/lib/format';
import { fits, parseLine } from '../src/lib/logs';
import { cli, curl, headersOf, quote } from '../src/lib/request';
import { href, parse } from '../src/lib/route';
import { Parser } from '../src/lib/sse';
import type { Fn, Point } from '../src/lib/types';

const at = (s: number) => new Date(s * 1000).toISOString();
const point = (s: number, more: Partial<Point> = {}): Point => ({ at: at(s), seconds: 2, ...more });
const fn = (state: string, more: Partial<Fn['status']> = {}): Fn => ({ metadata: { name: 'f' }, spec: {}, status: { state, ...more } });

describe('format', () => {
  it('shows numbers in three digits', () => {
    expect([0, 0.001, 0.25, 9.999, 12.34, 123.4, 1234, 12345, 3.4e6, 2e9, undefined, NaN].map(number)).toEqual(
      ['0', '<0.01', '0.25', '10', '12.3', '123', '1,234', '12.3k', '3.4M', '2G', '–', '–']);
  });
  it('shows times', () => {
    expect([0, 0.00085, 0.0123, 1.5, 119, 600].map(seconds)).toEqual(['–', '850 µs', '12.3 ms', '1.5 s', '119 s', '10 min']);
    expect([0, 30, 90, 7200, 200000].map((s) => ago(at(1e6 - s), 1e9))).toEqual(['now', '30 s ago', '1 min ago', '2 h ago', '2 d ago']);
    expect(ago(undefined, 0)).toBe('–');
    expect(bytes(2048)).toBe('2 KiB');
  });
  it('makes strangers\' text harmless', () => {
    expect(plain('\u001b[31mred\u001b[0m \u202egnp.exe\u0007')).toBe('red \\u202egnp.exe\\u0007');
    expect(plain('\u001b]0;title\u0007x\u001b]8;;http://x\u001b\\y')).toBe('xy');
    expect(plain('<b>tab\tand\nline</b>')).toBe('<b>tab\tand\nline</b>');
    expect(cut('abcdef', 4)).toEqual({ text: 'abcd', more: 2 });
  });
});

describe('figures', () => {
  it('merges what is newer', () => {
    const have = [point(1), point(3)];
    expect(merge(have, [], 10)).toBe(have);
    expect(merge(have, [point(3)], 10)).toBe(have);
    expect(merge(have, [point(3), point(5)], 2)).toEqual([point(3), point(5)]);
  });
  it('says what is now', () => {
    expect(nowOf([])).toBeUndefined();
    const now = nowOf([point(0, { events: 1000 }), ...[2, 4, 6, 8, 10].map((s) => point(s, { events: 10, errors: 1, p99: s / 100, busy: 1, workers: 2 }))])!;
    expect(now.rate).toBeCloseTo((5 * 10 + 1000) / 12);
    expect(nowOf([point(0, { events: 9 }), { ...point(60, { events: 30 }), seconds: 15 }])!.rate).toBe(2);
    expect(now.p99).toBe(0.1);
    expect(now.workers).toBe(2);
  });
  it('says what is wrong', () => {
    expect(healthOf(fn('ready'), undefined)).toEqual({ level: 'ok', word: 'ready', why: [] });
    expect(healthOf(fn('error', { message: 'no module' }), undefined)).toEqual({ level: 'bad', word: 'error', why: ['no module'] });
    expect(healthOf(fn('scaledToZero'), undefined).level).toBe('quiet');
    const failing = nowOf([point(1, { events: 100, errors: 50 })]);
    expect(healthOf(fn('ready'), failing)).toEqual({ level: 'bad', word: 'failing', why: ['50% of events fail'] });
    const busy = nowOf([point(1, { events: 1, workers: 2, busy: 2, waiting: 4 })]);
    expect(healthOf(fn('ready'), busy).level).toBe('warn');
    expect(healthOf(fn('ready', { replicas: [{ name: 'r1', state: 'backoff', message: 'exit 1' }] }), undefined).why).toEqual(['replica r1 fails to start: exit 1']);
    expect((['ok', 'quiet', 'bad', 'warn'] as const).toSorted(worstFirst)).toEqual(['bad', 'warn', 'ok', 'quiet']);
  });
  it('draws', () => {
    expect(path([1], 10, 10)).toBe('');
    expect(path([0, 2], 10, 10)).toBe('M0.0 9.0L10.0 1.0');
  });
});

describe('logs', () => {
  it('reads records and what is none', () => {
    expect(parseLine('time=2026-01-02T03:04:05.000Z level=INFO msg="a \\"b\\"\\nc" function=f worker=0 to=Ada "odd name"=x')).toEqual({
      time: '2026-01-02T03:04:05.000Z', level: 'info', message: 'a "b"\nc', fields: [['to', 'Ada'], ['odd name', 'x']] });
    expect(parseLine('{"time":"t","level":"WARN","msg":"m","n":3}')).toEqual({ time: 't', level: 'warn', message: 'm', fields: [['n', '3']] });
    for (const text of ['', 'plain', '{"a":', 'time=x no pairs', 'time="x']) expect(parseLine(text)).toEqual({ level: '', message: text, fields: [] });
  });
  it('reads a megabyte at once', () => {
    const began = Date.now();
    parseLine('time=x level=INFO msg="' + '\\\\'.repeat(500000));
    parseLine('time=x level=INFO msg="' + 'a'.repeat(1000000) + '"');
    expect(Date.now() - began).toBeLessThan(30_000);
  });
  it('finds', () => {
    const l = parseLine('time=x level=WARN msg="Slow query" table=users');
    expect([fits(l, 'warn', ''), fits(l, 'error', ''), fits(l, 'debug', 'slow USERS'), fits(l, 'debug', 'fast')]).toEqual([true, false, true, false]);
    expect(fits(parseLine('Traceback'), 'error', '')).toBe(true);
  });
});

describe('request', () => {
  it('is written for a shell', () => {
    expect(['a-b', "it's", '$(x)', ''].map(quote)).toEqual(['a-b', "'it'\\''s'", "'$(x)'", "''"]);
    const r = { method: 'POST', path: 'a?b=1', headers: [['Content-Type', 'text/plain'], ['X-A', 'b c']] as [string, string][], body: "it's" };
    expect(curl('http://h/f', r)).toBe("curl -i -H 'Content-Type: text/plain' -H 'X-A: b c' --data-raw 'it'\\''s' 'http://h/f/a?b=1'");
    expect(cli('f', 'team', r)).toBe("myelin invoke f -n team -p '/a?b=1' -c text/plain -d 'X-A=b c' -b 'it'\\''s'");
    expect(cli('f', 'default', { ...r, path: '', headers: [], body: '@file' })).toBe('printf %s @file | myelin invoke f');
    expect(curl('http://h/f', { method: 'GET', path: '', headers: [], body: 'x' })).toBe('curl -i http://h/f');
    expect(cli('f', 'default', { method: 'GET', path: '', headers: [], body: '' })).toBe('myelin invoke f');
  });
  it('has headers', () => {
    expect(headersOf('A: b\n\n c:d : e\nno header')).toEqual({ headers: [['A', 'b'], ['c', 'd : e']], wrong: ['no header'] });
  });
});

describe('route', () => {
  it('is read and written', () => {
    expect(parse('')).toEqual({ page: 'overview' });
    expect(parse(href('default', 'a b', 'logs'))).toEqual({ page: 'function', namespace: 'default', name: 'a b', tab: 'logs' });
    expect(parse('#/functions/default/f/what').page).toBe('unknown');
    expect(parse('#/%').page).toBe('unknown');
  });
});

describe('events', () => {
  it('come in any pieces', () => {
    const text = ': alive\n\nevent: put\nid: 7\ndata: {"a":\ndata: 1}\n\nevent: synced\ndata: {}\n\n';
    for (let n = 1; n <= text.length; n += 3) {
      const p = new Parser();
      const got = [];
      for (let i = 0; i < text.length; i += n) got.push(...p.push(text.slice(i, i + n)));
      expect(got).toEqual([{ event: 'put', data: '{"a":\n1}', id: '7' }, { event: 'synced', data: '{}', id: undefined }]);
    }
  });
});
