'use strict';
// Reads modules without running them and prints what is wrong with them, and
// what the first of them exports.
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const files = process.argv.slice(1);
const errors = [];

/** kind is what Node.js takes a file for: its extension decides, then the nearest package.json. */
function kind(file) {
  if (file.endsWith('.mjs')) return 'module';
  if (file.endsWith('.cjs')) return 'commonjs';
  for (let dir = path.dirname(path.resolve(file)); ; dir = path.dirname(dir)) {
    try {
      return JSON.parse(fs.readFileSync(path.join(dir, 'package.json'), 'utf8')).type || 'unknown';
    } catch (err) {
      if (err instanceof SyntaxError) return 'unknown';
    }
    if (dir === process.cwd() || dir === path.dirname(dir)) return 'unknown';
  }
}

function asModule(text, file) { new vm.SourceTextModule(text, { identifier: file }); }

function asScript(text, file) {
  vm.compileFunction(text.replace(/^#!/, '//'), ['exports', 'require', 'module', '__filename', '__dirname'], { filename: file });
}

function compile(text, file) {
  const type = kind(file);
  if (type === 'module') return asModule(text, file);
  try {
    asScript(text, file);
  } catch (err) {
    // A file that nothing says to be a module may be one all the same.
    if (type !== 'unknown' || !/^\s*(import|export)\b|\bawait\b/m.test(text)) throw err;
    asModule(text, file);
  }
}

/** place takes the line, its text and the column out of the stack of a syntax error. */
function place(err, file, text) {
  const found = /^(.*):(\d+)\n(.*)\n( *)\^/.exec(String(err.stack));
  const line = found ? Number(found[2]) : 0;
  return { file, line, column: found ? found[4].length + 1 : 0, text: line ? text.split(/\r?\n/)[line - 1] || '' : '', msg: `${err.name}: ${err.message}` };
}

for (const file of files) {
  const text = fs.readFileSync(file, 'utf8');
  try {
    compile(text, file);
  } catch (err) {
    errors.push(place(err, file, text));
  }
}

const first = files.length > 0 ? fs.readFileSync(files[0], 'utf8') : '';
const exported = new Set();
for (const expr of [/\bexports\.([\w$]+)\s*=/g, /\bexport\s+(?:async\s+)?(?:function\*?|const|let|var|class)\s+([\w$]+)/g]) {
  for (const m of first.matchAll(expr)) exported.add(m[1]);
}
// What is exported as a whole cannot be read off the text.
const open = /\bmodule\.exports\s*=|\bmodule\[|\bexport\s*(\*|\{|default)|\(exports\b|\(module\b|,\s*exports\b|__exportStar|exports\[/.test(first);
console.log(JSON.stringify({ errors, exported: [...exported], open }));
