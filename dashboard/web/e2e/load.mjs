// The overview of a thousand functions of which five hundred change a second, while
// somebody scrolls. With DASHBOARD_LOAD, in seconds, its figures must be met;
// without, only what a busy machine does not spoil. Beside its figure stands that of
// a page of a thousand lines of text, scrolled alike before anything changes: more
// than that this browser does not draw on this machine.
import assert from 'node:assert/strict';
import { open, sound, until, visit, wish } from './browser.mjs';

const long = Number(process.env.DASHBOARD_LOAD ?? 0);
const seconds = long || 8;
// With its frames in files, this browser stopped drawing twice, after one and some
// minutes of scrolling.
const browser = await open({ inMemory: long > 0 });
const machine = await browser.newBrowserCDPSession();
const window = { width: 1400, height: 900 };

/** scroll scrolls a page, a few rows each frame, down and up again, for so many ms. */
async function scroll(page, ms) {
  const seen = await page.evaluate(
    (ms) =>
      new Promise((done, fail) => {
        const times = [];
        let most = 0;
        let step = 60;
        let last;
        let end;
        const frame = (now) => {
          if (last === undefined) end = now + ms;
          else times.push(now - last);
          last = now;
          if (scrollY + innerHeight >= document.documentElement.scrollHeight - 2) step = -60;
          if (scrollY <= 0) step = 60;
          scrollBy(0, step);
          most = Math.max(most, document.querySelectorAll('[data-row]').length);
          if (now < end) requestAnimationFrame(frame);
          else done({ times, most, high: document.documentElement.scrollHeight });
        };
        requestAnimationFrame(frame);
        let drawn = -1;
        const stalled = setInterval(() => {
          if (last !== undefined && performance.now() > end) clearInterval(stalled);
          else if (times.length === drawn) fail(new Error(`the browser drew nothing for 20 s, after ${times.length} frames`));
          drawn = times.length;
        }, 20_000);
      }),
    ms,
  );
  const sorted = seen.times.toSorted((a, b) => a - b);
  const per = (1000 * sorted.length) / sorted.reduce((a, b) => a + b, 0);
  return { ...seen, per, late: sorted.filter((t) => t > 25).length, slow: sorted[Math.min(sorted.length - 1, Math.floor(0.99 * sorted.length))] };
}

const still = await browser.newPage({ viewport: window });
await still.setContent(Array.from({ length: 1000 }, (_, i) => `<p style="margin:0;height:36px">${i}: a line of text that does not change</p>`).join(''));
const most = await scroll(still, Math.min(10_000, (seconds * 1000) / 4));
await still.close();
await wish('change');

const page = await visit(browser, window);
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

const frames = await scroll(page, (seconds * 1000) / 2);
if (long) await page.waitForTimeout(5000); // what came while somebody scrolled is shown
heaps.push(await heap());
const [held, middle, end] = heaps;
const grown = end - held;
console.log(`${frames.times.length} frames, ${frames.per.toFixed(1)} a second, ${frames.late} of them late, 99 % within ${frames.slow.toFixed(1)} ms; of text that does not change, with nothing beside it, ${most.per.toFixed(1)} a second: ${((100 * frames.per) / most.per).toFixed(1)} % of that; ${(100 * share).toFixed(1)} % of a core at rest; ${heaps.map((h) => h.toFixed(1)).join(', ')} MB held at the start, in the middle and at the end of ${seconds} s; ${frames.most} rows drawn`);

assert.ok(frames.high > 1000 * 30, `the list is ${frames.high} high`);
assert.ok(frames.most < 100, `${frames.most} of 1000 rows are drawn at once`);
assert.ok(grown < 20, `the page holds ${grown.toFixed(1)} MB more than before`);
if (long) {
  assert.ok(frames.per >= 59, `${frames.per.toFixed(1)} frames a second, want 60`);
  assert.ok(share < 0.15, `${(100 * share).toFixed(1)} % of a core, want less than 15`);
  assert.ok(grown < 2 && end - middle < 2, `the page holds ${grown.toFixed(1)} MB more than at the start, ${(end - middle).toFixed(1)} more than in the middle`);
}
sound(page);
await browser.close();
process.exit(0);
