'use strict';
// Batches: one call of the handler with an array of events.

const LEVEL = 8; // where a log record has it

/** Batch stands for its events in the log, which is that of the whole call. */
class Batch {
  constructor(events) {
    this.events = events;
    events[events.length - 1]._last = true;
    this.id = '';
    this._start = events[0]._start;
    this._given = false;
    this._done = false;
    const levels = events.filter((e) => e._records !== null).map((e) => e._level);
    this._level = Math.min(...levels);
    this._records = levels.length > 0 ? [] : null;
  }

  /** recordsOf are those that the caller of an event wants, null if it wants none. */
  recordsOf(event) {
    if (event._records === null) return null;
    const level = event._level;
    return this._records.filter((r) => r.readInt32LE(LEVEL) >= level);
  }
}

module.exports = { Batch };
