import type { BeamConfig, BeamContinuation, Candidate, Config, Pick } from './layout.js';

export type { BeamConfig, BeamContinuation, Candidate, Config, Pick } from './layout.js';
export { constants } from './layout.js';

/** A row of logits: f32, or the bits of f16 or bf16 numbers. -Infinity masks a token. */
export type Logits = Float32Array | readonly number[] | { readonly dtype: 'f16' | 'bf16'; readonly bits: Uint16Array };

/** Bit `t & 31` of word `t >> 5` says whether token t is allowed; tokens past the end are not. null: all are. */
export type Mask = Uint32Array | readonly number[] | null;

/** Why a sequence ended: 'none' if it goes on. */
export type Finish = Pick['finish'];

/** What a stage leaves of a row: the kept tokens are a run of the order, from `first` to `last`. */
export interface StageReport {
    /** The parameter that puts the stage there; 'row' before the first stage, 'greedy' in greedy mode. */
    readonly name: string;
    /** Its value as the stage uses it; undefined where there is none. */
    readonly parameter: number | undefined;
    /** How many tokens are kept. */
    readonly kept: number;
    /** Their probability in the whole row, after penalties, biases and masks, at the temperature in force. */
    readonly keptMass: number;
    /** The temperature in force after the stage. */
    readonly temperature: number;
    /** Where the run begins and ends; these need not be tokens of the row. */
    readonly firstToken: number | undefined;
    readonly firstLogit: number;
    readonly lastToken: number | undefined;
    readonly lastLogit: number;
}

/** What the text has of the stop strings: the number of the one it contains, and the bytes at its end not to be shown yet. */
export interface TextMatch {
    readonly stop: number | undefined;
    readonly heldBack: number;
}

/** Drafted tokens and the rows to judge them by. */
export interface Drafts {
    /** The drafts; a tree if `parents` says which draft each follows (undefined or null: what is recorded). */
    readonly tokens: ArrayLike<number>;
    readonly parents?: readonly (number | null | undefined)[] | null;
    /** One row more than drafts: that of the next token, then that after each draft; all of one type. */
    readonly logits: readonly Logits[];
    /** One for each row; null where a row has none. */
    readonly masks?: readonly Mask[] | null;
    /** How the drafts were made: 'match' fits any way. */
    readonly acceptance?: 'match' | 'certain' | 'drawn' | 'without-replacement';
    /** The draft model's decoder and rows, where drafts were drawn. */
    readonly draftDecoder?: Decoder | null;
    readonly draftLogits?: readonly Logits[];
    readonly draftMasks?: readonly Mask[] | null;
}

/** What a verification comes to. */
export interface Verified {
    /** Drafts that stand. */
    readonly accepted: number;
    /** Tokens emitted and recorded. */
    readonly emitted: number;
    /** The last draft that stands; undefined if none does. */
    readonly node: number | undefined;
    readonly finish: Finish;
    /** One for each token emitted. */
    readonly picks: Pick[];
}

/** Where a beam search stands. */
export interface BeamState {
    /** Beams that go on: so many rows the next step takes. 0 when the search is finished. */
    readonly live: number;
    /** Beams that ended with the last step. */
    readonly ended: number;
    /** Tokens of each live beam. */
    readonly length: number;
    /** Hypotheses that `best` can tell. */
    readonly hypotheses: number;
}

/** How a beam search goes on after a step. */
export interface BeamStep {
    /** Beam i of the next step continues beam next[i].parent of this one with next[i].token. */
    readonly next: BeamContinuation[];
    readonly ended: BeamContinuation[];
    readonly length: number;
    readonly hypotheses: number;
}

/** A sequence that has ended, or the best so far. */
export interface Hypothesis {
    readonly tokens: Uint32Array;
    readonly finish: Finish;
    /** What it is ranked by: logprob divided by the length to the power lengthPenalty. */
    readonly score: number;
    readonly logprob: number;
}

/** A call that was refused. Nothing has changed then. */
export class ArgpickError extends Error {
    /** The number of the error, as ARGPICK_ERR_ in the C header. */
    readonly status: number;
    /** Its name without that prefix: INVALID_LOGIT, EVERYTHING_MASKED, ... */
    readonly code: string;
    /** Where, if the error has a place: the lowest offending token, the length needed, ... */
    readonly index?: number;
    /** The bad value, if there is one. */
    readonly value?: number;
}

