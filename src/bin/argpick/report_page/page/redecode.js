// Decoding in the page: the library as WebAssembly, on the rows of the run.
import { load } from './argpick.js';
import { bytes } from './data.js';
import { ArgpickError } from './values.js';

/** The library, from the base64 of its module. */
export const library = (module) => load(bytes(module));

const METRICS = ['confidence', 'logprob', 'rank', 'kept', 'kept-mass'];

/**
 * Decodes a run anew with changed parameters: for each step the pick, or why there is none.
 *
 * Each step sees the text that was recorded before it, because its row does: where another token is picked, the recorded one
 * is taken up in its place. So every pick is the library's for this row and these parameters, and up to the first that differs
 * the text is the one that would have come. `visit` sees the decoder before it takes up a step.
 */
export function redecode(argpick, run, changes, visit = null) {
    const decoder = argpick.decoder({ ...run.config, ...changes, metrics: METRICS }, run.vocab);
    const results = [];
    try {
        for (const { what, value, tokens, values } of run.events) {
            if (what === 'step') {
                results[value] = step(decoder, run.steps[value]);
                visit?.(value, decoder);
                takeUp(decoder, run.steps[value], results[value]);
            } else if (what === 'biases') {
                decoder.setBias(tokens, values);
            } else if (what === 'state') {
                // What was set; the configuration that comes with it gives way to this one.
                decoder.load(value);
                decoder.reset({ ...run.config, ...changes, metrics: METRICS });
            } else {
                decoder[CALLS[what]](value);
            }
        }
    } finally {
        decoder.free();
    }
    return results;
}

const CALLS = { prompt: 'prompt', accept: 'accept', undo: 'undo', seek: 'seek', bans: 'setBans', bytes: 'pushBytes', endTokens: 'setEndTokens' };

function step(decoder, given) {
    if (!given.hasRow) return { error: given.error ?? 'its row is not in the page' };
    try {
        return { pick: decoder.evaluate(given.row, given.mask) };
    } catch (error) {
        if (!(error instanceof ArgpickError)) throw error;
        return { error: error.message };
    }
}

/** Records what the run recorded. If it is the pick, as a pick, so that mirostat and adaptive-p learn from it. */
function takeUp(decoder, given, { pick }) {
    if (!given.recorded || given.token === null) return;
    if (pick?.token === given.token) decoder.decode(given.row, given.mask);
    else decoder.accept([given.token]);
}

/** The best tokens of a step with their probabilities before and after the filters, and what each stage leaves. */
export function look(argpick, run, changes, index, count) {
    let seen = null;
    redecode(argpick, run, changes, (at, decoder) => {
        const { row, mask } = run.steps[at];
        if (at !== index || !run.steps[at].hasRow) return;
        try {
            const best = decoder.top(row, count, mask).map(({ token, logit, logprob }) =>
                ({ token, logit, before: Math.exp(logprob), after: decoder.probabilityOf(row, token, mask) }));
            seen = { best, stages: decoder.explain(row, mask) };
        } catch (error) {
            if (!(error instanceof ArgpickError)) throw error;
        }
    });
    return seen;
}
