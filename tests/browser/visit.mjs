// A person at a browser: a real Chromium, one language, one width of window, with or without JavaScript.
//
// Each page that is looked at must be whole: no violation that axe-core finds, nothing that the page's own
// policy (CSP) kept from running, no word in the console, nothing that sticks out sideways, under 60 kB, in
// the language that was asked for.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const modules = process.env.BROWSER_MODULES;
assert(modules, 'BROWSER_MODULES says where playwright-core and axe-core lie; cargo xtask test puts them there');
const require = createRequire(`${modules}/node_modules/`);
const { chromium } = require('playwright-core');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const PAGE_OCTETS_MAX = 60_000;
export const SITE = process.env.SITE;

const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking'],
});

export class Visit {
    /** A person with a browser of his own: no cookie is shared with another. */
    static async begin({ language = 'ja', width = 1280, javascript = true, dark = false } = {}) {
        const context = await browser.newContext({
            baseURL: SITE,
            ignoreHTTPSErrors: true,
            javaScriptEnabled: javascript,
            locale: language === 'ja' ? 'ja-JP' : 'en-GB',
            colorScheme: dark ? 'dark' : 'light',
            viewport: { width, height: 900 },
            acceptDownloads: true,
        });
        context.setDefaultTimeout(20_000);
        const page = await context.newPage();
        const visit = new Visit();
        Object.assign(visit, { context, page, language, width, javascript, dark, said: [], looked: 0 });
        page.on('console', (message) => {
            // That a form was refused is said by its status too.
            if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) visit.said.push(message.text());
        });
        page.on('pageerror', (error) => visit.said.push(String(error)));
        page.on('response', async (response) => {
            if (response.request().resourceType() === 'document' && response.request().redirectedTo() === null) {
                visit.document = response;
            }
        });
        return visit;
    }

    async end() {
        await this.context.close();
    }

    /** Opens a page and looks at it. */
    async open(path, name) {
        await this.page.goto(path);
        await this.look(name ?? path);
    }

    /** Presses the button that matches, and waits for the page that comes. */
    async press(selector) {
        const gone = this.page.waitForNavigation({ waitUntil: 'load' });
        await this.page.locator(selector).first().click({ noWaitAfter: true });
        await gone;
    }

    /** Fills in a form's fields by their names. */
    async fill(fields) {
        for (const [name, value] of Object.entries(fields)) {
            const field = this.page.locator(`main [name="${name}"]`).first();
            if (typeof value === 'boolean') await field.setChecked(value);
            else if ((await field.evaluate((element) => element.tagName)) === 'SELECT') await field.selectOption(value);
            else await field.fill(value);
        }
    }

    /** The words of the page. */
    async words(selector = 'main') {
        return (await this.page.locator(selector).first().innerText()).replace(/\s+/g, ' ');
    }

    /** Says what is there instead, if the words are not. */
    async sees(text, selector = 'main') {
        const words = await this.words(selector);
        assert(text instanceof RegExp ? text.test(words) : words.includes(text), `${this.where()}: no ${text} in: ${words}`);
    }

    where() {
        return `${this.page.url()} (${this.language}, ${this.width} px${this.javascript ? '' : ', no JavaScript'})`;
    }

    /** Looks at the page that is open, with every care. */
    async look(name) {
        const { page } = this;
        this.looked += 1;
        assert.equal(await page.locator('html').getAttribute('lang'), this.language, this.where());
        assert.equal(await page.locator('h1').count(), 1, `${this.where()}: one heading of the first rank`);
        assert((await page.title()).length > 3, this.where());
        const octets = this.document ? (await this.document.body().catch(() => '')).length : 0;
        assert(octets < PAGE_OCTETS_MAX, `${this.where()}: ${octets} octets`);
        const sideways = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert(sideways <= 0, `${this.where()}: ${sideways} px stick out sideways`);
        if (this.javascript) {
            await page.evaluate(AXE);
            const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
            const told = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} [${node.failureSummary}]`).join(' | ')}`);
            assert.deepEqual(told, [], this.where());
        }
        assert.deepEqual(this.said, [], this.where());
        if (process.env.PICTURES && name) {
            mkdirSync(process.env.PICTURES, { recursive: true });
            const file = `${name.replace(/[^a-z0-9]+/gi, '-').replace(/^-|-$/g, '') || 'index'}-${this.language}-${this.width}${this.dark ? '-dark' : ''}${this.javascript ? '' : '-nojs'}.png`;
            await page.screenshot({ path: `${process.env.PICTURES}/${file}`, fullPage: true });
        }
    }

    async signIn(name, password) {
        await this.page.goto('/sign-in');
        await this.fill({ name, password });
        await this.press('main form[action="/sign-in"] button');
    }
}

/** The code of an authenticator (RFC 6238) for a secret in Base32, so many steps of 30 s from now. */
export function code(secret, steps = 0) {
    let bits = '';
    for (const letter of secret.replace(/[\s=]/g, '').toUpperCase()) {
        bits += 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0');
    }
    const key = Buffer.from(bits.match(/.{8}/g).map((octet) => parseInt(octet, 2)));
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
    const digest = createHmac('sha1', key).update(counter).digest();
    const offset = digest[19] & 15;
    return String((digest.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

/** Runs the steps of a script, and says `good` at the end. */
export async function run(steps) {
    try {
        await steps();
        console.log('good');
    } finally {
        await browser.close();
    }
}
