'use strict';
// Calls to the processor: each takes a cell of the mapping until its answer was
// read. What finds no free cell waits for one.

const { packPairs, u32s, CALL } = require('./wire');
const { Response, CallError, AckError } = require('../sdk/myelin');

const FUNCTION = 1, SETTLE = 2; // kinds of calls
const FLAG_FILE = 1, FLAG_FAILED = 2, FLAG_CALL = 64;
const LINE = 64;

/** Answer is what another function answered. */
class Answer extends Response {
  get statusCode() { return this.status_code; }
  get contentType() { return this.content_type; }
  text() { return this.body.toString(); }
  json() { return JSON.parse(this.body); }
}

class Calls {
  constructor(channel) {
    this.channel = channel;
    const m = channel.mem, there = (m.readUInt32LE(12) & 1) !== 0; // features
    this.cells = there ? m.readUInt32LE(96) : 0;
    this.cellSize = there ? m.readUInt32LE(100) : 0;
    this.at = there ? m.readUInt32LE(104) : 0;
    this.free = Array.from({ length: this.cells }, (_, i) => i);
    this.generations = new Int32Array(this.cells);
    this.blocks = new Array(this.cells).fill(null); // of the worker's arena, while a request lies in them
    this.asked = new Map(); // by cell
    this.waiting = []; // for a free cell
  }

  /** line is the index of a cell's first word. */
  line(cell) { return (this.at + cell * this.cellSize) >> 2; }

  answered(cell) { return Atomics.load(this.channel.words, this.line(cell)) === this.generations[cell]; }

  /** news tells whether an answer waits to be read. */
  news() {
    for (const cell of this.asked.keys()) if (this.answered(cell)) return true;
    return false;
  }

  nanoseconds(timeout) { return nanoseconds(timeout); }

  /** call asks for something; the promise is for [status, failed, meta, body]. owner is the event that it is for. */
  call(kind, nanos, meta, body, owner = null) {
    const { maxBody } = this.channel;
    if (meta.length + body.length > maxBody) {
      return Promise.reject(new RangeError(`call of ${meta.length + body.length} bytes is above the limit of ${maxBody}`));
    }
    return new Promise((resolve, reject) => {
      const call = { kind, nanos, meta, body, owner, resolve, reject };
      if (this.free.length > 0) this.ask(this.free.pop(), call);
      else this.waiting.push(call);
    });
  }

  ask(cell, call) {
    const { channel } = this, { meta, body } = call;
    const gen = this.generations[cell] = ((this.generations[cell] + 1) | 0) || 1;
    const total = meta.length + body.length;
    let off = this.at + cell * this.cellSize + LINE, flags = FLAG_CALL;
    if (total > this.cellSize - LINE) {
      const block = total > channel.arenaLength / 4 ? null : channel.blocks.borrow(total);
      this.blocks[cell] = block;
      if (block !== null) off = channel.arena + block.offset;
      else {
        flags |= FLAG_FILE;
        off = 0;
        try {
          channel.control.sendFile(cell, gen, meta, body, CALL);
        } catch (err) {
          this.give(cell);
          call.reject(err);
          return;
        }
      }
    }
    if ((flags & FLAG_FILE) === 0) {
      meta.copy(channel.mem, off);
      body.copy(channel.mem, off + meta.length);
    }
    call.meta = call.body = null;
    this.asked.set(cell, call);
    channel.owned(call.owner);
    channel.put(cell, gen, call.kind, flags, off, meta.length, off + meta.length, body.length, call.nanos);
  }

  give(cell) {
    const next = this.waiting.shift();
    if (next === undefined) this.free.push(cell);
    else this.ask(cell, next);
  }

  /** settle ends the calls that were answered and returns how many. */
  settle() {
    const cells = [];
    for (const cell of this.asked.keys()) if (this.answered(cell)) cells.push(cell);
    for (const cell of cells) {
      const call = this.asked.get(cell);
      this.asked.delete(cell);
      try {
        call.resolve(this.fetch(cell));
      } catch (err) {
        call.reject(err);
      }
      this.give(cell);
    }
    return cells.length;
  }

  fetch(cell) {
    const { mem, words, control, blocks } = this.channel;
    const gen = this.generations[cell], at = this.line(cell) << 2;
    const status = mem.readUInt16LE(at + 8), flags = mem.readUInt16LE(at + 10);
    const metaAt = Number(mem.readBigUInt64LE(at + 16)), bodyAt = Number(mem.readBigUInt64LE(at + 24));
    const metaLen = mem.readUInt32LE(at + 32), bodyLen = mem.readUInt32LE(at + 36);
    const from = (flags & FLAG_FILE) !== 0 ? control.readFile(cell, gen, CALL) : null;
    const read = (off, n) => (from !== null ? from.subarray(off, off + n) : Buffer.from(mem.subarray(off, off + n)));
    const out = [status, (flags & FLAG_FAILED) !== 0, read(metaAt, metaLen), read(bodyAt, bodyLen)];
    if (this.blocks[cell] !== null) blocks.giveBack(this.blocks[cell]);
    this.blocks[cell] = null;
    Atomics.store(words, this.line(cell) + 1, gen);
    return out;
  }
}

