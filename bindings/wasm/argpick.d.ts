import type { Candidate, Config, Pick } from './layout.js';

export type { Candidate, Config, Pick } from './layout.js';
export { constants } from './layout.js';

/** A row of logits: f32, or the bits of f16 or bf16 numbers. -Infinity masks a token. */
export type Logits = Float32Array | readonly number[] | { readonly dtype: 'f16' | 'bf16'; readonly bits: Uint16Array };

/** Bit `t & 31` of word `t >> 5` says whether token t is allowed; tokens past the end are not. null: all are. */
export type Mask = Uint32Array | readonly number[] | null;

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
    /** Turns a row of logits into probabilities in place, and answers it. */
    softmax(row: Float32Array, temperature?: number): Float32Array;
}

/** A sequence being decoded: a configuration, a position, a history, biases and bans. Made by `Argpick.decoder`. */
export class Decoder {
    private constructor();
    /** The length of the rows. */
    readonly vocab: number;
    /** The configuration in force, as it was given. */
    readonly config: Config;
    /** Generated tokens recorded, the prompt excluded, unless `seek` has set it. */
    readonly position: number;
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
    /** The first `count` tokens of the order (highest logit first), before truncation. */
    top(logits: Logits, count: number, mask?: Mask): Candidate[];
    /** The tokens that the filters keep, by ascending id, at most `limit` of them. */
    kept(logits: Logits, limit?: number, mask?: Mask): Candidate[];
    /** Records tokens of the prompt: they enter the history but are not counted as generated. All or none. */
    prompt(tokens: ArrayLike<number>): void;
    /** Records tokens as generated, as if they had been picked here. All or none. */
    accept(tokens: ArrayLike<number>): void;
    /** Takes back the last generated tokens (by default one). */
    undo(count?: number): void;
    /** Sets the position that the next draw takes its random numbers from; the history stays. */
    seek(position: number | bigint): void;
    /** Starts a new sequence; biases and bans stay. With a configuration, that one is in force from now on. */
    reset(config?: Config | null): void;
    /** Replaces the biases, which are added to logits: two arrays, pairs, a Map, or an object by token. -Infinity bans. */
    setBias(tokens: ArrayLike<number>, biases: ArrayLike<number>): void;
    setBias(biases: ReadonlyMap<number, number> | readonly (readonly [number, number])[] | Readonly<Record<number, number>>): void;
    /** Replaces the bans: these tokens are masked. */
    setBans(tokens: ArrayLike<number>): void;
    /** The state as bytes (configuration, position, history, biases, bans), the same on every machine. */
    save(): Uint8Array;
    /** Takes over a state that `save` made; its configuration needs no more memory than this decoder has. */
    load(bytes: Uint8Array): void;
    /** Ends the decoder and gives its memory back. A second call does nothing. */
    free(): void;
}

/** Whether this engine has simd128. */
export function hasSimd(): boolean;

/**
 * Loads the library: argpick.wasm beside the module, or argpick-scalar.wasm where the engine has no simd128; or what
 * `source` says. Each call makes a library with a memory of its own; all give the same bits.
 */
export function load(source?: string | URL | Response | BufferSource | WebAssembly.Module): Promise<Argpick>;
