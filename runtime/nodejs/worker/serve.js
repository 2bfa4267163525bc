'use strict';
// Takes events off the ring and hands them to the handler; answers when it
// gives, resolves, calls back or fails, whichever comes first.

const { performance } = require('perf_hooks');
const { Batch } = require('./batch');
const { convert, failed, explain, streams, collect } = require('./answers');
const { makeContext } = require('./context');
const { findHandler, callsBack } = require('./load');
const { settle } = require('./settle');
const { Stream } = require('./stream');
const { ERROR, WARN } = require('./wire');

// One turn of the loop begins this many events at most, and for no longer than
// this, so that timers and sockets get theirs.
const TURN_EVENTS = 128, TURN_MILLIS = 2;

// Responses of one turn wake the processor together, but wait no longer than this.
const RING_EVENTS = 32, RING_MILLIS = 0.1;

function serve(channel, log, options) {
  const { shared, EventContext, hooks } = makeContext(options, log, calledBack, channel.calls);
  let handler = null;
  let waits = true; // a handler that gives nothing may call back later
  let scheduled = false;
  let ending = false;
  let leaving = null; // the function's hooks, once the processor drains

  async function load() {
    channel.native.listen(drain); // an init hook may call, and is answered
    const found = await findHandler(options.handler, options.source);
    if (typeof found.init === 'function') {
      try {
        await found.init(shared);
      } catch (cause) {
        throw Object.assign(new Error('initContext failed', { cause }), { during: 'initContext failed', stack: cause && cause.stack });
      }
    }
    handler = found.handler;
    waits = callsBack(handler, found.file, options.source);
    const declared = Object.prototype.toString.call(handler) === '[object AsyncFunction]';
    return options.async === '' ? declared : options.async === '1';
  }

  function run() {
    if (hooks.length > 0) process.on('SIGURG', onDrain);
    schedule();
  }

  /** onDrain runs the function's hooks, one after the other. */
  function onDrain() {
    if (leaving === null) leaving = runHooks();
  }

  async function runHooks() {
    for (const hook of hooks) {
      try {
        await hook();
      } catch (err) {
        const { text, stack } = explain(err);
        log.write(null, ERROR, `drain hook failed: ${text}`, [['stack', stack]]);
      }
    }
  }

  function schedule() {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      drain();
    });
  }

  // After a turn that had events, the ring is looked at once more before the
  // worker sleeps: meanwhile promises go on, and nobody needs to ring.
  function drain() {
    let began = 0;
    channel.inTurn = true;
    try {
      began = turn();
    } finally {
      channel.inTurn = false;
      channel.clock = 0;
      if (channel.unrung > 0) channel.ring();
    }
    if (channel.waiting.length > 0) began += channel.resume();
    began += channel.calls.settle();
    if (began === 0 && channel.stopped) end();
    if (channel.spinMillis > 0 && !ending) spin();
    if (began > 0 || !channel.arm(ending)) schedule();
    else if (channel.open.size > 0) channel.hangUp();
  }

  // With nothing in flight and nobody to wait for, the next event is waited for
  // awake. Timers and others of the function have their turn in between.
  function spin() {
    for (const until = performance.now() + TURN_MILLIS; channel.inFlight === 0 && channel.spin() && performance.now() < until;) {
      channel.inTurn = true;
      try {
        turn();
      } finally {
        channel.inTurn = false;
        channel.clock = 0;
        if (channel.unrung > 0) channel.ring();
      }
    }
  }

  /** turn begins the events that are there and returns how many. */
  function turn() {
    let began = 0, until = 0, rung = 0;
    for (;;) {
      const event = channel.take();
      if (event === null) return began;
      if (event === undefined) continue;
      const now = event._start;
      if (until === 0) until = now + TURN_MILLIS;
      if (channel.unrung === 0) rung = now;
      else if (channel.unrung >= RING_EVENTS || now - rung > RING_MILLIS) channel.ring();
      if (event instanceof Batch) call(event, event.events.slice());
      else begin(event);
      if (++began === TURN_EVENTS || now > until) return began;
    }
  }

  function end() {
    ending = true;
    leave();
  }

  function leave() {
    if (channel.inFlight > 0) return;
    channel.ring();
    if (channel.left && hooks.length > 0) onDrain();
    if (leaving === null) process.exit(0);
    leaving.then(() => process.exit(0));
  }

  function begin(event) {
    const context = new EventContext(event);
    log.current = event;
    let value;
    try {
      value = handler(context, event);
    } catch (err) {
      log.current = null;
      fail(event, err);
      return;
    }
    log.current = null;
    if (typeof value === 'string' && event._records === null && !event._given) {
      publish(event, 200, 0, null, value);
      channel.clock = channel.answered; // the next event begins now
    } else if (value !== null && typeof value === 'object' && typeof value.then === 'function') {
      Promise.resolve(value).then((v) => returned(event, v), (err) => fail(event, err));
    } else {
      returned(event, value);
    }
  }

  /** call begins the handler of a batch. */
  function call(batch, events) {
    const context = new EventContext(batch);
    log.current = batch;
    let value;
    try {
      value = handler(context, events);
    } catch (err) {
      log.current = null;
      fail(batch, err);
      return;
    }
    log.current = null;
    if (value !== null && typeof value === 'object' && typeof value.then === 'function') {
      Promise.resolve(value).then((v) => returned(batch, v), (err) => fail(batch, err));
    } else {
      returned(batch, value);
    }
  }

  function answerBatch(batch, value) {
    try {
      if (value instanceof Error) throw value;
      settle(batch, value, (event, a) => publish(event, a.status, a.flags, a.meta, a.body));
      batch._given = batch._done = true;
    } catch (err) {
      fail(batch, err);
    }
  }

  function failBatch(batch, err) {
    batch._given = batch._done = true;
    for (const event of batch.events) {
      const a = failed(err, batch.recordsOf(event));
      publish(event, a.status, a.flags, a.meta, a.body);
    }
  }

  function returned(event, value) {
    if (event._given || (value === undefined && waits)) return;
    answer(event, value);
  }

  function calledBack(event, value) {
    if (event._given) log.write(event, WARN, 'context.callback was called for an event that is answered already; this call is ignored', []);
    else if (value instanceof Error) fail(event, value);
    else answer(event, value);
  }

  function answer(event, value) {
    if (event instanceof Batch) {
      answerBatch(event, value);
      return;
    }
    let a;
    try {
      if (value instanceof Error) throw value;
      a = convert(value, event._records);
      if (streams(a.body)) {
        event._given = true;
        if (channel.streams) sendParts(event, a);
        else collect(a.body).then((body) => publish(event, a.status, a.flags, a.meta, body), (err) => failStream(event, err));
        return;
      }
    } catch (err) {
      fail(event, err);
      return;
    }
    publish(event, a.status, a.flags, a.meta, a.body);
  }

  async function sendParts(event, a) {
    channel.open.add(event);
    const end = await new Stream(channel, event, a).run(a.body, log);
    channel.open.delete(event);
    publish(event, end.status, end.flags, end.meta, end.body);
  }

  function failStream(event, err) {
    event._given = false;
    fail(event, err);
  }

  function fail(event, err) {
    const { text, stack } = explain(err);
    if (event._given) {
      log.write(event, ERROR, `exception after the event was answered: ${text}`, [['stack', stack]]);
      return;
    }
    log.write(event, ERROR, `exception in handler: ${text}`, [['stack', stack]]);
    if (event instanceof Batch) {
      failBatch(event, err);
      return;
    }
    const a = failed(err, event._records);
    publish(event, a.status, a.flags, a.meta, a.body);
  }

  function publish(event, status, flags, meta, body) {
    event._given = true;
    channel.respond(event, status, flags, meta, body);
    if (ending) leave();
  }

  return { load, run, leaves: () => hooks.length > 0 };
}

module.exports = { serve };
