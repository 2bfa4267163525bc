'use strict';
// Data bindings: keys, objects, tables and streams that the processor is
// connected to, each call a promise.

const { packPairs, u32s } = require('./wire');
const { BindingError } = require('../sdk/myelin');

const BINDING = 3; // the kind of the call
const NOTHING = Buffer.alloc(0);

/** told reads what the processor says of the bindings: [class, name] of each. */
function told(text) {
  return text ? text.split(',').map((one) => [one.slice(0, one.indexOf(':')), one.slice(one.indexOf(':') + 1)]) : [];
}

// What is asked of any object, as by console.log and await, is not the name of a binding.
const ASKED = new Set(['then', 'toJSON', 'constructor', 'inspect', 'toString', 'valueOf', 'asymmetricMatch', 'nodeType', '$$typeof']);

/** makeBindings returns the bindings by name for an event, a batch or, with null, for none. */
function makeBindings(calls, text, current) {
  const owner = current !== null && current.events ? current.events[0] : current, found = Object.create(null);
  for (const [kind, name] of told(text)) if (CLASSES[kind]) found[name] = new CLASSES[kind](name, calls, owner);
  return new Proxy(found, {
    get(all, name) {
      if (name in all || typeof name === 'symbol' || ASKED.has(name)) return all[name];
      const there = Object.keys(all).sort().join(', ') || 'none';
      throw new BindingError(`the function has no binding ${JSON.stringify(name)} (it has ${there})`, name, 404);
    },
  });
}

class Binding {
  #calls;
  #owner;

  constructor(name, calls, owner) {
    this.name = name;
    this.#calls = calls;
    this.#owner = owner;
  }

  /** _do asks and gives [status, metadata, body]; 404 fails unless it is an answer to missing. */
  async _do(method, path, options, body = NOTHING, missing = false) {
    const { timeout, ...rest } = options, { name } = this;
    if (typeof path !== 'string') throw new TypeError(`a key, a name or SQL is a string, not ${typeof path}`);
    const strings = [name, method, path, ''].map((s) => Buffer.from(s));
    const pairs = Object.entries(rest).filter(([, v]) => v !== undefined && v !== null).map(([k, v]) => [Buffer.from(k), ArrayBuffer.isView(v) ? bytes(v) : Buffer.from(String(v))]);
    const meta = Buffer.concat([u32s(...strings.map((s) => s.length), pairs.length, 0), ...strings, ...packPairs(pairs)]);
    const [status, failed, head, answer] = await this.#calls.call(BINDING, this.#calls.nanoseconds(timeout), meta, body, this.#owner);
    if (status === 404 && missing) return [status, NOTHING, NOTHING];
    if (failed || status >= 400) throw failure(name, status, failed ? NOTHING : head, answer);
    return [status, head, answer];
  }

  /** _trace are the headers of a message that make it part of the event's trace. */
  _trace(given) {
    const out = {}, names = new Set(Object.keys(given).map((k) => k.toLowerCase())), event = this.#owner;
    for (const key of ['traceparent', 'tracestate']) {
      const value = event === null ? null : event.getHeader(key);
      if (value && !names.has(key)) out[key] = value;
    }
    return out;
  }

