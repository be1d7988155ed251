// node --test test/argpick.test.mjs
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { Argpick, ArgpickError, Decoder, constants, hasSimd, load } from '../argpick.js';
import { runGolden } from './golden.mjs';

const file = (name) => new URL(name, new URL('..', import.meta.url));
const steps = JSON.parse(await readFile(new URL('../../../tests/golden/decode.json', import.meta.url), 'utf8'));
const MODULES = ['argpick.wasm', 'argpick-scalar.wasm'];

for (const name of MODULES) {
    test(`${name} gives the golden bits`, async () => {
        const result = runGolden(await load(file(name)), steps);
        assert.ok(result.steps >= 100);
        assert.deepEqual(result.wrong, []);
    });
}

test('the golden test can fail', async () => {
    const argpick = await load();
    const broken = steps.slice(0, 2).map((step) => ({ ...step, expected: { ...step.expected, margin: 1 } }));
    assert.equal(runGolden(argpick, broken).wrong.length, 2);
    const invented = { ...steps[0], error: { name: 'EverythingMasked', status: 2 } };
    assert.ok(runGolden(argpick, [invented]).wrong.length > 0);
});

test('it loads what it is given', async () => {
    const bytes = await readFile(file('argpick.wasm'));
    assert.equal(hasSimd(), true);
    const sources = [undefined, bytes, await WebAssembly.compile(bytes), file('argpick.wasm').href, new Response(bytes)];
    for (const source of sources) {
        const argpick = await load(source);
        assert.ok(argpick instanceof Argpick);
        assert.equal(argpick.kernel, 'portable');
        assert.equal(argpick.numericsVersion, constants.NUMERICS_VERSION);
    }
    await assert.rejects(load(new Response('', { status: 404 })), /404/);
});

test('a sequence', async () => {
    const argpick = await load();
    const decoder = argpick.decoder({ temperature: 0.8, topK: 3, seed: 7, maxTokens: 3, metrics: ['rank', 'kept'] }, 6);
    assert.ok(decoder instanceof Decoder);
    const row = Float32Array.of(0.1, 2, -1, 2.5, -Infinity, 1);
    const before = row.slice();
    const first = decoder.evaluate(row);
    assert.deepEqual(decoder.evaluate(row), first);
    assert.equal(decoder.position, 0);
    const pick = decoder.decode([...row]);
    assert.equal(pick.token, first.token);
    assert.deepEqual(row, before);
    assert.equal(decoder.position, 1);
    assert.equal(pick.argmax, 3);
    assert.equal(pick.margin, 0.5);
    assert.equal(pick.kept, 3);
    assert.equal(pick.entropy, undefined);
    assert.equal(pick.finish, 'none');
    decoder.decode(row);
    assert.equal(decoder.decode(row).finish, 'length');
    assert.throws(() => decoder.decode(row), { code: 'FINISHED', status: constants.ERR_FINISHED });
    decoder.undo(2);
    assert.equal(decoder.position, 1);
    decoder.accept([1]);
    decoder.reset();
    assert.deepEqual(decoder.decode(row), pick);
    decoder.free();
    decoder.free();
    assert.throws(() => decoder.decode(row), /freed/);
});

test('masks, biases and bans', async () => {
    const decoder = (await load()).decoder({ mode: 'greedy' }, 40);
    const row = new Float32Array(40).map((_, token) => token);
    const token = (mask) => decoder.evaluate(row, mask).token;
    assert.equal(token(null), 39);
    assert.equal(token([0b111]), 2);
    assert.equal(token(Uint32Array.of(1 << 5, 0)), 5);
    assert.throws(() => token([]), { code: 'EVERYTHING_MASKED' });
    decoder.setBans([39, 38, 39]);
    assert.equal(token(), 37);
    decoder.setBias(new Map([[3, 100]]));
    assert.equal(token(), 3);
    decoder.setBias({ 4: 200 });
    assert.equal(token(), 4);
    decoder.setBias([[5, 300], [4, 200]]);
    assert.equal(token(), 5);
    assert.throws(() => decoder.setBias([1, 1], [1, 2]), { code: 'DUPLICATE_TOKEN', index: 1 });
    assert.throws(() => decoder.setBias([1], []), /1 tokens have 0 biases/);
    assert.equal(token(), 5);
    assert.deepEqual(decoder.top(row, 2).map((each) => each.token), [5, 4]);
    decoder.setBias([], []);
    decoder.setBans([]);
    assert.equal(token(), 39);
});

test('rows are rewritten in place', async () => {
    const argpick = await load();
    const decoder = argpick.decoder({ topK: 2, temperature: 0.5 }, 4);
    const logits = Float32Array.of(1, 2, 3, 2.5);
    assert.deepEqual([...decoder.process(logits.slice())], [-Infinity, -Infinity, 6, 5]);
    const probabilities = decoder.probabilities(logits.slice());
    assert.deepEqual(probabilities, argpick.softmax(Float32Array.of(-Infinity, -Infinity, 6, 5)));
    assert.deepEqual(decoder.kept(logits).map(({ token }) => token), [2, 3]);
    const given = Float32Array.of(1, NaN, 3, 2.5);
    assert.throws(() => decoder.process(given), { code: 'INVALID_LOGIT', index: 1 });
    assert.deepEqual(given, Float32Array.of(1, NaN, 3, 2.5));
    assert.throws(() => decoder.process([1, 2, 3, 4]), TypeError);
    // Without a copy, in the decoder's own row.
    const own = decoder.row;
    own.set(logits);
    assert.equal(decoder.process(own), own);
    assert.deepEqual([...decoder.row], [-Infinity, -Infinity, 6, 5]);
});

