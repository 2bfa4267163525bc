// Events as they come, over a machine with the function events, which HTTP and a
// Redis stream bring them to: version 1, which the alias prod names, answers with
// another word than what was deployed last.
import assert from 'node:assert/strict';
import { accessible, fits, gateway, open, picture, sound, step, until, visit, wish } from './browser.mjs';

const browser = await open();
const hash = '#/functions/default/events/try';

try {
  const page = await visit(browser, { hash, height: 1200 });
  const box = page.getByRole('region', { name: 'Capture', exact: true });
  const rows = box.locator('tbody tr');
  const state = () => box.locator('[data-capture=state]').innerText();
  const send = async (to, body) => (await fetch(gateway + to, { method: 'POST', body, headers: { 'Content-Type': 'text/plain', Cookie: 'id=s3cret' } })).text();

  await step('nothing is captured that nobody asked for', async () => {
    await send('events', '{"before": 1}');
    await box.getByLabel('How many').fill('50');
    await box.getByLabel('For at most').selectOption('1h');
    await box.getByLabel('Take out also').fill('iban, X-Customer');
    await accessible(page, 'before a capture');
    await box.getByRole('button', { name: 'Capture', exact: true }).click();
    await until('it captures', async () => /^Capturing: 0 of 50 events/.test(await state()) || (await box.innerText()));
  });

  await step('events of all triggers and versions come', async () => {
    await send('events?token=s3cret&a=b', JSON.stringify({ password: 's3cret', iban: 's3cret', say: '<img src=x onerror="window.hacked=1"> \u202egnp' }));
    await until('the first', async () => (await rows.count()) === 1 || (await box.innerText()));
    await send('events:prod', '{"name": "Ada"}');
    await until('the second', async () => (await rows.count()) === 2 || (await box.innerText()));
    await wish('stream');
    await until('those of the stream', async () => (await rows.count()) === 4 || (await box.innerText()));
    const all = await rows.allInnerTexts();
    assert.match(all[0], /^1\s+\d\d:\d\d:\d\d\s+200\s+web http\s+POST \/\?token=\*\*\*&a=b\s.*working copy$/);
    assert.match(all[1], /\sv1$/);
    assert.equal(all.filter((t) => /\s500\s+in redis\s+visits\s/.test(t)).length, 1, all.join('\n'));
    assert.ok(!(await page.locator('body').innerText()).includes('s3cret'));
  });

  await step('one is looked at, and does no harm', async () => {
    await box.getByRole('button', { name: 'Show 1', exact: true }).click();
    const body = await box.locator('[data-capture=body]').innerText();
    assert.ok(body.includes('"password":"***","iban":"***","say":"<img src=x') && body.includes('\\u202egnp'), body);
    const out = await box.locator('[data-capture=redacted]').innerText();
    for (const what of ['header Cookie', 'field token', 'field password', 'field iban']) assert.ok(out.includes(what), out);
    assert.ok(!(await page.locator('body').innerText()).includes('s3cret'));
    assert.equal(await page.evaluate(() => window.hacked), undefined, 'a stranger\'s script ran');
    await accessible(page, 'an event');
  });

  await step('it is run again, on two versions', async () => {
    await box.getByRole('button', { name: 'Show 2', exact: true }).click();
    await box.getByLabel('two versions').check();
    await box.getByLabel('Replay in').fill('prod');
    await box.getByRole('button', { name: 'Replay', exact: true }).click();
    await until('they differ', async () => (await box.locator('[data-capture=verdict]').innerText()) === 'They differ: bodies differ.' || (await box.innerText()));
    assert.deepEqual(await box.locator('[data-answer=body]').allInnerTexts(), ['one http {"name": "Ada"}', 'two http {"name": "Ada"}']);
    await accessible(page, 'two answers');
    await picture(page, 'capture-light');
    await box.getByLabel('two versions').uncheck();
    const failed = rows.filter({ hasText: ' 500' }).or(rows.filter({ has: page.locator('td.bad') }));
    await failed.first().getByRole('button').click();
    await box.getByLabel('Replay in').fill('');
    await box.getByRole('button', { name: 'Replay', exact: true }).click();
    await until('the stream\'s event fails again', async () => /^500/.test(await box.locator('[data-answer=status]').innerText()) || (await box.innerText()));
    await box.getByLabel('Replay in').fill('7');
    await box.getByRole('button', { name: 'Replay', exact: true }).click();
    await until('what is not there', async () => /no version 7/.test(await box.getByRole('alert').innerText()) || (await box.innerText()));
  });

  await step('it is tried as a request', async () => {
    await box.getByRole('button', { name: 'Show 2', exact: true }).click();
    await box.getByRole('button', { name: 'Fill in above' }).click();
    await until('its body', async () => (await page.getByLabel('Body').inputValue()) === '{"name": "Ada"}');
  });

  await step('another tab sees it, narrow and dark; it ends', async () => {
    const p = await visit(browser, { width: 360, height: 740, scheme: 'dark', hash });
    const other = p.getByRole('region', { name: 'Capture', exact: true });
    await until('what came', async () => (await other.locator('tbody tr').count()) === 4 || (await other.innerText()));
    await other.getByRole('button', { name: 'Show 1', exact: true }).click();
    await other.locator('[data-capture=body]').waitFor();
    await fits(p, 'capture, narrow');
    await accessible(p, 'capture, narrow and dark');
    await other.scrollIntoViewIfNeeded();
    await picture(p, 'capture-narrow-dark');
    await other.getByRole('button', { name: 'End', exact: true }).click();
    await until('it has ended', async () => /^Ended: 4 of 50 events, 4 looked at, 0 did not fit\.$/.test(await other.locator('[data-capture=state]').innerText()) || (await other.innerText()));
    await until('here, too', async () => /^Ended/.test(await state()) || (await state()));
    await send('events', '{"after": 1}');
    await box.getByRole('button', { name: 'Remove', exact: true }).click();
    await until('it is gone', async () => (await rows.count()) === 0);
    await until('there, too', async () => (await other.locator('tbody tr').count()) === 0 || (await other.innerText()));
    sound(p, /status of 404/);
    sound(page, /status of 404/);
  });
} finally {
  await browser.close();
}
process.exit(0);
