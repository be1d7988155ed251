// The tool and its files, for a test.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

/** Runs the tool; what it prints, as text. */
export function run(tool, ...arguments_) {
    const { status, stdout, stderr } = spawnSync(tool, arguments_.map(String), { encoding: 'utf8', maxBuffer: 1 << 28, env: { ...process.env, ARGPICK_KERNEL: '' } });
    if (status !== 0) throw new Error(`argpick ${arguments_.join(' ')}: ${status}\n${stderr}`);
    return stdout;
}

/** A matrix as .npy: rows of f32, or of words of 32 bits. */
export function writeNpy(path, rows) {
    const [first] = rows;
    const descr = first instanceof Float32Array ? '<f4' : '<u4';
    let header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${rows.length}, ${first.length}), }`;
    header = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + '\n';
    const head = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, header.length & 255, header.length >> 8]);
    writeFileSync(path, Buffer.concat([head, Buffer.from(header), ...rows.map((row) => Buffer.from(row.buffer, row.byteOffset, row.byteLength))]));
}

/** The data of a page. */
export function dataOf(path) {
    const [, text] = /<script type="application\/json" id="data">([^<]*)<\/script>/.exec(readFileSync(path, 'utf8'));
    return JSON.parse(text);
}

const aligned = (text) => Uint8Array.from(Buffer.from(text, 'base64')).buffer;
export const floats = (text) => new Float32Array(aligned(text));
export const words32 = (text) => new Uint32Array(aligned(text));
