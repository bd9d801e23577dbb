// All that an operator does on the page: from the one-time link to what waits in the queue.

import assert from 'node:assert/strict';
import { Visit, code, run } from './visit.mjs';

const { LINK, LANGUAGE, WIDTH, JAVASCRIPT, DARK } = process.env;
const words = (ja, en) => (LANGUAGE === 'ja' ? ja : en);
const person = { language: LANGUAGE, width: Number(WIDTH), javascript: JAVASCRIPT === 'on', dark: DARK === 'on' };

await run(async () => {
    const visit = await Visit.begin(person);
    const { page } = visit;

    // By the one-time link: a password, then the second factor, then the whole house.
    await page.goto(LINK);
    await visit.look('welcome');
    const password = 'a password of 2026';
    await visit.fill({ password, again: password });
    await visit.press('main form[action="/welcome"] button.main');
    if ((await page.locator('html').getAttribute('lang')) !== LANGUAGE) {
        await visit.press(`footer button[value="${LANGUAGE}"]`);
    }
    await visit.look('operator-second-factor');
    await page.goto('/operator');
    assert.equal(new URL(page.url()).pathname, '/second-factor', 'nothing else before it is set up');
    const secret = (await page.locator('code.copy').first().innerText()).trim();
    await visit.fill({ code: code(secret) });
    await visit.press('main form[action="/second-factor"] button.main');
    await visit.look('operator-codes');
    const again = await Visit.begin(person);
    await again.page.goto(LINK);
    await again.look('link-used');
    await again.sees(words('使用済み', 'used already'));
    await again.end();
    const prove = async () => {
        if (!page.url().includes('/prove')) return;
        await visit.fill({ password, code: code(secret, 1) });
        await visit.press('main form[action="/prove"] button.main');
    };

    for (const path of ['', '/accounts', '/domains', '/plans', '/queue', '/queue/messages', '/queue/destinations', '/traffic', '/health', '/audit', '/mail']) {
        await visit.open(`/operator${path}`, `operator${path}`);
    }

    // Searching by any address.
    await visit.open('/operator/search?q=anything%40abc.pobox.example', 'operator-search');
    await visit.sees('abc');

    // An account: made with a link for its owner, looked at, seen as its owner sees it, suspended and resumed, removed.
    await page.goto('/operator/new-account');
    await prove();
    await visit.look('operator-new-account');
    await visit.fill({ name: 'newcomer' });
    await visit.press('main form[action="/operator/new-account"] button.main');
    await visit.look('operator-account-made');
    await visit.press('main form[action="/operator/accounts/newcomer/link"] button');
    await visit.look('operator-account-link');
    const link = (await page.locator('code.copy').first().innerText()).trim();
    assert(/\/welcome\?link=/.test(link), link);
    await visit.open('/operator/accounts/newcomer', 'operator-account');
    await visit.open('/operator/accounts/abc/view', 'operator-account-view');
    await visit.open('/operator/accounts/newcomer/settings', 'operator-account-settings');
    await visit.fill({ forward_limit: '3' });
    await visit.press('main form[action="/operator/accounts/newcomer/settings"] button.main');
    await visit.look('operator-account-changed');
    await visit.sees('3');
    for (const state of ['suspended', 'active']) {
        await page.goto('/operator/accounts/newcomer');
        await visit.page.goto(`/operator/accounts/newcomer/state?state=${state}`);
        await visit.look(`operator-account-${state}`);
        await visit.press('main form[action="/operator/accounts/newcomer/state"] button');
    }
    await visit.open('/operator/accounts/newcomer/remove', 'operator-account-remove');
    await visit.fill({ typed: 'somebody' });
    await visit.press('main form[action="/operator/accounts/newcomer/remove"] button.danger');
    await visit.look('operator-account-not-removed');
    await visit.fill({ typed: 'newcomer' });
    await visit.press('main form[action="/operator/accounts/newcomer/remove"] button.danger');
    await visit.open('/operator/accounts?q=newcomer', 'operator-accounts-found');
    assert.equal(await page.locator('main a[href="/operator/accounts/newcomer"]').count(), 0);

    // A domain and a plan.
    await visit.open('/operator/new-domain', 'operator-new-domain');
    await visit.open('/operator/domains/pobox.example', 'operator-domain');
    await visit.open('/operator/new-plan', 'operator-new-plan');
    await visit.open('/operator/plans/default', 'operator-plan');

    // What waits: a message that reaches nobody is held, let go on, and given back.
    await visit.open('/operator/queue/messages', 'operator-queue-list');
    await visit.sees('nobody@unreachable.example');
    await page.locator('main a[href^="/operator/queue/messages/"]').first().click({ noWaitAfter: true });
    await page.waitForURL(/queue\/messages\/[0-9a-z]+$/);
    await visit.look('operator-queue-message');
    for (const act of ['hold', 'release', 'bounce']) {
        await page.locator(`main a[href*="act=${act}&"]`).first().click({ noWaitAfter: true });
        await page.waitForURL(`**/queue/act?act=${act}*`);
        await visit.look(`operator-queue-${act}`);
        await visit.press('main form[action="/operator/queue/act"] button');
        await visit.look(`operator-queue-${act}-done`);
        if (act !== 'bounce') {
            await page.goto('/operator/queue/messages');
            await page.locator('main a[href^="/operator/queue/messages/"]').first().click({ noWaitAfter: true });
            await page.waitForURL(/queue\/messages\/[0-9a-z]+$/);
        }
    }

    // What became of it, as an operator sees it; and who did what.
    await visit.open('/operator/mail?q=nobody%40unreachable.example', 'operator-mail-found');
    await page.locator('main a[href^="/operator/mail/"]').first().click({ noWaitAfter: true });
    await page.waitForURL(/operator\/mail\/[0-9a-z]+$/);
    await visit.look('operator-mail-life');
    await visit.open('/operator/audit', 'operator-audit');
    await visit.sees('newcomer');

    // The chart of the queue lives where there is JavaScript.
    if (person.javascript) {
        await page.goto('/operator/queue');
        const asked = await page.waitForResponse((response) => response.url().endsWith('/operator/queue/now.json'), { timeout: 15_000 });
        assert.equal(asked.status(), 200);
    }
    await visit.open('/', 'operator-own-overview');
    await visit.end();
});
