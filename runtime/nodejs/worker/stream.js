'use strict';
// Sends an answer in parts, as its source gives them, and no faster than it is
// read.

const { bytes, failed, explain } = require('./answers');
const { BEHIND, UNWANTED, FAILED } = require('./channel');
const { ERROR } = require('./wire');

const NOTHING = Buffer.alloc(0);

class Stream {
  constructor(channel, event, answer) {
    this.channel = channel;
    this.event = event;
    this.status = answer.status;
    this.meta = answer.meta === null ? NOTHING : answer.meta;
    this.begun = false;
  }

  /** push sends one part; false if nobody reads any more. */
  async push(data) {
    while (data.length > 0 || !this.begun) {
      const n = this.channel.part(this.event, this.status, this.meta, data);
      if (n === UNWANTED) return false;
      if (n === BEHIND) {
        await this.channel.progress(this.event);
        continue;
      }
      this.meta = NOTHING;
      this.begun = true;
      data = data.subarray(n);
    }
    return true;
  }

  /** run sends all of a source and returns the end of the answer. */
  async run(source, log) {
    try {
      for await (const part of source) {
        const data = bytes(part);
        if (!(await this.push(data))) break;
      }
    } catch (err) {
      if (this.event._left) return { status: this.status, flags: 0, meta: this.begun ? null : this.meta, body: NOTHING };
      const { text, stack } = explain(err);
      log.write(this.event, ERROR, `exception in handler: ${text}`, [['stack', stack]]);
      const a = failed(err, this.begun ? null : this.event._records);
      return this.begun ? { status: a.status, flags: FAILED, meta: null, body: Buffer.from(a.body).subarray(0, 1000) } : a;
    }
    return { status: this.status, flags: 0, meta: this.begun ? null : this.meta, body: NOTHING };
  }
}

module.exports = { Stream };
