// Asks a function something, and what it answered.
import { address, credentials, part, problemOf } from './api';
import type { Request } from './request';

export interface Answer {
  by: string; // the version or alias that was asked, '' for the working copy
  status: number;
  words: string;
  took: number;
  headers: [string, string][];
  body: string;
  size: number;
  binary: boolean;
  logs: { level: string; message: string; fields: [string, string][] }[];
  why?: string; // why there is no answer of the function's
}

/** most is how many characters of a body are shown. */
export const most = 200_000;

// What is written with % stays as it is.
function encoded(p: string): string {
  try {
    return encodeURIComponent(decodeURIComponent(p));
  } catch {
    return encodeURIComponent(p);
  }
}

function target(namespace: string, name: string, r: Request): string {
  const [p, query = ''] = r.path.split(/\?(.*)/s);
  const parts = p ? '/' + p.split('/').map(encoded).join('/') : '';
  return address(`functions/${part(name)}/invoke${parts}`, { namespace }) + (query ? '&' + query : '');
}

function headersOf(r: Request, version: string, level: string): Headers {
  const own = credentials();
  const headers = new Headers();
  for (const [n, v] of r.headers) headers.append(own.Authorization && n.toLowerCase() === 'authorization' ? 'X-Myelin-Authorization' : n, v);
  for (const [n, v] of Object.entries(own)) headers.set(n, v);
  if (level !== 'none') headers.set('X-Nuclio-Log-Level', level);
  if (version) headers.set('X-Myelin-Version', version);
  return headers;
}

/** invoke sends a request to a function, or to a version or alias of it. */
export async function invoke(namespace: string, name: string, version: string, r: Request, level: string, stopped: AbortSignal): Promise<Answer> {
  const began = performance.now();
  const bare = r.method === 'GET' || r.method === 'HEAD';
  const got = await fetch(target(namespace, name, r), { method: r.method, headers: headersOf(r, version, level), body: bare || r.body === '' ? undefined : r.body, signal: stopped, cache: 'no-store', redirect: 'manual' });
  if (got.type === 'opaqueredirect') throw new Error('the function answered with a redirection, whose target the browser does not tell');
  const why = got.headers.get('Content-Type')?.startsWith('application/problem+json') ? (await problemOf(got.clone())).message : undefined;
  const data = new Uint8Array(await got.arrayBuffer());
  const took = (performance.now() - began) / 1000;
  return { by: version, status: got.status, words: got.statusText, took, headers: [...got.headers].filter(([n]) => n !== 'x-nuclio-logs'), size: data.length, logs: logsOf(got), why, ...textOf(data, got) };
}

function textOf(data: Uint8Array, r: Response): { body: string; binary: boolean } {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(data);
    return { body: laidOut(text, r.headers.get('Content-Type') ?? '').slice(0, most), binary: false };
  } catch {
    return { body: '', binary: true };
  }
}

/** laidOut is a body as it is read best. */
export function laidOut(text: string, kind: string): string {
  if (!kind.includes('json') || text.length > most) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function logsOf(r: Response): Answer['logs'] {
  try {
    const all = JSON.parse(r.headers.get('X-Nuclio-Logs') ?? '[]') as Record<string, unknown>[];
    return all.map(({ level = '', message = '', time: _, ...rest }) => ({
      level: String(level), message: String(message),
      fields: Object.entries(rest).map(([n, v]): [string, string] => [n, typeof v === 'string' ? v : JSON.stringify(v)]),
    }));
  } catch {
    return [];
  }
}

/** verdict says whether two answers differ. */
export function verdict([a, b]: Answer[]): string {
  const parts = [a.status === b.status ? '' : `status ${a.status} and ${b.status}`, a.body === b.body && a.size === b.size ? '' : 'bodies differ'].filter(Boolean);
  return parts.length === 0 ? 'Both answered the same.' : 'They differ: ' + parts.join(', ') + '.';
}
