// Writes plain data as YAML, to be read; and finds out where in a document a line
// is, by indentation, as it is being written and may not be whole.

/** yaml is a value as YAML, behind the colon or the dash of what it belongs to. */
export function yaml(v: unknown, indent = ''): string {
  if (Array.isArray(v)) {
    if (v.length === 0) return ' []\n';
    return '\n' + v.map((x) => indent + '-' + first(x, indent + '  ')).join('');
  }
  if (v !== null && typeof v === 'object') {
    const entries = Object.entries(v as object).filter(([, x]) => x !== undefined);
    if (entries.length === 0) return ' {}\n';
    return '\n' + entries.map(([n, x]) => indent + word(n) + ':' + yaml(x, indent + '  ')).join('');
  }
  if (typeof v === 'string' && v.includes('\n') && readable(v)) {
    const lines = v.replace(/\n$/, '').split('\n');
    return (v.endsWith('\n') ? ' |\n' : ' |-\n') + lines.map((l) => (l ? indent + l : '') + '\n').join('');
  }
  return ' ' + (typeof v === 'string' ? word(v) : JSON.stringify(v)) + '\n';
}

// The first entry of an object of a list stands behind the dash.
function first(v: unknown, indent: string): string {
  const text = yaml(v, indent);
  return text.startsWith('\n' + indent) ? ' ' + text.slice(1 + indent.length) : text;
}

// What a block can hold as it is.
const readable = (s: string) => !/^[ \n]|\n\n$|[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\ufefe]/.test(s);

function word(s: string): string {
  const bare = /^[A-Za-z_/][\w ./@%+-]*$/.test(s) && !s.endsWith(' ') && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(s);
  return bare ? s : JSON.stringify(s);
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
