// Dead letters, as the API has them.

/** Bytes are text, or what is no text. */
export type Bytes = string | { base64: string };

export interface Letterbox {
  namespace: string;
  function: string;
  version?: string;
  letters: number;
  gone?: boolean;
}

export interface Letter {
  id: string;
  size: number;
  reason: string;
  trigger: string;
  kind: string;
  error?: string;
  attempts: number;
  first: string;
  last: string;
  from: { topic?: string; shard: number; offset: number };
  event: { id: string; time: string; method?: string; path?: string; url?: string; contentType?: string; key?: Bytes; headers?: { key: string; value?: Bytes }[]; fields?: { key: string; value?: Bytes }[]; body?: Bytes };
}

export interface Redriven {
  id: string;
  by: string;
  status: number;
  error?: string;
  removed: boolean;
}

/** words are bytes as text: what is no text is shown as the numbers of its first bytes. */
export function words(b: Bytes | undefined): { text: string; binary: boolean; size: number } {
  if (b === undefined) return { text: '', binary: false, size: 0 };
  if (typeof b === 'string') return { text: b, binary: false, size: b.length };
  const size = Math.floor((b.base64.replace(/=+$/, '').length * 3) / 4);
  return { text: dump(atob(b.base64.slice(0, 4 * 1024))), binary: true, size };
}

// Sixteen bytes a line, as numbers and as the signs that they are.
function dump(bytes: string): string {
  let out = '';
  for (let i = 0; i < bytes.length; i += 16) {
    const line = [...bytes.slice(i, i + 16)].map((c) => c.charCodeAt(0));
    const hex = line.map((n) => n.toString(16).padStart(2, '0')).join(' ');
    out += `${i.toString(16).padStart(6, '0')}  ${hex.padEnd(47)}  ${line.map((n) => (n >= 32 && n < 127 ? String.fromCharCode(n) : '.')).join('')}\n`;
  }
  return out;
}

/** place is where an event lay in its source. */
export function place(f: Letter['from']): string {
  return f.topic ? `${f.topic}/${f.shard}@${f.offset}` : `${f.shard}@${f.offset}`;
}
