// Where aliases lead, and how far rollouts are. No state of its own.
import type { Metadata, Weighted } from './types';

export interface RolloutFigures {
  requests: number;
  errors: number;
  p99Micros: number;
  events?: number;
  eventErrors?: number;
}

export interface Rollout {
  metadata: Metadata;
  spec: { version: string; steps: { weight: number; pause?: string | number }[] };
  status: {
    state?: string;
    step?: number;
    weight: number;
    message?: string;
    due?: string;
    ended?: string;
    new?: RolloutFigures;
    old?: RolloutFigures;
    events?: { at: string; step?: number; message: string; by?: string }[];
  };
}

/** called is how a version is written for people. */
export const called = (version: string) => (version === '$latest' ? 'working copy' : 'v' + version);

/** said is where weights lead, in words: 90 % v3, 10 % v4. */
export function said(list: Weighted[] | undefined): string {
  if (!list || list.length === 0) return 'nowhere';
  return list.map((w) => `${round(w.weight)} % ${called(w.version)}`).join(', ');
}

const round = (v: number) => Math.round(v * 100) / 100;

/** same tells whether two aliases lead to the same. */
export function same(a: Weighted[] = [], b: Weighted[] = []): boolean {
  const key = (l: Weighted[]) => l.map((w) => `${w.version}=${round(w.weight)}`).sort().join();
  return key(a) === key(b);
}

/** give sets the weight of one and shares the rest among the others as they
 * shared before. The weights add up to 100, whole if they were. */
export function give(list: Weighted[], index: number, weight: number): Weighted[] {
  if (list.length < 2) return list.map((w) => ({ ...w, weight: 100 }));
  const unit = [weight, ...list.map((w) => w.weight)].every(Number.isInteger) ? 1 : 100;
  const its = Math.round(Math.min(100, Math.max(0, weight)) * unit);
  const rest = 100 * unit - its;
  const others = list.map((w, i) => (i === index ? 0 : Math.max(0, w.weight)));
  const sum = others.reduce((a, b) => a + b, 0);
  const heir = others.findIndex((_, i) => i !== index); // if they had nothing
  const wanted = others.map((w, i) => (sum > 0 ? (rest * w) / sum : i === heir ? rest : 0));
  const got = wanted.map(Math.floor);
  let left = rest - got.reduce((a, b) => a + b, 0);
  const most = wanted.map((w, i) => [w - got[i], i]).filter(([, i]) => i !== index).sort((a, b) => b[0] - a[0]);
  for (const [, i] of most) if (left-- > 0) got[i]++;
  return list.map((w, i) => ({ version: w.version, weight: (i === index ? its : got[i]) / unit }));
}

/** without takes one out; the others share what it had. */
export function without(list: Weighted[], index: number): Weighted[] {
  return give(list, index, 0).filter((_, i) => i !== index);
}

const over = ['succeeded', 'rolledBack', 'superseded'];

/** ended tells whether nothing of a rollout will change any more. */
export const ended = (r: Rollout) => over.includes(r.status.state ?? '');

/** rolloutState is a state in words. */
export function rolloutState(state: string | undefined): string {
  return { rollingBack: 'going back', rolledBack: 'taken back', succeeded: 'has all traffic', superseded: 'overtaken by another move' }[state ?? ''] ?? state ?? '';
}

/** failing is the share of what failed, in percent. */
export function failing(f: RolloutFigures | undefined): string {
  const all = (f?.requests ?? 0) + (f?.events ?? 0);
  if (!f || all === 0) return '–';
  return round((100 * (f.errors + (f.eventErrors ?? 0))) / all) + ' %';
}

/** stepsOf reads the steps of a rollout, such as "10:1m, 50:5m, 100". */
export function stepsOf(text: string): { steps: { weight: number; pause?: string }[]; wrong: string } {
  const steps: { weight: number; pause?: string }[] = [];
  for (const part of text.split(/[,\s]+/).filter(Boolean)) {
    const m = /^(\d+(?:\.\d+)?)%?(?::(\d+(?:\.\d+)?(?:ms|s|m|h)))?$/.exec(part);
    if (!m) return { steps, wrong: `${part}: want a share and how long, such as 10:1m` };
    steps.push(m[2] ? { weight: Number(m[1]), pause: m[2] } : { weight: Number(m[1]) });
  }
  const grows = steps.every((s, i) => s.weight > (steps[i - 1]?.weight ?? 0));
  if (!grows || steps.at(-1)?.weight !== 100) return { steps, wrong: 'shares grow, and the last is 100' };
  return { steps, wrong: '' };
}
