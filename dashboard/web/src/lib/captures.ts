// Events as they came to a function, as the API has them.
import { ask, get, part } from './api';
import { laidOut, most, type Answer } from './invoke';
import { place, words, type Letter } from './letters';

export interface Captured {
  seq: number;
  at: string;
  functionVersion?: string;
  replica?: string;
  trigger: string;
  kind: string;
  class?: string;
  from: Letter['from'];
  attempt: number;
  event: Letter['event'];
  size: number;
  cut?: boolean;
  redacted?: string[];
  status: number;
  error?: string;
  ms: number;
}

export interface Wanted {
  count: number;
  for: string;
  trigger?: string;
  failed?: boolean;
  redactFields?: string[];
  redactHeaders?: string[];
}

export interface Capture {
  id: string;
  spec: Wanted & { eventSize: string; size: string };
  state: 'running' | 'full' | 'over' | 'ended';
  by?: string;
  began: string;
  until: string;
  captured: number;
  seen: number;
  dropped: number;
  processors: number;
  problem?: string;
  events: Captured[];
}

interface Replayed {
  by: string;
  status: number;
  error?: string;
  ms?: number;
  answer?: { status: number; contentType?: string; body?: Letter['event']['body'] };
}

const base = (name: string) => `functions/${part(name)}/captures`;

/** current is the capture of a function, without its events. */
export async function current(namespace: string, name: string, signal: AbortSignal): Promise<Capture | undefined> {
  return (await get<{ items: Capture[] }>(base(name), { namespace }, signal)).items[0];
}

export async function start(namespace: string, name: string, wanted: Wanted): Promise<Capture> {
  return (await (await ask(base(name), { method: 'POST', query: { namespace }, body: wanted })).json()) as Capture;
}

/** since is a capture with its events behind one of a number. */
export function since(namespace: string, name: string, id: string, seq: number, signal?: AbortSignal): Promise<Capture> {
  return get<Capture>(`${base(name)}/${part(id)}`, { namespace, after: String(seq) }, signal);
}

export async function end(namespace: string, name: string, id: string): Promise<Capture> {
  return (await (await ask(`${base(name)}/${part(id)}/end`, { method: 'POST', query: { namespace } })).json()) as Capture;
}

export async function remove(namespace: string, name: string, id: string): Promise<void> {
  await ask(`${base(name)}/${part(id)}`, { method: 'DELETE', query: { namespace } });
}

/** replay runs an event once more, in the function or a version or alias of it. */
export async function replay(namespace: string, name: string, e: Captured, version: string, signal: AbortSignal): Promise<Answer> {
  const r = (await (await ask(`functions/${part(name)}/replay`, { method: 'POST', query: { namespace, to: version ? ':' + version : '' }, body: e, signal })).json()) as Replayed;
  const body = words(r.answer?.body);
  const kind = r.answer?.contentType ?? '';
  return {
    by: version, status: r.status, words: '', took: (r.ms ?? 0) / 1000, headers: kind ? [['content-type', kind]] : [], size: body.size, binary: body.binary,
    body: body.binary ? '' : laidOut(body.text, kind).slice(0, most), logs: [], why: r.error || undefined,
  };
}

/** whence is what was asked for, or where an event lay. */
export function whence(e: Captured): string {
  if (e.event.method) return `${e.event.method} ${e.event.url ?? e.event.path ?? ''}`;
  return e.class === 'stream' ? place(e.from) : (e.from.topic ?? e.event.id);
}

/** merged are the events that are known and those that came since, each once. */
export function merged(known: Captured[], next: Captured[]): Captured[] {
  const last = known.at(-1)?.seq ?? 0;
  return [...known, ...next.filter((e) => e.seq > last)];
}

/** names are those that are written with commas between them. */
export function names(text: string): string[] {
  return text.split(',').map((n) => n.trim()).filter(Boolean);
}

const word: Record<Capture['state'], string> = { running: 'Capturing', full: 'Full', over: 'Its time is up', ended: 'Ended' };

/** told says how a capture is. */
export function told(c: Capture, now: number): string {
  const left = Math.max(0, Math.ceil((Date.parse(c.until) - now) / 1000));
  return `${word[c.state]}: ${c.captured} of ${c.spec.count} events, ${c.seen} looked at, ${c.dropped} did not fit` + (c.state === 'running' ? `, ${left} s left.` : '.');
}
