'use strict';
// The event. Its attributes are made when they are asked for, out of the
// mapping; when it is answered it gets a copy of its own of what nobody has
// asked for yet, and so may be kept.

const { isUtf8 } = require('buffer');
const { inspect } = require('util');

const FIXED = 88, STRINGS = 10;
const METHOD = 0, PATH = 1, URL_ = 2, CONTENT_TYPE = 3, ID = 4, KEY = 5, TOPIC = 6, KIND = 7, NAME = 8, CLASS = 9;
const LOGS = 4, SHARDS = 8;

let parseJSON = false;
let keep = () => null; // shows an event's body in place, or returns null

// Small events are copied one after another into slabs, which costs less than a
// Buffer for each.
const SLAB = 64 << 10, SMALL = 4096;
let slab = null, slabAt = SLAB;

function copySmall(mapping, from, n) {
  if (slabAt + n > SLAB) {
    slab = Buffer.allocUnsafeSlow(SLAB);
    slabAt = 0;
  }
  const at = slabAt;
  slab.set(new Uint8Array(mapping.buffer, from, n), at);
  slabAt = at + n;
  return at;
}

/** decode reads text; bytes that are no UTF-8 are Latin-1. */
function decode(b, from, to) {
  const s = b.utf8Slice(from, to);
  return s.includes('\ufffd') && isUtf8 && !isUtf8(b.subarray(from, to)) ? b.latin1Slice(from, to) : s;
}

class Event {
  constructor(mem, slot, gen, flags, meta, metaLen, body, bodyLen, start) {
    this._mem = mem;
    this._slot = slot;
    this._gen = gen;
    this._flags = flags;
    this._meta = meta;
    this._metaLen = metaLen;
    this._body = body;
    this._bodyLen = bodyLen;
    this._start = start;
    this._given = false; // an answer was given; it may still be read from a stream
    this._done = false;  // the answer is published
    this._sent = 0;      // parts of a stream
    this._freed = 0;     // those of them that were consumed
    this._last = false;  // of a batch
    this._left = false;  // nobody reads its stream any more
    this._abort = null;  // tells the function so, if it asked
    this._values = null; // what was asked for
    this._kept = null;   // the body as keepBody gave it
    this._retained = null; // the place of it that is not to be used again
    this._records = (flags & LOGS) !== 0 ? [] : null;
  }

  /** The lowest level of the records that the caller wants. */
  get _level() { return this._mem.readInt32LE(this._meta + 24); }

  /** _signal is aborted when nobody reads the stream of the answer any more. */
  _signal() {
    if (this._abort === null) this._abort = new AbortController();
    if (this._left) this._abort.abort();
    return this._abort.signal;
  }

  /** _leave tells the function that nobody reads any more. */
  _leave() {
    this._left = true;
    if (this._abort !== null) this._abort.abort();
  }

  /** _has tells whether a view lies in this event's body. */
  _has(view) {
    return !this._done && view.byteOffset >= this._body && view.byteOffset + view.length <= this._body + this._bodyLen;
  }

  /** _keep copies what is left of the event out of the mapping. */
  _keep(mapping) {
    this._done = true;
    if (this._mem !== mapping) return;
    const known = this._kept !== null || (this._values !== null && this._values.body !== undefined);
    const length = this._metaLen + (known ? 0 : this._bodyLen);
    const together = known || this._body === this._meta + this._metaLen;
    if (together && length <= SMALL) {
      this._meta = copySmall(mapping, this._meta, length);
      this._mem = slab;
    } else {
      const own = Buffer.allocUnsafe(length);
      mapping.copy(own, 0, this._meta, this._meta + this._metaLen);
      if (!known) mapping.copy(own, this._metaLen, this._body, this._body + this._bodyLen);
      this._mem = own;
      this._meta = 0;
    }
    this._body = this._meta + this._metaLen;
  }

  _bytes(index, read) {
    const m = this._mem, lengths = this._meta + 48;
    let at = this._meta + FIXED;
    for (let i = 0; i < index; i++) at += m.readUInt32LE(lengths + 4 * i);
    return read(m, at, at + m.readUInt32LE(lengths + 4 * index));
  }

  _pairs(countAt, skip) {
    const m = this._mem, pairs = {};
    let at = this._meta + FIXED + skip;
    for (let i = 0; i < STRINGS; i++) at += m.readUInt32LE(this._meta + 48 + 4 * i);
    for (let n = m.readUInt32LE(this._meta + countAt); n > 0; n--) {
      const k = m.readUInt32LE(at), v = m.readUInt32LE(at + 4);
      const key = decode(m, at + 8, at + 8 + k);
      if (!Object.hasOwn(pairs, key)) {
        Object.defineProperty(pairs, key, { value: decode(m, at + 8 + k, at + 8 + k + v), enumerable: true, writable: true, configurable: true });
      }
      at += 8 + k + v;
    }
    return pairs;
  }

