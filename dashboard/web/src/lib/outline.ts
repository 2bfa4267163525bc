// What a JSON schema says of a place in a YAML document. The place is found by
// indentation, as the document is being written and may not be whole.

export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  anyOf?: Schema[];
  type?: string;
  enum?: unknown[];
  examples?: unknown[];
  description?: string;
  required?: string[];
  kinds?: Record<string, Schema>; // what the attributes of each kind of triggers are
}

/** item stands in a path for an entry of a list. */
export const item = '[]';

interface Seen {
  dash: number; // where the last dash before the key is, -1 for none
  indent: number; // of the key
  key: string; // '' for none
}

function see(line: string): Seen | undefined {
  const m = /^(\s*)((?:- +)*)(-?)(?:("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#:'"[\]{},-][^:#]*?)\s*:(?:\s|$))?/.exec(line);
  if (!m || /^\s*(#|$)/.test(line)) return undefined;
  const dashes = m[2].length;
  const bare = m[3] === '-';
  const dash = bare ? m[1].length + dashes : dashes > 0 ? m[1].length + m[2].trimEnd().length - 1 : -1;
  return { dash, indent: m[1].length + dashes, key: (m[4] ?? '').replace(/^["']|["']$/g, '') };
}

/** pathAt is the way to what the key at a column of a line belongs to. */
export function pathAt(lines: string[], at: number, column: number): string[] {
  const out: string[] = [];
  let limit = column;
  let listed = false; // whether a list is looked for, whose dashes may be below its key
  const own = /^(\s*)((?:- +)*)/.exec(lines[at] ?? '')!;
  const dashes = [...own[2].matchAll(/-/g)].map((m) => own[1].length + m.index).filter((c) => c < column);
  if (dashes.length > 0) {
    out.push(...dashes.map(() => item));
    [limit, listed] = [dashes[0], true];
  }
  for (let i = at - 1; i >= 0 && (limit > 0 || listed); i--) {
    const s = see(lines[i]);
    if (!s) continue;
    if (s.key && (s.indent < limit || (listed && s.indent === limit))) {
      out.unshift(s.key);
      [limit, listed] = [s.indent, false];
    }
    if (s.dash >= 0 && s.dash < limit && (s.indent === limit || s.key === '')) {
      out.unshift(item);
      [limit, listed] = [s.dash, true];
    }
  }
  return out;
}

/** kindFor is the kind of the trigger that a path leads into, as the document has it. */
export function kindFor(lines: string[], path: string[]): string {
  if (path.length < 4 || path[1] !== 'triggers') return '';
  const trigger = path.slice(0, 3).join('\0');
  for (let i = 0; i < lines.length; i++) {
    const m = /^(\s*)kind:\s*["']?([\w-]+)/.exec(lines[i]);
    if (m && pathAt(lines, i, m[1].length).join('\0') === trigger) return m[2];
  }
  return '';
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
