'use strict';
// The worker's side of the two rings. Positions and generations are int32 that
// wrap around, as Int32Array has them. Atomics are sequentially consistent, which
// is the fence that the sleep flags need.

const { performance } = require('perf_hooks'); // the global is looked up anew at each use
const { Arena, Blocks } = require('./arena');
const { Calls } = require('./calls');
const { Event } = require('./event');
const { Batch } = require('./batch');

const WORKER_SLEEPS = 0x100 >> 2, PROCESSOR_SLEEPS = 0x180 >> 2, BEGUN = 0x204 >> 2, STOP = 0x280 >> 2;
const IN_FILE = 1, FAILED = 2, RETAINED = 4, MORE = 8, GOES_ON = 16, RELEASED = 16, PASSED_OVER = 32;
const BEHIND = -1, UNWANTED = -2; // what part returns instead of a length
const PARTS = 4, PART_BYTES = 65536, END_ROOM = 1024;
const QUEUED = 1, CLAIMED = 2;
const BATCHED = 2; // the kind of a request
const SHORT = 32; // text that costs less to write here than by a call
const NOTHING = Buffer.alloc(0);

class Channel {
  constructor(native, control) {
    const { size, fds: [mapping, wake, bell], second } = control.hello();
    this.native = native;
    this.control = control;
    this.memory = native.map(mapping, size, wake, bell, second);
    this.bells = second >= 0; // there are two
    this.words = new Int32Array(this.memory);
    const m = this.mem = Buffer.from(this.memory);
    if (m.toString('latin1', 0, 8) !== 'MYLSHM1\0' || m.readUInt16LE(8) !== 1) {
      throw new Error('unknown version of the shared-memory channel');
    }
    this.claims = m.readUInt16LE(10) >= 1; // 1.0 has no claim words
    const u32 = (at) => m.readUInt32LE(at), u64 = (at) => Number(m.readBigUInt64LE(at));
    this.mask = u32(24) - 1;
    this.slotSize = u32(28);
    this.requests = u32(32) >> 2;
    this.responses = u32(36) >> 2;
    this.respMask = u32(40) - 1;
    this.replies = u32(44) + u32(52); // the response's part of slot 0
    this.room = this.slotSize - u32(52);
    this.arena = u64(72);
    this.arenaLength = u64(80);
    this.maxBody = u64(88);
    this.lent = u64(56);       // the processor's arena, where large requests lie
    this.lentLength = u64(64);
    this.kept = this.keptBytes = 0; // bodies that are retained, or will be
    this.ends = new FinalizationRegistry((place) => this.release(place));
    this.slots = u32(44);
    this.blocks = new Blocks(this.arenaLength, u32(24), (i) => Atomics.load(this.words, this.line(i)));
    this.streams = this.claims; // 1.0 has no streams either
    this.calls = new Calls(this);
    this.open = new Set(); // events whose answers are being streamed
    this.waiting = []; // streams whose reader is behind
    this.reqPos = this.respPos = this.begun = 0;
    this.inFlight = 0;
    this.spinMillis = 0;  // to wait awake; 0: not at all
    this.skip = this.penalty = 0; // waits to be slept, now and after the next one in vain
    this.clock = 0;       // the time, if it was read a moment ago
    this.answered = 0;    // when an event was answered last
    this.unrung = 0;      // responses since the processor was last rung
    this.inTurn = false;  // events are being begun: who does that rings
    this.ringing = false;
    this.ringSoon = () => {
      this.ringing = false;
      if (this.unrung > 0) this.ring();
    };
  }

  /** line is where the processor's words to the worker about a slot are. */
  line(slot) { return (this.slots + slot * this.slotSize) >> 2; }

  get stopped() { return Atomics.load(this.words, STOP) !== 0; }

  /** left says that the stop is one of a drain, of which the signal may be on its way still. */
  get left() { return (Atomics.load(this.words, STOP) & 1) !== 0; }

  /**
   * take begins the next request: the event or the batch; null if there is
   * none, and undefined if it was called back.
   */
  take() {
    const w = this.words, pos = this.reqPos;
    const at = this.requests + (pos & this.mask) * 16;
    if (Atomics.load(w, at) !== ((pos + 1) | 0)) return null;
    if ((w[at + 1] & 0xffff) === BATCHED) return this.takeBatch(at, pos);
    this.reqPos = (pos + 1) | 0;
    if (!this.claim(at + 12, pos)) return this.passOver(at);
    return this.event(at);
  }

