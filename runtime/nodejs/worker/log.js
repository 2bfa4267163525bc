'use strict';
// Where the logger and console go: the control socket and, if the caller of the
// event asked, its response.

const { Console } = require('console');
const { format, inspect } = require('util');
const { packRecord, DEBUG, INFO, WARN, ERROR } = require('./wire');

/** show is a value as text. */
function show(value) {
  if (typeof value === 'string') return value;
  if (value instanceof Error) return String(value.stack || value);
  if (typeof value === 'object' && value !== null) {
    try { return JSON.stringify(value) ?? inspect(value); } catch { return inspect(value); }
  }
  return typeof value === 'symbol' ? value.toString() : String(value);
}

class Log {
  constructor(control, level) {
    this.control = control;
    this.level = level;
    this.current = null; // the event whose handler runs right now
  }

  write(event, level, message, attributes) {
    const asked = event !== null && event._records !== null && !event._done && level >= event._level;
    if (level < this.level && !asked) return;
    const record = packRecord(level, message, attributes);
    if (asked) event._records.push(record);
    if (level < this.level) return;
    try { this.control.log(event === null ? '' : event.id, record); } catch { /* the processor has gone, and this process follows */ }
  }

  /** logger is the context's: of one event, or of none. */
  logger(event) {
    const at = (level) => (message, ...rest) => {
      const [first] = rest;
      if (rest.length === 0 || (rest.length === 1 && typeof first === 'object' && first !== null && !(first instanceof Error))) {
        const pairs = rest.length === 0 ? [] : Object.entries(first).map(([k, v]) => [k, show(v)]);
        this.write(event, level, show(message), pairs);
      } else {
        this.write(event, level, format(message, ...rest), []);
      }
    };
    const debug = at(DEBUG), info = at(INFO), warn = at(WARN), error = at(ERROR);
    return { debug, info, warn, error, warning: warn, debugWith: debug, infoWith: info, warnWith: warn, errorWith: error };
  }

  /** capture sends what console prints to the log, as one record for each call. */
  capture() {
    let level = null;
    const stream = (usual) => ({
      write: (text) => this.write(this.current, level === null ? usual : level, text.replace(/\n$/, ''), []),
      on() {}, once() {}, removeListener() {}, listenerCount: () => 0, isTTY: false,
    });
    const own = new Console({ stdout: stream(INFO), stderr: stream(ERROR), ignoreErrors: false });
    for (const name of Object.keys(own)) if (typeof own[name] === 'function') console[name] = own[name];
    for (const [name, as] of [['debug', DEBUG], ['warn', WARN]]) {
      console[name] = (...args) => {
        level = as;
        try { own[name](...args); } finally { level = null; }
      };
    }
  }
}

module.exports = { Log };
