// The golden steps in headless Chromium: node test/browser.mjs. Serves this package on the loopback interface, opens
// test/page.html, and waits for what that sends back. Exit code 3: there is no Chromium (it says so).
import { spawnSync, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const TYPES = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.json': 'application/json', '.html': 'text/html', '.wasm': 'application/wasm' };

const browser = ['chromium', 'chromium-browser', 'google-chrome'].find((name) => spawnSync(name, ['--version']).status === 0);
if (!browser) {
    console.log('skipped: WebAssembly in a browser (no chromium; its Debian package: chromium)');
    process.exit(3);
}

let finish;
const finished = new Promise((resolve) => (finish = resolve));
const server = createServer(async (request, response) => {
    try {
        const path = normalize(new URL(request.url, 'http://localhost').pathname);
        if (request.method === 'POST') {
            let text = '';
            for await (const part of request) text += part;
            response.writeHead(204).end();
            finish(text);
            return;
        }
        const body = await readFile(join(root, path));
        response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' }).end(body);
    } catch {
        response.writeHead(404).end();
    }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const profile = await mkdtemp(join(tmpdir(), 'argpick-browser-'));
const options = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-extensions',
    `--user-data-dir=${profile}`, `http://127.0.0.1:${server.address().port}/bindings/wasm/test/page.html`];
const child = spawn(browser, options, { stdio: 'ignore' });
const closed = new Promise((resolve) => child.on('close', resolve));
child.on('close', (code) => finish(`failed: ${browser} ended with ${code}`));
const timer = setTimeout(() => finish('failed: no answer in two minutes'), 120_000);
const result = await finished;
clearTimeout(timer);
child.kill();
await closed;
server.close();
server.closeAllConnections();
await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
console.log(result);
process.exitCode = /^passed: \d+ golden steps in a browser, by argpick.wasm and argpick-scalar.wasm$/.test(result) ? 0 : 1;
