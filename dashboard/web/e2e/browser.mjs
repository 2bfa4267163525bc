// A browser, and what every page of it is looked at for.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

export const home = process.env.DASHBOARD_URL;
export const gateway = process.env.GATEWAY_URL;
const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const pictures = process.env.DASHBOARD_PICTURES; // a directory for screenshots

/** patience is how long anything may take on a busy machine, in ms. */
export const patience = Number(process.env.DASHBOARD_PATIENCE ?? 90_000);

/** open starts a browser. What its processes share lies in files, which is what
 * Playwright asks for, as /dev/shm is small in containers, unless it is to be in memory. */
export function open({ inMemory = false } = {}) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    timeout: patience,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    ignoreDefaultArgs: inMemory ? ['--disable-dev-shm-usage'] : [],
  });
}

/** visit opens a page that notes every request to another host and everything
 * that the browser complains about. */
export async function visit(browser, { width = 1280, height = 800, scheme = 'light', hash = '' } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, locale: 'en-GB' });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  page.complaints = [];
  await page.addInitScript(() => addEventListener('securitypolicyviolation', (e) => console.error(`${e.effectiveDirective} refused ${e.blockedURI} of ${e.sourceFile}:${e.lineNumber}:${e.columnNumber}`)));
  page.on('console', (m) => {
    if (m.type() === 'error' || m.type() === 'warning') page.complaints.push(m.text() + ' ' + m.location().url);
  });
  page.on('pageerror', (e) => page.complaints.push(String(e)));
  page.on('request', (r) => {
    if (!r.url().startsWith(home)) page.complaints.push('asks ' + r.url());
  });
  await page.goto(home + hash);
  return page;
}

/** sound fails if the browser complained of anything but what is expected. */
export function sound(page, ...expected) {
  const left = page.complaints.filter((c) => !expected.some((e) => e.test(c)));
  assert.deepEqual(left, [], 'the browser complains');
}

/** accessible fails if axe finds what is against WCAG 2.2 AA. */
export async function accessible(page, what) {
  // What a scrolled page has behind its header is not to be judged.
  await page.evaluate(() => scrollTo(0, 0));
  // Through the debugger, which the page's policy does not bind.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
  assert.deepEqual(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html + ' ' + n.failureSummary).slice(0, 3).join(' | ')}`), [], what + ' is not accessible');
}

/** fits fails if the page is wider than its window. */
export async function fits(page, what) {
  const [is, may] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(is <= may, `${what} is ${is} wide in a window of ${may}`);
}

/** looks are the windows and colours in which pages are looked at; with pictures,
 * the other two as well. */
const four = [['light', 1440, 900, 'light'], ['narrow-dark', 360, 740, 'dark'], ['dark', 1440, 900, 'dark'], ['narrow', 360, 740, 'light']];
export const looks = pictures ? four : four.slice(0, 2);

export async function picture(page, name) {
  if (pictures) await page.screenshot({ path: path.join(pictures, name + '.png') });
}

/** everyPicture takes one of a page as it is in each look. */
export async function everyPicture(page, name) {
  if (!pictures) return;
  const was = page.viewportSize();
  const scheme = await page.evaluate(() => document.documentElement.dataset.theme);
  for (const [look, width, height, colorScheme] of four) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height });
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 300)))));
    await picture(page, name + '-' + look);
  }
  await page.emulateMedia({ colorScheme: scheme });
  await page.setViewportSize(was);
}

/** until waits for something to be so, and says what was there instead. */
export async function until(what, f) {
  let last;
  for (const end = Date.now() + patience; Date.now() < end; ) {
    try {
      last = await f();
      if (last === true) return;
    } catch (e) {
      last = e;
    }
    await new Promise((done) => setTimeout(done, 100));
  }
  assert.fail(`${what}: still ${last instanceof Error ? last.stack : JSON.stringify(last)}`);
}

const input = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** wish has the test do something and waits until it is done. */
export async function wish(what) {
  console.log('do: ' + what);
  const answer = await input.next();
  assert.equal(answer.value, 'done');
}

/** step runs a part and says how long it took. */
export async function step(name, f) {
  const began = Date.now();
  await f();
  console.log(`${name}: ${((Date.now() - began) / 1000).toFixed(1)} s`);
}
