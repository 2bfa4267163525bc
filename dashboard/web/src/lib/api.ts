// Asks the public API, and nothing else.
import { Parser, type Event } from './sse';

export interface Mistake {
  path?: string;
  file?: string;
  line?: number;
  column?: number;
  detail: string;
}

/** Problem is why the API did not do what it was asked. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly errors: Mistake[] = [],
    readonly logs: string[] = [],
  ) {
    super(detail);
  }
}

const key = 'myelin.token';
let token = sessionStorage.getItem(key) ?? '';
let refused = () => {};

/** onRefused is called when the API asks who is there. */
export function onRefused(f: () => void): void {
  refused = f;
}

/** signIn keeps a token as long as this tab is open. */
export function signIn(t: string): void {
  token = t.trim();
  if (token) sessionStorage.setItem(key, token);
  else sessionStorage.removeItem(key);
}

export const signedIn = () => token !== '';

export function credentials(): Record<string, string> {
  return token ? { Authorization: 'Bearer ' + token } : {};
}

export interface Ask {
  method?: string;
  query?: Record<string, string | undefined>;
  body?: unknown;
  type?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** address is a path of the API with its query. */
export function address(path: string, query: Ask['query'] = {}): string {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== '') q.set(name, value);
  const text = q.toString();
  return '/api/v1/' + path + (text ? '?' + text : '');
}

export const part = encodeURIComponent;

/** ask sends a request and returns its answer, whatever it is but a problem. */
export async function ask(path: string, o: Ask = {}): Promise<Response> {
  const headers: Record<string, string> = { ...credentials(), ...o.headers };
  let body: string | undefined;
  if (o.body !== undefined) {
    headers['Content-Type'] = o.type ?? 'application/json';
    body = JSON.stringify(o.body);
  }
  const r = await fetch(address(path, o.query), { method: o.method ?? 'GET', headers, body, signal: o.signal, cache: 'no-store' });
  if (r.ok) return r;
  if (r.status === 401) refused();
  throw await problemOf(r);
}

export async function problemOf(r: Response): Promise<Problem> {
  try {
    const p = (await r.json()) as { detail?: string; errors?: Mistake[]; logs?: string[] };
    return new Problem(r.status, p.detail ?? r.statusText, p.errors, p.logs);
  } catch {
    return new Problem(r.status, `the server answered ${r.status} ${r.statusText}`);
  }
}

export async function get<T>(path: string, query?: Ask['query'], signal?: AbortSignal): Promise<T> {
  return (await (await ask(path, { query, signal })).json()) as T;
}

const breath = 100; // between two pieces of a body, in ms
const mouthful = 32_000; // bytes; of what brings more than that at once more is there

/** pieces calls f with the text of a body as it comes. What comes close together
 * is one piece: to be told of each of hundreds a second costs more than they do. */
export async function pieces(r: Response, f: (text: string) => void): Promise<void> {
  if (!r.body) return;
  const reader = r.body.getReader();
  const text = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    f(text.decode(value, { stream: true }));
    if (value.length < mouthful) await new Promise((next) => setTimeout(next, breath));
  }
}

/** watch calls f with the events of a watch until it ends. heard is called for
 * every sign of life. */
export async function watch(path: string, query: Ask['query'], signal: AbortSignal, heard: () => void, f: (events: Event[]) => void): Promise<void> {
  const r = await ask(path, { query: { ...query, watch: 'true' }, signal });
  heard();
  const parser = new Parser();
  await pieces(r, (text) => {
    heard();
    const events = parser.push(text);
    if (events.length > 0) f(events);
  });
}
