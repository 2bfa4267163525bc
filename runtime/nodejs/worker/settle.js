'use strict';
// Finds what a handler gave to each event of a batch.

const { convert, failed, streams, collect } = require('./answers');

/** match finds the answer to each event in what the handler gave. */
function match(events, value) {
  if (!Array.isArray(value)) {
    throw new TypeError(`a handler that gets a batch gives an array of as many responses, here ${events.length}, and not ${value === null ? 'null' : typeof value}`);
  }
  const ids = value.map((v) => (v !== null && typeof v === 'object' ? v.event_id : undefined));
  if (value.length > 0 && ids.every((id) => typeof id === 'string' && id !== '')) return matchIds(events, value, ids);
  if (value.length !== events.length) throw new RangeError(`the handler gave ${value.length} responses to ${events.length} events`);
  return value;
}

function matchIds(events, value, ids) {
  const places = new Map();
  events.forEach((e, i) => {
    if (!places.has(e.id)) places.set(e.id, []);
    places.get(e.id).push(i);
  });
  const found = events.map(() => new Error('the handler gave no response to this event'));
  value.forEach((v, i) => {
    const at = (places.get(ids[i]) || []).shift();
    if (at === undefined) throw new RangeError(`the handler gave a response to event ${JSON.stringify(ids[i])}, which is not in the batch or has one already`);
    found[at] = v;
  });
  return found;
}

/** entry is one answer, {status, flags, meta, body}, or a promise of it. */
function entry(value, records) {
  if (value !== null && typeof value === 'object' && typeof value.then === 'function') {
    return Promise.resolve(value).then((v) => entry(v, records), (err) => failed(err, records));
  }
  try {
    if (value instanceof Error) throw value;
    const a = convert(value, records);
    if (!streams(a.body)) return a;
    return collect(a.body).then((body) => ({ ...a, body }), (err) => failed(err, records));
  } catch (err) {
    return failed(err, records);
  }
}

/**
 * settle answers all events of a batch by publish(event, answer): at once, but
 * for answers that are promises or streams.
 */
function settle(batch, value, publish) {
  const found = match(batch.events, value);
  batch.events.forEach((event, i) => {
    const a = entry(found[i], batch.recordsOf(event));
    if (a instanceof Promise) a.then((late) => publish(event, late));
    else publish(event, a);
  });
}

module.exports = { settle };
