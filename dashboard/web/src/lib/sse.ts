// Reads server-sent events of a fetched body: EventSource cannot send a token.

export interface Event {
  event: string;
  data: string;
  id?: string;
}

/** Parser takes pieces of a stream and gives the events that are whole. */
export class Parser {
  #rest = '';
  #event = '';
  #data: string[] = [];
  #id: string | undefined;

  push(piece: string): Event[] {
    const out: Event[] = [];
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const e = this.#line(line);
      if (e) out.push(e);
    }
    return out;
  }

  #line(line: string): Event | undefined {
    if (line === '') {
      const e = this.#data.length > 0 ? { event: this.#event || 'message', data: this.#data.join('\n'), id: this.#id } : undefined;
      this.#event = '';
      this.#data = [];
      this.#id = undefined;
      return e;
    }
    if (line.startsWith(':')) return undefined;
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') this.#event = value;
    if (name === 'data') this.#data.push(value);
    if (name === 'id') this.#id = value;
    return undefined;
  }
}
