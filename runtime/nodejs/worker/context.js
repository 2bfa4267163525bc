'use strict';
// The context: what a function is given besides the event. Each event has one of
// its own, because its callback and its logger belong to it; everything else,
// userData above all, is shared.

const { Response } = require('../sdk/myelin');
const { makeBindings, makeState } = require('./bindings');
const { makePlatform } = require('./calls');
const { Event } = require('./event');

/** makeContext returns the shared context and the class of those of events. */
function makeContext(options, log, answer, calls) {
  const hooks = [];
  let own; // what the function itself has put where its state is
  const shared = {
    userData: {},
    Response,
    platform: makePlatform(calls, null),
    bindings: makeBindings(calls, options.bindings, null),
    get state() { return own !== undefined ? own : makeState(calls, options.bindings, null); },
    set state(other) { own = other; },
    logger: log.logger(null),
    workerId: Number(options.worker),
    worker_id: Number(options.worker),
    trigger: { kind: options.trigger_kind, name: options.trigger_name },
    triggerName: options.trigger_name,
    /** onDrain has hook called once when the processor begins to drain; to be called in initContext. */
    onDrain(hook) {
      if (typeof hook !== 'function') throw new TypeError('context.onDrain wants a function');
      hooks.push(hook);
    },
    callback() { throw new Error('context.callback belongs to an event: use the context that the handler was given'); },
  };
  class EventContext {
    #event;
    #logger = null;

    constructor(event) { this.#event = event; }

    get logger() { return this.#logger === null ? (this.#logger = log.logger(this.#event)) : this.#logger; }
    set logger(own) { this.#logger = own; }

    get platform() { return makePlatform(calls, this.#event instanceof Event ? this.#event : null); }
    set platform(own) { Object.defineProperty(this, 'platform', { value: own, writable: true, configurable: true, enumerable: true }); }

    #bindings = null;

    get bindings() { return this.#bindings === null ? (this.#bindings = makeBindings(calls, options.bindings, this.#event)) : this.#bindings; }
    set bindings(own) { this.#bindings = own; }

    get state() { return own !== undefined ? own : makeState(calls, options.bindings, this.#event); }
    set state(other) { own = other; }

    get signal() { return this.#event instanceof Event ? this.#event._signal() : new AbortController().signal; }

    get callback() { return (value) => answer(this.#event, value); }

    get userData() { return shared.userData; }
    set userData(value) { shared.userData = value; }
  }
  Object.setPrototypeOf(EventContext.prototype, shared);
  return { shared, EventContext, hooks };
}

module.exports = { makeContext };
