// A list of the API's that a page shows and changes: read anew now and then and
// after each change, with what went wrong.
import { get, Problem, type Ask } from './api';
import { poll } from './poll';

export class Listed<T> {
  items: T[] = $state.raw([]);
  loaded = $state(false);
  why = $state('');
  wrong: string[] = $state.raw([]); // field by field

  constructor(
    readonly path: string,
    readonly query: Ask['query'] = {},
  ) {}

  /** follow reads it until what it returns is called. */
  follow = (): (() => void) => poll(5000, (stopped) => this.#read(stopped), (e) => (this.why = e));

  async #read(stopped?: AbortSignal): Promise<void> {
    this.items = (await get<{ items: T[] }>(this.path, this.query, stopped)).items;
    this.loaded = true;
  }

  /** act changes something and reads the list then. */
  async act(f: () => Promise<unknown>): Promise<void> {
    [this.why, this.wrong] = ['', []];
    try {
      await f();
      await this.#read();
    } catch (e) {
      this.why = (e as Error).message;
      if (e instanceof Problem) this.wrong = e.errors.map((m) => `${m.path ?? ''} ${m.detail}`);
    }
  }
}
