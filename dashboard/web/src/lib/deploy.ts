// Builds and deploys a function from what is written in the browser, by the
// public API: build, store, wait until it serves.
import { address, ask, credentials, get, part, pieces, Problem, problemOf, type Mistake } from './api';
import { coded, staged, withoutCode } from './code';
import { pause } from './live.svelte';
import type { Source } from './sources';
import type { Fn } from './types';
import { artefact, over, theirs, type Config } from './written';

export type Step = 'build' | 'store' | 'start' | 'done';

export interface Order {
  config: Config;
  namespace: string;
  code: string | undefined; // what is kept with the configuration, in one file
  file: string; // its name
  files: Source[] | undefined; // what is not; neither: what runs is not built anew
  former: Fn | undefined; // what is replaced
  base: string; // its revision; '' if there must be none, '*' for any
}

/** deploy does all of it. It tells each step, with what was stored, and each line of
 * the build's log. */
export async function deploy(o: Order, told: (step: Step, stored?: Fn) => void, log: (line: string) => void, stopped: AbortSignal): Promise<Fn> {
  let { config } = o;
  let digest = o.former?.metadata.annotations?.[artefact] ?? '';
  if (o.code !== undefined || o.files) {
    told('build');
    const made = await build(o, log, stopped);
    digest = made.digest;
    config = { ...over(made.config, config), metadata: over(made.config.metadata, config.metadata) };
    const spec = withoutCode(config.spec);
    config.spec = o.code === undefined ? spec : { ...spec, build: { ...(spec.build as object | undefined), functionSourceCode: coded(o.code) } };
  }
  told('store');
  const annotations = { ...theirs(o.former?.metadata.annotations), ...config.metadata.annotations, ...(digest ? { [artefact]: digest } : {}) };
  const body = { ...config, metadata: { ...config.metadata, namespace: o.namespace, annotations, resourceVersion: undefined } };
  const condition: Record<string, string> = o.base === '' ? { 'If-None-Match': '*' } : o.base === '*' ? {} : { 'If-Match': `"${o.base}"` };
  const r = await ask(`functions/${part(config.metadata.name)}`, { method: 'PUT', query: { namespace: o.namespace }, headers: condition, body, signal: stopped });
  const stored = (await r.json()) as Fn;
  told('start', stored);
  const fn = await serving(stored, o.namespace, log, stopped);
  told('done');
  return fn;
}

async function build(o: Order, log: (line: string) => void, stopped: AbortSignal): Promise<{ digest: string; config: Config }> {
  const form = new FormData();
  const { metadata: { resourceVersion: _, ...metadata }, ...rest } = o.config;
  form.append('config', JSON.stringify({ ...rest, metadata: { ...metadata, namespace: o.namespace }, spec: staged(o.config.spec) }));
  const items: Source[] = o.files ?? [{ path: o.file, text: o.code, executable: o.file.endsWith('.sh') }];
  form.append('files', JSON.stringify({ items }));
  const r = await fetch(address('builds', { namespace: o.namespace }), { method: 'POST', headers: credentials(), body: form, signal: stopped, cache: 'no-store' });
  if (!r.ok) throw await problemOf(r);
  let made: { digest: string; config: Config } | undefined;
  let failed: Problem | undefined;
  const take = (line: string) => {
    if (line.trim() === '') return;
    const e = JSON.parse(line) as { log?: string; artefact?: typeof made; error?: { status: number; detail?: string; errors?: Mistake[]; logs?: string[] } };
    if (e.log !== undefined) log(e.log);
    if (e.artefact) made = e.artefact;
    if (e.error) failed = new Problem(e.error.status, e.error.detail ?? 'the build failed', e.error.errors, e.error.logs);
  };
  let rest_ = '';
  await pieces(r, (text) => {
    const lines = (rest_ + text).split('\n');
    rest_ = lines.pop() ?? '';
    lines.forEach(take);
  });
  take(rest_);
  if (failed) throw failed;
  if (!made) throw new Error('the build ended without an answer: the connection was lost');
  return made;
}

const settled = ['ready', 'disabled', 'scaledToZero'];

async function serving(stored: Fn, namespace: string, log: (line: string) => void, stopped: AbortSignal): Promise<Fn> {
  const version = stored.metadata.resourceVersion;
  let said = '';
  let failures = 0;
  for (;;) {
    let fn: Fn;
    try {
      fn = await get<Fn>(`functions/${part(stored.metadata.name)}`, { namespace }, stopped);
      failures = 0;
    } catch (e) {
      if (stopped.aborted || e instanceof Problem || ++failures > 60) throw e;
      await pause(500, stopped);
      continue;
    }
    if (fn.metadata.resourceVersion !== version) throw new Error('it was deployed again meanwhile, by somebody else');
    const s = fn.status;
    if (String(s.observedRevision) === version) {
      if (settled.includes(s.state)) return fn;
      if (s.state === 'error') throw new Problem(500, s.message || 'it does not start', [], s.logs);
    }
    const now = s.state + (s.message ? ': ' + s.message : '');
    if (now !== said && s.state !== 'waitingForBuild') log((said = now));
    await pause(300, stopped);
    if (stopped.aborted) throw new Error('stopped');
  }
}
