// Signing in at an OpenID Connect issuer, over a control plane that ann of it may
// deploy to and bob may look at.
import assert from 'node:assert/strict';
import { accessible, everyPicture, fits, home, open, sound, step, until, visit } from './browser.mjs';

const issuer = process.env.ISSUER_URL;
const browser = await open();
const main = (page) => page.locator('main').innerText();
const away = (page) => page.locator('[data-signin=issuer]').click();
async function as(page, who) {
  await page.getByLabel('Who').fill(who);
  await page.getByRole('button', { name: 'Sign in here' }).click();
}
// Nothing of the way back is left in the address.
const clean = (page) => assert.ok(new URL(page.url()).pathname === '/' && new URL(page.url()).search === '' && page.url().startsWith(home), page.url());

try {
  const page = await visit(browser);

  await step('the issuer is offered', async () => {
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await until('where', async () => (await page.locator('[data-signin=issuer]').innerText()).includes(issuer.replace(/\/$/, '')));
    await accessible(page, 'the sign-in');
    await everyPicture(page, 'signin');
    const narrow = await visit(browser, { width: 360, height: 740, scheme: 'dark' });
    await narrow.locator('[data-signin=issuer]').waitFor();
    await fits(narrow, 'the sign-in, narrow');
    await accessible(narrow, 'the sign-in, narrow and dark');
    await narrow.context().close();
  });

  await step('the issuer refuses', async () => {
    await away(page);
    await as(page, 'eve');
    await until('it is told', async () => /The issuer says: nobody here is called eve/.test(await main(page)) || (await main(page)));
    clean(page);
  });

  await step('ann signs in, and is where she began', async () => {
    await page.evaluate(() => (location.hash = '/access/projects'));
    await away(page);
    const asked = new URL(page.url().startsWith(issuer) ? page.url() : issuer);
    assert.equal(asked.origin + '/', issuer);
    await as(page, 'ann');
    await until('who it is', async () => /You are ann/.test(await main(page)) || (await main(page)));
    clean(page);
    assert.equal(new URL(page.url()).hash, '#/access/projects');
    const kept = await page.evaluate(() => [Object.keys(sessionStorage), Object.keys(localStorage), document.cookie]);
    assert.ok(!kept[0].includes('myelin.signin') && !kept[2].includes('myelin'), JSON.stringify(kept));
    await page.reload();
    await until('the tab keeps it', async () => /You are ann/.test(await main(page)));
  });

  await step('signed out, bob is asked by the issuer', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await away(page);
    await as(page, 'bob'); // the issuer knows ann still, and asks all the same
    await until('who it is', async () => /You are bob/.test(await main(page)) || (await main(page)));
    await page.getByLabel('Name').fill('mine');
    await page.getByRole('button', { name: 'Create' }).click();
    await until('no more than he may', async () => /you may not/.test(await page.locator('main [role=alert]').innerText()));
  });

  await step('what was not begun here', async () => {
    const stranger = await visit(browser);
    for (const forged of ['callback?code=x&state=y', 'callback?error=x&error_description=%3Cimg%20src%3Dx%20onerror%3D%22window.hacked%3D1%22%3E&state=', 'callback?code=x&state=y&state=z#//evil.example/', 'callback#https://evil.example/']) {
      await stranger.goto(home + forged);
      await until('it is told', async () => /not begun in this tab/.test(await main(stranger)) || (await main(stranger)));
      clean(stranger);
    }
    // A state that is kept, and another that comes: nothing is sent to the server.
    await away(stranger);
    await stranger.getByLabel('Who').waitFor();
    await stranger.goto(home + 'callback?code=x&state=other');
    await until('it is told', async () => /not begun in this tab/.test(await main(stranger)));
    // One that never was of this sign-in's: the state is right, the code is not.
    await stranger.evaluate((now) => sessionStorage.setItem('myelin.signin', JSON.stringify({ state: 's', nonce: 'n'.repeat(43), verifier: 'v'.repeat(43), hash: '#//evil.example/', at: now })), Date.now());
    await stranger.goto(home + 'callback?code=x&state=s');
    await until('the issuer refuses it', async () => /the issuer refuses the sign-in: invalid_grant/.test(await main(stranger)) || (await main(stranger)));
    clean(stranger);
    assert.equal(await stranger.evaluate(() => window.hacked), undefined);
    sound(stranger, /status of 40[13]/, new RegExp('^asks ' + issuer));
    await stranger.context().close();
    // Nor does the server send anybody elsewhere.
    const redeem = async (redirect) => (await fetch(home + 'api/v1/signin', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ code: 'x', verifier: 'v'.repeat(43), nonce: 'n'.repeat(43), redirect }) })).status;
    for (const redirect of ['https://evil.example/callback', home + 'callback?x', home + 'other', home.replace('//', '//evil@') + 'callback', '//' + new URL(home).host + '/callback']) assert.equal(await redeem(redirect), 422, redirect);
    assert.equal(await redeem(home + 'callback'), 403);
  });
  sound(page, /status of 40[13]/, new RegExp('^asks ' + issuer));
} finally {
  await browser.close();
}
process.exit(0);
