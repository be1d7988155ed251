// Runs the corpus of a WebAssembly module and prints its lines: node wasm.mjs MODULE LEVEL (0 scalar, 1 portable)
import { readFile } from 'node:fs/promises';

const [path, level] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(await readFile(path), {});
const { memory, lines, run } = instance.exports;
const text = (length) => new TextDecoder().decode(new Uint8Array(memory.buffer, lines(), length));
try {
    const length = run(Number(level));
    process.stdout.write(text(length));
} catch (error) {
    // A panic leaves its words where the lines would be.
    console.error(`${error}: ${text(4096).trimEnd()}`);
    process.exitCode = 1;
}