  /** takeBatch begins a batch, all of which is there; its first entry claims it. */
  takeBatch(first, pos) {
    const entries = [];
    for (let more = true; more;) {
      const at = this.requests + (this.reqPos & this.mask) * 16;
      if (Atomics.load(this.words, at) !== ((this.reqPos + 1) | 0)) throw new Error('a batch has no end');
      this.reqPos = (this.reqPos + 1) | 0;
      entries.push(at);
      more = ((this.words[at + 1] >>> 16) & GOES_ON) !== 0;
    }
    if (!this.claim(first + 12, pos)) {
      for (const at of entries) this.passOver(at);
      return undefined;
    }
    return new Batch(entries.map((at) => this.event(at)));
  }

  /** event makes the event of the entry at a word. */
  event(at) {
    const w = this.words;
    const flags = w[at + 1] >>> 16, slot = w[at + 2], gen = w[at + 3];
    const start = this.clock > 0 ? this.clock : performance.now();
    this.clock = 0;
    const meta = (w[at + 4] >>> 0) + w[at + 5] * 4294967296, body = (w[at + 6] >>> 0) + w[at + 7] * 4294967296;
    const metaLen = w[at + 8] >>> 0, bodyLen = w[at + 9] >>> 0;
    this.inFlight++;
    if (flags & IN_FILE) {
      const raw = this.control.readFile(slot, gen);
      return new Event(raw, slot, gen, flags, 0, metaLen, metaLen, bodyLen, start);
    }
    return new Event(this.mem, slot, gen, flags, meta, metaLen, body, bodyLen, start);
  }

  passOver(at) {
    const w = this.words;
    if ((w[at + 1] >>> 16) & IN_FILE) this.native.close(this.control.file(w[at + 2], w[at + 3]));
    this.put(w[at + 2], w[at + 3], 204, PASSED_OVER, 0, 0, 0, 0, 0);
    return undefined;
  }

  claim(word, pos) {
    if (this.claims) {
      const queued = (pos << 2) | QUEUED;
      return Atomics.compareExchange(this.words, word, queued, (pos << 2) | CLAIMED) === queued;
    }
    this.begun = (this.begun + 1) | 0;
    Atomics.store(this.words, BEGUN, this.begun);
    return true;
  }

  /**
   * keep shows the body of an event as a Buffer over memory of its own, which stays
   * as it is until nobody holds it; null if it is to be copied. No more than half of the
   * slots and of the arena are kept: then it is the copies that cost.
   */
  keep(ev) {
    const at = ev._body, n = ev._bodyLen;
    if (ev._mem !== this.mem) return ev._mem.subarray(at, at + n); // from a file: it is the event's own
    if (!this.claims || at < this.lent || at >= this.lent + this.lentLength) return null;
    const bytes = Arena.bytes(n);
    if (2 * (this.kept + 1) > this.mask + 1 || 2 * (this.keptBytes + bytes) > this.lentLength) return null;
    const view = Buffer.from(this.native.view(at, n));
    this.kept++;
    this.keptBytes += bytes;
    ev._retained = { slot: ev._slot, gen: ev._gen, bytes };
    return view;
  }

  /** retain is the flag of an answer whose request is kept. */
  retain(ev) {
    if (ev._retained === null) return 0;
    this.ends.register(ev._kept.buffer, ev._retained);
    ev._retained = null;
    return RETAINED;
  }

  /** release says that nobody holds a kept body any more. */
  release({ slot, gen, bytes }) {
    this.kept--;
    this.keptBytes -= bytes;
    this.put(slot, gen, 204, RELEASED, 0, 0, 0, 0, 0);
  }

  /** arm says that the worker sleeps; false if it must not. Once it is ending, the stop is no news. */
  arm(ending) {
    const w = this.words;
    Atomics.store(w, WORKER_SLEEPS, 1);
    if (Atomics.load(w, this.requests + (this.reqPos & this.mask) * 16) !== ((this.reqPos + 1) | 0) &&
      (ending || !this.stopped) && !this.waiting.some((s) => this.moved(s)) && !this.calls.news()) return true;
    Atomics.store(w, WORKER_SLEEPS, 0);
    return false;
  }

