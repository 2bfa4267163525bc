'use strict';
// The worker of JavaScript functions: loads the handler and serves the channel.

const path = require('path');

const options = Object.fromEntries(process.argv.slice(2).map((arg) => {
  const i = arg.indexOf('=');
  return [arg.slice(0, i), arg.slice(i + 1)];
}));
const native = require(options.addon);
const { Control, READY, FAIL, ERROR } = require('./wire');
const { Log } = require('./log');
const { Channel } = require('./channel');
const { serve } = require('./serve');

const ASYNC = 1, SLEEPS = 2, CLAIMS = 4, BATCHES = 8, LEAVES = 32, BELLS = 64;

/** problem is what the deployment is told of a function that cannot be loaded. */
function problem(err) {
  if (!(err instanceof Error)) return String(err);
  // Node.js puts the place of a syntax error on the first line of the stack.
  const place = err instanceof SyntaxError && /^(.+:\d+)\n/.exec(String(err.stack));
  return `${err.name}: ${err.message}${place ? ` (${place[1]})` : ''}`;
}

async function start() {
  const control = new Control(native);
  const channel = new Channel(native, control);
  channel.spinMillis = Number(options.spin) / 1e6;
  native.watch();
  const log = new Log(control, Number(options.level));
  log.capture();
  process.argv = [process.argv[0], path.join(options.source, 'handler.js')];
  require('./event').configure({ parseJSON: options.json === '1', keep: (ev) => channel.keep(ev) });
  const server = serve(channel, log, options);
  const alive = setInterval(() => {}, 1 << 30); // an init hook that waits for nothing is slow, not at its end
  const asynchronous = await server.load().catch((err) => {
    log.write(null, ERROR, 'function cannot be loaded', [['stack', String((err && err.stack) || err)]]);
    control.say(FAIL, (err && err.during ? `${err.during}: ` : '') + problem(err && err.during ? err.cause : err));
    process.exit(1);
  });
  control.say(READY, `Node.js ${process.versions.node}`, (asynchronous ? ASYNC : 0) | SLEEPS | BATCHES | (channel.claims ? CLAIMS : 0) | (server.leaves() ? LEAVES : 0) | (channel.bells ? BELLS : 0));
  server.run();
  clearInterval(alive);
}

start().catch((err) => {
  process.stderr.write(`worker cannot start: ${(err && err.stack) || err}\n`);
  process.exit(1);
});
