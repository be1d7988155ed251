// node --test test/argpick.test.mjs
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { Argpick, ArgpickError, BeamSearch, Decoder, constants, hasSimd, load } from '../argpick.js';
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

test('what was set outlives a reset that needs more memory, also after a load', async () => {
    const argpick = await load();
    const row = new Float32Array(50).map((_, token) => token);
    const first = argpick.decoder({ mode: 'greedy', historyCapacity: 8 }, 50);
    first.setBans([49]);
    first.setEndTokens([48]);
    const other = argpick.decoder({ historyCapacity: 8 }, 50);
    other.setBans([1]);
    other.load(first.save());
    other.reset({ mode: 'greedy', historyCapacity: 5000 });
    const pick = other.decode(row);
    assert.deepEqual([pick.token, pick.finish, other.finish], [48, 'end-token', 'end-token']);
    // Two bans do not fit into room for one: nothing has changed then, and the row it lives in is still its own.
    other.setBans([49, 47]);
    assert.throws(() => other.reset({ adjustmentCapacity: 1, historyCapacity: 9000 }), { code: 'CAPACITY_EXCEEDED' });
    assert.equal(other.config.historyCapacity, 5000);
    assert.equal(other.finish, 'end-token');
});

test('ends: tokens, sequences, strings', async () => {
    const argpick = await load();
    const greedy = (best) => new Float32Array(20).map((_, token) => (token === best ? 9 : 0));
    const decoder = argpick.decoder({ mode: 'greedy' }, 20);
    const run = (...tokens) => tokens.map((token) => decoder.decode(greedy(token)).finish);
    decoder.setEndTokens([7]);
    assert.equal(decoder.finish, 'none');
    assert.deepEqual(run(1, 7), ['none', 'end-token']);
    decoder.setEndTokens([]);
    decoder.reset();
    decoder.setStops([[1, 2], Uint32Array.of(5)]);
    assert.deepEqual(run(2, 1, 3, 1, 2), ['none', 'none', 'none', 'none', 'stop']);
    decoder.reset();
    assert.deepEqual(run(5), ['stop']);
    decoder.reset();
    decoder.setStops([]);
    assert.throws(() => decoder.setStops([[]]), { code: 'INVALID_PARAMETER' });
    assert.throws(() => decoder.setStops([[20]]), { code: 'TOKEN_OUT_OF_RANGE' });
    assert.throws(() => decoder.setStops([[-1]]), /-1/);
    decoder.setStopStrings(['end', Uint8Array.of(0xff, 0)]);
    run(1);
    assert.deepEqual(decoder.pushBytes('the e'), { stop: undefined, heldBack: 1 });
    assert.deepEqual(decoder.pushBytes(), { stop: undefined, heldBack: 1 });
    assert.deepEqual(decoder.pushBytes(new TextEncoder().encode('nd')), { stop: 0, heldBack: 3 });
    assert.equal(decoder.finish, 'stop');
    assert.throws(() => decoder.pushBytes(5), TypeError);
});

test('what mirostat and adaptive-p have learnt', async () => {
    const argpick = await load();
    const row = Float32Array.of(0.1, 2, -1, 2.5, 0.5, 1);
    const mirostat = argpick.decoder({ mirostat: 2, mirostatTau: 1.5 }, 6);
    assert.deepEqual([mirostat.mirostatMu, mirostat.adaptiveTarget], [3, NaN]);
    mirostat.decode(row);
    assert.notEqual(mirostat.mirostatMu, 3);
    mirostat.undo();
    assert.equal(mirostat.mirostatMu, 3);
    const adaptive = argpick.decoder({ adaptiveTarget: 0.25 }, 6);
    assert.deepEqual([adaptive.mirostatMu, adaptive.adaptiveTarget], [NaN, 0.25]);
    adaptive.decode(row);
    assert.notEqual(adaptive.adaptiveTarget, 0.25);
});

test('sequences are forbidden, biased, broken, and tokens forced', async () => {
    const argpick = await load();
    const row = new Float32Array(20).map((_, token) => token / 10);
    const decoder = argpick.decoder({ mode: 'greedy' }, 20);
    const next = () => decoder.evaluate(row).token;
    decoder.setBadSequences([[4, 19], [18]]);
    assert.equal(next(), 19);
    decoder.accept([4]);
    assert.equal(next(), 17);
    decoder.setBadSequences([]);
    decoder.setSequenceBias([[4, 2], [3, 1]], [5, 50]);
    assert.equal(next(), 2);
    assert.throws(() => decoder.setSequenceBias([[4, 2]], []), /1 sequences have 0 biases/);
    decoder.setSequenceBias([], []);
    decoder.setForced([[1, 6], [2n, 0]]);
    assert.deepEqual([decoder.decode(row).token, decoder.decode(row).token, decoder.decode(row).token], [6, 0, 19]);
    assert.throws(() => decoder.setForced([[1, 6], [1, 7]]), { code: 'INVALID_PARAMETER' });
    decoder.setForced(new Map());
    const dry = argpick.decoder({ mode: 'greedy', dryMultiplier: 10 }, 20);
    dry.accept([1, 2, 19, 1, 2]);
    assert.equal(dry.evaluate(row).token, 18);
    dry.setBreakers([[2]]);
    assert.equal(dry.evaluate(row).token, 19);
});

