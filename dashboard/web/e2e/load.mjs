// The overview of a thousand functions of which five hundred change a second, while
// somebody scrolls. With DASHBOARD_LOAD, in seconds, its figures must be met;
// without, only what a busy machine does not spoil.
import assert from 'node:assert/strict';
import { open, sound, until, visit } from './browser.mjs';

const long = Number(process.env.DASHBOARD_LOAD ?? 0);
const seconds = long || 8;
const browser = await open();
const machine = await browser.newBrowserCDPSession();
const page = await visit(browser, { width: 1400, height: 900 });
const cdp = await page.context().newCDPSession(page);
await until('all functions are there', async () => (await page.textContent('[data-sum="functions"]')) === '1000');
await until('figures are there', async () => Number((await page.textContent('[data-sum="rate"]')).replace(/\D/g, '')) > 0);

/** renderers is how much processor time pages have had, in seconds. */
async function renderers() {
  const { processInfo } = await machine.send('SystemInfo.getProcessInfo');
  return processInfo.filter((p) => p.type === 'renderer').reduce((sum, p) => sum + p.cpuTime, 0);
}
/** heap is what the page holds after what is not needed was collected, in MB. */
async function heap() {
  await cdp.send('HeapProfiler.collectGarbage');
  return (await cdp.send('Runtime.getHeapUsage')).usedSize / 1e6;
}

// The page has what it will keep: lists are read, what is compiled is compiled.
if (long) await page.waitForTimeout(Math.min(30_000, (seconds * 1000) / 10));

// At rest: nobody scrolls, everything changes.
const heaps = [await heap()];
const rest = await renderers();
const restFrom = Date.now();
await page.waitForTimeout((seconds * 1000) / 2);
const share = (await renderers() - rest) / ((Date.now() - restFrom) / 1000);
heaps.push(await heap());

// Scrolling, a few rows each frame, down and up again.
const frames = await page.evaluate(
  (ms) =>
    new Promise((done) => {
      const times = [];
      const drawn = [];
      let last = performance.now();
      const end = last + ms;
      let step = 60;
      const frame = (now) => {
        times.push(now - last);
        last = now;
        if (scrollY + innerHeight >= document.documentElement.scrollHeight - 2) step = -60;
        if (scrollY <= 0) step = 60;
        scrollBy(0, step);
        drawn.push(document.querySelectorAll('[data-row]').length);
        if (now < end) requestAnimationFrame(frame);
        else done({ times, most: Math.max(...drawn), high: document.documentElement.scrollHeight });
      };
      requestAnimationFrame(frame);
    }),
  (seconds * 1000) / 2,
);
const sorted = frames.times.toSorted((a, b) => a - b);
const per = (1000 * frames.times.length) / frames.times.reduce((a, b) => a + b, 0);
const at = (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
heaps.push(await heap());
const [held, middle, end] = heaps;
const grown = end - held;
console.log(`${frames.times.length} frames, ${per.toFixed(1)} a second, 99 % within ${at(0.99).toFixed(1)} ms; ${(100 * share).toFixed(1)} % of a core at rest; ${heaps.map((h) => h.toFixed(1)).join(', ')} MB held at the start, in the middle and at the end of ${seconds} s; ${frames.most} rows drawn`);

assert.ok(frames.high > 1000 * 30, `the list is ${frames.high} high`);
assert.ok(frames.most < 100, `${frames.most} of 1000 rows are drawn at once`);
assert.ok(grown < 20, `the page holds ${grown.toFixed(1)} MB more than before`);
if (long) {
  assert.ok(per >= 58, `${per.toFixed(1)} frames a second, want 60`);
  assert.ok(share < 0.15, `${(100 * share).toFixed(1)} % of a core, want less than 15`);
  assert.ok(grown < 2 && end - middle < 2, `the page holds ${grown.toFixed(1)} MB more than at the start, ${(end - middle).toFixed(1)} more than in the middle`);
}
sound(page);
await browser.close();
process.exit(0);
