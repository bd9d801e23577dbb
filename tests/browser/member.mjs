// All that a member does on the page, in one language and on one window, with JavaScript or without.

import assert from 'node:assert/strict';
import { Visit, code, run } from './visit.mjs';

const { ACCOUNT, LANGUAGE, WIDTH, JAVASCRIPT, DARK } = process.env;
const words = (ja, en) => (LANGUAGE === 'ja' ? ja : en);
const person = { language: LANGUAGE, width: Number(WIDTH), javascript: JAVASCRIPT === 'on', dark: DARK === 'on' };
const domain = `${ACCOUNT}.pobox.example`;
const edit = (name) => `/addresses/edit?address=${encodeURIComponent(`${name}@${domain}`)}`;
let password = `${ACCOUNT}-try`;

await run(async () => {
    const visit = await Visit.begin(person);
    const { page } = visit;

    // A wrong password is refused without telling what was wrong; the right one lets in, to where one was going.
    await visit.open('/addresses', 'sign-in');
    await visit.fill({ name: ACCOUNT, password: 'not this one' });
    await visit.press('main form[action="/sign-in"] button');
    await visit.sees(words('アカウント名またはパスワード', 'Wrong account name or password'), '[role=alert]');
    await visit.fill({ name: ACCOUNT, password });
    await visit.press('main form[action="/sign-in"] button');
    if ((await page.locator('html').getAttribute('lang')) !== LANGUAGE) {
        await visit.press(`footer button[value="${LANGUAGE}"]`);
    }
    assert.equal(new URL(page.url()).pathname, '/addresses');

    await visit.open('/', 'overview');
    await visit.sees(`${ACCOUNT}@pobox.example`);
    await visit.open('/sheet', 'sheet');
    await visit.sees('mail.pobox.example');
    await visit.sees('PostPet');

    // An address of one's own: made, forwarded to another member with a copy, labelled.
    await visit.open('/addresses', 'addresses');
    await visit.open('/addresses/new', 'address-new');
    await visit.fill({ name: 'shop' });
    await visit.press('main form[action="/addresses/new"] button.main');
    await visit.look('address-not-yet');
    await visit.fill({ keep: true, 'destination-0': 'xyz@pobox.example', 'on-0': true, label: words('お店 <b>1</b>', 'The shop <b>1</b>') });
    await visit.press('main button.main[value="save"]');
    await visit.look('address');
    await visit.open('/addresses?q=shop', 'addresses-found');
    await visit.sees('xyz@pobox.example');
    await visit.sees('<b>1</b>');
    await visit.open('/addresses?q=nowhere-at-all', 'addresses-none');

    // What is no address, and one too many, is refused in words, and what was typed stays.
    await visit.open(edit('shop'));
    await visit.fill({ 'destination-1': '|rm -rf /' });
    await visit.press('main button.main[value="save"]');
    await visit.look('address-refused');
    assert.equal(await page.locator('[role=alert]').count(), 1);
    assert.equal(await page.locator('[name="destination-1"]').inputValue(), '|rm -rf /');
    for (let more = 0; more < 4 && (await page.locator('main button[value="more"]').count()) > 0; more += 1) {
        await visit.press('main button[value="more"]');
    }
    await visit.look('address-more-fields');
    const fields = await page.locator('[name^="destination-"]').count();
    assert(fields >= 10, `${fields} fields`);

    // Two who edit at once: the second is told, and loses nothing.
    const other = await Visit.begin(person);
    await other.signIn(ACCOUNT, password);
    await other.page.goto(edit('shop'));
    await visit.page.goto(edit('shop'));
    await other.fill({ label: 'the other was first' });
    await other.press('main button.main[value="save"]');
    await visit.fill({ label: 'I was second' });
    await visit.press('main button.main[value="save"]');
    await visit.look('address-conflict');
    await visit.sees('the other was first', '[role=alert]');
    assert.equal(await page.locator('[name="label"]').inputValue(), 'I was second');
    await visit.press('main button.main[value="save"]');
    await visit.open('/addresses?q=second', 'addresses-second');
    await visit.sees('I was second');
    await other.end();

    // Off without forgetting, on again, and gone.
    await visit.press('main button[name="off"]');
    await visit.open('/addresses?q=shop', 'addresses-off');
    assert.equal(await page.locator('main button[name="on"]').count(), 1);
    await visit.press('main button[name="on"]');
    await visit.open(`/addresses/delete?address=${encodeURIComponent(`shop@${domain}`)}`, 'address-delete');
    await visit.press('main form[action="/addresses/delete"] button.danger');
    await visit.open('/addresses?q=shop');
    assert.equal(await page.locator('main a[href*="shop"]').count(), 0);

    // Where is my mail?
    await visit.open('/mail', 'mail');
    await visit.sees('sender@elsewhere.example');
    await visit.open('/mail?q=elsewhere.example&way=in&days=1', 'mail-found');
    await page.locator('main tbody a').first().click({ noWaitAfter: true });
    await page.waitForURL('**/mail/*');
    await visit.look('mail-life');
    await visit.sees(words('メールボックスに届きました', 'mailbox'));
    await visit.open('/mail?q=no%20party', 'mail-refused');

    // An answer while away.
    await visit.open('/absence', 'absence');
    await visit.fill({ active: true, subject: words('不在です', 'Away'), text: words('来週戻ります。', 'Back next week.') });
    await visit.press('main form[action="/absence"] button.main');
    await visit.look('absence-on');
    await visit.sees(words('来週戻ります。', 'Back next week.'));
    await visit.fill({ active: false });
    await visit.press('main form[action="/absence"] button.main');

    // Settings.
    await visit.open('/account', 'account');
    await visit.open('/account/password', 'password');
    await visit.fill({ old: password, password: 'a new one 2026', again: 'a new one 2026' });
    await visit.press('main form[action="/account/password"] button.main');
    password = 'a new one 2026';
    await visit.look('account-saved');
    const prove = async () => {
        if (!page.url().includes('/prove')) return;
        await visit.look('prove');
        await visit.fill({ password });
        await visit.press('main form[action="/prove"] button.main');
    };
    await page.goto('/account/app-passwords/new');
    await prove();
    await visit.look('app-password-new');
    await visit.fill({ label: 'iPhone' });
    await visit.press('main form[action="/account/app-passwords/new"] button.main');
    await visit.look('app-password-made');
    await visit.open('/account/app-passwords', 'app-passwords');
    await visit.sees('iPhone');
    await page.locator('main details.confirm summary').first().click();
    await visit.press('main details.confirm button.danger');
    await visit.open('/account/app-passwords', 'app-passwords-none');
    assert(!(await visit.words()).includes('iPhone'));

    await page.goto('/account/tokens/new');
    await prove();
    await visit.look('token-new');
    await visit.fill({ label: 'script' });
    await visit.press('main form[action="/account/tokens/new"] button.main');
    await visit.look('token-made');
    await visit.open('/account/tokens', 'tokens');

    for (const name of ['sessions', 'windows', 'trail']) await visit.open(`/account/${name}`, name);
    await visit.open('/api', 'api');

    // A second factor, and signing in by it.
    await visit.open('/second-factor', 'second-factor-begin');
    const secret = (await page.locator('code.copy').first().innerText()).trim();
    await visit.fill({ code: '000000' });
    await visit.press('main form[action="/second-factor"] button.main');
    await visit.look('second-factor-wrong');
    const again = (await page.locator('code.copy').first().innerText()).trim();
    assert.equal(again, secret, 'a wrong code does not begin anew');
    await visit.fill({ code: code(secret) });
    await visit.press('main form[action="/second-factor"] button.main');
    await visit.look('recovery-codes');
    const recovery = (await page.locator('ol.codes li').first().innerText()).trim();
    await visit.open('/second-factor', 'second-factor');
    await visit.press('header form[action="/sign-out"] button');
    await visit.look('signed-out');
    await visit.fill({ name: ACCOUNT, password });
    await visit.press('main form[action="/sign-in"] button');
    await visit.look('sign-in-code');
    await visit.fill({ code: recovery });
    await visit.press('main form[action="/sign-in/code"] button.main');
    await visit.open('/', 'overview-again');
    await page.goto('/second-factor/remove');
    if (page.url().includes('/prove')) {
        await visit.fill({ password, code: code(secret, 1) });
        await visit.press('main form[action="/prove"] button.main');
    }
    await visit.look('second-factor-remove');
    await visit.press('main form[action="/second-factor/remove"] button');
    await visit.open('/account', 'account-without');

    // What stands nowhere, in the visitor's language.
    await visit.page.goto('/nowhere');
    await visit.look('not-found');
    await visit.end();
});