test('questions about a row', async () => {
    const argpick = await load();
    const decoder = argpick.decoder({ topK: 3, topP: 0.5, temperature: 0.5 }, 6);
    const row = Float32Array.of(0.1, 2, -1, 2.5, -Infinity, 1);
    decoder.setBans([1]);
    assert.deepEqual(decoder.topRaw(row, 2).map(({ token }) => token), [3, 1]);
    assert.deepEqual(decoder.top(row, 2).map(({ token }) => token), [3, 5]);
    const stages = decoder.explain(row);
    assert.deepEqual(stages.map(({ name, kept }) => [name, kept]), [['row', 4], ['top_k', 3], ['top_p', 1]]);
    assert.equal(stages[0].parameter, undefined);
    assert.deepEqual(stages.slice(1).map(({ parameter }) => parameter), [3, 0.5]);
    assert.ok(stages.every(({ temperature }) => temperature === 0.5));
    assert.ok(stages.at(-1).firstLogit >= 2.5 && stages.at(-1).lastLogit <= 2.5 && stages.at(-1).lastLogit > 1);
    assert.equal(decoder.probabilityOf(row, 3), 1);
    assert.equal(decoder.probabilityOf(row, 5), 0);
    assert.throws(() => decoder.probabilityOf(row, 6), { code: 'TOKEN_OUT_OF_RANGE' });
});

test('a sweep picks what a decoder of each configuration picks', async () => {
    const argpick = await load();
    const row = new Float32Array(100).map((_, token) => Math.fround(((token * 7919) % 101) / 20));
    const configs = [{ seed: 1 }, { seed: 1, topK: 5 }, { seed: 2, topP: 0.5, metrics: ['kept'] }, { topP: 2 }, { mode: 'greedy' }];
    const decoder = argpick.decoder({}, 100);
    const mask = Uint32Array.of(0xffff_fff0, 0xffff_ffff, 0xffff_ffff, 0xff);
    const found = decoder.sweep(configs, row, mask);
    configs.forEach((config, i) => {
        if (config.topP === 2) {
            assert.equal(found[i].error.code, 'INVALID_PARAMETER');
        } else {
            assert.deepEqual(found[i].pick, argpick.decoder(config, 100).evaluate(row, mask));
        }
    });
    assert.throws(() => decoder.sweep([{}], new Float32Array(99)), { code: 'WRONG_LENGTH' });
    assert.throws(() => decoder.sweep([{}, { topP: 2 }], [NaN, ...row.slice(1)]), ArgpickError);
});

/** Rows that depend on the tokens before, the same for equal tokens. */
function modelRow(tokens, vocab) {
    let key = tokens.reduce((sum, token) => (Math.imul(sum, 31) + token + 1) >>> 0, 7);
    return new Float32Array(vocab).map(() => {
        key = (Math.imul(key, 1664525) + 1013904223) >>> 0;
        return Math.fround((key >>> 8) / 2 ** 22);
    });
}

test('verified drafts are the tokens that single steps would have given', async () => {
    const argpick = await load();
    const vocab = 60;
    for (const seed of [1, 2, 3]) {
        const config = { seed, temperature: 0.7, topK: 20, metrics: 'all' };
        const single = argpick.decoder({ ...config }, vocab);
        const expected = [];
        for (let i = 0; i < 4; i++) expected.push(single.decode(modelRow(expected.map(({ token }) => token), vocab)));
        const tokens = expected.map(({ token }) => token);
        const target = argpick.decoder({ ...config }, vocab);
        const drafts = [tokens[0], tokens[1], (tokens[2] + 1) % vocab];
        const logits = [0, 1, 2, 3].map((n) => modelRow(drafts.slice(0, n), vocab));
        const { accepted, emitted, node, finish, picks } = target.verify({ tokens: drafts, logits, acceptance: 'match' });
        assert.deepEqual([accepted, emitted, node, finish], [2, 3, 1, 'none']);
        assert.deepEqual(picks, expected.slice(0, 3));
        assert.equal(target.position, 3);
        // A tree whose second child is the right one; a mask that forbids a draft.
        target.reset();
        const tree = [(tokens[0] + 1) % vocab, tokens[0], tokens[1]];
        const rows = [[], [tree[0]], [tree[1]], [tree[1], tree[2]]].map((before) => modelRow(before, vocab));
        const walked = target.verify({ tokens: tree, parents: [null, null, 1], logits: rows, masks: [null, null, null, null] });
        assert.deepEqual([walked.accepted, walked.node, walked.picks.map(({ token }) => token).slice(0, 2)], [2, 2, tokens.slice(0, 2)]);
        target.reset();
        const allowed = new Uint32Array(2).fill(0xffff_ffff);
        allowed[tokens[0] >> 5] &= ~(1 << (tokens[0] & 31));
        const masked = target.verify({ tokens: [tokens[0]], logits: rows.slice(0, 2), masks: [allowed, null] });
        assert.deepEqual([masked.accepted, masked.node], [0, undefined]);
    }
    // Drawn drafts: the draft model's decoder goes along.
    const [target, draft] = [argpick.decoder({ seed: 5 }, vocab), argpick.decoder({ seed: 5, stream: 1 }, vocab)];
    const drawn = draft.evaluate(modelRow([9], vocab)).token;
    const result = target.verify({ tokens: [drawn], logits: [modelRow([], vocab), modelRow([drawn], vocab)], acceptance: 'drawn',
        draftDecoder: draft, draftLogits: [modelRow([9], vocab)] });
    assert.equal(target.position, result.emitted);
    assert.equal(draft.position, result.emitted);
    assert.throws(() => target.verify({ tokens: [1], logits: [modelRow([], vocab)] }), /2 rows/);
    assert.throws(() => target.verify({ tokens: [1], logits: [modelRow([], vocab), [1]] }), /row 1/);
    assert.throws(() => target.verify({ tokens: [1], logits: [modelRow([], vocab), modelRow([], vocab)], acceptance: 'hope' }), /hope/);
});

