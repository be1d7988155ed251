// Drives headless Chromium over its own pipe: no server, no port, no package.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** The name of a browser that is installed, or undefined. */
export const browserName = () => NAMES.find((name) => spawnSync(name, ['--version']).status === 0);

/** A browser with one page. `events` collects what the page reports: exceptions, console messages, requests. */
export async function launch(browser) {
    const profile = await mkdtemp(join(tmpdir(), 'argpick-report-'));
    const options = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-extensions',
        '--hide-scrollbars', '--force-device-scale-factor=1', '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank'];
    const child = spawn(browser, options, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    const closed = new Promise((resolve) => child.on('close', resolve));
    const [, , , input, output] = child.stdio;
    const waiting = new Map();
    const events = [];
    let [last, pending] = [0, Buffer.alloc(0)];
    output.on('data', (chunk) => {
        pending = Buffer.concat([pending, chunk]);
        for (let end = pending.indexOf(0); end >= 0; end = pending.indexOf(0)) {
            const message = JSON.parse(pending.subarray(0, end).toString());
            pending = pending.subarray(end + 1);
            if (message.id === undefined) {
                events.push(message);
                continue;
            }
            const { resolve, reject } = waiting.get(message.id);
            waiting.delete(message.id);
            if (message.error) reject(new Error(JSON.stringify(message.error)));
            else resolve(message.result);
        }
    });
    child.on('close', (code) => waiting.forEach(({ reject }) => reject(new Error(`${browser} ended with ${code}`))));
    const call = (method, params = {}, sessionId = undefined) => new Promise((resolve, reject) => {
        waiting.set(++last, { resolve, reject });
        input.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
    });
    const { targetInfos } = await call('Target.getTargets');
    const { targetId } = targetInfos.find(({ type }) => type === 'page');
    const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
    const send = (method, params) => call(method, params, sessionId);
    for (const domain of ['Page', 'Runtime', 'Network', 'Log']) await send(`${domain}.enable`);
    return {
        events,
        send,
        close: async () => {
            await call('Browser.close').catch(() => {});
            await closed;
            await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
        },
    };
}

const KEYS = { ArrowRight: 39, ArrowLeft: 37, ArrowUp: 38, ArrowDown: 40, Home: 36, End: 35, Tab: 9, Enter: 13, Space: 32 };

/** What a test does with a page. */
export class Page {
    constructor(browser) {
        this.browser = browser;
    }

    async open(url) {
        this.browser.events.length = 0;
        await this.browser.send('Page.navigate', { url });
        await this.until('document.documentElement.dataset.ready === "yes"');
    }

    /** The value of an expression in the page. */
    async value(expression) {
        const { result, exceptionDetails } = await this.browser.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
        if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
        return result.value;
    }

    /** Waits until an expression is true; it is an event of the page, so a slow machine only waits longer. */
    async until(expression) {
        for (const end = Date.now() + 30_000; ;) {
            if (await this.value(`Boolean(${expression})`).catch(() => false)) return;
            if (Date.now() > end) throw new Error(`never true: ${expression}`);
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    }

    /** Presses a key, or a character, so many times. */
    async press(key, times = 1, modifiers = 0) {
        const text = { Space: ' ', Enter: '\r' }[key] ?? (key.length === 1 ? key : undefined);
        const what = { key: key === 'Space' ? ' ' : key, code: key, windowsVirtualKeyCode: KEYS[key] ?? key.toUpperCase().charCodeAt(0), modifiers };
        for (let i = 0; i < times; i++) {
            await this.browser.send('Input.dispatchKeyEvent', { type: text ? 'keyDown' : 'rawKeyDown', ...what, text });
            await this.browser.send('Input.dispatchKeyEvent', { type: 'keyUp', ...what });
        }
    }

    /** Selects what a field has and types in its place. */
    async type(selector, text) {
        await this.value(`(() => { const field = document.querySelector(${JSON.stringify(selector)}); field.focus(); field.select(); })()`);
        await this.browser.send('Input.insertText', { text });
        await this.press('Enter');
    }

    focus(selector) {
        return this.value(`document.querySelector(${JSON.stringify(selector)}).focus()`);
    }

    async dark(isDark) {
        await this.browser.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: isDark ? 'dark' : 'light' }] });
    }

    async size(width, height) {
        await this.browser.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
    }

    /** A picture of the whole page, as PNG. */
    async picture() {
        const { data } = await this.browser.send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true });
        return Buffer.from(data, 'base64');
    }

    /** What a reader would call an error: exceptions, messages of the console, refused requests. */
    errors() {
        return this.browser.events.flatMap(({ method, params }) => {
            if (method === 'Runtime.exceptionThrown') return [params.exceptionDetails.exception?.description ?? params.exceptionDetails.text];
            if (method === 'Runtime.consoleAPICalled') return [`console.${params.type}: ${params.args.map(({ value }) => value).join(' ')}`];
            if (method === 'Log.entryAdded') return [`${params.entry.level}: ${params.entry.text}`];
            return [];
        });
    }

    /** The addresses that were asked for. */
    requests() {
        return this.browser.events.filter(({ method }) => method === 'Network.requestWillBeSent').map(({ params }) => params.request.url);
    }
}
