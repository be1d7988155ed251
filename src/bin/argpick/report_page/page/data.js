// The data of the page: runs with their steps, words and rows.

const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());

/** Bytes of base64. */
export const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

const floats = (text) => new Float32Array(bytes(text).buffer);
const words32 = (text) => new Uint32Array(bytes(text).buffer);

/** A step, with its logits and its mask as the decoder takes them. */
class Step {
    #given;
    #row = null;
    #vocab;

    constructor(given, vocab) {
        this.#given = given;
        this.#vocab = vocab;
        const { position, token, error, recorded, finish, top1, entropy, logprob, rank, kept, best, stages, mask } = given;
        Object.assign(this, { position, token, error, recorded, finish, top1, entropy, logprob, rank, kept });
        this.margin = given.margin === 'inf' ? Infinity : given.margin;
        this.best = best.map(([token, logit, before, after]) => ({ token, logit, before, after }));
        this.stages = stages.map(([name, parameter, kept, keptMass, temperature]) => ({ name, parameter, kept, keptMass, temperature }));
        this.mask = mask === null ? null : words32(mask);
    }

    /** Whether its logits are in the page, and whether all of them. */
    get hasRow() {
        return this.#given.logits !== null;
    }

    get isWhole() {
        return this.hasRow && this.#given.logits.row !== undefined;
    }

    /** How many of the best logits are in the page, if not all are. */
    get bestCount() {
        return this.#given.logits?.tokens?.length ?? 0;
    }

    /** Its row; where the page has only the best logits, every other token is masked. */
    get row() {
        const { logits } = this.#given;
        if (logits.row === undefined) {
            const row = new Float32Array(this.#vocab).fill(-Infinity);
            const values = floats(logits.values);
            logits.tokens.forEach((token, i) => (row[token] = values[i]));
            return row;
        }
        this.#row ??= logits.dtype === 'f32' ? floats(logits.row)
            : { dtype: logits.dtype, bits: new Uint16Array(bytes(logits.row).buffer) };
        return this.#row;
    }
}

/** A run. */
class Run {
    #words;

    constructor(given, index, vocabularies) {
        const { source, kind, context, label, parameters, vocab, stop, text, facts, remarks } = given;
        Object.assign(this, { index, source, kind, context, label, parameters, vocab, stop, facts, remarks });
        this.#words = given.words === null ? null : vocabularies[given.words];
        this.steps = given.steps.map((step) => new Step(step, vocab));
        this.events = given.events.map(([what, ...rest]) => event(what, rest));
        this.text = text.map(([token, step]) => ({ token, step }));
        this.config = given.config && Object.fromEntries(Object.entries(given.config).map(([name, value]) =>
            [camel(name), typeof value === 'string' ? BigInt(value) : value]));
        const shown = new Set(this.text.map(({ step }) => step));
        // Recorded, and not in the text any more.
        this.undone = new Set(this.steps.map((_, i) => i).filter((i) => this.steps[i].recorded && this.steps[i].token !== null && !shown.has(i)));
    }

    /** Whether the sliders can decode it anew. */
    get canRedecode() {
        return this.config !== null && this.steps.some((step) => step.hasRow);
    }

    /** The text of a token. */
    word(token) {
        if (token === null || token === undefined) return '';
        return typeof token === 'string' ? token : (this.#words?.[token] ?? `#${token}`);
    }
}

function event(what, rest) {
    if (what === 'biases') return { what, tokens: rest[0], values: floats(rest[1]) };
    if (what === 'bytes' || what === 'state') return { what, value: bytes(rest[0]) };
    if (what === 'seek') return { what, value: BigInt(rest[0]) };
    return { what, value: rest[0] };
}

/** Everything that the page shows. */
export function read(document) {
    const { format, title, version, numerics, remarks, vocabularies, runs, groups } = JSON.parse(document);
    if (format !== 1) throw new Error(`the data has the format ${format}, not 1`);
    return { title, version, numerics, remarks, groups, runs: runs.map((run, i) => new Run(run, i, vocabularies)) };
}
