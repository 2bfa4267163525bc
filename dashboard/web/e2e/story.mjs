// The whole story over an empty machine: a template, edited, deployed, called,
// published, given a tenth of the traffic, taken back; and a dead letter of a
// version that failed, run again in the one before.
import assert from 'node:assert/strict';
import { accessible, everyPicture, fits, gateway, home, looks, open, picture, sound, step, until, visit, wish } from './browser.mjs';
import { deployed, editor, failed, key, marks } from './editor.mjs';

const browser = await open();

try {
  const page = await visit(browser);
  const code = editor(page, 'code');
  const config = editor(page, 'config');
  const began = Date.now();

  await step('an empty machine', async () => {
    await until('it teaches', async () => /make the first/.test(await page.locator('main').innerText()));
    await until('templates', async () => (await page.locator('[data-template]').count()) >= 10);
    await accessible(page, 'an empty machine');
    await fits(page, 'an empty machine');
    await everyPicture(page, 'first');
    const narrow = await visit(browser, { width: 360, height: 740, scheme: 'dark' });
    await narrow.locator('[data-template]').first().waitFor();
    await fits(narrow, 'an empty machine, narrow');
    await accessible(narrow, 'an empty machine, narrow and dark');
    await narrow.context().close();
  });

  await step('a template is edited', async () => {
    await page.locator('[data-template=python-http]').click();
    await until('the code', async () => /def handler/.test(await code.text()));
    await until('the configuration', async () => /name: hello-python/.test(await config.text()));
    await code.replace('Hello, {name}', 'Moin, {name}');
    await page.locator('[data-edited]').waitFor();
    // The page's keys do nothing here, and the editor's do.
    await code.content.press(key + '+End');
    await page.keyboard.type('# t?n');
    await until('it is typed', async () => /# t\?n/.test(await code.text()));
    assert.equal(await page.locator('dialog').count(), 0);
  });

  await step('what may stand where', async () => {
    await config.content.press(key + '+End');
    await page.keyboard.type('  trig');
    const offers = page.locator('[data-editor=config] .cm-tooltip-autocomplete li');
    await until('triggers is offered', async () => /triggers/.test(await offers.allInnerTexts()));
    await until('what it means', async () => /Where events come from/.test(await page.locator('[data-editor=config] .cm-completionInfo').innerText()));
    await page.keyboard.press('Escape');
    await config.write((await config.text()).replace(/\n *trig$/, '\n  triggers:\n    in:\n      kind: cron\n      attributes:\n'));
    await config.content.press(key + '+End');
    await page.keyboard.type('        sch');
    await until('the attributes of its kind', async () => /schedule/.test(await offers.allInnerTexts()));
    await page.keyboard.press('Escape');
    await config.write((await config.text()).replace(/\n *triggers:[^]*$/, '\n  triggerz: {}'));
  });

  await step('what is wrong is shown at its line', async () => {
    const line = (await config.text()).split('\n').findIndex((l) => l.includes('triggerz')) + 1;
    await page.getByRole('button', { name: 'Deploy', exact: true }).click();
    await failed(page, new RegExp(`configuration, line ${line}\\s[^]*triggerz`));
    await until('a mark', async () => (await marks(page, 'config').count()) >= 1 || (await marks(page, 'config').count()));
    await accessible(page, 'an editor with a mistake');
    await everyPicture(page, 'new-wrong');
    await config.replace('\n  triggerz: {}', '\n  env: [{name: WORD, value: "a: b"}]');
    await code.replace('    name = ', '    if True\n    name = ');
    await page.getByRole('button', { name: 'Deploy', exact: true }).click();
    await failed(page, /main\.py, line \d+/);
    await until('a mark', async () => (await marks(page, 'code').count()) >= 1);
    await code.replace('    if True\n', '');
    await config.write((await config.text()) + '\n  : [');
    await code.content.press(key + '+Enter');
    await failed(page, /The configuration cannot be read/);
    await config.replace('\n  : [', '');
  });

  await step('it is deployed and called', async () => {
    await page.getByRole('button', { name: 'Deploy', exact: true }).click();
    await deployed(page);
    assert.match(await page.locator('[data-log=deploy]').innerText(), /built hello-python/);
    await everyPicture(page, 'new-deployed');
    await accessible(page, 'a function that was deployed');
    await page.getByRole('link', { name: 'Call it' }).click();
    await page.getByLabel('Body').fill('Ada');
    await page.getByRole('button', { name: 'Send' }).click();
    await until('the answer', async () => (await page.locator('[data-answer=body]').innerText()) === 'Moin, Ada\n' || (await page.locator('main').innerText()));
    assert.ok(Date.now() - began < 60_000 * Number(process.env.DASHBOARD_SLOW ?? 5), 'it took ' + (Date.now() - began) + ' ms');
    console.log(`from nothing to an answer: ${((Date.now() - began) / 1000).toFixed(1)} s`);
  });

  await step('published under a name', async () => {
    await page.getByRole('link', { name: 'Versions' }).click();
    await page.getByRole('button', { name: 'Publish a version' }).click();
    await until('version 1', async () => /Version 1 is published/.test(await page.locator('[data-publish]').innerText()));
    await page.getByLabel('Name of the alias').fill('prod');
    await page.getByRole('button', { name: 'Make it' }).click();
    await page.locator('[data-alias=prod]').waitFor();
  });

  await step('edited again, and kept while looking elsewhere', async () => {
    await page.getByRole('link', { name: 'Edit' }).click();
    await until('the code', async () => /Moin/.test(await code.text()));
    assert.equal(await page.locator('[data-edited]').count(), 0);
    await code.replace('Moin, {name}', 'Servus, {name}');
    await page.getByRole('link', { name: 'Versions' }).click();
    await page.locator('[data-alias=prod]').waitFor();
    await page.getByRole('link', { name: 'Edit' }).click();
    await until('what was written', async () => /Servus/.test(await code.text()));
    await page.reload();
    await until('what was written, still', async () => /Servus/.test(await code.text()));
    await page.getByRole('button', { name: 'What is different' }).click();
    await until('the difference', async () => /Moin[^]*Servus/.test(await page.getByRole('region', { name: 'Code: difference' }).innerText()));
    await page.getByRole('button', { name: 'What is different' }).click();
    await fits(page, 'edit');
    await page.getByRole('button', { name: 'Deploy', exact: true }).click();
    await deployed(page);
    assert.equal(await page.locator('[data-edited]').count(), 0);
  });

  await step('a tenth of the traffic, and back', async () => {
    await page.getByRole('link', { name: 'Versions' }).click();
    await page.getByLabel('Note of the version').fill('another greeting');
    await page.getByRole('button', { name: 'Publish a version' }).click();
    await until('version 2', async () => /Version 2 is published/.test(await page.locator('[data-publish]').innerText()));
    const alias = page.locator('[data-alias=prod]');
    await alias.getByLabel('Add a version to prod').selectOption('2');
    await alias.getByRole('slider', { name: 'Share of v2' }).fill('10');
    await alias.getByRole('button', { name: 'Move', exact: true }).click();
    const answers = async () => {
      const n = { Moin: 0, Servus: 0 };
      for (let i = 0; i < 30; i++) n[(await (await fetch(gateway + 'hello-python:prod', { method: 'POST', body: 'Ada' })).text()).split(',')[0]]++;
      return n;
    };
    await until('both greet', async () => {
      const n = await answers();
      return (n.Servus > 0 && n.Moin > n.Servus) || n;
    });
    await alias.getByRole('button', { name: 'Back to 100 % v1' }).click();
    await until('it is back', async () => (await alias.locator('[data-alias=now]').innerText()) === '100 % v1');
    await until('one greets', async () => (await answers()).Servus === 0);
  });

  await step('somebody else deploys meanwhile', async () => {
    await page.getByRole('link', { name: 'Edit' }).click();
    await until('the code', async () => /Servus/.test(await code.text()));
    await code.replace('Servus, {name}', 'Tach, {name}');
    await wish('deploy');
    await until('it says so', async () => /deployed by somebody else/.test(await page.locator('[role=alert]').innerText()));
    assert.ok(await page.getByRole('button', { name: 'Deploy', exact: true }).isDisabled());
    await page.getByRole('button', { name: 'Take what is deployed' }).click();
    // Its code came with the command line, and is what the control plane built.
    await until('that code', async () => /from elsewhere/.test(await code.text()));
    await config.replace('LEVEL', 'LOUDNESS');
    await page.getByRole('button', { name: 'Deploy', exact: true }).click();
    await deployed(page);
    const fn = await (await fetch(home + 'api/v1/functions/hello-python')).json();
    assert.equal(fn.spec.env.at(-1).name, 'LOUDNESS');
    assert.equal(await (await fetch(gateway + 'hello-python', { method: 'POST' })).text(), 'from elsewhere');
  });

  await step('nobody is overwritten, and strangers\' text is text', async () => {
    await page.keyboard.press('Escape');
    await page.getByRole('link', { name: 'New function' }).click();
    await page.locator('[data-template=nodejs-http]').click();
    await until('the configuration', async () => /name: hello-nodejs/.test(await config.text()));
    await config.replace('name: hello-nodejs', 'name: hello-python');
    await page.getByRole('button', { name: 'Deploy', exact: true }).click();
    await failed(page, /There is a function of this name already/);
    await code.write('x'.repeat(1_000_000) + '\n// <img src=x onerror="window.hacked=1"> \u202egnp\u001b[31m');
    await until('signs are shown', async () => (await page.locator('[data-editor=code] .cm-specialChar').count()) >= 2 || (await code.lines()).map((l) => l.length + ' ' + l.slice(0, 200)));
    await page.getByRole('button', { name: 'Undo all' }).click();
    await until('the template', async () => /exports\.handler/.test(await code.text()));
    assert.equal(await page.evaluate(() => window.hacked), undefined, 'a stranger\'s script ran');
    sound(page, /status of 4(00|12)/);
  });

  await step('a version that fails is taken back, and what it failed at runs in the one before', async () => {
    await wish('fail'); // what was deployed fails at an event
    await page.evaluate(() => (location.hash = '/functions/default/hello-python/versions'));
    await page.getByRole('button', { name: 'Publish a version' }).click();
    await until('version 3', async () => /Version 3 is published/.test(await page.locator('[data-publish]').innerText()) || (await page.locator('main').innerText()));
    const alias = page.locator('[data-alias=prod]');
    await alias.getByLabel('Add a version to prod').selectOption('3');
    await alias.getByRole('slider', { name: 'Share of v3' }).fill('50');
    await alias.getByRole('button', { name: 'Move', exact: true }).click();
    await until('half is version 3', async () => /50 % v3/.test(await alias.locator('[data-alias=now]').innerText()) || (await alias.innerText()));
    await alias.getByRole('button', { name: 'Back to 100 % v1' }).click();
    await until('it is back', async () => (await alias.locator('[data-alias=now]').innerText()) === '100 % v1' || (await alias.innerText()));
    await page.getByRole('link', { name: 'Dead letters' }).click();
    await page.locator('main').getByRole('link', { name: 'hello-python' }).first().click();
    await until('the letter', async () => (await page.locator('main tbody tr').count()) === 1 || (await page.locator('main').innerText()));
    await page.locator('main tbody tr').getByRole('link').click();
    await until('its body', async () => (await page.locator('[data-letter=body]').innerText()) === 'a bad job');
    await page.getByLabel('Run in').fill(':prod');
    await page.getByRole('button', { name: 'Redrive' }).click();
    await until('the version before runs it', async () => /^hello-python:1 ran it: 200/.test(await page.locator('[data-letter=done]').innerText()) || (await page.locator('main').innerText()));
    await page.goBack();
    await until('no letter is left', async () => (await page.locator('main tbody tr').count()) === 0 || (await page.locator('main').innerText()));
  });

  await step('light and dark, narrow and wide', async () => {
    for (const [look, width, height, scheme] of looks) {
      const p = await visit(browser, { width, height, scheme, hash: '#/new/go-http' });
      for (const hash of ['/new/go-http', '/new', '/functions/default/hello-python/edit']) {
        await p.evaluate((h) => (location.hash = h), hash);
        if (hash === '/new') await p.locator('[data-template]').first().waitFor();
        else await p.locator('[data-editor=config] .cm-line').first().waitFor();
        const name = (hash.endsWith('/edit') ? 'edit' : hash.slice(1).replace('/', '-')) + '-' + look;
        await fits(p, name);
        await accessible(p, name);
        await picture(p, name);
      }
      sound(p);
      await p.context().close();
    }
  });
} finally {
  await browser.close();
}
process.exit(0);
