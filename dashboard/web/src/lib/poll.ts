// Asks again and again while somebody looks.
import { pause } from './live.svelte';

/** poll calls f every so many milliseconds until what it returns is called; not
 * while the page is hidden. What f throws goes to failed. */
export function poll(every: number, f: (stopped: AbortSignal) => Promise<void>, failed: (why: string) => void): () => void {
  const end = new AbortController();
  void (async () => {
    while (!end.signal.aborted) {
      if (!document.hidden) {
        try {
          await f(end.signal);
        } catch (e) {
          if (!end.signal.aborted) failed((e as Error).message);
        }
      }
      await pause(every, end.signal);
    }
  })();
  return () => end.abort();
}
