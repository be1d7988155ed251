// Runs the example of README.md and compares what it prints with its comments.
import { readFile, writeFile, rm } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
const [, code] = /```js\n([^]*?)```/.exec(readme);
const expected = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text]) => text);
const program = new URL('./example.tmp.mjs', import.meta.url);
await writeFile(program, code.replace("'argpick'", "'../argpick.js'"));
const { stdout, stderr, status } = spawnSync(process.execPath, [fileURLToPath(program)], { encoding: 'utf8' });
await rm(program);
const printed = stdout.trimEnd().split('\n');
if (status !== 0 || expected.length < 4 || printed.join('\n') !== expected.join('\n')) {
    console.error(`README.md says\n${expected.join('\n')}\nbut its example printed\n${stdout}${stderr}`);
    process.exit(1);
}
console.log(`the example of README.md prints what it says, ${printed.length} lines`);