/** A library in a memory of its own. */
export class Argpick {
    private constructor();
    /** The C functions and the memory, for what is not wrapped here. */
    readonly exports: WebAssembly.Exports;
    /** The kernel level in use. */
    readonly kernel: string;
    /** The version of the rules of the numbers: the tokens of a seed are the same as long as this is. */
    readonly numericsVersion: number;
    /** A decoder for rows of `vocab` logits, 1 to 2^22. */
    decoder(config: Config, vocab: number): Decoder;
    /** A beam search for rows of `vocab` logits; `endTokens` end a beam, each once. */
    beam(config: BeamConfig, vocab: number, endTokens?: ArrayLike<number>): BeamSearch;
    /** Turns a row of logits into probabilities in place, and answers it. */
    softmax(row: Float32Array, temperature?: number): Float32Array;
}

/** A sequence being decoded: a configuration, a position, a history, and what was set for it. Made by `Argpick.decoder`. */
export class Decoder {
    private constructor();
    /** The length of the rows. */
    readonly vocab: number;
    /** The configuration in force, as it was given. */
    readonly config: Config;
    /** Generated tokens recorded, the prompt excluded, unless `seek` has set it. */
    readonly position: number;
    /** Mirostat's mu for the next step, in bits: version 2 keeps the tokens whose surprise is at most that much. NaN if it is off. */
    readonly mirostatMu: number;
    /** The probability that adaptive-p prefers in the next step, 0 to 1; NaN if it is off. */
    readonly adaptiveTarget: number;
    /** Why the sequence has ended, as far as tokens and bytes were recorded. */
    readonly finish: Finish;
    /** Its address in the library's memory, for the functions in `Argpick.exports`. */
    readonly handle: number;
    /**
     * The decoder's own row in WebAssembly memory. Who writes logits here and passes it on saves a copy. Take it anew for
     * each use: a view ends when the memory grows.
     */
    readonly row: Float32Array;
    /** Picks a token and records it. The row is not modified. */
    decode(logits: Logits, mask?: Mask): Pick;
    /** Picks a token without recording it: the next call sees the same state. */
    evaluate(logits: Logits, mask?: Mask): Pick;
    /**
     * Rewrites the row in place, for hosts that pick for themselves: removed tokens become -Infinity, kept ones their adjusted
     * logit divided by the temperature. Answers the row.
     */
    process(row: Float32Array, mask?: Mask): Float32Array;
    /** Rewrites the row in place as the probabilities that are drawn from; removed tokens become 0. Answers the row. */
    probabilities(row: Float32Array, mask?: Mask): Float32Array;
    /** The first `limit` tokens of the order (highest logit first), after biases and masks and before truncation. */
    top(logits: Logits, limit: number, mask?: Mask): Candidate[];
    /** The same of the row as given, at temperature 1: without penalties, biases and bans. */
    topRaw(logits: Logits, limit: number, mask?: Mask): Candidate[];
    /** The tokens that the filters keep, by ascending id, at most `limit` of them. */
    kept(logits: Logits, limit?: number, mask?: Mask): Candidate[];
    /** The probability with which `token` is picked from this row: 0 if a filter removes it. */
    probabilityOf(logits: Logits, token: number, mask?: Mask): number;
    /** What each stage in force leaves of a row, in the order in which they run, the row itself first. For questions, not for steps. */
    explain(logits: Logits, mask?: Mask): StageReport[];
    /**
     * A pick from one row for each of many configurations, which differ only in what comes after penalties and biases: the pick,
     * or the error of its configuration. Nothing is recorded.
     */
    sweep(configs: readonly Config[], logits: Logits, mask?: Mask): ({ readonly pick: Pick; readonly error?: undefined } | { readonly pick?: undefined; readonly error: ArgpickError })[];
    /** Says which drafted tokens stand and which token comes after them, and records all of these. */
    verify(drafts: Drafts): Verified;
    /** Records tokens of the prompt: they enter the history but are not counted as generated. All or none. */
    prompt(tokens: ArrayLike<number>): void;
    /** Records tokens as generated, as if they had been picked here. All or none. */
    accept(tokens: ArrayLike<number>): void;
    /** Takes back the last generated tokens (by default one). */
    undo(count?: number): void;
    /** Sets the position that the next draw takes its random numbers from; the history stays. */
    seek(position: number | bigint): void;
    /** Hands over the bytes of the last generated token, for the stop strings. Without bytes it only asks. */
    pushBytes(bytes?: string | Uint8Array): TextMatch;
    /** Starts a new sequence; what was set (biases, bans, stops and so on) stays. With a configuration, that one is in force from now on. */
    reset(config?: Config | null): void;
    /** Replaces the biases, which are added to logits: two arrays, pairs, a Map, or an object by token. -Infinity bans. */
    setBias(tokens: ArrayLike<number>, biases: ArrayLike<number>): void;
    setBias(biases: ReadonlyMap<number, number> | readonly (readonly [number, number])[] | Readonly<Record<number, number>>): void;
    /** Replaces the bans: these tokens are masked. */
    setBans(tokens: ArrayLike<number>): void;
    /** Replaces the end tokens: each ends the sequence when it is generated, unless minTokens forbids. */
    setEndTokens(tokens: ArrayLike<number>): void;
    /** Replaces the stop sequences: the sequence ends when generated tokens end with one of them. */
    setStops(sequences: readonly ArrayLike<number>[]): void;
    /** Replaces DRY's breakers: no repetition counts across one of them. */
    setBreakers(sequences: readonly ArrayLike<number>[]): void;
    /** Replaces the bad sequences: the token that would complete one is masked. */
    setBadSequences(sequences: readonly ArrayLike<number>[]): void;
    /** Replaces the biased sequences: biases[i] is added to the logit of the token that would complete sequences[i]. */
    setSequenceBias(sequences: readonly ArrayLike<number>[], biases: ArrayLike<number>): void;
    /** Replaces the forced tokens: pairs of position and token, a Map, or an object by position. */
    setForced(forced: ReadonlyMap<number | bigint, number> | readonly (readonly [number | bigint, number])[] | Readonly<Record<number, number>>): void;
    /** Replaces the stop strings, which `pushBytes` looks for: texts, or their bytes. The text begins anew. */
    setStopStrings(strings: readonly (string | Uint8Array)[]): void;
    /** The state as bytes (configuration, position, history, what was set), the same on every machine. */
    save(): Uint8Array;
    /** Takes over a state that `save` made; its configuration needs no more memory than this decoder has. */
    load(bytes: Uint8Array): void;
    /** Ends the decoder and gives its memory back. A second call does nothing. */
    free(): void;
}

