// What is known of the machine, kept up to date: functions by the watch of the
// API, figures by asking again. Nothing is shown as live that may be old.
import { get, Problem, signedIn, watch } from './api';
import { merge } from './figures';
import type { Event } from './sse';
import type { FigureList, Fn, Point } from './types';

export type Link = 'connecting' | 'live' | 'lost' | 'signin';

const kept = 60; // points of each function
const every = 2000; // between questions for figures, in ms
const silence = 40000; // after which a watch is taken for dead: it says something every 15 s
const many = 300; // functions
const still = 150; // after which nobody scrolls any more, in ms
const longest = 1000; // that what is new waits for that
const pauses = [500, 1000, 2000, 4000, 8000];

export const keyOf = (namespace: string | undefined, name: string) => (namespace || 'default') + '/' + name;

class Live {
  link: Link = $state('connecting');
  why = $state('');
  notIn = ''; // why signing in at an issuer has failed
  lostAt = $state(0);
  now = $state(Date.now());
  loaded = $state(false);
  figuresLoaded = $state(false);
  remembers = $state(true); // whether the server has figures
  version = $state('');
  functions = $state.raw(new Map<string, Fn>());
  figures = $state.raw(new Map<string, Point[]>());

  #stop: AbortController | undefined;
  #next = new Map<string, Fn>();
  #due = false;
  #scrolled = -Infinity;
  #last = '';

  /** start keeps everything up to date until stop. */
  start(): void {
    this.stop();
    const stop = (this.#stop = new AbortController());
    const clock = setInterval(() => (this.now = Date.now()), 1000);
    stop.signal.addEventListener('abort', () => clearInterval(clock));
    addEventListener('scroll', () => (this.#scrolled = performance.now()), { passive: true, signal: stop.signal });
    void this.#follow(stop.signal);
    void this.#ask(stop.signal);
  }

  stop(): void {
    this.#stop?.abort();
    this.#stop = undefined;
  }

  async #follow(stopped: AbortSignal): Promise<void> {
    for (let tries = 0; !stopped.aborted; tries++) {
      if (this.link !== 'lost') this.link = 'connecting';
      const end = new AbortController();
      const over = () => end.abort();
      stopped.addEventListener('abort', over);
      let timer = setTimeout(over, silence);
      const heard = () => {
        clearTimeout(timer);
        timer = setTimeout(over, silence);
      };
      this.#next = new Map();
      let synced = false;
      try {
        await watch('functions', { namespace: '*' }, end.signal, heard, (events) => {
          for (const e of events) {
            if (e.event === 'synced') {
              synced = true;
              tries = 0;
              this.link = 'live';
              this.why = '';
            }
            this.#take(e);
          }
          if (synced) this.#publish();
        });
        this.why = 'the server ended the connection';
      } catch (e) {
        if (e instanceof Problem && e.status === 401) {
          this.link = 'signin';
          this.why = signedIn() ? e.message : this.notIn;
          this.stop();
          return;
        }
        this.why = e instanceof Problem ? e.message : 'the server cannot be reached';
      } finally {
        clearTimeout(timer);
        stopped.removeEventListener('abort', over);
        end.abort();
      }
      if (stopped.aborted) return;
      if (this.link !== 'lost') this.lostAt = Date.now();
      this.link = 'lost';
      await pause(pauses[Math.min(tries, pauses.length - 1)], stopped);
    }
  }

  #take(e: Event): void {
    if (e.event !== 'put' && e.event !== 'delete') return;
    const f = JSON.parse(e.data) as Fn;
    const key = keyOf(f.metadata.namespace, f.metadata.name);
    if (e.event === 'put') this.#next.set(key, f);
    else this.#next.delete(key);
  }

  // However much changes, the page is drawn a few times a second, of many functions less often.
  #publish(): void {
    if (this.#due) return;
    this.#due = true;
    setTimeout(async () => {
      await this.#calm();
      this.#due = false;
      this.functions = new Map(this.#next);
      this.loaded = true;
    }, this.loaded ? (this.#next.size > many ? 500 : 200) : 0);
  }

  // A list that moves is not read: while somebody scrolls, the processor is for that.
  async #calm(): Promise<void> {
    const end = performance.now() + longest;
    for (;;) {
      const wait = Math.min(this.#scrolled + still, end) - performance.now();
      if (wait <= 0) return;
      await new Promise((done) => setTimeout(done, wait));
    }
  }

  async #ask(stopped: AbortSignal): Promise<void> {
    this.#last = '';
    void get<{ version: string }>('version', {}, stopped).then((v) => (this.version = v.version), () => {});
    while (!stopped.aborted) {
      try {
        const list = await get<FigureList>('figures', { namespace: '*', since: this.#last, points: String(kept) }, stopped);
        await this.#calm();
        if (stopped.aborted) return;
        this.#merge(list);
        this.remembers = true;
      } catch (e) {
        if (e instanceof Problem && e.status === 501) this.remembers = false;
      }
      await pause(every, stopped);
    }
  }

  #merge(list: FigureList): void {
    const next = new Map<string, Point[]>();
    for (const f of list.items) {
      const key = keyOf(f.namespace, f.name);
      const had = this.#last === '' ? [] : (this.figures.get(key) ?? []);
      next.set(key, merge(had, f.points, kept));
      for (const p of f.points) if (p.at > this.#newest) this.#newest = p.at;
    }
    this.figures = next;
    this.figuresLoaded = true;
    // A look that was under way may end with an earlier time than another's.
    this.#last = this.#newest ? new Date(Date.parse(this.#newest) - 10000).toISOString() : '';
  }
  #newest = '';
}

export function pause(ms: number, stopped: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      stopped.removeEventListener('abort', end);
      done();
    };
    const timer = setTimeout(end, ms);
    stopped.addEventListener('abort', end);
    if (stopped.aborted) end();
  });
}

export const live = new Live();
