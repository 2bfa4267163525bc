// The pages, over a machine with the functions greet, which works, hostile,
// which logs what does harm where it is not shown as text, and broken, which
// does not start.
import assert from 'node:assert/strict';
import { accessible, everyPicture, fits, gateway, home, open, picture, sound, step, until, visit, wish } from './browser.mjs';

const browser = await open();
const row = (page, name) => page.locator('[role=row]', { has: page.locator(`a[href="#/functions/default/${name}"]`) });

// Traffic goes on throughout.
let going = true;
async function call(name, body) {
  const r = await fetch(gateway + name, { method: 'POST', body });
  await r.arrayBuffer();
  return r.status;
}
const traffic = (async () => {
  while (going) {
    await Promise.allSettled([call('greet', 'Ada'), call('greet', 'fail')]);
    await new Promise((done) => setTimeout(done, 50));
  }
})();

try {
  const page = await visit(browser);
  await step('overview', async () => {
    await until('three functions', async () => (await page.locator('[data-sum=functions]').textContent()) === '3' || (await page.locator('#app').innerText()));
    await until('why broken is', async () => /broken[^]*function cannot be loaded/.test(await page.locator('.wrong').innerText()) || (await page.locator('.wrong').innerText()));
    await until('what is wrong first', async () => {
      const names = await page.locator('.body [role=row] a').allInnerTexts();
      return (names.length === 3 && names.at(-1) === 'hostile') || names;
    });
    await until('a rate', async () => /[1-9]/.test(await row(page, 'greet').locator('[data-cell=rate]').innerText()) || 'none');
    await until('errors', async () => /[1-9]/.test(await row(page, 'greet').locator('[data-cell=errors]').innerText()) || 'none');
    await until('a sparkline', async () => (await row(page, 'greet').locator('svg path').count()) > 0);
    await until('a reason', async () => /of events fail/.test(await page.locator('.wrong').innerText()));
  });

  await step('a function that is deployed appears', async () => {
    await wish('deploy');
    await until('late', async () => /ready/.test(await row(page, 'late').innerText()));
  });

  await step('keys', async () => {
    await page.keyboard.press('/');
    await page.keyboard.type('late');
    await until('one row', async () => (await page.locator('.body [role=row]').count()) === 1);
    await page.keyboard.press('Enter');
    await until('its page', async () => (await page.locator('h1').innerText()) === 'late');
    await page.keyboard.press('2');
    await until('its log', async () => page.url().endsWith('/late/logs'));
    await page.keyboard.press('?');
    await page.locator('dialog').waitFor();
    await accessible(page, 'the list of keys');
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    const dark = await page.evaluate(() => document.documentElement.dataset.theme);
    await page.keyboard.press('t');
    await until('other colours', async () => (await page.evaluate(() => document.documentElement.dataset.theme)) !== dark);
    await page.keyboard.press('t');
    await page.keyboard.press('g');
    await page.keyboard.press('o');
    await page.locator('[data-sum=functions]').waitFor();
  });

  await step('charts', async () => {
    await row(page, 'greet').locator('a').click();
    await until('nine charts and the heat map', async () => (await page.locator('canvas').count()) === 10 || (await page.locator('canvas').count()));
    await until('its start, with its phases', async () => /cold[^]*exec .*worker .*import .*answer /.test(await page.getByRole('region', { name: 'The last starts' }).innerText()));
    await page.locator('[data-starts]').scrollIntoViewIfNeeded();
    await everyPicture(page, 'greet-starts');
    await until('times in it', async () => Number(await page.locator('[data-heat]').getAttribute('data-heat')) > 0);
    await until('a rate', async () => /[1-9]/.test(await page.locator('figure', { hasText: 'Events a second' }).locator('b').innerText()));
  });

  await step('try it', async () => {
    await page.getByRole('link', { name: 'Try it' }).click();
    await page.getByLabel('Body').fill('Grace');
    await page.getByLabel('Headers, one a line').fill('X-Seen: yes');
    await page.getByRole('button', { name: 'Send' }).click();
    await until('the answer', async () => (await page.locator('[data-answer=status]').innerText()).startsWith('200'));
    assert.equal(await page.locator('[data-answer=body]').innerText(), '{\n  "hello": "Grace"\n}');
    assert.match(await page.locator('[data-answer=logs]').innerText(), /INFO greeting.*to=Grace/);
    await page.getByLabel('Body').fill('<evil>');
    await page.getByLabel('Body').press('Control+Enter');
    await until('the other answer', async () => (await page.locator('[data-answer=status]').innerText()).startsWith('418'));
    // A page of a function is of no origin, also when it is opened by itself.
    const alone = await fetch(home + 'api/v1/functions/greet/invoke', { method: 'POST', body: '<evil>' });
    assert.match(alone.headers.get('Content-Security-Policy'), /sandbox/);
    await alone.arrayBuffer();
    assert.equal(await page.locator('[data-answer=body]').innerText(), '<img src=x onerror="window.hacked=1">\\u202egnp');
    await page.getByLabel('Headers, one a line').fill('nonsense');
    assert.ok(await page.getByRole('button', { name: 'Send' }).isDisabled());
  });

  await step('logs', async () => {
    await call('hostile', '');
    await page.goto(page.url().replace('/greet/try', '/hostile/logs'));
    const log = page.locator('[role=log]');
    await until('the warning', async () => (await log.innerText()).includes('<script>window.hacked=1</script> red \\u202eevil') || (await log.innerText()).slice(0, 500));
    await until('the long line', async () => /[1-9]\d+ more characters/.test(await log.innerText()) || (await log.locator('p').allInnerTexts()).map((t) => t.length + ' ' + t.slice(-80)));
    await page.getByLabel('Search the log').fill('RED evil');
    await until('one line', async () => (await log.locator('p').count()) === 1);
    await page.getByLabel('Search the log').fill('');
    await page.getByLabel('Lowest level').selectOption('error');
    await until('the error alone', async () => (await log.locator('p.error').count()) === 1 && (await log.locator('p.warn').count()) === 0);
    const before = await log.locator('p.error').count();
    await call('hostile', '');
    await until('another line', async () => (await log.locator('p.error').count()) > before);
  });

  await step('the other tabs', async () => {
    for (const [tab, text] of [['processors', /ready/], ['versions', /myelin publish hostile/], ['spec', /runtime: python/]]) {
      await page.goto(page.url().replace(/[a-z]+$/, tab));
      await until(tab, async () => text.test(await page.locator('main').innerText()) || (await page.locator('main').innerText()));
    }
    assert.equal(await page.evaluate(() => window.hacked), undefined, 'a stranger\'s script ran');
    // 418 was asked for.
    sound(page, /status of 418/);
  });

  const looks = [
    ['light', 1440, 900, 'light'], ['dark', 1440, 900, 'dark'], ['narrow', 360, 740, 'light'], ['narrow-dark', 360, 740, 'dark'], ['wide', 1920, 1080, 'light'],
  ];
  await step('every page, light and dark, narrow and wide', async () => {
    for (const [look, width, height, scheme] of looks) {
      const p = await visit(browser, { width, height, scheme });
      for (const hash of ['', 'functions/default/greet', 'functions/default/greet/logs', 'functions/default/greet/try', 'functions/default/greet/versions', 'functions/default/greet/processors', 'functions/default/greet/spec', 'functions/default/broken', 'nowhere']) {
        const name = (hash.split('/').slice(2).join('-') || hash || 'overview') + '-' + look;
        await p.evaluate((h) => (location.hash = '/' + h), hash);
        if (hash === '') await until('a rate', async () => /[1-9]/.test(await p.locator('[data-sum=rate]').innerText()));
        else if (hash.endsWith('greet')) await p.locator('canvas').first().waitFor();
        else if (hash.endsWith('processors')) await p.locator('table').nth(1).waitFor();
        else if (hash.endsWith('logs')) await p.locator('p.info').first().waitFor();
        else await p.locator('main h1, main h2').first().waitFor();
        await fits(p, name);
        if (look === 'light' || look === 'narrow-dark') await accessible(p, name);
        await picture(p, name);
      }
      sound(p);
      await p.context().close();
    }
  });

  await step('the server is gone and comes back', async () => {
    await page.goto(page.url().replace(/#.*/, '#/'));
    await until('live', async () => (await page.locator('[data-link]').getAttribute('data-link')) === 'live');
    going = false;
    await traffic;
    await wish('stop');
    await until('it says so', async () => /Not connected/.test(await page.locator('[role=alert]').innerText()));
    assert.equal(await page.locator('[data-link]').innerText(), 'not connected');
    assert.equal(await page.locator('main.stale').count(), 1);
    await accessible(page, 'a page that is not connected');
    await wish('start');
    await until('live again', async () => (await page.locator('[data-link]').getAttribute('data-link')) === 'live');
    await until('all ready again', async () => /ready/.test(await row(page, 'greet').innerText()));
    assert.equal(await page.locator('[role=alert]').count(), 0);
    assert.equal(await page.locator('main.stale').count(), 0);
  });
} finally {
  going = false;
  await browser.close();
}
process.exit(0);
