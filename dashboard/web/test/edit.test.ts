import { describe, expect, it } from 'vitest';
import schema from '../../../docs/reference/function-schema.json';
import { readConfig } from '../src/editor/config';
import { fileOf, languageOf } from '../src/lib/code';
import { parse } from '../src/lib/route';
import { at, keysOf, valuesOf, type Schema } from '../src/lib/schema';
import { changes, languageIn, rows, sizeOf, wrongName } from '../src/lib/sources';
import { kindFor, pathAt } from '../src/lib/yaml';
import { over, placeIn, shown } from '../src/lib/written';

const root = schema as Schema;
const text = `metadata:
  name: f
spec:
  runtime: python
  env:
  - name: A
    value: x
  - name: B
    
  triggers:
    "web":
      kind: http
      batch:
        mode: enable
      # a comment
      attributes:
        port: 80
`.split('\n');

describe('schema', () => {
  it('finds where a line is', () => {
    expect(pathAt(text, 0, 0)).toEqual([]);
    expect(pathAt(text, 1, 2)).toEqual(['metadata']);
    expect(pathAt(text, 5, 4)).toEqual(['spec', 'env', '[]']);
    expect(pathAt(text, 6, 4)).toEqual(['spec', 'env', '[]']);
    expect(pathAt(text, 8, 4)).toEqual(['spec', 'env', '[]']);
    expect(pathAt(text, 9, 2)).toEqual(['spec']);
    expect(pathAt(text, 11, 6)).toEqual(['spec', 'triggers', 'web']);
    expect(pathAt(text, 13, 8)).toEqual(['spec', 'triggers', 'web', 'batch']);
    expect(pathAt(text, 16, 8)).toEqual(['spec', 'triggers', 'web', 'attributes']);
    expect(pathAt(['a:', '  - b:', '      - c: 1', '        d: 2'], 3, 8)).toEqual(['a', '[]', 'b', '[]']);
    expect(pathAt([], 0, 4)).toEqual([]);
  });
  it('says what may be there', () => {
    expect(keysOf(root, ['spec', 'env', '[]']).map((o) => o.label)).toContain('value');
    expect(keysOf(root, ['spec', 'triggers', 'web']).find((o) => o.label === 'batch')!.below).toBe(true);
    expect(keysOf(root, ['spec', 'triggers', 'web', 'attributes', 'x'])).toEqual([]);
    expect(valuesOf(root, ['spec', 'triggers', 'web', 'batch', 'mode'])).toEqual(['enable', 'disable']);
    expect(valuesOf(root, ['spec', 'disable'])).toEqual(['true', 'false']);
    expect(at(root, ['spec', 'runtime'])!.description).toMatch(/python/);
    expect(at(root, ['nothing', 'there'])).toBeUndefined();
    const own = { ...root, kinds: { http: { properties: { port: { type: 'integer', description: 'where' } } } } };
    const path = pathAt(text, 16, 8);
    expect(kindFor(text, path)).toBe('http');
    expect(keysOf(own, path, 'http')).toEqual([{ label: 'port', detail: 'integer', info: 'where', below: false }]);
    expect(keysOf(own, path, 'kafka')).toEqual([]);
  });
});

describe('a configuration that is written', () => {
  it('is read, and its fields found', () => {
    const r = readConfig(text.join('\n'));
    expect(r.wrong).toEqual([]);
    expect((r.value as { spec: { env: unknown[] } }).spec.env).toEqual([{ name: 'A', value: 'x' }, { name: 'B' }]);
    expect(['metadata.name', 'spec.env[1].name', 'spec.triggers.web.attributes.port', 'spec.triggers.web.nothing', 'spec.nothing'].map(r.lineOf)).toEqual([2, 8, 17, 11, 3]);
  });
  it('is wrong at a line', () => {
    expect(readConfig('a: 1\nb: [1\nc: 2\n').wrong[0].line).toBeGreaterThan(1);
    expect(readConfig('a: 1\n  b: 2\n').wrong.length).toBeGreaterThan(0);
    const bomb = 'a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]\n';
    expect(readConfig(bomb).wrong[0].message).toMatch(/alias/i);
  });
});

