'use strict';
// Finds and loads the handler: "file.js:name", "file:name", "name" (in
// handler.js) or nothing.

const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');
const { pathToFileURL } = require('url');

const EXTENSIONS = ['.js', '.mjs', '.cjs'];

function isFile(file) {
  const st = fs.statSync(file, { throwIfNoEntry: false });
  return st !== undefined && st.isFile();
}

/** resolve finds the file of a handler's first part. */
function resolve(source, name) {
  const base = path.resolve(source, name);
  const candidates = [base, ...EXTENSIONS.map((e) => base + e), ...EXTENSIONS.map((e) => path.join(base, 'index' + e))];
  const file = candidates.find((f) => isFile(f));
  if (file === undefined) throw new Error(`there is no file ${name}${path.extname(name) ? '' : '.js'} in the sources`);
  return file;
}

/** byDefault is the file of a function that names none. */
function byDefault(source) {
  const files = fs.readdirSync(source).filter((f) => EXTENSIONS.includes(path.extname(f)) && !/\.(test|config)\.[cm]?js$/.test(f));
  for (const usual of ['handler', 'index', 'main']) {
    const file = files.find((f) => path.parse(f).name === usual);
    if (file !== undefined) return path.join(source, file);
  }
  if (files.length === 1) return path.join(source, files[0]);
  throw new Error(files.length === 0 ? 'there is no .js file in the sources' : `spec.handler names no file, and there are several: ${files.sort().join(', ')}`);
}

function locate(spec, source) {
  const [first, second] = spec.split(':');
  if (second !== undefined) return { file: first === '' ? byDefault(source) : resolve(source, first), name: second || 'handler' };
  if (EXTENSIONS.includes(path.extname(first))) return { file: resolve(source, first), name: 'handler' };
  return { file: byDefault(source), name: first || 'handler' };
}

/** load returns what a file exports, whichever kind of module it is. */
async function load(file) {
  if (path.extname(file) !== '.mjs') {
    try {
      return createRequire(file)(file);
    } catch (err) {
      if (err.code !== 'ERR_REQUIRE_ESM' && err.code !== 'ERR_REQUIRE_ASYNC_MODULE' && !looksESM(err)) throw err;
    }
  }
  return import(pathToFileURL(file));
}

function looksESM(err) {
  return err instanceof SyntaxError && /Cannot use import statement|Unexpected token 'export'|await is only valid/.test(err.message);
}

/** pick finds an export, also below a module's default one. */
function pick(loaded, name) {
  for (const from of [loaded, loaded && loaded.default]) {
    if (from === null || from === undefined) continue;
    const found = name.split('.').reduce((o, part) => (o === null || o === undefined ? undefined : o[part]), from);
    if (found !== undefined) return found;
    if (typeof from === 'function' && name === 'handler') return from;
  }
  return undefined;
}

async function findHandler(spec, source) {
  const { file, name } = locate(spec, source);
  const loaded = await load(file);
  const handler = pick(loaded, name);
  const shown = path.relative(source, file);
  if (handler === undefined) {
    const has = Object.keys(loaded || {}).filter((k) => typeof loaded[k] === 'function');
    throw new Error(`${shown} exports no ${name}${has.length ? ` (it exports ${has.join(', ')})` : ''}`);
  }
  if (typeof handler !== 'function') throw new TypeError(`${name} of ${shown} is no function but ${typeof handler}`);
  return { handler, init: pick(loaded, 'initContext'), file };
}

const CALLS = /[.?'"[]\s*callback\b|[{,]\s*callback\b/;

/**
 * callsBack tells whether a handler that gives nothing may answer later, through
 * context.callback: whether any of the function's own files speaks of it, or the
 * handler comes from elsewhere.
 */
function callsBack(handler, file, source) {
  const text = fs.readFileSync(file, 'utf8');
  if (CALLS.test(text) || !text.includes(Function.prototype.toString.call(handler).slice(0, 200))) return true;
  return ownFiles(source, 200).some((f) => f !== file && CALLS.test(fs.readFileSync(f, 'utf8')));
}

function ownFiles(dir, most) {
  const found = [];
  const pending = [dir];
  while (pending.length > 0 && found.length < most) {
    const at = pending.pop();
    for (const e of fs.readdirSync(at, { withFileTypes: true })) {
      if (e.name === 'node_modules' || e.name.startsWith('.')) continue;
      if (e.isDirectory()) pending.push(path.join(at, e.name));
      else if (e.isFile() && EXTENSIONS.includes(path.extname(e.name))) found.push(path.join(at, e.name));
    }
  }
  return found;
}

module.exports = { findHandler, callsBack };
