// A kind of objects, kept up to date by its watch. Live does the same for
// functions and says when the server is gone; this tries again until it is back.
import { watch } from './api';
import { keyOf, pause } from './live.svelte';
import type { Metadata } from './types';

export class Follow<T extends { metadata: Metadata }> {
  all = $state.raw(new Map<string, T>());
  loaded = $state(false);
  why = $state('');
  #end = new AbortController();

  constructor(readonly path: string) {}

  /** start keeps it up to date until what it returns is called. */
  start(): () => void {
    void this.#run(this.#end.signal);
    return () => this.#end.abort();
  }

  async #run(stopped: AbortSignal): Promise<void> {
    while (!stopped.aborted) {
      const next = new Map<string, T>();
      let synced = false;
      let due = false;
      const publish = () => {
        if (due) return;
        due = true;
        setTimeout(() => {
          due = false;
          this.all = new Map(next);
          [this.loaded, this.why] = [true, ''];
        }, this.loaded ? 200 : 0);
      };
      try {
        await watch(this.path, { namespace: '*' }, stopped, () => {}, (events) => {
          for (const e of events) {
            if (e.event === 'synced') synced = true;
            if (e.event !== 'put' && e.event !== 'delete') continue;
            const o = JSON.parse(e.data) as T;
            const key = keyOf(o.metadata.namespace, o.metadata.name);
            if (e.event === 'put') next.set(key, o);
            else next.delete(key);
          }
          if (synced) publish();
        });
      } catch (e) {
        if (!stopped.aborted) this.why = (e as Error).message;
      }
      await pause(2000, stopped);
    }
  }
}
