// Functions of several files: one in Python that the command line deployed, with
// a module beside it, what it requires and a file that is no text; and one in Go
// that grows a second file here.
import assert from 'node:assert/strict';
import { accessible, everyPicture, fits, gateway, home, open, sound, step, until, visit } from './browser.mjs';
import { deployed, editor, failed, marks } from './editor.mjs';

const browser = await open();
const file = (page, path) => page.locator(`[data-file="${path}"]`);
const files = (page) => page.locator('[data-files] [data-file]').evaluateAll((all) => all.map((b) => b.dataset.file));
const call = async (name) => (await fetch(gateway + name, { method: 'POST', body: 'Ada' })).text();
// A connection of the gateway's may lead to the former version for a moment yet.
const answers = (name, want) => until(name + ' answers', async () => {
  const got = await call(name);
  return want.test(got) || got;
});
async function add(page, path) {
  await page.getByRole('button', { name: 'Add a file' }).click();
  await page.getByLabel('Name of the new file').fill(path);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
}
const deploy = async (page) => {
  await page.getByRole('button', { name: 'Deploy', exact: true }).click();
  await deployed(page);
};
const wheel = 'greetings-1.0-py3-none-any.whl';

try {
  const page = await visit(browser, { width: 1440, height: 900, hash: '#/functions/default/many/edit' });
  const code = editor(page, 'code');

  await step('its files are there', async () => {
    await until('the files', async () => JSON.stringify(await files(page)) === JSON.stringify([wheel, 'main.py', 'requirements.txt', 'lib/words.py']) || (await files(page)));
    await until('the first', async () => /def handler/.test(await code.text()));
    await file(page, wheel).click();
    await page.locator('[data-file=bytes]').waitFor();
    assert.equal(await page.locator('[data-editor=code]').count(), 0);
    await file(page, 'lib/words.py').click();
    await until('the module', async () => /Moin/.test(await code.text()));
    await accessible(page, 'several files');
    await fits(page, 'several files');
  });

  await step('one is changed, one added, one renamed, one removed', async () => {
    await code.replace('Moin', 'Servus');
    for (const wrong of ['../out.py', '/etc/passwd', 'LIB/words.py', 'a\u202eyp.exe', 'main.py', 'function.yaml'].slice(0, 5)) {
      await add(page, wrong);
      await until('it is refused', async () => (await page.locator('[data-files] [role=alert]').innerText()).length > 5);
      await page.getByRole('button', { name: 'Leave it' }).click();
    }
    await add(page, 'lib/end.py');
    await until('it is open', async () => (await code.text()) === '');
    await code.write('END = "!"\n');
    await add(page, 'notes.txt');
    await page.getByRole('button', { name: 'Rename', exact: true }).click();
    await page.getByLabel('New name').fill('lib/notes.txt');
    await page.getByRole('button', { name: 'Rename it' }).click();
    await file(page, 'lib/notes.txt').waitFor();
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
    await until('it is gone', async () => !(await files(page)).includes('lib/notes.txt'));
    await file(page, 'main.py').click();
    await until('the handler', async () => /def handler/.test(await code.text()));
    await code.write('import greetings\nfrom lib import end, words\n\ndef handler(context, event):\n    return f"{words.HELLO}, {greetings.WORD}{end.END}"\n');
    await page.reload();
    await until('what was written is kept', async () => (await files(page)).includes('lib/end.py') && /end\.END/.test(await code.text()));
    await page.getByRole('button', { name: 'What is different' }).click();
    await until('the difference', async () => /Moin[^]*Servus/.test(await page.getByRole('region', { name: 'lib/words.py: difference' }).innerText()));
    await page.getByRole('button', { name: 'What is different' }).click();
    await everyPicture(page, 'files');
    await deploy(page);
    await answers('many', /^Servus, hi!$/);
    assert.deepEqual(await files(page), [wheel, 'main.py', 'requirements.txt', 'lib/end.py', 'lib/words.py']);
    const fn = await (await fetch(home + 'api/v1/functions/many')).json();
    assert.equal(fn.spec.build?.functionSourceCode, undefined);
  });

  await step('what is wrong is shown in its file', async () => {
    await file(page, 'lib/end.py').click();
    await until('the module', async () => /END/.test(await code.text()));
    await code.write('END = (\n\n');
    await file(page, 'main.py').click();
    await page.getByRole('button', { name: 'Deploy', exact: true }).click();
    await failed(page, /lib\/end\.py, line \d/);
    await page.getByRole('button', { name: /lib\/end\.py, line/ }).first().click();
    await until('it is open', async () => /END/.test(await code.text()));
    await until('a mark', async () => (await marks(page, 'code').count()) >= 1 || (await code.text()));
    await code.write('END = "?"\n');
    // A name that only the server refuses.
    await add(page, 'function.yaml');
    await page.getByRole('button', { name: 'Deploy', exact: true }).click();
    await failed(page, /"function.yaml": it is the configuration/);
    await file(page, 'function.yaml').click();
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
    await deploy(page);
    await answers('many', /^Servus, hi\?$/);
  });

  await step('two versions are compared by file', async () => {
    await page.getByRole('link', { name: 'Versions' }).click();
    await page.getByRole('button', { name: 'Publish a version' }).click();
    await until('version 1', async () => /Version 1 is published/.test(await page.locator('[data-publish]').innerText()));
    await page.getByRole('link', { name: 'Edit' }).click();
    await file(page, 'lib/words.py').click();
    await until('the module', async () => /Servus/.test(await code.text()));
    await code.replace('Servus', 'Tach');
    await deploy(page);
    await page.getByRole('link', { name: 'Versions' }).click();
    await page.getByLabel('Former').selectOption('1');
    await page.getByLabel('Latter').selectOption('$latest');
    await until('the difference', async () => /Servus[^]*Tach/.test(await page.getByRole('region', { name: 'lib/words.py: difference' }).innerText()));
    assert.equal(await page.getByRole('region', { name: 'main.py: difference' }).count(), 0);
  });

  await step('narrow and dark', async () => {
    const narrow = await visit(browser, { width: 360, height: 740, scheme: 'dark', hash: '#/functions/default/many/edit' });
    await file(narrow, 'lib/words.py').click();
    await until('the module', async () => /Tach/.test(await editor(narrow, 'code').text()));
    await fits(narrow, 'several files, narrow');
    await accessible(narrow, 'several files, narrow and dark');
    sound(narrow);
    await narrow.context().close();
  });

  await step('a function in Go grows a second file', async () => {
    await page.evaluate(() => (location.hash = '/new/go-http'));
    await until('the code', async () => /"Hello, "/.test(await code.text()));
    await deploy(page);
    await answers('hello-go', /^Hello, Ada/);
    await page.evaluate(() => (location.hash = '/functions/default/hello-go/edit'));
    await until('the code that is kept with it', async () => /"Hello, "/.test(await code.text()));
    const whole = await code.text();
    await page.getByRole('button', { name: 'Several files' }).click();
    await until('one of one', async () => (await files(page)).length === 1);
    await add(page, 'words.go');
    await until('it is open', async () => (await code.text()) === '');
    await code.write(`package ${/^package (\w+)/m.exec(whole)[1]}\n\nconst hello = "Moin, "\n`);
    await page.locator('[data-files] [data-file]').first().click();
    await until('the first', async () => (await code.text()) === whole);
    await code.replace('"Hello, "', 'hello');
    await deploy(page);
    await answers('hello-go', /^Moin, Ada/);
    await page.reload();
    await until('both are kept', async () => (await files(page)).length === 2);
    sound(page, /status of 422/);
  });
} finally {
  await browser.close();
}
process.exit(0);
