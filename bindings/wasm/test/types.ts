// Compiled, never run: what the types must allow, and what they must refuse.
import { load, ArgpickError, constants, type BeamSearch, type Config, type Decoder, type Hypothesis, type Pick, type StageReport, type Verified } from '../argpick.js';

const argpick = await load(new URL('argpick.wasm', 'https://example.org'));
const config: Config = { mode: 'greedy', temperature: 0.8, topK: 40, seed: 7n, keepTies: true, metrics: ['rank', 'kept-mass'] };
const decoder: Decoder = argpick.decoder(config, 100);
const pick: Pick = decoder.decode(new Float32Array(100), Uint32Array.of(1));
const entropy: number | undefined = pick.entropy;
const finish: 'none' | 'length' = pick.finish === 'length' ? 'length' : 'none';
decoder.decode({ dtype: 'bf16', bits: new Uint16Array(100) });
decoder.setBias({ 3: 1.5 });
decoder.setBias(new Map([[3, 1.5]]));
decoder.setBias([3], [1.5]);
decoder.setEndTokens([1]);
decoder.setStops([[1, 2], Uint32Array.of(3)]);
decoder.setSequenceBias([[1, 2]], [-1]);
decoder.setForced([[0, 3], [1n, 4]]);
decoder.setStopStrings(['end', Uint8Array.of(10)]);
const { stop, heldBack }: { readonly stop: number | undefined; readonly heldBack: number } = decoder.pushBytes('text');
const stages: StageReport[] = decoder.explain(new Float32Array(100));
const verified: Verified = decoder.verify({ tokens: [1], parents: [null], logits: [new Float32Array(100), new Float32Array(100)] });
const beam: BeamSearch = argpick.beam({ beams: 2, earlyStopping: 'full' }, 100, [1]);
const parents: number[] = beam.step([new Float32Array(100)], { decoders: [decoder, decoder] }).next.map(({ parent }) => parent);
const hypothesis: Hypothesis = beam.best();
console.log(stop, heldBack, stages[0].name, verified.picks.length, parents, hypothesis.score);
decoder.reset();
decoder.free();
console.log(entropy, finish, constants.ERR_INVALID_LOGIT, new ArgpickError().index);

// @ts-expect-error a misspelt field
argpick.decoder({ topp: 0.5 }, 100);
// @ts-expect-error no such mode
argpick.decoder({ mode: 'beam' }, 100);
// @ts-expect-error integers are no logits
decoder.decode(new Int32Array(100));
// @ts-expect-error a row that is rewritten is a Float32Array
decoder.process([1, 2, 3]);
// @ts-expect-error a stop is a sequence
decoder.setStops([1, 2]);
// @ts-expect-error no such acceptance
decoder.verify({ tokens: [1], logits: [], acceptance: 'hope' });
// @ts-expect-error decoders are made by argpick.decoder
new Decoder();