/** Several sequences side by side: rows in, continuations out. Made by `Argpick.beam`. */
export class BeamSearch {
    private constructor();
    /** The length of the rows. */
    readonly vocab: number;
    /** The configuration in force, as it was given. */
    readonly config: BeamConfig;
    /** Where the search stands. */
    readonly state: BeamState;
    /**
     * Takes a row for each live beam (one at the first step) and chooses how the search goes on. `decoders`, one for each beam of
     * the configuration, adjust the rows and follow the beams.
     */
    step(rows: readonly Logits[], options?: { readonly masks?: readonly Mask[] | null; readonly decoders?: readonly Decoder[] }): BeamStep;
    /** The tokens of a live beam, and the sum of their log-probabilities. */
    tokens(index: number): { readonly tokens: Uint32Array; readonly score: number };
    /** The hypothesis of a rank, 0 the best; before the search is finished, the best so far. */
    best(rank?: number): Hypothesis;
    /** Starts anew. With a configuration, that one and these end tokens are in force from now on. */
    reset(config?: BeamConfig | null, endTokens?: ArrayLike<number>): void;
    /** Ends the search and gives its memory back. A second call does nothing. */
    free(): void;
}

/** Whether this engine has simd128. */
export function hasSimd(): boolean;

/**
 * Loads the library: argpick.wasm beside the module, or argpick-scalar.wasm where the engine has no simd128; or what
 * `source` says. Each call makes a library with a memory of its own; all give the same bits.
 */
export function load(source?: string | URL | Response | BufferSource | WebAssembly.Module): Promise<Argpick>;