  /** spin waits awake for a while, less often if that is in vain, and says whether it was not. */
  spin() {
    if (this.skip > 0) {
      this.skip--;
      return false;
    }
    const w = this.words, at = this.requests + (this.reqPos & this.mask) * 16, want = (this.reqPos + 1) | 0;
    for (const end = performance.now() + this.spinMillis; performance.now() < end;) {
      for (let i = 0; i < 64; i++) {
        if (Atomics.load(w, at) === want) {
          this.penalty = 0;
          return true;
        }
      }
    }
    this.penalty = Math.min(2 * this.penalty + 1, 255);
    this.skip = this.penalty;
    return false;
  }

  /** part sends a part of a stream, the first with the head of the response, and returns how much of data it took. */
  part(ev, status, meta, data) {
    const slot = ev._slot, line = this.line(slot), taken = Atomics.load(this.words, line + 1);
    if (ev._sent === 0) this.blocks.drop(slot);
    this.blocks.dropParts(slot, taken - ev._freed);
    ev._freed = taken;
    if (Atomics.load(this.words, line + 2) === ev._gen) return UNWANTED;
    if (ev._sent - taken >= PARTS) return BEHIND;
    let n = Math.min(data.length, PART_BYTES);
    const block = this.blocks.takePart(slot, ev._gen, meta.length + n);
    let off = this.arena + block;
    if (block < 0) {
      if (ev._sent !== taken) return BEHIND;
      if (meta.length > this.room - END_ROOM) throw new Error('no room for the headers of a stream');
      n = Math.min(n, this.room - END_ROOM - meta.length);
      off = this.replies + slot * this.slotSize;
      this.blocks.parts[slot].push(null);
    }
    meta.copy(this.mem, off);
    data.copy(this.mem, off + meta.length, 0, n);
    ev._sent++;
    this.put(slot, ev._gen, status, MORE, off, meta.length, off + meta.length, n, 0);
    return n;
  }

  moved({ ev, seen }) {
    const line = this.line(ev._slot);
    return Atomics.load(this.words, line + 1) !== seen || Atomics.load(this.words, line + 2) === ev._gen;
  }

  /** progress ends when the reader of a stream has got on since part said that it is behind. */
  progress(ev) {
    return new Promise((go) => this.waiting.push({ ev, seen: ev._freed, go }));
  }

  /** hangUp tells functions whose streams nobody reads any more. The processor rings from arm on. */
  hangUp() {
    for (const ev of this.open) {
      if (Atomics.load(this.words, this.line(ev._slot) + 2) !== ev._gen) continue;
      this.open.delete(ev);
      ev._leave();
    }
  }

  /** resume lets streams go on whose readers have got on. */
  resume() {
    const [moved, others] = [[], []];
    for (const s of this.waiting) (this.moved(s) ? moved : others).push(s);
    this.waiting = others;
    for (const s of moved) s.go();
    return moved.length;
  }

  /** finish ends a stream. Parts may still be unread: their memory is left alone. */
  finish(ev, status, flags, body) {
    const off = this.replies + ev._slot * this.slotSize + this.room - END_ROOM;
    this.settle(ev);
    body.copy(this.mem, off);
    this.put(ev._slot, ev._gen, status, flags, off, 0, off, body.length, (performance.now() - ev._start) * 1e6);
  }

  /** respond answers an event. meta is a Buffer or null, body a string or a Buffer. */
  respond(ev, status, flags, meta, body) {
    flags |= this.retain(ev);
    if (ev._sent > 0) {
      this.finish(ev, status, flags, body);
      return;
    }
    const now = this.answered = performance.now(), nanos = (now - ev._start) * 1e6;
    const slot = ev._slot, metaLen = meta === null ? 0 : meta.length;
    const at = this.replies + slot * this.slotSize;
    if (typeof body === 'string') {
      if (body.length * 3 + metaLen <= this.room) {
        this.settle(ev);
        if (metaLen > 0) meta.copy(this.mem, at);
        const n = this.write(body, at + metaLen, this.room - metaLen);
        this.put(slot, ev._gen, status, flags, at, metaLen, at + metaLen, n, nanos);
        return;
      }
      body = Buffer.from(body);
    }
    this.respondBytes(ev, status, flags, meta === null ? NOTHING : meta, body, at, nanos);
  }