  _with() { return new Transaction(this.name, this.#calls, this.#owner); }
}

class KV extends Binding {
  async get(key, { timeout } = {}) { return value(await this._do('kv.get', key, { timeout }, NOTHING, true)); }

  async entry(key, { timeout } = {}) { return entry(await this._do('kv.get', key, { timeout }, NOTHING, true)); }

  async fetched(name, { timeout } = {}) { return value(await this._do('kv.fetched', name, { timeout }, NOTHING, true)); }

  async put(key, content, { ttl, ifVersion, timeout } = {}) {
    return version(await this._do('kv.put', key, { Ttl: ttl, 'If-Version': ifVersion, timeout }, bytes(content)));
  }

  async delete(key, { ifVersion, timeout } = {}) { await this._do('kv.delete', key, { 'If-Version': ifVersion, timeout }); }

  async scan(prefix = '', { limit, after, timeout } = {}) { return json(await this._do('kv.scan', prefix, { Limit: limit, After: after, timeout })); }

  async add(key, delta = 1, { ttl, timeout } = {}) { return json(await this._do('kv.add', key, { Ttl: ttl, timeout }, Buffer.from(String(delta)))); }
}

/** What the function remembers by key. What a handler writes counts once, though its event runs again. */
class State extends Binding {
  async get(key, { timeout } = {}) { return value(await this._do('state.get', key, { timeout }, NOTHING, true)); }

  async put(key, content, { timeout } = {}) { await this._do('state.put', key, { timeout }, bytes(content)); }

  async delete(key, { timeout } = {}) { await this._do('state.delete', key, { timeout }); }
}

/** makeState returns the function's state, as an event or, with null, none has it. */
function makeState(calls, text, current) {
  if (!told(text).some(([kind]) => kind === 'state')) throw new BindingError('the function has no state: name a binding under spec.state', 'state', 404);
  return new State('state', calls, current !== null && current.events ? current.events[0] : current);
}

class ObjectStore extends Binding {
  async get(name, { range, timeout } = {}) { return value(await this._do('object.get', name, { Range: range && range.join('-'), timeout }, NOTHING, true)); }

  async entry(name, { range, timeout } = {}) { return entry(await this._do('object.get', name, { Range: range && range.join('-'), timeout }, NOTHING, true)); }

  async fetched(name, { timeout } = {}) { return value(await this._do('object.fetched', name, { timeout }, NOTHING, true)); }

  async put(name, content, { contentType, ifVersion, timeout } = {}) {
    return version(await this._do('object.put', name, { 'Content-Type': contentType, 'If-Version': ifVersion, timeout }, bytes(content)));
  }

  async delete(name, { timeout } = {}) { await this._do('object.delete', name, { timeout }); }

  async list(prefix = '', { limit, after, timeout } = {}) { return json(await this._do('object.list', prefix, { Limit: limit, After: after, timeout })); }

  async stat(name, { timeout } = {}) {
    const answer = await this._do('object.stat', name, { timeout }, NOTHING, true);
    return answer[0] === 404 ? null : json(answer);
  }
}

class Statements extends Binding {
  _transaction = undefined;

  async query(sql, params = [], { limit, timeout } = {}) {
    return rowsOf(await this._do('table.query', sql, { Limit: limit, Transaction: this._transaction, timeout }, packed(params)));
  }

  async exec(sql, params = [], { timeout } = {}) {
    return json(await this._do('table.exec', sql, { Transaction: this._transaction, timeout }, packed(params))).affected;
  }

  async insert(table, columns, rows, { timeout } = {}) {
    return json(await this._do('table.insert', table, { Columns: columns.join(','), Transaction: this._transaction, timeout }, packed(rows))).affected;
  }
}

class Table extends Statements {
  async fetched(name, { timeout } = {}) {
    const answer = await this._do('table.fetched', name, { timeout }, NOTHING, true);
    return answer[0] === 404 ? null : rowsOf(answer);
  }

  /** transaction runs work(tx), commits and gives what work gave; if work fails it rolls back. */
  async transaction(work, options = {}) {
    const tx = this._with();
    await tx._begin(options);
    let out;
    try {
      out = await work(tx);
    } catch (err) {
      await tx._end('table.rollback').catch(() => {}); // what went wrong before tells more
      throw err;
    }
    await tx._end('table.commit');
    return out;
  }
}

class Transaction extends Statements {
  async _begin({ timeout }) { this._transaction = (await this._do('table.begin', '', { timeout }))[2].toString(); }

  async _end(verb) {
    const id = this._transaction;
    this._transaction = 'ended';
    await this._do(verb, id, {});
  }
}

class Stream extends Binding {
  async publish(topic, message, { key, headers = {}, timeout } = {}) {
    const options = { Key: key, timeout };
    for (const [k, v] of Object.entries({ ...headers, ...this._trace(headers) })) options[`H-${k}`] = v;
    await this._do('stream.publish', topic, options, bytes(message));
  }

  /** publishAll publishes many messages, each { topic, value, key, headers }, with one call. */
  async publishAll(messages, { timeout } = {}) {
    const all = messages.map(({ topic, value: content, key, headers = {} }) => {
      if (typeof topic !== 'string') throw new TypeError(`a topic is a string, not ${typeof topic}`);
      const given = Object.entries({ ...headers, ...this._trace(headers) }).map(([k, v]) => [k, String(v)]);
      return [topic, carried(content), key === undefined || key === null ? null : carried(key), Object.fromEntries(given)];
    });
    await this._do('stream.publishAll', '', { timeout }, Buffer.from(JSON.stringify(all)));
  }
}

const CLASSES = { kv: KV, object: ObjectStore, table: Table, stream: Stream };

function bytes(content) {
  if (typeof content === 'string') return Buffer.from(content);
  if (ArrayBuffer.isView(content)) return Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const text = JSON.stringify(content);
  if (text === undefined) throw new TypeError(`a value cannot be ${typeof content}`);
  return Buffer.from(text);
}

/** carried is the value or the key of a message within JSON. */
function carried(content) {
  if (typeof content === 'string') return content;
  return ArrayBuffer.isView(content) ? { $bytes: bytes(content).toString('base64') } : bytes(content).toString();
}

/** failure is why a call failed; one of several messages says which were not published. */
function failure(name, status, meta, answer) {
  const error = new BindingError(answer.toString() || `binding ${name} failed with status ${status}`, name, status), { unpublished } = head(meta);
  if (unpublished) error.unpublished = unpublished.split(',').map(Number);
  return error;
}

function rowsOf(answer) {
  const { columns, rows } = json(answer, revive);
  return (rows || []).map((row) => Object.fromEntries(columns.map((c, i) => [c, row[i]])));
}

/** packed are parameters of SQL as JSON. */
function packed(params) {
  if (!Array.isArray(params)) throw new TypeError('parameters are an array');
  return Buffer.from(JSON.stringify(params, function replace(key, v) {
    const own = this[key];
    if (own instanceof Date) return { $time: own.toISOString() };
    return ArrayBuffer.isView(own) ? { $bytes: bytes(own).toString('base64') } : v;
  }));
}

function revive(key, v) {
  return v !== null && typeof v === 'object' && typeof v.$bytes === 'string' && Object.keys(v).length === 1 ? Buffer.from(v.$bytes, 'base64') : v;
}

function value([status, , body]) { return status === 404 ? null : body; }

function json([, , body], reviver) { return JSON.parse(body.toString(), reviver); }

function head(meta) {
  const out = {}, type = meta.length > 0 ? meta.readUInt32LE(0) : 0;
  if (meta.length === 0) return out;
  let at = 12 + type;
  for (let n = meta.readUInt32LE(4); n > 0; n--) {
    const k = meta.readUInt32LE(at), v = meta.readUInt32LE(at + 4);
    out[meta.latin1Slice(at + 8, at + 8 + k).toLowerCase()] = meta.utf8Slice(at + 8 + k, at + 8 + k + v);
    at += 8 + k + v;
  }
  return { 'content-type': meta.latin1Slice(12, 12 + type), ...out };
}

function version([, meta]) { return head(meta).version; }

function entry([status, meta, body]) {
  if (status === 404) return null;
  const found = head(meta);
  return { value: body, version: found.version, contentType: found['content-type'] };
}

module.exports = { makeBindings, makeState };
