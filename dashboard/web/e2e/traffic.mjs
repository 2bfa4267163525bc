// Versions and traffic, over a machine with the function shares, whose source is
// kept with it and answers with "one", and after "change" with "two".
import assert from 'node:assert/strict';
import { accessible, everyPicture, fits, gateway, home, looks, open, picture, sound, step, until, visit, wish } from './browser.mjs';

const browser = await open();
const api = home + 'api/v1/functions/shares/';
const aliasNow = async () => (await (await fetch(api + 'aliases/prod')).json());

async function share() {
  const n = { one: 0, two: 0 };
  for (let i = 0; i < 40; i++) n[await (await fetch(gateway + 'shares:prod', { method: 'POST' })).text()]++;
  return n;
}

try {
  const page = await visit(browser, { hash: '#/functions/default/shares/versions' });
  const alias = page.locator('[data-alias=prod]');
  const now = () => alias.locator('[data-alias=now]').innerText();
  const publish = async (note, says) => {
    await page.getByLabel('Note of the version').fill(note);
    await page.getByRole('button', { name: 'Publish a version' }).click();
    await until(says, async () => (await page.locator('[data-publish]').innerText()) === says || (await page.locator('main').innerText()));
  };

  await step('publish', async () => {
    await publish('the <b>first</b> \u202eone', 'Version 1 is published.');
    await publish('again', 'Nothing has changed since version 1.');
    await page.getByLabel('Name of the alias').fill('prod');
    await page.getByRole('button', { name: 'Make it' }).click();
    await until('prod', async () => (await now()) === '100 % v1');
    await until('it answers', async () => (await share()).one === 40);
    await wish('change');
    await publish('the second', 'Version 2 is published.');
  });

  await step('compare', async () => {
    await page.getByLabel('Former').selectOption('1');
    await page.getByLabel('Latter').selectOption('2');
    const code = page.getByRole('region', { name: 'Code: difference' });
    await until('the code', async () => /gone: *\s*return "one"[^]*added: *\s*return "two"/.test(await code.innerText()) || (await code.innerText()).slice(0, 600));
    assert.match(await code.innerText(), /\\u202ex+ … \d+ more characters/);
    assert.match(await page.getByRole('region', { name: 'Configuration: difference' }).innerText(), /added:\s*value: "<b>high<\/b>"/);
    assert.match(await page.locator('section').getByRole('region', { name: 'Versions' }).innerText(), /the <b>first<\/b> \\u202eone/);
  });

  await step('move by slider', async () => {
    await alias.getByLabel('Add a version to prod').selectOption('2');
    const slider = alias.getByRole('slider', { name: 'Share of v2' });
    await slider.focus();
    for (let i = 0; i < 10; i++) await page.keyboard.press('ArrowRight');
    assert.equal(await alias.locator('[data-alias=preview]').innerText(), '100 % v1 → 90 % v1, 10 % v2');
    assert.equal(await now(), '100 % v1');
    await accessible(page, 'an alias that is edited');
    await alias.getByLabel('Why prod is moved').fill('<i>canary</i>');
    await alias.getByRole('button', { name: 'Move', exact: true }).click();
    await until('it is moved', async () => (await now()) === '90 % v1, 10 % v2');
    await until('in effect', async () => (await aliasNow()).status.waiting === undefined);
    await until('both answer', async () => {
      const n = await share();
      return (n.two > 0 && n.one > n.two) || n;
    });
  });

  await step('somebody else moves it meanwhile', async () => {
    await alias.getByRole('slider', { name: 'Share of v2' }).fill('50');
    const is = await aliasNow();
    const other = await fetch(api + 'aliases/prod', { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ metadata: { name: 'prod' }, spec: { versions: [{ version: '1', weight: 80 }, { version: '2', weight: 20 }] } }) });
    assert.ok(other.ok, await other.text());
    await until('it says so', async () => /prod was moved meanwhile, to 80 % v1, 20 % v2/.test(await alias.innerText()));
    assert.ok(await alias.getByRole('button', { name: 'Move', exact: true }).isDisabled());
    assert.notEqual((await aliasNow()).metadata.resourceVersion, is.metadata.resourceVersion);
    await alias.getByRole('button', { name: 'Take that' }).click();
    await until('nothing is edited', async () => (await alias.locator('[data-alias=preview]').count()) === 0);
    // Before the page hears of it, the server says no.
    const asked = page.waitForEvent('requestfailed', (r) => r.url().includes('/aliases')); // so that no older question is under way
    await page.route('**/aliases*', (r) => (r.request().method() === 'GET' ? r.abort() : r.continue()));
    await asked;
    await alias.getByRole('slider', { name: 'Share of v2' }).fill('60');
    await fetch(api + 'aliases/prod', { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ metadata: { name: 'prod' }, spec: { versions: [{ version: '1', weight: 70 }, { version: '2', weight: 30 }] } }) });
    await alias.getByRole('button', { name: 'Move', exact: true }).click();
    await until('it was refused', async () => /Nothing was moved: /.test(await alias.innerText()));
    await page.unroute('**/aliases*');
    await until('what is now', async () => /moved meanwhile, to 70 % v1, 30 % v2/.test(await alias.innerText()));
    await alias.getByRole('button', { name: 'Move it to mine all the same' }).click();
    await until('it is moved', async () => (await now()) === '40 % v1, 60 % v2');
  });

  await step('back', async () => {
    await alias.getByRole('button', { name: 'Back to 70 % v1, 30 % v2' }).click();
    await until('it is back', async () => (await now()) === '70 % v1, 30 % v2');
    await alias.getByText('Moves', { exact: true }).click();
    assert.match(await alias.locator('table').innerText(), /<i>canary<\/i>/);
  });

  await step('a rollout', async () => {
    await page.getByText('Roll out step by step').click();
    await page.getByLabel('Steps, share and how long').fill('50 20 100');
    assert.ok(await page.getByRole('button', { name: 'Start' }).isDisabled());
    await page.getByLabel('Steps, share and how long').fill('40:1h, 100');
    await page.getByRole('button', { name: 'Start' }).click();
    const rollout = alias.locator('[data-rollout]');
    await until('it is under way', async () => /Rollout to v2: progressing\s*step 1 of 2, 40 %/.test(await rollout.innerText()) || (await rollout.innerText()));
    await until('the alias is moved', async () => (await now()) === '60 % v1, 40 % v2' || (await now()));
    await share();
    await until('what it did', async () => /In this step: v2 [1-9]/.test(await rollout.innerText()) || (await rollout.innerText()));
    await everyPicture(page, 'shares-rollout');
    await rollout.getByRole('button', { name: 'Pause' }).click();
    await until('it is paused', async () => (await rollout.getAttribute('data-rollout')) === 'paused');
    await rollout.getByRole('button', { name: 'Abort' }).click();
    await until('it is taken back', async () => (await rollout.getAttribute('data-rollout')) === 'rolledBack');
    await until('the alias is back', async () => (await now()) === '70 % v1, 30 % v2');
  });

  await step('light and dark, narrow and wide', async () => {
    assert.equal(await page.evaluate(() => window.hacked), undefined, 'a stranger\'s script ran');
    sound(page, /status of 412/, /ERR_FAILED/);
    for (const [look, width, height, scheme] of looks) {
      const p = await visit(browser, { width, height, scheme, hash: '#/functions/default/shares/versions' });
      await p.locator('[data-alias=prod]').waitFor();
      await p.locator('[data-diff=sum]').first().waitFor();
      await p.getByLabel('Latter').selectOption('1');
      await p.getByLabel('Former').selectOption('2');
      await p.getByRole('slider', { name: 'Share of v2' }).fill('10');
      await fits(p, 'versions-' + look);
      await accessible(p, 'versions-' + look);
      await picture(p, 'shares-versions-' + look);
      sound(p);
      await p.context().close();
    }
  });
} finally {
  await browser.close();
}
process.exit(0);
