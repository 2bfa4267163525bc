// The sources of a function, file by file. What a file may be called is the
// server's to say; what is said here is said sooner.

/** Source is a file as the API has it: of text, or of other bytes, which are
 * shown as such and sent back as they came. */
export interface Source {
  path: string;
  text?: string;
  base64?: string;
  executable?: boolean;
}

export const mostFiles = 500;
export const mostBytes = 4 << 20;

/** sizeOf is how many bytes a file has. */
export const sizeOf = (s: Source) => (s.base64 ? Math.floor((s.base64.length * 3) / 4) - (/=*$/.exec(s.base64)?.[0].length ?? 0) : new TextEncoder().encode(s.text ?? '').length);

/** isText tells whether a file can be edited. */
export const isText = (s: Source) => !s.base64;

const folded = (path: string) => path.toUpperCase().toLowerCase();
// Signs that are not seen, or that make others be seen elsewhere.
const hides = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}|\p{Variation_Selector}|[\u115f\u1160\u3164\uffa0\u2800\ufffd]/u;

/** wrongName says why no file can be called so beside the others; '' if one can. */
export function wrongName(path: string, others: string[]): string {
  if (path === '') return 'a name is wanted';
  if (new TextEncoder().encode(path).length > 200) return 'it is longer than 200 bytes';
  if (path.startsWith('/')) return "want a path relative to the function's directory";
  if (hides.test(path)) return 'it has signs that are not shown';
  if (/[\\:]/.test(path)) return '\\ and : mean something else elsewhere';
  const parts = path.split('/');
  if (parts.includes('')) return 'a part of it is empty';
  if (parts.includes('.') || parts.includes('..')) return "want a path relative to the function's directory, without . and ..";
  if (parts.some((p) => p !== p.trim())) return 'a part of it begins or ends with a space';
  const own = folded(path);
  for (const o of others) {
    const other = folded(o);
    if (other === own) return o === path ? 'it is there already' : `${o} differs by case only`;
    if (own.startsWith(other + '/')) return `${o} is a file`;
    if (other.startsWith(own + '/')) return `${o} is in a directory of this name`;
  }
  return '';
}

export interface Row {
  name: string; // what is shown
  depth: number;
  path: string; // of a file; '' for a directory
}

/** rows are files as a tree is drawn: directories before what is in them. */
export function rows(paths: string[]): Row[] {
  const out: Row[] = [];
  let above: string[] = [];
  for (const path of [...paths].sort(order)) {
    const parts = path.split('/');
    const dirs = parts.slice(0, -1);
    let same = 0;
    while (same < dirs.length && dirs[same] === above[same]) same++;
    for (let i = same; i < dirs.length; i++) out.push({ name: dirs[i] + '/', depth: i, path: '' });
    out.push({ name: parts.at(-1)!, depth: dirs.length, path });
    above = dirs;
  }
  return out;
}

// Within a directory its own files are first.
function order(a: string, b: string): number {
  const [x, y] = [a.split('/'), b.split('/')];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const [last, other] = [i === x.length - 1, i === y.length - 1];
    if (last !== other) return last ? -1 : 1;
    if (x[i] !== y[i]) return x[i] < y[i] ? -1 : 1;
  }
  return x.length - y.length;
}

const languages: Record<string, string> = { py: 'python', js: 'nodejs', mjs: 'nodejs', cjs: 'nodejs', ts: 'nodejs', json: 'nodejs', go: 'golang', java: 'java', sh: 'shell', c: 'c', h: 'c', yaml: 'yaml', yml: 'yaml' };

/** languageIn is the language that a file is written in, by its name. */
export const languageIn = (path: string) => languages[/\.(\w+)$/.exec(path)?.[1] ?? ''] ?? '';

/** changes are the files that differ, with what they were and are. */
export function changes(from: Source[], to: Source[]): { path: string; from: string; to: string }[] {
  const shown = (s: Source | undefined) => (s ? (isText(s) ? (s.text ?? '') : `${sizeOf(s)} bytes that are no text`) : '');
  const paths = [...new Set([...from, ...to].map((s) => s.path))].sort();
  const in_ = (list: Source[], path: string) => list.find((s) => s.path === path);
  return paths
    .map((path) => ({ path, was: in_(from, path), is: in_(to, path) }))
    .filter(({ was, is }) => !was || !is || (was.text ?? '') !== (is.text ?? '') || was.base64 !== is.base64)
    .map(({ path, was, is }) => ({ path, from: shown(was), to: shown(is) }));
}
