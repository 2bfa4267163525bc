// What the figures of functions say. No state, no clock of its own.
import type { Fn, Point } from './types';

/** merge adds newer points to those that are there, and keeps so many. */
export function merge(have: Point[], more: Point[], most: number): Point[] {
  if (more.length === 0) return have;
  const last = have.length > 0 ? Date.parse(have[have.length - 1].at) : -Infinity;
  let known = more.length; // of the newer ones most are known: times are read from the end
  while (known > 0 && Date.parse(more[known - 1].at) > last) known--;
  if (known === more.length) return have;
  const all = have.concat(more.slice(known));
  return all.length > most ? all.slice(all.length - most) : all;
}

/** Now is what a function does now: over the last ten seconds, or the last point. */
export interface Now {
  rate: number; // events a second
  errors: number; // of them failed, a second
  refused: number;
  p50?: number;
  p99?: number;
  wait?: number;
  busy: number;
  workers: number;
  waiting: number;
  lag: number;
  restarts: number; // in all points
  processors: number;
}

const span = 10;

export function nowOf(points: Point[]): Now | undefined {
  const last = points[points.length - 1];
  if (!last) return undefined;
  let took = 0;
  let events = 0;
  let errors = 0;
  let refused = 0;
  let p50: number | undefined;
  let p99: number | undefined;
  let wait: number | undefined;
  for (let i = points.length - 1; i >= 0 && (took === 0 || took + points[i].seconds <= span * 1.2); i--) {
    const p = points[i];
    took += p.seconds;
    events += p.events ?? 0;
    errors += p.errors ?? 0;
    refused += p.refused ?? 0;
    p50 ??= p.p50;
    p99 = greatest(p99, p.p99);
    wait = greatest(wait, p.wait);
  }
  took = took || 1;
  let restarts = 0;
  for (const p of points) restarts += p.restarts ?? 0;
  return {
    rate: events / took, errors: errors / took, refused: refused / took, p50, p99, wait,
    busy: last.busy ?? 0, workers: last.workers ?? 0, waiting: last.waiting ?? 0, lag: last.lag ?? 0, restarts, processors: last.processors ?? 0,
  };
}

function greatest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : Math.max(a, b);
}

export type Level = 'bad' | 'warn' | 'ok' | 'quiet';

/** Health is how a function is, in a word, and why if that is not good. */
export interface Health {
  level: Level;
  word: string;
  why: string[];
}

const words: Record<string, [Level, string]> = {
  ready: ['ok', 'ready'],
  unhealthy: ['bad', 'unhealthy'],
  error: ['bad', 'error'],
  disabled: ['quiet', 'disabled'],
  scaledToZero: ['quiet', 'asleep'],
  building: ['quiet', 'building'],
  configuringResources: ['quiet', 'starting'],
  waitingForBuild: ['quiet', 'not built'],
  deleting: ['quiet', 'going'],
};

export function healthOf(f: Fn, now: Now | undefined): Health {
  const [level, word] = words[f.status.state] ?? ['quiet', f.status.state];
  const why: string[] = [];
  let worst: Level = level;
  const say = (l: Level, text: string) => {
    why.push(text);
    if (l === 'bad' || worst !== 'bad') worst = l;
  };
  if (level === 'bad') say('bad', f.status.message || 'its processors do not run');
  if (now && level !== 'quiet') {
    if (now.errors > 0) say(now.errors > now.rate * 0.05 ? 'bad' : 'warn', `${percent(now.errors, now.rate)} of events fail`);
    if (now.refused > 0) say('warn', `${short(now.refused)} events a second are refused`);
    if (now.waiting > 0 && now.workers > 0 && now.busy >= now.workers) say('warn', `all ${now.workers} workers are busy, ${short(now.waiting)} events wait`);
  }
  if (level === 'ok' && f.status.message) say('warn', f.status.message);
  for (const r of f.status.replicas ?? []) {
    if (r.state === 'backoff') say('bad', `replica ${r.name} fails to start${r.message ? ': ' + r.message : ''}`);
  }
  return { level: worst, word: level === 'ok' && worst === 'bad' ? 'failing' : word, why };
}

function percent(part: number, of: number): string {
  const p = of > 0 ? (part / of) * 100 : 100;
  return p < 1 ? '<1%' : Math.round(p) + '%';
}

const short = (v: number) => (v < 10 ? v.toFixed(1).replace(/\.0$/, '') : String(Math.round(v)));

const order: Record<Level, number> = { bad: 0, warn: 1, ok: 2, quiet: 3 };

/** worstFirst orders by health. */
export const worstFirst = (a: Level, b: Level) => order[a] - order[b];

/** path is the line of a sparkline, between 0 and the greatest value. */
export function path(values: number[], width: number, height: number): string {
  if (values.length < 2) return '';
  const top = Math.max(...values, 1e-9);
  const step = width / (values.length - 1);
  return values.map((v, i) => `${i === 0 ? 'M' : 'L'}${(i * step).toFixed(1)} ${(height - 1 - (v / top) * (height - 2)).toFixed(1)}`).join('');
}

export const rates = (points: Point[]) => points.map((p) => (p.events ?? 0) / (p.seconds || 1));