test('errors say what, where and the bad value', async () => {
    const argpick = await load();
    const refused = (config, vocab, expected) => assert.throws(() => argpick.decoder(config, vocab), expected);
    refused({ topP: 1.5 }, 10, { code: 'INVALID_PARAMETER', message: /top_p.*1\.5/, value: 1.5 });
    refused({ topp: 0.5 }, 10, /no "topp"/);
    refused({ mode: 'beam' }, 10, /"beam"; it is one of sample, greedy/);
    refused({ topK: -1 }, 10, /topK cannot be -1/);
    refused({ topK: 1.5 }, 10, /topK cannot be 1\.5/);
    refused({ temperature: '0.8' }, 10, /temperature cannot be "0\.8"/);
    refused({ seed: -1 }, 10, /seed/);
    refused({}, undefined, /vocab/);
    refused({}, 0, { code: 'INVALID_PARAMETER' });
    refused({}, 2 ** 22 + 1, { code: 'INVALID_PARAMETER' });
    const decoder = argpick.decoder({}, 3);
    assert.throws(() => decoder.decode([1, 2]), { code: 'WRONG_LENGTH', index: 3, value: 2 });
    assert.throws(() => decoder.decode([1, Infinity, 2]), (error) =>
        error instanceof ArgpickError && error.index === 1 && error.value === Infinity && /token 1/.test(error.message));
    assert.throws(() => decoder.decode(null), TypeError);
    assert.throws(() => decoder.decode({ dtype: 'f16', bits: [1, 2, 3] }), TypeError);
    assert.throws(() => decoder.decode({ dtype: 'f8', bits: new Uint16Array(3) }), /f8/);
    assert.throws(() => decoder.prompt([0, 3]), { code: 'TOKEN_OUT_OF_RANGE', index: 3 });
    assert.throws(() => decoder.prompt([-1]), /-1/);
    assert.throws(() => decoder.undo(1), { code: 'UNDO_TOO_FAR' });
    assert.equal(decoder.decode([1, 2, 3]).argmax, 2);
    assert.throws(() => new Decoder({}, {}, 3), TypeError);
});

test('memory grows under live decoders, and is used again', async () => {
    const argpick = await load();
    const pages = () => argpick.exports.memory.buffer.byteLength / 65536;
    const first = argpick.decoder({ seed: 1, historyCapacity: 8, adjustmentCapacity: 4 }, 1000);
    const row = new Float32Array(1000).map((_, token) => Math.fround((token * 7919) % 1000) / 100);
    const alone = first.evaluate(row);
    const view = first.row;
    const before = pages();
    const many = Array.from({ length: 20 }, () => argpick.decoder({ seed: 1 }, 262144));
    assert.ok(pages() > before + 300, `${pages()} pages`);
    assert.equal(view.length, 0, 'the old view was detached');
    assert.deepEqual(first.evaluate(row), alone);
    const full = pages();
    many.forEach((decoder) => decoder.free());
    for (let i = 0; i < 50; i++) argpick.decoder({}, 262144).free();
    assert.equal(pages(), full, 'freed memory is used again');
    assert.deepEqual(first.evaluate(row), alone);
});

test('a reset that needs more memory moves the decoder', async () => {
    const decoder = (await load()).decoder({ seed: 3, historyCapacity: 8 }, 500);
    decoder.setBias([7], [50]);
    decoder.setBans([9]);
    decoder.prompt([1, 2]);
    decoder.reset({ seed: 3, topK: 400, historyCapacity: 5000, mode: 'greedy' });
    assert.equal(decoder.position, 0);
    assert.equal(decoder.config.topK, 400);
    const row = new Float32Array(500);
    row[9] = 60;
    assert.equal(decoder.decode(row).token, 7);
    assert.throws(() => decoder.reset({ temperature: -1 }), { code: 'INVALID_PARAMETER' });
    assert.equal(decoder.decode(row).token, 7);
    decoder.free();
});

test('a saved decoder goes on elsewhere', async () => {
    const row = new Float32Array(100).map((_, token) => (token * 37) % 11);
    const [one, other] = [(await load()).decoder({ seed: 5 }, 100), (await load(file('argpick-scalar.wasm'))).decoder({}, 100)];
    one.prompt([1, 2, 3]);
    one.decode(row);
    other.load(one.save());
    for (let i = 0; i < 5; i++) assert.deepEqual(one.decode(row), other.decode(row));
    assert.throws(() => other.load(Uint8Array.of(1, 2, 3)), { code: 'BAD_STATE' });
    assert.throws(() => one.seek(-1), /position/);
});