  _readBody() {
    const body = Buffer.allocUnsafe(this._bodyLen);
    if (this._kept !== null) this._kept.copy(body);
    else this._mem.copy(body, 0, this._body, this._body + this._bodyLen);
    if (parseJSON && this.contentType === 'application/json') {
      try { return JSON.parse(body); } catch { /* then it is bytes */ }
    }
    return body;
  }

  /** A view of the body that is not copied: it is only valid until the event is answered. */
  get bodyView() {
    if (this._kept !== null) return this._kept;
    return this._done ? this.body : this._mem.subarray(this._body, this._body + this._bodyLen);
  }

  /**
   * The body for as long as anybody holds what this returns: a large one lies in
   * the shared memory and is not copied while there is room for it.
   */
  keepBody() {
    if (this._kept !== null) return this._kept;
    if (!this._done) this._kept = keep(this);
    if (this._kept === null) {
      const whole = this._values !== null && Buffer.isBuffer(this._values.body) && this._values.body.length === this._bodyLen;
      this._kept = this._done && whole ? this._values.body : Buffer.from(this.bodyView);
    }
    return this._kept;
  }

  /** getHeader finds a header without regard to case; undefined if there is none. */
  getHeader(name) {
    const headers = this.headers;
    if (Object.hasOwn(headers, name)) return headers[name];
    const lower = String(name).toLowerCase();
    for (const key in headers) if (key.toLowerCase() === lower) return headers[key];
    return undefined;
  }

  /** json parses the body. */
  json() { return Buffer.isBuffer(this.body) || typeof this.body === 'string' ? JSON.parse(this.body) : this.body; }

  /** text is the body as UTF-8. */
  text() { return String(this.body); }

  toJSON() {
    const out = {};
    for (const name of Object.keys(attributes)) out[name] = this[name];
    out.body = Buffer.isBuffer(out.body) ? out.body.toString() : out.body;
    out.key = out.key.toString();
    return out;
  }

  [inspect.custom](depth, options) {
    const out = {};
    for (const name of Object.keys(attributes)) out[name] = this[name];
    return `Event ${inspect(out, options)}`;
  }
}

const string = (index) => (e) => e._bytes(index, decode);
const cloud = (...names) => (e) => names.map((n) => e.getHeader(n)).find((v) => v !== undefined) ?? '';

/** What an event has, in the names of JavaScript. */
const attributes = {
  id: string(ID), method: string(METHOD), path: string(PATH), url: string(URL_), contentType: string(CONTENT_TYPE),
  body: (e) => e._readBody(),
  size: (e) => e._bodyLen,
  headers: (e) => e._pairs(28, 0),
  fields: (e) => e._pairs(36, e._mem.readUInt32LE(e._meta + 32)),
  timestamp: (e) => new Date(Number(e._mem.readBigInt64LE(e._meta) / 1000000n)),
  trigger: (e) => ({ kind: string(KIND)(e), name: string(NAME)(e), class: string(CLASS)(e) }),
  topic: string(TOPIC),
  key: (e) => e._bytes(KEY, (m, from, to) => Buffer.from(m.subarray(from, to))),
  offset: (e) => Number(e._mem.readBigInt64LE(e._meta + 8)),
  shardId: (e) => (e._flags & SHARDS ? e._mem.readInt32LE(e._meta + 16) : -1),
  numShards: (e) => (e._flags & SHARDS ? e._mem.readInt32LE(e._meta + 20) : 0),
  type: cloud('ce-type', 'ce-eventtype'), typeVersion: cloud('ce-eventtypeversion'), version: cloud('ce-specversion', 'ce-cloudeventsversion'),
  lastInBatch: (e) => e._last,
};

/** Nuclio's names for the same. */
const aliases = { content_type: 'contentType', shard_id: 'shardId', num_shards: 'numShards', type_version: 'typeVersion', last_in_batch: 'lastInBatch' };

function define(name, of) {
  const make = attributes[of];
  Object.defineProperty(Event.prototype, name, {
    get() {
      const values = this._values === null ? (this._values = {}) : this._values;
      const v = values[of];
      return v !== undefined ? v : (values[of] = make(this));
    },
    set(v) { (this._values === null ? (this._values = {}) : this._values)[of] = v; },
    enumerable: true,
  });
}

for (const name of Object.keys(attributes)) define(name, name);
for (const name of Object.keys(aliases)) define(name, aliases[name]);

function configure(options) {
  parseJSON = options.parseJSON;
  keep = options.keep;
}

module.exports = { Event, configure };
