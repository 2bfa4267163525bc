// Dead letters and the dealer, over a machine with the functions orders, of which
// five events failed for good, repairs, which works, and visits, whose 12 shards
// two processors have.
import assert from 'node:assert/strict';
import { accessible, fits, looks, open, picture, sound, step, until, visit, wish } from './browser.mjs';

const browser = await open();
const rows = (page) => page.locator('main tbody tr');

try {
  const page = await visit(browser);
  let hostile;

  await step('letters', async () => {
    await page.getByRole('link', { name: 'Dead letters' }).click();
    await until('five letters of orders', async () => /^orders\s+5/.test(await rows(page).first().innerText()) || (await page.locator('main').innerText()));
    await page.locator('main').getByRole('link', { name: 'orders' }).click();
    await until('they are listed', async () => (await rows(page).count()) === 5);
    assert.match(await rows(page).first().innerText(), /jobs.*redisList.*attempts.*<img src=x onerror='window.hacked=1'> red \\u202eevil/s);
    await rows(page).first().getByRole('link').click();
    await until('its body', async () => (await page.locator('[data-letter=body]').innerText()).includes('"<script>window.hacked=1</script> \\u202e"'));
    hostile = page.url();
  });

  await step('every page, light and dark, narrow and wide', async () => {
    const id = new URL(hostile).hash.split('/').at(-1);
    for (const [look, width, height, scheme] of looks) {
      const p = await visit(browser, { width, height, scheme });
      for (const [name, hash, there] of [
        ['letterboxes', 'letters', 'tbody tr'], ['letters', 'letters/default/orders', 'tbody tr'], ['letter', `letters/default/orders/${id}`, '[data-letter=body]'],
        ['dealer', 'dealer', 'tbody tr'], ['dealing', 'dealer/default/visits/in', '.cell'],
      ]) {
        await p.evaluate((h) => (location.hash = '/' + h), hash);
        await p.locator(`main ${there}`).first().waitFor();
        await fits(p, name + ' ' + look);
        if (look === 'light' || look === 'narrow-dark') await accessible(p, name + ' ' + look);
        await picture(p, name + '-' + look);
      }
      sound(p);
      await p.context().close();
    }
  });

  await step('redrive', async () => {
    await page.getByRole('button', { name: 'Redrive' }).click();
    await until('it fails again', async () => /orders failed again with 500.*The letter stays/.test(await page.locator('[data-letter=done]').innerText()));
    await page.getByLabel('Run in').fill('repairs');
    await page.getByRole('button', { name: 'Redrive' }).click();
    await until('another runs it', async () => /repairs ran it: 200/.test(await page.locator('[data-letter=done]').innerText()));
    await page.goBack();
    await until('four are left', async () => (await rows(page).count()) === 4);
    await page.getByLabel('Run in').fill('repairs');
    await rows(page).nth(0).getByRole('checkbox').check();
    await rows(page).nth(1).getByRole('checkbox').check();
    await page.getByRole('button', { name: 'Redrive 2' }).click();
    await until('both are done', async () => (await page.locator('[data-letters=said]').innerText()) === 'Redrive: 2 done.');
    await until('two are left', async () => (await rows(page).count()) === 2);
  });

  await step('a letter of megabytes', async () => {
    await rows(page).last().getByRole('link').click();
    await until('what is shown is bounded', async () => (await page.locator('[data-letter=body]').innerText()).length === 200_000);
    await page.goBack();
  });

  await step('remove', async () => {
    await until('two are left', async () => (await rows(page).count()) === 2);
    await rows(page).first().getByRole('checkbox').check();
    await page.getByRole('button', { name: 'Remove 1' }).click();
    await page.locator('dialog').waitFor();
    await accessible(page, 'a question');
    await page.getByRole('button', { name: 'Cancel' }).click();
    assert.equal(await rows(page).count(), 2);
    await page.getByRole('button', { name: 'Remove 1' }).click();
    await page.locator('dialog').getByRole('button', { name: 'Remove' }).click();
    await until('one is left', async () => (await rows(page).count()) === 1);
    const purge = async () => {
      await page.getByRole('button', { name: 'Purge all' }).click();
      await page.locator('dialog').getByRole('button', { name: 'Purge' }).click();
    };
    await page.route(/\/letters\?/, (r) => (r.request().method() === 'DELETE' ? r.abort() : r.continue()));
    await purge();
    const why = () => page.locator('[data-letters=said]').innerText();
    await until('why it failed', async () => /^Purge: failed: ./.test(await why()));
    await page.waitForResponse((r) => r.request().method() === 'GET' && /letters\?/.test(r.url()));
    assert.match(await why(), /^Purge: failed: ./, 'what was read since took the reason away');
    await page.unroute(/\/letters\?/);
    await purge();
    await until('none is left', async () => (await rows(page).count()) === 0);
    assert.equal(await page.evaluate(() => window.hacked), undefined, 'a stranger\'s script ran');
  });

  await step('shards move', async () => {
    await page.getByRole('link', { name: 'Dealer' }).click();
    await page.locator('main').getByRole('link', { name: 'visits in' }).click();
    const lanes = () => page.locator('.lane text').allTextContents();
    await until('two processors have six each', async () => {
      const l = await lanes();
      return (l.length === 2 && l.every((t) => / 6 of 6/.test(t))) || l;
    });
    assert.equal(await page.locator('.cell.held').count(), 12);
    const before = await page.locator('[data-dealt=moves]').innerText();
    await wish('scale');
    await until('three have four each', async () => {
      const l = await lanes();
      return (l.length === 3 && l.every((t) => / 4 of 4/.test(t))) || l;
    });
    await until('all are held', async () => (await page.locator('.cell.held').count()) === 12);
    assert.notEqual(await page.locator('[data-dealt=moves]').innerText(), before);
    assert.match(await page.getByRole('img').last().getAttribute('aria-label'), /12 shards: .* has 4/);
    sound(page, /ERR_FAILED .*letters\?/);
  });
} finally {
  await browser.close();
}
process.exit(0);
