// Events to try a function with: examples of each kind of trigger, and those
// that the visitor saved, which stay in this browser.
import { words, type Letter } from './letters';
import type { Request } from './request';

export interface Saved extends Request {
  name: string;
}

const json = (body: unknown, headers: [string, string][] = []): Request => ({ method: 'POST', path: '', headers: [['Content-Type', 'application/json'], ...headers], body: JSON.stringify(body, null, 2) });
const order = { order: 42, customer: 'ann', items: [{ name: 'green tea', count: 2 }] };
const mail = {
  messageId: '1@example.com', date: '2026-03-01T12:00:00+01:00', from: [{ name: 'Ann', address: 'ann@example.com' }], to: [{ address: 'sales@example.com' }],
  subject: 'Tea', text: 'Two of the green one.', envelope: { from: 'ann@example.com', to: ['sales@example.com'] },
};
const message = json(order);
const row = json({ id: 42, customer: 'ann', price: '12.50' });

/** examples are requests whose bodies are like those of a kind's events. */
export const examples: Record<string, Record<string, Request>> = {
  http: {
    'JSON': message,
    'a form': { method: 'POST', path: '', headers: [['Content-Type', 'application/x-www-form-urlencoded']], body: 'name=Ann&city=Oslo' },
    'a query': { method: 'GET', path: '?name=Ann&city=Oslo', headers: [], body: '' },
  },
  cron: { 'a tick': { method: 'POST', path: '', headers: [], body: '' } },
  message: { 'a message': message, 'a CloudEvent': { ...json({ specversion: '1.0', id: '1', source: '/shop', type: 'order.placed', datacontenttype: 'application/json', data: order }), headers: [['Content-Type', 'application/cloudevents+json']] } },
  mail: { 'a mail': json(mail) },
  row: { 'a row': row },
  change: { 'an update': json({ operation: 'update', schema: 'shop', table: 'orders', time: '2026-03-01T12:00:00.123456Z', new: { id: 42, price: '12.50' }, old: { id: 42 } }) },
  file: { 'a file': { method: 'POST', path: '', headers: [['Content-Type', 'text/csv']], body: 'id,customer\n42,ann\n' } },
};
const families: Record<string, string> = { http: 'http', grpc: 'http', cron: 'cron', smtp: 'mail', imap: 'mail', sql: 'row', outbox: 'row', postgresReplication: 'change', s3: 'file', files: 'file' };

/** examplesFor are the examples of the kinds that a function's triggers are of. */
export function examplesFor(kinds: string[]): [string, Request][] {
  const of = new Set(['http', ...kinds.map((k) => families[k] ?? 'message')]);
  return [...of].flatMap((family) => Object.entries(examples[family]));
}

const key = (namespace: string, name: string) => `myelin.events.${namespace}/${name}`;
const mostEvents = 50;
const mostText = 200_000; // of all events of a function

/** load returns what was saved for a function; what cannot be read is nothing. */
export function load(namespace: string, name: string, from: Storage = localStorage): Saved[] {
  try {
    const all = JSON.parse(from.getItem(key(namespace, name)) ?? '[]') as Saved[];
    return Array.isArray(all) ? all.filter((e) => typeof e?.name === 'string' && typeof e.body === 'string' && typeof e.method === 'string' && typeof e.path === 'string' && Array.isArray(e.headers)) : [];
  } catch {
    return [];
  }
}

/** keep saves events of a function and says why not, if it cannot. */
export function keep(namespace: string, name: string, all: Saved[], to: Storage = localStorage): string {
  const text = JSON.stringify(all);
  if (all.length > mostEvents) return `at most ${mostEvents} events are kept of a function`;
  if (text.length > mostText) return `at most ${mostText} characters are kept of a function's events`;
  try {
    to.setItem(key(namespace, name), text);
    return '';
  } catch {
    return 'the browser has no room for it';
  }
}

let handed: { to: string; request: Request } | undefined;

/** hand gives a request to the page on which a function is tried. */
export function hand(namespace: string, name: string, request: Request): void {
  handed = { to: namespace + '/' + name, request };
}

/** take returns what was handed to a function's page, once. */
export function take(namespace: string, name: string): Request | undefined {
  const h = handed?.to === namespace + '/' + name ? handed.request : undefined;
  if (h) handed = undefined;
  return h;
}

// What belongs to one connection or is set anew for each request.
const own = /^(host|content-length|connection|transfer-encoding|keep-alive|upgrade|te|trailer|expect|accept-encoding|content-type|x-forwarded-.*)$/i;

/** replay is the request of an event, of a letter or captured; undefined if its body is no text. */
export function replay(l: Pick<Letter, 'event'>): Request | undefined {
  const e = l.event;
  const body = words(e.body);
  if (body.binary) return undefined;
  const headers: [string, string][] = e.contentType ? [['Content-Type', e.contentType]] : [];
  for (const h of e.headers ?? []) {
    const value = words(h.value);
    if (!own.test(h.key) && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(h.key) && !value.binary && !/[\r\n\0]/.test(value.text)) headers.push([h.key, value.text]);
  }
  const method = e.method && e.method !== 'GET' && e.method !== 'HEAD' ? e.method : body.text === '' && e.method ? e.method : 'POST';
  return { method, path: (e.url ?? e.path ?? '').replace(/^\/+/, ''), headers, body: body.text };
}
