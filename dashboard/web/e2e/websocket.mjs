// Pages of a function talk to it by WebSocket and hear its events, through the gateway.
import assert from 'node:assert/strict';
import { gateway, open, patience } from './browser.mjs';

const browser = await open();
try {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(patience);
  await page.goto(gateway + 'live');
  const said = await page.evaluate(async () => {
    const socket = new WebSocket(`ws://${location.host}/live`);
    socket.binaryType = 'arraybuffer';
    const event = (name) => new Promise((done) => socket.addEventListener(name, done, { once: true }));
    await event('open');
    const answer = async (message) => {
      const heard = event('message');
      socket.send(message);
      return (await heard).data;
    };
    const text = await answer('grüße');
    const large = new Uint8Array(100_000).map((_, i) => i % 251);
    const back = new Uint8Array(await answer(large));
    const closed = event('close');
    socket.close(1000);
    const { code, wasClean } = await closed;
    return { text, same: back.length === large.length && back.every((b, i) => b === large[i]), code, wasClean };
  });
  assert.deepEqual(said, { text: 'grüße', same: true, code: 1000, wasClean: true });

  const heard = await page.evaluate(async () => {
    const events = new EventSource('/live/feed');
    const first = new Promise((done) => events.addEventListener('message', (e) => done(e.data), { once: true }));
    const tell = setInterval(() => fetch('/live', { method: 'POST', body: 'news' }), 200); // who comes later hears nothing of before
    const data = await first;
    clearInterval(tell);
    events.close();
    return data;
  });
  assert.equal(heard, 'news');

  // A page of nobody's host may not.
  await page.goto('about:blank');
  const refused = await page.evaluate(
    (url) =>
      new Promise((done) => {
        const socket = new WebSocket(url);
        socket.onopen = () => done('let in');
        socket.onerror = () => done('refused');
      }),
    gateway.replace('http:', 'ws:') + 'live',
  );
  assert.equal(refused, 'refused');
} finally {
  await browser.close();
}
process.exit(0);
