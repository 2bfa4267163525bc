// Signing in, projects, tokens, secrets and the audit log, over a control plane
// that asks who its callers are and has the function greet.
import assert from 'node:assert/strict';
import { accessible, fits, looks, open, picture, sound, step, until, visit } from './browser.mjs';

const admin = process.env.MYELIN_TOKEN;
const browser = await open();
const row = (page, text) => page.locator('main tbody tr', { hasText: text });
async function signIn(page, token) {
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
}
const said = (page) => page.locator('main [role=alert]').innerText();

try {
  const page = await visit(browser);

  await step('signing in', async () => {
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.ok(!(await page.locator('main').innerText()).includes('greet'));
    await accessible(page, 'the sign-in');
    await signIn(page, 'myelin_' + 'a'.repeat(16) + '_' + 'b'.repeat(52));
    await until('it is refused', async () => (await said(page)).length > 5);
    await signIn(page, admin);
    await until('the function', async () => /greet/.test(await page.locator('main').innerText()));
    await page.reload();
    await until('the tab keeps it', async () => /greet/.test(await page.locator('main').innerText()));
  });

  await step('projects', async () => {
    await page.getByRole('link', { name: 'Access' }).click();
    await until('who it is', async () => /You are .*admin/.test(await page.locator('main').innerText()));
    await page.getByLabel('Name').fill('Not a name');
    await page.getByRole('button', { name: 'Create' }).click();
    await until('what is wrong', async () => /name/.test(await said(page)));
    await page.getByLabel('Name').fill('shop');
    await page.getByLabel('Description').fill('<img src=x onerror="window.hacked=1"> \u202eevil');
    await page.getByRole('button', { name: 'Create' }).click();
    await until('it is there', async () => /<img src=x onerror="window.hacked=1"> \\u202eevil/.test(await row(page, 'shop').innerText()));
  });

  let bearer;
  await step('tokens', async () => {
    await page.getByRole('link', { name: 'Tokens' }).click();
    await page.getByLabel('For whom or what').fill('reader');
    await page.getByRole('button', { name: 'Make' }).click();
    await page.locator('[data-token=made]').waitFor();
    bearer = await page.locator('[data-token=made]').innerText();
    assert.match(bearer, /^myelin_[a-z2-7]{16}_[a-z2-7]{52}$/);
    await until('it is listed', async () => /default\/\*:viewer/.test(await row(page, 'reader').innerText()));
    await page.getByRole('button', { name: 'Hide' }).click();
    assert.ok(!(await page.content()).includes(bearer), 'the token is still in the page');
  });

  await step('secrets', async () => {
    await page.getByRole('link', { name: 'Secrets' }).click();
    await page.getByLabel('Name', { exact: true }).fill('db-password');
    await page.getByLabel('Value').fill('the-value-of-it');
    await page.getByRole('button', { name: 'Write' }).click();
    await until('it is written', async () => /db-password is written/.test(await page.locator('main').innerText()));
    await row(page, 'db-password').waitFor();
    assert.equal(await page.getByLabel('Value').inputValue(), '');
    assert.ok(!(await page.content()).includes('the-value-of-it'), 'a value is in the page');
  });

  await step('the audit log', async () => {
    await page.getByRole('link', { name: 'Audit log' }).click();
    await page.getByLabel('Operation').fill('secrets.write');
    await until('who wrote it', async () => /secrets\.write.*db-password.*done/s.test(await row(page, 'db-password').innerText()));
    assert.ok(!(await page.content()).includes('the-value-of-it'), 'a value is in the log');
    await page.getByLabel('Operation').fill('tokens.create');
    await until('only that', async () => (await page.locator('main tbody tr').count()) === 1 && /tokens\.create/.test(await page.locator('main tbody tr').innerText()));
  });

  const reader = await visit(browser);
  await step('a reader', async () => {
    await signIn(reader, bearer);
    await until('the function', async () => /greet/.test(await reader.locator('main').innerText()));
    await reader.evaluate(() => (location.hash = '/access/audit'));
    await until('not for them', async () => /you may not/.test(await said(reader)));
    await reader.evaluate(() => (location.hash = '/access/projects'));
    await reader.getByLabel('Name').fill('mine');
    await reader.getByRole('button', { name: 'Create' }).click();
    await until('nor that', async () => /you may not/.test(await said(reader)));
  });

  await step('every page, light and dark, narrow and wide', async () => {
    for (const [look, width, height, scheme] of looks) {
      const p = await visit(browser, { width, height, scheme });
      await signIn(p, admin);
      await p.locator('[data-link=live]').waitFor();
      for (const part of ['projects', 'tokens', 'secrets', 'audit']) {
        await p.evaluate((h) => (location.hash = '/access/' + h), part);
        await p.locator('main tbody tr').first().waitFor();
        await fits(p, part + ' ' + look);
        if (look === 'light' || look === 'narrow-dark') await accessible(p, part + ' ' + look);
        await picture(p, 'access-' + part + '-' + look);
      }
      sound(p, /status of 401/);
      await p.context().close();
    }
  });

  await step('what is taken back', async () => {
    await page.getByRole('link', { name: 'Tokens' }).click();
    await page.getByRole('button', { name: 'Revoke reader' }).click();
    await page.locator('dialog').getByRole('button', { name: 'Revoke' }).click();
    await until('it is gone', async () => (await row(page, 'reader').count()) === 0);
    await until('the reader is out', async () => (await reader.getByRole('heading', { name: 'Sign in' }).count()) === 1);
    await page.getByRole('link', { name: 'Secrets' }).click();
    await page.getByRole('button', { name: 'Delete db-password' }).click();
    await page.locator('dialog').getByRole('button', { name: 'Delete' }).click();
    await until('the secret is gone', async () => (await row(page, 'db-password').count()) === 0);
    await page.getByRole('link', { name: 'Projects' }).click();
    await page.getByRole('button', { name: 'Delete shop' }).click();
    await page.locator('dialog').getByRole('button', { name: 'Delete' }).click();
    await until('the project is gone', async () => (await row(page, 'shop').count()) === 0);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    sound(page, /status of 4(01|22)/);
  });
} finally {
  await browser.close();
}
process.exit(0);
