// The golden steps of tests/golden/decode.json through a library, bit for bit. Runs in Node and in a browser.
import { ArgpickError } from '../argpick.js';
import { config as configLayout, constants } from '../layout.js';

const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
const words = new Uint32Array(1);
const floats = new Float32Array(words.buffer);
const fromBits = (bits) => ((words[0] = bits), floats[0]);
const toBits = (value) => ((floats[0] = value), words[0]);
const expand = (runs) => runs.flatMap(([count, bits]) => Array(count).fill(bits));

/** One step: what differs, as texts. */
function wrong(argpick, step) {
    const found = [];
    const expect = (what, actual, expected) => {
        if (String(actual) !== String(expected)) found.push(`${step.name}: ${what} is ${actual}, expected ${expected}`);
    };
    const config = { metrics: constants.METRIC_ALL };
    for (const [key, value] of Object.entries(step.config)) {
        const { kind } = configLayout.fields[camel(key)];
        config[camel(key)] = kind === 'f32' ? fromBits(value) : kind === 'u64' ? BigInt(value) : value;
    }
    const bits = step.row_f16 ?? step.row_bf16 ?? step.row_bits ?? expand(step.row_runs);
    const isHalf = step.row_f16 || step.row_bf16;
    const row = () => isHalf
        ? { dtype: step.row_f16 ? 'f16' : 'bf16', bits: Uint16Array.from(bits) }
        : new Float32Array(Uint32Array.from(bits).buffer);
    const decoder = argpick.decoder(config, bits.length);
    const refused = (call) => {
        try {
            call();
            expect('the error', 'none', step.error.name);
        } catch (error) {
            if (!(error instanceof ArgpickError)) throw error;
            expect('status', error.status, step.error.status);
            if (step.error.index !== undefined) expect('index', error.index, step.error.index);
        }
    };
    decoder.setBias(step.bias.map(([token]) => token), step.bias.map(([, value]) => fromBits(value)));
    decoder.setBans(step.bans);
    decoder.accept(step.generated);
    decoder.seek(BigInt(step.position));
    const rewritten = [['process', step.process_runs], ['probabilities', step.probabilities_runs]];
    for (const [call, runs] of rewritten) {
        if (isHalf) continue;
        if (step.error) {
            refused(() => decoder[call](row(), step.mask));
        } else if (runs) {
            const result = decoder[call](row(), step.mask);
            expect(call, new Uint32Array(result.buffer), expand(runs));
        }
    }
    if (step.error) {
        refused(() => decoder.decode(row(), step.mask));
    } else {
        const pick = decoder.decode(row(), step.mask);
        for (const [key, expected] of Object.entries(step.expected)) {
            const value = pick[camel(key)];
            if (key === 'finish') expect(key, constants[`FINISH_${String(value).toUpperCase().replace('-', '_')}`], expected);
            else expect(key, ['token', 'argmax', 'rank', 'kept'].includes(key) ? value : toBits(value), expected);
        }
    }
    decoder.free();
    return found;
}

/** All steps: how many there were, and what differs. */
export function runGolden(argpick, steps) {
    return { steps: steps.length, wrong: steps.flatMap((step) => wrong(argpick, step)) };
}
