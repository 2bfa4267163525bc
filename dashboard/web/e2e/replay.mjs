// Saved events and replay, over a machine with the function orders: version 1,
// which the alias prod names, failed at an event that what was deployed last does.
import assert from 'node:assert/strict';
import { accessible, fits, open, picture, sound, step, until, visit } from './browser.mjs';

const browser = await open();
try {
  const page = await visit(browser, { hash: '#/letters/default/orders' });
  const verdict = () => page.locator('[data-answer=verdict]').innerText();

  await step('from a letter', async () => {
    await page.locator('main tbody tr a').first().click();
    await page.getByRole('button', { name: 'Try it' }).click();
    await until('its event', async () => (await page.getByLabel('Body').inputValue()) === 'bad <b>\u202eone</b>');
    await page.getByLabel('two side by side').check();
    await page.getByLabel('Version or alias').fill('prod');
    await page.getByRole('button', { name: 'Send' }).click();
    await until('they differ', async () => (await verdict()) === 'They differ: status 500 and 200, bodies differ.');
    assert.deepEqual((await page.locator('[data-answer=status]').allInnerTexts()).map((t) => t.slice(0, 3)), ['500', '200']);
    assert.deepEqual(await page.locator('.answer h2').first().innerText(), 'prod');
    await accessible(page, 'two answers');
    await picture(page, 'try-beside-light');
  });

  await step('the same twice', async () => {
    await page.getByLabel('and', { exact: true }).fill('1');
    await page.getByLabel('Body').fill('good');
    await page.getByRole('button', { name: 'Send' }).click();
    await until('they are the same', async () => (await verdict()) === 'Both answered the same.');
    await page.getByLabel('and', { exact: true }).fill('2');
    await page.getByRole('button', { name: 'Send' }).click();
    await until('what is not there', async () => /no version 2/.test(await page.locator('main [role=alert]').innerText()));
  });

  await step('saved events', async () => {
    await page.getByLabel('Event').selectOption({ label: 'a CloudEvent' });
    assert.match(await page.getByLabel('Headers, one a line').inputValue(), /application\/cloudevents\+json/);
    await page.getByLabel('Body').fill('a body of mine');
    await page.getByLabel('Save as').fill('<i>mine</i>');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await until('it is saved', async () => (await page.getByRole('button', { name: 'Forget' }).count()) === 1);
    await page.reload();
    await page.getByLabel('Event').selectOption({ label: '<i>mine</i>' });
    assert.equal(await page.getByLabel('Body').inputValue(), 'a body of mine');
    await page.getByRole('button', { name: 'Forget' }).click();
    assert.equal(await page.getByLabel('Event').locator('option', { hasText: 'mine' }).count(), 0);
    sound(page, /status of (500|404)/);
  });

  await step('narrow and dark', async () => {
    const p = await visit(browser, { width: 360, height: 740, scheme: 'dark', hash: '#/functions/default/orders/try' });
    await p.getByLabel('two side by side').check();
    await p.getByRole('button', { name: 'Send' }).click();
    await until('two answers', async () => (await p.locator('.answer').count()) === 2);
    await fits(p, 'two answers, narrow');
    await accessible(p, 'two answers, narrow and dark');
    await picture(p, 'try-beside-narrow-dark');
    sound(p);
  });
} finally {
  await browser.close();
}
process.exit(0);