describe('deploy', () => {
  it('lays what is written over what the code says', () => {
    const found = { spec: { env: [{ name: 'A', value: '1' }, { name: 'B', value: '***' }], triggers: { web: { kind: 'http' } }, list: [1] } };
    expect(over(found, { spec: { env: [{ name: 'B', value: 'x' }], list: [2], triggers: { web: { kind: 'http', numWorkers: 2 } } } } as object)).toEqual({
      spec: { env: [{ name: 'B', value: 'x' }, { name: 'A', value: '1' }], list: [2], triggers: { web: { kind: 'http', numWorkers: 2 } } } });
    expect(shown({ 'myelin.run/artefact': 'x' })).toBeUndefined();
    expect(shown({ 'myelin.run/artefact': 'x', team: 'a' })).toEqual({ team: 'a' });
  });
  it('names files as they are built', () => {
    const names = [['python:3.12', 'main:handler', 'f'], ['nodejs', 'handler', 'f'], ['shell', 'main.sh', 'f'], ['java', 'a.b.Main', 'f'], ['java', 'x.jar:Main', 'f'], ['golang', 'Handler', 'f'], ['c', 'handler', ''], ['ruby', 'x', 'f'], [undefined, undefined, 'f']];
    expect(names.map(([r, h, n]) => fileOf(r, h, n!))).toEqual(['main.py', 'f.js', 'main.sh', 'Main.java', 'Main.java', 'f.go', 'main.c', '', '']);
    expect(languageOf('python:3.12')).toBe('python');
  });
  it('finds the line in a log', () => {
    expect(placeIn('main.py', ['Traceback', '  File "/tmp/x/main.py", line 3, in <module>', 'x', '  File "/usr/lib/y.py", line 9'])).toBe(3);
    expect(placeIn('main.js', ['/tmp/main.js:12', 'SyntaxError'])).toBe(12);
    expect(placeIn('main.js', ['/tmp/domain.js:12'])).toBe(0);
    expect(placeIn('main.py', ['x'.repeat(1_000_000)])).toBe(0);
  });
});

describe('files', () => {
  it('have names that are what they look like', () => {
    const others = ['main.py', 'lib/a.py'];
    for (const ok of ['b.py', 'lib/b.py', 'größe.py', 'a b.py', 'データ/読む.js', '.env.example']) expect(wrongName(ok, others)).toBe('');
    const wrong = ['', '/a', '../a', 'a/../b', './a', 'a//b', 'a/', 'a\\b', 'C:a', 'a\u202eb', 'a\0', 'a\nb', 'a\u200bb', 'a\u00a0b', ' a', 'x'.repeat(201), 'main.py', 'Main.PY', 'main.py/a', 'lib', 'LIB'];
    for (const w of wrong) expect(wrongName(w, others), JSON.stringify(w)).not.toBe('');
  });
  it('are drawn as a tree', () => {
    expect(rows(['lib/b.py', 'main.py', 'lib/sub/c.py', 'a.py', 'lib/a.py']).map((r) => ' '.repeat(r.depth) + r.name)).toEqual(['a.py', 'main.py', 'lib/', ' a.py', ' b.py', ' sub/', '  c.py']);
    expect(languageIn('lib/a.test.go')).toBe('golang');
    expect(languageIn('Makefile')).toBe('');
  });
  it('differ', () => {
    const from = [{ path: 'a', text: '1' }, { path: 'b', base64: 'AAE=' }, { path: 'c', text: '3' }];
    expect(changes(from, [{ path: 'a', text: '2' }, { path: 'b', base64: 'AAE=' }, { path: 'd' }])).toEqual([{ path: 'a', from: '1', to: '2' }, { path: 'c', from: '3', to: '' }, { path: 'd', from: '', to: '' }]);
    expect(sizeOf(from[1])).toBe(2);
    expect(sizeOf({ path: 'u', text: 'ü' })).toBe(2);
  });
});

describe('addresses', () => {
  it('begin functions', () => {
    expect(parse('#/new')).toEqual({ page: 'new', template: '' });
    expect(parse('#/new/python-http')).toEqual({ page: 'new', template: 'python-http' });
    expect(parse('#/functions/default/f/edit').page).toBe('function');
  });
});
