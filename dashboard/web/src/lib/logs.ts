// Reads lines of the logs that processors write, as name=value pairs or as
// JSON. What is no record is a message as it is.

export interface Line {
  time?: string;
  level: string; // debug, info, warn, error, or nothing
  message: string;
  fields: [string, string][];
}

const same = new Set(['function', 'worker']);

export function parseLine(text: string): Line {
  const l: Line = { level: '', message: '', fields: [] };
  const ok = text.startsWith('{') ? json(text, l) : text.startsWith('time=') && pairs(text, l);
  return ok && l.level ? l : { level: '', message: text, fields: [] };
}

function set(l: Line, name: string, value: string): void {
  if (name === 'time') l.time = value;
  else if (name === 'level') l.level = value.toLowerCase();
  else if (name === 'msg') l.message = value;
  else if (!same.has(name)) l.fields.push([name, value]);
}

function json(text: string, l: Line): boolean {
  try {
    for (const [name, value] of Object.entries(JSON.parse(text) as Record<string, unknown>)) {
      set(l, name, typeof value === 'string' ? value : JSON.stringify(value));
    }
    return true;
  } catch {
    return false;
  }
}

const pair = /\s*("(?:[^"\\]|\\.)*"|[^=\s"]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)/y;

function pairs(text: string, l: Line): boolean {
  pair.lastIndex = 0;
  while (pair.lastIndex < text.length) {
    const at = pair.lastIndex;
    const m = pair.exec(text);
    if (!m) return text.slice(at).trim() === '';
    set(l, unquote(m[1]), unquote(m[2]));
  }
  return true;
}

function unquote(text: string): string {
  if (!text.startsWith('"')) return text;
  return text.slice(1, -1).replace(/\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))/g, (_, x, u, long, c) => {
    const code = x ?? u ?? long;
    if (code) {
      const n = parseInt(code, 16);
      return n <= 0x10ffff ? String.fromCodePoint(n) : '\ufffd';
    }
    return ({ n: '\n', t: '\t', r: '\r' } as Record<string, string>)[c] ?? c;
  });
}

const ranks: Record<string, number> = { debug: 0, info: 1, warn: 2, error: 3 };

/** fits tells whether a line is of a level and has the words. A line without a
 * level goes with every level. */
export function fits(l: Line, least: string, words: string): boolean {
  if (l.level && (ranks[l.level] ?? 1) < (ranks[least] ?? 0)) return false;
  if (words === '') return true;
  const text = (l.message + ' ' + l.fields.map(([n, v]) => n + '=' + v).join(' ')).toLowerCase();
  return words.toLowerCase().split(/\s+/).filter(Boolean).every((w) => text.includes(w));
}
