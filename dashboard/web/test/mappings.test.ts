import { describe, expect, it } from 'vitest';
import { picture, target, triggerOf, where, type About, type Mapping } from '../src/lib/mappings';
import { main, put, read, shapeOf, show, type Schema } from '../src/lib/schema';

const mapping = (name: string, spec: Partial<Mapping['spec']>, more: Partial<Mapping['metadata']> = {}): Mapping => ({ metadata: { name, namespace: 'default', ...more }, spec: { function: 'f', source: { kind: 'nats' }, ...spec }, status: { state: 'active' } });
const nothing: About = { versions: [], aliases: [], came: [] };

describe('the picture of mappings', () => {
  const alias = { metadata: { name: 'prod' }, spec: { versions: [{ version: '1', weight: 90 }, { version: '2', weight: 10 }] } };
  const version = (n: number) => ({ version: n, artefact: '', created: '', config: { spec: { dataBindings: { db: { kind: 'redis' } } } }, status: { state: 'ready' } });
  const about: About = { aliases: [alias], versions: [version(1), version(2)], came: [{ trigger: 'in', version: '1', rate: 9, errors: 1 }, { trigger: 'in', version: '2', rate: 1 }, { trigger: 'other', rate: 5 }] };

  it('leads from sources over aliases and versions to bindings', () => {
    const p = picture([mapping('in', { alias: 'prod' }), mapping('web', { source: { kind: 'http', attributes: { path: '/a' } } })], () => about, 1000);
    const edge = (id: string) => p.edges.find((e) => e.id === id);
    expect(p.nodes.map((n) => n.id).sort()).toEqual(['a default/f:prod', 'b default/f db', 's default/in', 's default/web', 'v default/f $latest', 'v default/f 1', 'v default/f 2']);
    expect(edge('s default/in>a default/f:prod')).toMatchObject({ rate: 10, errors: 1 });
    expect(edge('a default/f:prod>v default/f 1')).toMatchObject({ rate: 9, share: 90 });
    expect(edge('v default/f 2>b default/f db')).toBeDefined();
    expect(edge('s default/web>v default/f $latest')!.rate).toBeUndefined();
    for (const a of p.nodes) for (const b of p.nodes) if (a !== b && a.layer === b.layer) expect(Math.abs(a.y - b.y)).toBeGreaterThanOrEqual(44);
    expect(Math.max(...p.nodes.map((n) => n.x + p.box))).toBeLessThanOrEqual(1000);
  });
  it('says what is not there, once it is known', () => {
    const of = (a: About) => picture([mapping('in', { alias: 'gone' })], () => a, 900).nodes.find((n) => n.layer === 1)!;
    expect(of(nothing)).toMatchObject({ state: 'bad', sub: 'an alias that is not there' });
    expect(of({ ...nothing, aliases: undefined })).toMatchObject({ state: 'quiet', sub: 'alias' });
  });
  it('names things as the platform does', () => {
    expect(triggerOf(mapping('f-in', { owner: 'function f' }, { annotations: { 'myelin.run/trigger': 'in' } }))).toBe('in');
    expect(triggerOf(mapping('own', {}, { annotations: { 'myelin.run/trigger': 'in' } }))).toBe('own');
    expect([where({ kind: 'http' }), where({ kind: 'kafka', attributes: { topics: ['a', 'b'] } }), where({ kind: 'x', url: 'u' }), where({ kind: 'x' })]).toEqual(['/', 'a, b', 'u', '']);
    expect([target(mapping('m', {})), target(mapping('m', { alias: 'a' })), target(mapping('m', { version: '3' })), target(mapping('m', { version: '$latest' }))]).toEqual(['f', 'f:a', 'f:3', 'f']);
  });
});

describe('forms of schemas', () => {
  const s: Schema = { type: 'object', required: ['b'], properties: { a: { type: 'string' }, b: { type: 'array', items: { type: 'string' } }, c: { type: 'integer', description: 'how many' }, d: { type: 'object', properties: { x: { type: 'boolean' } } } } };
  it('know how values are entered', () => {
    expect(Object.values(s.properties!).map(shapeOf)).toEqual(['text', 'lines', 'number', 'group']);
    expect([shapeOf({}), shapeOf({ type: 'string', format: 'password' }), shapeOf({ type: 'object', additionalProperties: { type: 'string' } }), shapeOf({ type: 'array', items: { type: 'integer' } })]).toEqual(['json', 'secret', 'pairs', 'json']);
  });
  it('read what they show', () => {
    for (const [schema, v] of [[s.properties!.b, ['x', 'y: z']], [{ type: 'object', additionalProperties: { type: 'string' } }, { N: 'v' }], [{}, { a: [1] }], [{ type: 'integer' }, 7]] as [Schema, unknown][]) {
      expect(read(schema, show(shapeOf(schema), v))).toEqual(v);
    }
    expect(read(s.properties!.a, ' ')).toBeUndefined();
    expect(() => read(s.properties!.c, '1.5')).toThrow('whole');
    expect(() => read({}, '{')).toThrow('JSON');
    expect(() => read({ type: 'object', additionalProperties: { type: 'string' } }, 'x')).toThrow('name: value');
  });
  it('show first what is required, set or told of', () => {
    expect(main(s, { d: {} })).toEqual({ first: ['b', 'd', 'c'], rest: ['a'] });
    expect([put({ a: 1 }, 'a', undefined), put(undefined, 'a', 1)]).toEqual([undefined, { a: 1 }]);
  });
});