/** makePlatform returns what a function may ask of its platform; current is the event at hand, if there is one. */
function makePlatform(calls, current) {
  return {
    async callFunction(name, event = {}, { timeout } = {}) {
      if (calls.cells === 0) throw new CallError('functions cannot be called here: no processor runs this one', name, 502);
      const { meta, body } = request(name, event || {}, current);
      const [status, failed, head, answer] = await calls.call(FUNCTION, nanoseconds(timeout), meta, body);
      if (failed) throw new CallError(answer.toString(), name, status);
      return unpack(status, head, answer);
    },
    async ack(place) { return settle(calls, 'ack', place, ''); },
    async nack(place, error, { permanent = false } = {}) {
      return settle(calls, permanent ? 'reject' : 'nack', place, error instanceof Error ? error.message : error);
    },
  };
}

/** settle ends an event that was left open; place is the event, or its trigger, topic, shard and offset. */
async function settle(calls, verb, place, reason) {
  if (calls.cells === 0) throw new AckError('events cannot be acknowledged here: no processor runs this function', 502);
  const { trigger, topic, shardId, offset } = place;
  if (!Number.isSafeInteger(offset)) throw new TypeError(`the event has no place in a queue or stream: its offset is ${offset}`);
  const name = trigger && typeof trigger === 'object' ? trigger.name : trigger;
  const at = { shard: String(Math.max(shardId || 0, 0)), offset: String(offset) };
  const body = Buffer.from(String(reason === undefined || reason === null ? '' : reason));
  const { meta } = request(name || '', { method: verb, path: topic || '', headers: at }, null);
  const [status, failed, , answer] = await calls.call(SETTLE, 0, meta, body);
  if (failed) throw new AckError(answer.toString(), status);
}

/** nanoseconds of a timeout in milliseconds; 0 leaves it to the processor. */
function nanoseconds(timeout) {
  if (timeout === undefined || timeout === null) return 0;
  if (typeof timeout !== 'number' || !(timeout > 0)) throw new RangeError(`timeout must be above 0 milliseconds, not ${timeout}`);
  return Math.max(1, Math.floor(Math.min(timeout, 1e9) * 1e6));
}

function request(name, event, current) {
  let { body } = event, type = event.contentType || event.content_type || '';
  if (body === undefined || body === null) body = Buffer.alloc(0);
  else if (typeof body === 'string') body = Buffer.from(body);
  else if (ArrayBuffer.isView(body)) body = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  else {
    body = Buffer.from(JSON.stringify(body));
    type = type || 'application/json';
  }
  if (type === '' && body.length > 0) type = 'text/plain';
  const headers = Object.entries(event.headers || {}), given = new Set(headers.map(([k]) => k.toLowerCase()));
  if (current && current !== event) {
    for (const key of ['traceparent', 'tracestate']) {
      const value = current.getHeader(key);
      if (value && !given.has(key)) headers.push([key, value]);
    }
    if (current.id && !given.has('x-request-id')) headers.push(['X-Request-Id', current.id]);
  }
  const strings = [name, event.method || '', event.path || '', type].map((s) => Buffer.from(String(s)));
  const pairs = headers.map(([k, v]) => [Buffer.from(String(k)), headerValue(k, v)]);
  const meta = Buffer.concat([u32s(...strings.map((s) => s.length), pairs.length, 0), ...strings, ...packPairs(pairs)]);
  return { meta, body };
}

function headerValue(key, value) {
  const text = String(value);
  if (/[\r\n\0]/.test(text)) throw new TypeError(`header ${key} cannot hold a line break or NUL`);
  return /^[\0-\xff]*$/.test(text) ? Buffer.from(text, 'latin1') : Buffer.from(text);
}

function unpack(status, meta, body) {
  const type = meta.readUInt32LE(0), headers = {};
  let at = 12 + type;
  for (let n = meta.readUInt32LE(4); n > 0; n--) {
    const k = meta.readUInt32LE(at), v = meta.readUInt32LE(at + 4);
    headers[meta.latin1Slice(at + 8, at + 8 + k).toLowerCase()] = meta.latin1Slice(at + 8 + k, at + 8 + k + v);
    at += 8 + k + v;
  }
  return new Answer(body, headers, meta.latin1Slice(12, 12 + type), status);
}

module.exports = { Calls, makePlatform };
