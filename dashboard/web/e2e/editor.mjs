// The editors of the page, written in as somebody would.
import assert from 'node:assert/strict';
import { until } from './browser.mjs';

export const key = process.platform === 'darwin' ? 'Meta' : 'Control';

/** editor is one of the two on a page. */
export function editor(page, name) {
  const content = page.locator(`[data-editor=${name}] .cm-content`);
  return {
    content,
    lines: () => content.locator('.cm-line').allInnerTexts(),
    text: async () => (await content.locator('.cm-line').allInnerTexts()).map((l) => l.replace(/\n$/, '')).join('\n'),
    /** write pastes over all that is there. */
    async write(text) {
      await content.press(key + '+a');
      await content.evaluate((to, text) => {
        const clipboardData = new DataTransfer();
        clipboardData.setData('text/plain', text);
        to.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
      }, text);
    },
    /** replace finds words and writes others in their place, as somebody would. */
    async replace(from, to) {
      const all = (await this.text()).split(from);
      assert.equal(all.length, 2, `${from} is there ${all.length - 1} times in:\n${all.join(from)}`);
      await this.write(all.join(to));
      await until('it is written', async () => (await this.text()) === all.join(to) || (await this.text()));
    },
  };
}
export const deployed = (page) => until('it serves', async () => (await page.locator('[data-deployed]').count()) === 1 || (await page.locator('main').innerText()));
export const failed = (page, what) => until('it says so', async () => what.test(await page.locator('main').innerText()) || (await page.locator('main').innerText()));
export const marks = (page, name) => page.locator(`[data-editor=${name}] .cm-lintRange-error`);
