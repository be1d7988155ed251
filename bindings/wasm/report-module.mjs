// The module that `argpick report` puts into its pages: src/bin/argpick/report_page/page/argpick.wasm. It is committed, because
// who installs the tool has no target for WebAssembly; so it can grow old, and this says whether it has.
//
//   node report-module.mjs --stamp FILE COMPILER   writes into a module what it was built from (build.sh does)
//   node report-module.mjs --check                 the committed one: its ABI and numerics are those of the sources, its golden
//                                                  steps right
//   node report-module.mjs --compare FILE          the committed one answers like this fresh one
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { load } from './argpick.js';
import { constants } from './layout.js';
import { runGolden } from './test/golden.mjs';

const root = new URL('../../', import.meta.url);
const committed = new URL('src/bin/argpick/report_page/page/argpick.wasm', root);
const SECTION = 'argpick';
// Of src/ what the C library has nothing of; lib.rs only lists the rooms.
const OTHER = new Set(['bin', 'sandbox', 'lab', 'docs', 'lib.rs']);

/** FNV-1a of 64 bits over paths and contents, in the order of the paths. tests/report.rs computes the same. */
async function sources() {
    const names = (await readdir(new URL('src', root), { recursive: true })).map((name) => `src/${name.replaceAll('\\', '/')}`);
    const wanted = names.filter((name) => name.endsWith('.rs') && !OTHER.has(name.split('/')[1])).concat('bindings/c/src/lib.rs').sort();
    let hash = 0xcbf29ce484222325n;
    const add = (bytes) => bytes.forEach((byte) => (hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)));
    for (const name of wanted) {
        add(new TextEncoder().encode(`${name}\0`));
        add(await readFile(new URL(name, root)));
    }
    return hash.toString(16).padStart(16, '0');
}

function varint(value) {
    const bytes = [];
    for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
    return [...bytes, value];
}

/** What is written into a module, or null. */
async function stamp(bytes) {
    const [section] = WebAssembly.Module.customSections(await WebAssembly.compile(bytes), SECTION);
    return section ? JSON.parse(new TextDecoder().decode(section)) : null;
}

function fail(message) {
    console.error(`${message}. Build it anew: bindings/wasm/build.sh --report`);
    process.exit(1);
}

/** Rows and configurations of many kinds, and what a library makes of them, as text. */
function answers(argpick) {
    let state = 1;
    const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
    const pickOf = (list) => list[Math.floor(next() * list.length)];
    const found = [];
    for (let i = 0; i < 400; i++) {
        const vocab = pickOf([3, 60, 181, 1000]);
        const spread = pickOf([0.01, 1, 8]);
        const row = new Float32Array(vocab).map(() => (next() < 0.05 ? -Infinity : Math.fround((next() - 0.5) * 4 * spread)));
        const config = { seed: i, temperature: pickOf([0, 0.3, 1, 1.7]), topK: pickOf([0, 1, 40]), topP: pickOf([1, 0.9, 0.2]),
            minP: pickOf([0, 0.05, 0.5]), typicalP: pickOf([1, 0.8]), mode: pickOf([0, 0, 1]), repetitionPenalty: pickOf([1, 1.3]),
            mirostat: pickOf([0, 0, 0, 1, 2]), metrics: 'all' };
        const decoder = argpick.decoder(config, vocab);
        decoder.setBans([Math.floor(next() * vocab)]);
        decoder.prompt([1, 2]);
        try {
            for (let step = 0; step < 4; step++) found.push(decoder.decode(row));
            found.push(decoder.explain(row), decoder.top(row, 5), decoder.kept(row, 50), [...decoder.probabilities(row)]);
        } catch (error) {
            found.push(`${error.code} ${error.index}`);
        }
        decoder.free();
    }
    // The bits of every number: JSON has neither infinity nor a zero with a sign.
    return JSON.stringify(found, (_, value) => (typeof value === 'number' && !Number.isInteger(value) ? String(value) : Object.is(value, -0) ? '-0' : value));
}

const [, , what, file, compiler] = process.argv;
if (what === '--stamp') {
    const text = JSON.stringify({ abi: constants.ABI_VERSION, numerics: constants.NUMERICS_VERSION, sources: await sources(), compiler });
    const name = new TextEncoder().encode(SECTION);
    const content = [...varint(name.length), ...name, ...new TextEncoder().encode(text)];
    await writeFile(file, Buffer.concat([await readFile(file), Uint8Array.from([0, ...varint(content.length), ...content])]));
} else if (what === '--check' || what === '--compare') {
    const bytes = await readFile(committed);
    const known = await stamp(bytes);
    if (known?.abi !== constants.ABI_VERSION || known.numerics !== constants.NUMERICS_VERSION) fail('the module of the report has another ABI or other numerics than the sources');
    const isFresh = known.sources === await sources();
    const argpick = await load(bytes);
    if (what === '--check') {
        const steps = JSON.parse(await readFile(new URL('tests/golden/decode.json', root), 'utf8'));
        const { wrong } = runGolden(argpick, steps);
        if (wrong.length) fail(`the module of the report is wrong: ${wrong[0]}`);
        console.log(`the module of the report gives the ${steps.length} golden steps; ${isFresh ? 'it is built from these sources' : 'it is built from other sources than these'}`);
    } else {
        const fresh = await readFile(file);
        if (answers(argpick) !== answers(await load(fresh))) fail('the module of the report answers otherwise than one built now');
        // The build is reproducible: the same sources and the same compiler give the same bytes.
        const isSame = Buffer.compare(bytes, fresh) === 0;
        if (isFresh && known.compiler === (await stamp(fresh)).compiler && !isSame) fail('the module of the report is not what its sources make');
        console.log(`the module of the report ${isSame ? 'is the one built now, byte for byte' : 'answers like the one built now'}`);
    }
} else {
    fail(`there is no ${what}`);
}
