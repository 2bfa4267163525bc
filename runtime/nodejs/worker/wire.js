'use strict';
// The control socket's messages, and how metadata and log records are laid out.
// The format is in docs/reference/shared-memory.md.

const HELLO = 1, READY = 2, FAIL = 3, LOG = 4, BODY = 5, CALL = 6, BELL = 7;
const MAX_TEXT = 48 << 10;
const DEBUG = -4, INFO = 0, WARN = 4, ERROR = 8;

function u32s(...values) {
  const b = Buffer.allocUnsafe(4 * values.length);
  values.forEach((v, i) => b.writeInt32LE(v | 0, 4 * i));
  return b;
}

/** packPairs lays out [key, value] pairs of buffers. */
function packPairs(pairs) {
  const parts = [];
  for (const [k, v] of pairs) parts.push(u32s(k.length, v.length), k, v);
  return parts;
}

function cut(text, most) {
  const b = Buffer.from(text);
  return b.length <= most ? b : Buffer.concat([b.subarray(0, most), Buffer.from(` ... (${b.length - most} bytes cut)`)]);
}

/** packRecord lays out one log record; attributes is a list of [key, text]. */
function packRecord(level, message, attributes) {
  const text = cut(message, MAX_TEXT / 2);
  const pairs = [];
  let room = MAX_TEXT / 2;
  for (const [key, value] of attributes) {
    const pair = [cut(key, 1024), cut(value, 8192)];
    room -= pair[0].length + pair[1].length + 8;
    if (room < 0) break;
    pairs.push(pair);
  }
  const head = Buffer.allocUnsafe(20);
  head.writeBigInt64LE(BigInt(Date.now()) * 1000000n, 0);
  head.writeInt32LE(level, 8);
  head.writeUInt32LE(text.length, 12);
  head.writeUInt32LE(pairs.length, 16);
  return Buffer.concat([head, text, ...packPairs(pairs)]);
}

/** Control is the control socket: one message at a time, whole. */
class Control {
  constructor(native) {
    this.native = native;
    this.files = new Map(); // by kind, slot or cell, and generation: those that came before they were asked for
  }

  say(kind, text, flags = 0) {
    this.native.send(Buffer.concat([Buffer.from([kind, flags, 0, 0]), cut(text, MAX_TEXT)]));
  }

  log(eventId, record) {
    const id = Buffer.from(eventId);
    this.native.send(Buffer.concat([u32s(LOG, id.length), id, record]));
  }

  /** hello waits for the greeting and returns what it says. */
  hello() {
    const [message, ...fds] = this.native.receive();
    if (message.length < 24 || message[0] !== HELLO || message.readUInt16LE(2) !== 1 || fds.length !== 3) {
      throw new Error('the worker does not know this version of the channel');
    }
    return { size: Number(message.readBigUInt64LE(8)), fds, second: message[1] & 1 ? this.bell() : -1 };
  }

  /** bell returns the processor's second eventfd, which follows its greeting. */
  bell() {
    const [message, ...fds] = this.native.receive();
    if (message[0] !== BELL || fds.length !== 1) throw new Error('the processor has gone');
    return fds[0];
  }

  /** file returns the descriptor that came for a slot or cell; it was sent before it is asked for. */
  file(slot, generation, kind = BODY) {
    const key = `${kind} ${slot} ${generation >>> 0}`;
    while (!this.files.has(key)) {
      const [message, ...fds] = this.native.receive();
      if (message.length === 0) throw new Error('the processor has gone');
      if (message[0] === BODY || message[0] === CALL) this.files.set(`${message[0]} ${message.readUInt32LE(4)} ${message.readUInt32LE(8)}`, fds[0]);
    }
    const fd = this.files.get(key);
    this.files.delete(key);
    return fd;
  }

  readFile(slot, generation, kind = BODY) { return this.native.readFile(this.file(slot, generation, kind)); }

  sendFile(slot, generation, meta, body, kind = BODY) {
    const total = meta.length + body.length;
    this.native.sendFile(u32s(kind, slot, generation, 0, total, Math.floor(total / 2 ** 32)), meta, body);
  }
}

module.exports = { Control, packPairs, packRecord, u32s, CALL, READY, FAIL, DEBUG, INFO, WARN, ERROR };
