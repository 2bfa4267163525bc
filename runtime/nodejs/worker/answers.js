'use strict';
// What handlers give or throw, as the channel takes it.

const { packPairs, u32s } = require('./wire');
const { FAILED } = require('./channel');
const { Response } = require('../sdk/myelin');

const TEXT = 'text/plain', JSON_TYPE = 'application/json';
const EMPTY = { status: 200, type: TEXT, headers: null, body: '' };

/** streams tells what gives its parts one after another. */
function streams(value) {
  return value !== null && typeof value === 'object' && !ArrayBuffer.isView(value) &&
    (typeof value[Symbol.asyncIterator] === 'function' || (typeof value.next === 'function' && typeof value[Symbol.iterator] === 'function'));
}

/** collect joins the parts of a stream. */
async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(bytes(part));
  return Buffer.concat(parts);
}

function bytes(value) {
  if (Buffer.isBuffer(value)) return value;
  if (typeof value === 'string') return Buffer.from(value);
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return Buffer.from(value);
  throw new TypeError(`a stream gave ${describe(value)}, which is neither string nor bytes`);
}

function describe(value) {
  if (typeof value === 'function') return `function ${value.name || ''}`.trim();
  if (typeof value !== 'object') return typeof value;
  return value && value.constructor && value.constructor.name ? value.constructor.name : 'an object';
}

/** plain says what a value is as a response, whose body is a string, a Buffer or a stream. */
function plain(value) {
  if (value === undefined || value === null) return EMPTY;
  if (typeof value === 'string') return { ...EMPTY, body: value };
  if (value instanceof String) return { ...EMPTY, body: String(value) };
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return { ...EMPTY, body: bytes(value) };
  if (Array.isArray(value) && value.length === 2 && typeof value[0] === 'number') {
    return { ...plain(value[1]), status: check(value[0]) };
  }
  if (streams(value)) return { ...EMPTY, body: value };
  if (value instanceof Response || (typeof value === 'object' && 'status_code' in value && 'body' in value)) return response(value);
  if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint') {
    throw new TypeError(`a handler cannot give ${describe(value)}: give a string, bytes, a value for JSON, [status, body] or context.Response`);
  }
  const body = JSON.stringify(value);
  return { ...EMPTY, type: JSON_TYPE, body: body === undefined ? '' : body };
}

function response(r) {
  const given = r.body_encoding === 'base64' && typeof r.body === 'string' ? Buffer.from(r.body, 'base64') : r.body;
  const { type, body } = plain(given);
  const json = type === JSON_TYPE ? JSON_TYPE : null;
  return { status: check(r.status_code || 200), type: r.content_type || json || type, headers: r.headers, body };
}

function check(status) {
  if (!Number.isInteger(status) || status < 100 || status > 599) {
    throw new RangeError(`status must be an integer from 100 to 599, not ${status}`);
  }
  return status;
}

/** header makes bytes of a header's part: Latin-1 where it can be, else UTF-8. */
function header(value) {
  const text = String(value);
  if (/[\r\n\0]/.test(text)) throw new TypeError(`a header of a response cannot hold a line break or NUL: ${JSON.stringify(text)}`);
  return Buffer.from(text, /^[\0-\xff]*$/.test(text) ? 'latin1' : 'utf8');
}

function packMeta(type, headers, records) {
  const pairs = [];
  for (const [key, value] of headers ? Object.entries(headers) : []) {
    for (const v of Array.isArray(value) ? value : [value]) pairs.push([header(key), header(v)]);
  }
  const ctype = header(type);
  return Buffer.concat([u32s(ctype.length, pairs.length, records.length), ctype, ...packPairs(pairs), ...records]);
}

/** convert turns what a handler gave into {status, flags, meta, body}. */
function convert(value, records) {
  const { status, type, headers, body } = plain(value);
  const bare = type === TEXT && records === null && (headers === null || headers === undefined);
  return { status, flags: 0, meta: bare ? null : packMeta(type, headers, records || []), body };
}

/** failed turns what a handler threw into the same, in Nuclio's form. */
function failed(err, records) {
  const { text } = explain(err);
  const own = err !== null && typeof err === 'object' ? err.statusCode || err.status_code || err.status : undefined;
  const known = Number.isInteger(own) && own >= 400 && own <= 599;
  return {
    status: known ? own : 500, flags: FAILED, meta: records === null ? null : packMeta(TEXT, null, records),
    body: known && err instanceof Error ? String(err.message) : `Error in handler: ${text}`,
  };
}

/** explain gives the text and the stack of what was thrown, whose own methods may throw too. */
function explain(err) {
  try {
    if (err instanceof Error) return { text: String(err), stack: String(err.stack || err) };
    return { text: typeof err === 'object' && err !== null && !(err instanceof String) && String(err) === '[object Object]' ? JSON.stringify(err) : String(err), stack: '' };
  } catch {
    return { text: 'something that cannot be shown', stack: '' };
  }
}

module.exports = { convert, failed, explain, streams, collect, bytes };