  /** write puts text in the mapping and returns how many bytes it is. There is room for it. */
  write(text, at, room) {
    const n = text.length, m = this.mem;
    if (n > SHORT) return m.utf8Write(text, at, room);
    for (let i = 0; i < n; i++) {
      const c = text.charCodeAt(i);
      if (c > 127) return m.utf8Write(text, at, room);
      m[at + i] = c;
    }
    return n;
  }

  respondBytes(ev, status, flags, meta, body, at, nanos) {
    const slot = ev._slot, gen = ev._gen, total = meta.length + body.length;
    if (total > this.maxBody) {
      this.respond(ev, 500, FAILED | (flags & RETAINED), null, `response of ${total} bytes is above the limit of ${this.maxBody}`);
      return;
    }
    const lies = body.buffer === this.memory && body.length > this.room && ev._has(body);
    const kept = (flags & RETAINED) !== 0 && body.length > this.room && body.buffer === ev._kept.buffer;
    if ((lies || kept) && meta.length <= this.room) { // part of the request itself: it is not copied
      const where = body.byteOffset + (kept ? ev._body : 0);
      this.settle(ev);
      meta.copy(this.mem, at);
      this.put(slot, gen, status, flags, at, meta.length, where, body.length, nanos);
      return;
    }
    let off = at;
    if (total > this.room) {
      const block = total > this.arenaLength / 4 ? -1 : this.blocks.take(slot, gen, total);
      off = block < 0 ? -1 : this.arena + block;
    }
    if (off < 0) {
      this.control.sendFile(slot, gen, meta, body);
      this.settle(ev);
      this.put(slot, gen, status, flags | IN_FILE, 0, meta.length, meta.length, body.length, nanos);
      return;
    }
    meta.copy(this.mem, off);
    body.copy(this.mem, off + meta.length);
    this.settle(ev);
    this.put(slot, gen, status, flags, off, meta.length, off + meta.length, body.length, nanos);
  }

  settle(ev) {
    this.inFlight--;
    ev._keep(this.mem);
  }

  /** owned says in the entry that is put next which event a call is for, null if it is for none. */
  owned(event) {
    const w = this.words, at = this.responses + (this.respPos & this.respMask) * 16;
    w[at + 13] = event === null ? 0 : event._slot + 1;
    w[at + 14] = event === null ? 0 : event._gen;
  }

  put(slot, gen, status, flags, meta, metaLen, body, bodyLen, nanos) {
    const w = this.words;
    const at = this.responses + (this.respPos & this.respMask) * 16;
    w[at + 1] = status | (flags << 16);
    w[at + 2] = slot;
    w[at + 3] = gen;
    w[at + 4] = meta;
    w[at + 5] = meta < 4294967296 ? 0 : meta / 4294967296;
    w[at + 6] = body;
    w[at + 7] = body < 4294967296 ? 0 : body / 4294967296;
    w[at + 8] = metaLen;
    w[at + 9] = bodyLen;
    w[at + 10] = nanos;
    w[at + 11] = nanos < 4294967296 ? 0 : nanos / 4294967296;
    this.respPos = (this.respPos + 1) | 0;
    Atomics.store(w, at, this.respPos);
    this.unrung++;
    if (!this.inTurn && !this.ringing) {
      this.ringing = true;
      queueMicrotask(this.ringSoon);
    }
  }

  /**
   * ring wakes the processor if it sleeps. One call is enough for any number of
   * responses, so it is made at the end of a turn, or when promises that were
   * settled together have had theirs.
   */
  ring() {
    this.unrung = 0;
    const w = this.words;
    if (Atomics.load(w, PROCESSOR_SLEEPS) === 0) return;
    const which = Atomics.exchange(w, PROCESSOR_SLEEPS, 0);
    if (which === 2) this.native.ringSecond();
    else if (which !== 0) this.native.ring();
  }
}

module.exports = { Channel, FAILED, BEHIND, UNWANTED };