test('a beam search finds the best sequence there is', async () => {
    const argpick = await load();
    const [vocab, length] = [5, 4];
    const logProbabilities = (tokens) => argpick.softmax(modelRow(tokens, vocab)).map(Math.log);
    // All of them, by hand.
    const all = [];
    const walk = (tokens, score) => {
        if (tokens.length === length) all.push({ tokens, score });
        else logProbabilities(tokens).forEach((value, token) => walk([...tokens, token], score + value));
    };
    walk([], 0);
    all.sort((a, b) => b.score - a.score);
    const beam = argpick.beam({ beams: vocab ** 3, maxTokens: length, lengthPenalty: 0 }, vocab);
    assert.ok(beam instanceof BeamSearch);
    let beams = [[]];
    while (beam.state.live > 0) {
        const { next, ended } = beam.step(beams.map((tokens) => modelRow(tokens, vocab)));
        assert.equal(next.length, beam.state.live);
        assert.equal(ended.length, beam.state.ended);
        beams = next.map(({ parent, token }) => [...beams[parent], token]);
        beams.forEach((tokens, i) => assert.deepEqual([...beam.tokens(i).tokens], tokens));
    }
    for (const rank of [0, 1, 2]) {
        const { tokens, finish, score, logprob } = beam.best(rank);
        assert.deepEqual([...tokens], all[rank].tokens);
        assert.equal(finish, 'length');
        assert.ok(Math.abs(logprob - all[rank].score) < 1e-4 && score === logprob);
    }
    // A reset for more beams moves it; decoders beside it carry their bans.
    beam.reset({ beams: 2, maxTokens: 2 }, [3]);
    const decoders = [argpick.decoder({}, vocab), argpick.decoder({}, vocab)];
    decoders.forEach((decoder) => decoder.setBans([all[0].tokens[0]]));
    const { next } = beam.step([modelRow([], vocab)], { decoders, masks: [[0b11111]] });
    assert.ok(next.length > 0 && next.every(({ token }) => token !== all[0].tokens[0] && token !== 3));
    assert.equal(decoders[0].position, 1);
    // transformers looks at twice the beams also without end tokens: stops may end the first half of them.
    beam.reset({ profile: 'huggingface', beams: 2, maxTokens: 4, lengthPenalty: 2 }, []);
    decoders.forEach((decoder) => decoder.reset());
    decoders.forEach((decoder) => decoder.setBans([]));
    decoders.forEach((decoder) => decoder.setStops([[0], [1]]));
    const both = beam.step([[3, 2.5, 2, 1.5, 1]], { decoders });
    assert.deepEqual(both.next.map(({ token }) => token), [2, 3]);
    assert.deepEqual(both.ended.map(({ token }) => token), [0, 1]);
    beam.reset({ beams: 300, maxTokens: 8 }, []);
    assert.deepEqual(beam.state, { live: 1, ended: 0, length: 0, hypotheses: 0 });
    assert.throws(() => beam.reset({ beams: 5000 }), { code: 'INVALID_PARAMETER' });
    assert.throws(() => beam.reset({ beamz: 5 }), /no "beamz"/);
    assert.throws(() => beam.step([[1, 2]]), { code: 'WRONG_LENGTH' });
    assert.throws(() => beam.best(9), { code: 'INVALID_PARAMETER' });
    beam.free();
    beam.free();
    assert.throws(() => beam.state, /freed/);
});
