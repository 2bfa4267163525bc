// JSON schemas, as far as the API has them: what they say of a place in a document,
// and how their values are entered in a form.
import { item } from './yaml';

export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  type?: string;
  format?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  examples?: unknown[];
  anyOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  required?: string[];
  kinds?: Record<string, Schema>; // what the attributes of each kind of triggers are
}

/** at is the schema of a path; undefined if nothing is said of it. */
export function at(root: Schema, path: string[], kind = ''): Schema | undefined {
  let s: Schema | undefined = followed(root, root);
  for (const [i, part] of path.entries()) {
    if (!s) return undefined;
    if (part === 'attributes' && i === 3 && path[1] === 'triggers' && root.kinds?.[kind]) {
      s = { ...root.kinds[kind], description: s.properties?.attributes?.description };
      continue;
    }
    s = followed(root, part === item ? s.items : (s.properties?.[part] ?? (typeof s.additionalProperties === 'object' ? s.additionalProperties : undefined)));
  }
  return s;
}

function followed(root: Schema, s: Schema | undefined): Schema | undefined {
  if (!s?.$ref) return s;
  const { $ref, ...rest } = s;
  return { ...root.$defs?.[$ref.replace('#/$defs/', '')], ...rest };
}

export interface Offer {
  label: string;
  detail: string;
  info: string;
  below: boolean; // whether something is written below it rather than behind
}

/** keysOf are the keys that may stand at a path. */
export function keysOf(root: Schema, path: string[], kind = ''): Offer[] {
  const s = at(root, path, kind);
  return Object.keys(s?.properties ?? {}).map((label) => {
    const p = at(root, [...path, label], kind)!;
    return { label, detail: kindOf(p), info: p.description ?? '', below: p.type === 'object' || p.type === 'array' };
  });
}

/** valuesOf are the values that may stand behind a key. */
export function valuesOf(root: Schema, path: string[], kind = ''): string[] {
  const s = at(root, path, kind);
  if (!s) return [];
  if (s.type === 'boolean') return ['true', 'false'];
  return [...(s.enum ?? []), ...(s.examples ?? []), ...(s.anyOf ?? []).flatMap((x) => x.examples ?? [])].map(String).filter(Boolean);
}

/** kindOf is what kind of value is wanted, in a word. */
export function kindOf(s: Schema): string {
  if (s.enum) return 'one of';
  return s.type ?? (s.anyOf ? 'text' : '');
}

export type Shape = 'check' | 'number' | 'text' | 'secret' | 'lines' | 'pairs' | 'group' | 'json';

/** shapeOf says how a value of a schema is entered. */
export function shapeOf(s: Schema): Shape {
  if (s.type === 'boolean') return 'check';
  if (s.type === 'integer' || s.type === 'number') return 'number';
  if (s.type === 'string') return s.format === 'password' ? 'secret' : 'text';
  if (s.type === 'array') return s.items?.type === 'string' ? 'lines' : 'json';
  if (s.type === 'object') {
    if (s.properties && Object.keys(s.properties).length > 0) return 'group';
    if (typeof s.additionalProperties === 'object' && s.additionalProperties.type === 'string') return 'pairs';
  }
  return 'json';
}

/** show writes a value as it is entered. */
export function show(shape: Shape, v: unknown): string {
  if (v === undefined || v === null) return '';
  if (shape === 'lines') return Array.isArray(v) ? v.join('\n') : String(v);
  if (shape === 'pairs') return Object.entries(v as object).map(([n, x]) => `${n}: ${x}`).join('\n');
  if (shape === 'json') return JSON.stringify(v, null, 2);
  return String(v);
}

/** read reads what was entered; undefined if nothing was. It throws what is wrong. */
export function read(s: Schema, text: string): unknown {
  if (text.trim() === '') return undefined;
  switch (shapeOf(s)) {
    case 'number': {
      const n = Number(text);
      if (!Number.isFinite(n) || (s.type === 'integer' && !Number.isInteger(n))) throw new Error(s.type === 'integer' ? 'want a whole number' : 'want a number');
      return n;
    }
    case 'lines':
      return text.split('\n').map((l) => l.trim()).filter(Boolean);
    case 'pairs': {
      const out: Record<string, string> = {};
      for (const line of text.split('\n').filter((l) => l.trim())) {
        const m = /^\s*([^:]+?)\s*:\s*(.*?)\s*$/.exec(line);
        if (!m) throw new Error('want lines of name: value');
        out[m[1]] = m[2];
      }
      return out;
    }
    case 'json':
      try {
        return JSON.parse(text) as unknown;
      } catch {
        throw new Error('want JSON');
      }
    default:
      return text;
  }
}

/** put returns an object with a field set, or without it; without any: undefined. */
export function put(o: Record<string, unknown> | undefined, name: string, v: unknown): Record<string, unknown> | undefined {
  const next = { ...o };
  if (v === undefined) delete next[name];
  else next[name] = v;
  return Object.keys(next).length > 0 ? next : undefined;
}

/** main tells the fields of a form that are shown at once from the rest: what is
 * required, set, or told of on the kind's page. */
export function main(s: Schema, value: Record<string, unknown> | undefined): { first: string[]; rest: string[] } {
  const names = Object.keys(s.properties ?? {});
  const wanted = (n: string) => s.required?.includes(n) || value?.[n] !== undefined;
  const told = (n: string) => Boolean(s.properties?.[n].description);
  const first = names.filter(wanted);
  const second = names.filter((n) => !wanted(n) && told(n));
  return { first: [...first, ...second], rest: names.filter((n) => !wanted(n) && !told(n)) };
}
