// Event mappings, over a machine with the function bill, whose list is read by
// what the alias prod names, version 1.
import assert from 'node:assert/strict';
import { accessible, fits, looks, open, picture, sound, step, until, visit, wish } from './browser.mjs';

const browser = await open();
const row = (page, name) => page.locator('main tbody tr', { has: page.getByRole('link', { name, exact: true }) });

try {
  const page = await visit(browser);

  await step('the picture', async () => {
    await page.getByRole('link', { name: 'Mappings' }).click();
    const texts = async () => (await page.locator('svg .node').allTextContents()).map((t) => t.replace(/\s+/g, ' '));
    await until('source, alias, version and binding', async () => {
      const all = await texts();
      return ['bill-jobs redisList jobs', 'bill:prod alias', 'bill version 1', 'seen embedded'].every((want) => all.some((t) => t.includes(want.replace(/ /g, ' ')) || t.replace(/ /g, '').includes(want.replace(/ /g, '')))) || all;
    });
    await until('what comes', async () => /^[1-9]/.test(await page.locator('[data-edge="s default/bill-jobs>a default/bill:prod"]').textContent()));
    await until('and goes on', async () => /^100% · [1-9]/.test(await page.locator('[data-edge="a default/bill:prod>v default/bill 1"]').textContent()));
    assert.match(await page.locator('[data-rate=bill-jobs]').innerText(), /[1-9]/);
  });

  await step('a route is made by the form', async () => {
    await page.getByRole('link', { name: 'New mapping' }).click();
    await page.getByLabel('Name').fill('shop');
    await page.getByLabel('Function').fill('bill');
    await page.getByLabel('Alias').fill('prod');
    await page.getByLabel('Kind of source').selectOption('http');
    await page.getByLabel('path', { exact: true }).fill('shop');
    await accessible(page, 'a new mapping');
    await page.getByRole('button', { name: 'Create' }).click();
    await until('what is wrong with it', async () => /spec.source.attributes.path.*not a path/.test(await page.locator('[role=alert]').innerText()));
    await page.getByLabel('path', { exact: true }).fill('/shop');
    await page.getByRole('button', { name: 'Create' }).click();
    await until('its page', async () => page.url().endsWith('#/mappings/default/shop'));
    await wish('ask 200');
  });

  await step('paused and resumed', async () => {
    await page.goto(page.url().replace(/#.*/, '#/mappings'));
    await page.getByRole('button', { name: 'Pause shop' }).click();
    await until('it is paused', async () => /disabled/.test(await row(page, 'shop').innerText()));
    await wish('ask 404');
    await page.getByRole('button', { name: 'Resume shop' }).click();
    await until('it is active', async () => /active/.test(await row(page, 'shop').innerText()));
    await wish('ask 200');
  });

  await step('a source is changed', async () => {
    await row(page, 'bill-jobs').getByRole('link').first().click();
    await until('its form', async () => (await page.getByLabel('lists').inputValue()) === 'jobs');
    await until('its trigger', async () => /running|ready|active/i.test(await page.locator('tbody').innerText()) || (await page.locator('tbody').innerText()));
    await page.getByLabel('numWorkers').fill('many');
    await page.getByLabel('numWorkers').blur();
    await until('it cannot be', async () => page.getByRole('button', { name: 'Save' }).isDisabled());
    await page.getByLabel('numWorkers').fill('3');
    await page.getByLabel('lists').fill('jobs\nmore');
    await page.getByLabel('lists').blur();
    await page.getByRole('button', { name: 'Save' }).click();
    await until('it is saved', async () => (await page.locator('[role=status]', { hasText: 'Saved' }).count()) === 1 || (await page.locator('main').innerText()));
    await page.goto(page.url().replace(/#.*/, '#/mappings'));
    await until('it is listed', async () => /jobs, more/.test(await row(page, 'bill-jobs').innerText()));
  });

  await step('every page, light and dark, narrow and wide', async () => {
    for (const [look, width, height, scheme] of looks) {
      const p = await visit(browser, { width, height, scheme });
      for (const [name, hash, there] of [['mappings', 'mappings', 'tbody tr'], ['mapping', 'mappings/default/bill-jobs', 'form h2'], ['mapping-route', 'mappings/default/shop', 'form h2']]) {
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

  await step('its binding', async () => {
    await page.evaluate(() => (location.hash = '/functions/default/bill/processors'));
    await until('how it is', async () => /seen\s+kv embedded/.test(await page.locator('[data-bindings]').innerText()) || (await page.locator('main').innerText()));
    await accessible(page, 'bindings');
    await page.goBack();
  });

  await step('deleted', async () => {
    await row(page, 'shop').getByRole('link').first().click();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.locator('dialog').getByRole('button', { name: 'Delete' }).click();
    await until('it is gone', async () => page.url().endsWith('#/mappings') && (await row(page, 'bill-jobs').count()) === 1 && (await row(page, 'shop').count()) === 0);
    sound(page, /status of 422/);
  });
} finally {
  await browser.close();
}
process.exit(0);
