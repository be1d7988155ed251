// argpick for JavaScript: the C library as WebAssembly, without glue but this file. See README.md.
//
// The module has no allocator: decoders live in blocks that the Memory class below deals out. Memory may grow whenever a block
// is needed, which detaches every view; so no view is kept, each is taken when it is used.
import * as layout from './layout.js';

export const constants = layout.constants;

/** A call that was refused. Nothing has changed then. */
export class ArgpickError extends Error {
    constructor(message, status, index, value) {
        super(message);
        this.name = 'ArgpickError';
        this.status = status;
        const found = Object.entries(constants).find(([name, number]) => name.startsWith('ERR_') && number === status);
        this.code = found ? found[0].slice(4) : 'UNKNOWN';
        this.index = index;
        this.value = value;
    }
}

const invalid = (message) => new ArgpickError(message, constants.ERR_INVALID_PARAMETER);
const DTYPES = { f32: constants.F32, f16: constants.F16, bf16: constants.BF16 };
const PAGE = 65536;
const ALIGNMENT = constants.MEMORY_ALIGNMENT;

/** The memory above what the linker has placed: blocks, first fit, neighbours joined again when they are freed. */
class Heap {
    constructor(memory, base) {
        this.memory = memory;
        const start = Math.ceil(base / ALIGNMENT) * ALIGNMENT;
        this.holes = [{ start, end: memory.buffer.byteLength }];
    }

    allocate(bytes) {
        const size = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
        let hole = this.holes.find(({ start, end }) => end - start >= size);
        if (!hole) {
            const end = this.memory.buffer.byteLength;
            const last = this.holes.at(-1);
            const missing = size - (last?.end === end ? end - last.start : 0);
            try {
                this.memory.grow(Math.ceil(missing / PAGE));
            } catch {
                throw new ArgpickError(`the WebAssembly memory cannot grow by ${missing} bytes`, constants.ERR_OUT_OF_MEMORY);
            }
            this.release({ start: end, end: this.memory.buffer.byteLength });
            hole = this.holes.at(-1);
        }
        const block = { start: hole.start, end: hole.start + size };
        hole.start += size;
        this.holes = this.holes.filter(({ start, end }) => start < end);
        return block;
    }

    release(block) {
        const holes = [...this.holes, { ...block }].sort((a, b) => a.start - b.start);
        this.holes = [];
        for (const hole of holes) {
            const last = this.holes.at(-1);
            if (last?.end === hole.start) last.end = hole.end;
            else this.holes.push(hole);
        }
    }
}

/** A library in a memory of its own: what `load` answers. */
export class Argpick {
    #exports;
    #heap;
    #errors;
    #forgotten;

    constructor(instance) {
        this.#exports = instance.exports;
        const { memory, __heap_base } = this.#exports;
        this.#heap = new Heap(memory, __heap_base.value);
        // Status, index and value of the last error.
        this.#errors = this.#heap.allocate(32).start;
        // Gives back the memory of decoders that nobody has freed.
        this.#forgotten = new FinalizationRegistry((block) => this.#heap.release(block));
        const version = this.#exports.argpick_abi_version();
        if (version !== constants.ABI_VERSION) throw new Error(`argpick.wasm has the ABI ${version}, not ${constants.ABI_VERSION}`);
    }

    /** The C functions and the memory, for what is not wrapped here. */
    get exports() {
        return this.#exports;
    }

    /** The kernel level in use. */
    get kernel() {
        return this.text(this.#exports.argpick_kernel());
    }

    /** The version of the rules of the numbers: the tokens of a seed are the same as long as this is. */
    get numericsVersion() {
        return this.#exports.argpick_numerics_version();
    }

    /** A decoder for rows of `vocab` logits. */
    decoder(config = {}, vocab = undefined) {
        return new Decoder(this, config, vocab);
    }

    /** Turns a row of logits into probabilities in place. */
    softmax(row, temperature = 1) {
        if (!(row instanceof Float32Array)) throw new TypeError('a row that is rewritten is a Float32Array');
        const block = this.allocate(row.byteLength);
        try {
            this.f32(block.start, row.length).set(row);
            this.check(this.#exports.argpick_softmax(block.start, row.length, temperature));
            row.set(this.f32(block.start, row.length));
        } finally {
            this.release(block);
        }
        return row;
    }

    // What decoders need of it.

    allocate(bytes) {
        return this.#heap.allocate(bytes);
    }

    release(block) {
        this.#heap.release(block);
    }

    remember(decoder, block) {
        this.#forgotten.register(decoder, block, decoder);
    }

    forget(decoder) {
        this.#forgotten.unregister(decoder);
    }

    view() {
        return new DataView(this.#exports.memory.buffer);
    }

    u8(start, length) {
        return new Uint8Array(this.#exports.memory.buffer, start, length);
    }

    u16(start, length) {
        return new Uint16Array(this.#exports.memory.buffer, start, length);
    }

    u32(start, length) {
        return new Uint32Array(this.#exports.memory.buffer, start, length);
    }

    f32(start, length) {
        return new Float32Array(this.#exports.memory.buffer, start, length);
    }

    text(start) {
        const bytes = new Uint8Array(this.#exports.memory.buffer, start);
        return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
    }

    /** Throws what a status means unless it is 0. */
    check(status) {
        if (status === constants.OK) return;
        const message = this.text(this.#exports.argpick_last_error());
        const at = this.#errors;
        this.#exports.argpick_error_detail(at, at + 8, at + 16);
        const [index, value] = [this.view().getBigUint64(at + 8, true), this.view().getFloat64(at + 16, true)];
        const known = index !== 0xffff_ffff_ffff_ffffn;
        throw new ArgpickError(message, status, known ? Number(index) : undefined, Number.isNaN(value) && !known ? undefined : value);
    }
}

const name = (value) => (typeof value === 'string' ? `"${value}"` : String(value));

/** A number for a field of a struct, from a number, a boolean or one of the field's names. */
function fieldNumber(key, { kind, choices }, value) {
    if (Array.isArray(value) && key === 'metrics') return value.reduce((all, each) => all | fieldNumber(key, { kind, choices }, each), 0);
    if (typeof value === 'string' && choices) {
        if (value in choices) return choices[value];
        throw invalid(`${key} cannot be ${name(value)}; it is one of ${Object.keys(choices).join(', ')}`);
    }
    if (typeof value === 'boolean' && kind === 'u32') return Number(value);
    if (kind === 'f32' && typeof value === 'number') return value;
    if (kind === 'u64' && typeof value === 'bigint' && value >= 0n && value < 1n << 64n) return value;
    if (kind === 'u64' && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
    if (kind === 'u32' && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff) return value;
    throw invalid(`${key} cannot be ${name(value)}; it is ${kind === 'f32' ? 'a number' : 'an integer from 0 on'}`);
}

/** A list of 32-bit numbers without a sign; anything else must not silently become one. */
function tokenList(what, tokens) {
    if (tokens instanceof Uint32Array) return tokens;
    const list = Array.from(tokens);
    const bad = list.find((token) => !Number.isInteger(token) || token < 0 || token > 0xffff_ffff);
    if (bad !== undefined) throw invalid(`${what} are integers from 0 on, not ${name(bad)}`);
    return Uint32Array.from(list);
}

const SETTERS = { f32: 'setFloat32', f64: 'setFloat64', u32: 'setUint32', u64: 'setBigUint64' };
const GETTERS = { f32: 'getFloat32', f64: 'getFloat64', u32: 'getUint32', u64: 'getBigUint64' };

/** A sequence being decoded: a configuration, a position, a history, biases and bans. */
export class Decoder {
    #library;
    #vocab;
    #config = {};
    #biases = [new Uint32Array(), new Float32Array()];
    #bans = new Uint32Array();
    // The block, and where its parts begin.
    #block = null;
    #handle = 0;
    #capacity = 0;
    #pick = 0;
    #mask = 0;
    #row = 0;

    constructor(library, config, vocab) {
        if (!(library instanceof Argpick)) throw new TypeError('a decoder is made by argpick.decoder(config, vocab)');
        if (!Number.isInteger(vocab)) throw invalid(`vocab is the number of logits of a row, not ${name(vocab)}`);
        this.#library = library;
        this.#vocab = vocab;
        this.#open(config);
    }

    /** The length of the rows. */
    get vocab() {
        return this.#vocab;
    }

    /** The configuration in force, as it was given. */
    get config() {
        return { ...this.#config };
    }

    /** Generated tokens recorded, the prompt excluded, unless `seek` has set it. */
    get position() {
        const handle = this.#live();
        this.#library.check(this.#c.argpick_decoder_position(handle, this.#pick));
        return Number(this.#library.view().getBigUint64(this.#pick, true));
    }

    /** The decoder's own row in WebAssembly memory: who writes logits here and passes it on saves a copy. Taken anew on each
     * use, because a view ends when the memory grows. */
    get row() {
        this.#live();
        return this.#library.f32(this.#row, this.#vocab);
    }

    /** Picks a token and records it. */
    decode(logits, mask = null) {
        return this.#picked('argpick_decode', logits, mask);
    }

    /** Picks a token without recording it. */
    evaluate(logits, mask = null) {
        return this.#picked('argpick_evaluate', logits, mask);
    }

    /** Rewrites the row in place: removed tokens become -Infinity, kept ones their adjusted logit divided by temperature. */
    process(row, mask = null) {
        return this.#rewritten('argpick_process', row, mask);
    }

    /** Rewrites the row in place as the probabilities that are drawn from. */
    probabilities(row, mask = null) {
        return this.#rewritten('argpick_probabilities', row, mask);
    }

    /** The first `count` tokens of the order, before truncation. */
    top(logits, count, mask = null) {
        return this.#listed('argpick_top', logits, count, mask);
    }

    /** The tokens that the filters keep, by ascending id, at most `limit` of them. */
    kept(logits, limit = this.#vocab, mask = null) {
        return this.#listed('argpick_kept', logits, limit, mask);
    }

    /** Records tokens of the prompt. */
    prompt(tokens) {
        this.#tokens('argpick_decoder_prompt', tokens);
    }

    /** Records tokens as generated. */
    accept(tokens) {
        this.#tokens('argpick_decoder_accept', tokens);
    }

    /** Takes back the last generated tokens. */
    undo(count = 1) {
        if (!Number.isInteger(count) || count < 0) throw invalid(`count is a number of tokens, not ${name(count)}`);
        this.#library.check(this.#c.argpick_decoder_undo(this.#live(), count));
    }

    /** Sets the position that the next draw takes its random numbers from. */
    seek(position) {
        const number = fieldNumber('position', { kind: 'u64' }, position);
        this.#library.check(this.#c.argpick_decoder_seek(this.#live(), number));
    }

    /** Starts a new sequence; biases and bans stay. With a configuration, that one is in force from now on. */
    reset(config = null) {
        const handle = this.#live();
        if (config === null) {
            this.#library.check(this.#c.argpick_decoder_reset(handle, 0));
            return;
        }
        const { block, needed } = this.#configured(config);
        try {
            if (needed <= this.#capacity) {
                this.#library.check(this.#c.argpick_decoder_reset(handle, block.start));
                this.#config = { ...config };
                return;
            }
        } finally {
            this.#library.release(block);
        }
        // More memory than it has: a new one takes over what outlives a reset. If that fails, the old one stays.
        const next = new Decoder(this.#library, config, this.#vocab);
        try {
            next.setBias(this.#biases[0], this.#biases[1]);
            next.setBans(this.#bans);
        } catch (error) {
            next.free();
            throw error;
        }
        this.free();
        this.#take(next);
    }

    /** Replaces the biases: pairs of token and bias, a Map or an object by token, or two arrays. */
    setBias(tokens, biases = undefined) {
        if (biases === undefined) {
            const pairs = tokens instanceof Map || Array.isArray(tokens) ? [...tokens] : Object.entries(tokens).map(([token, bias]) => [Number(token), bias]);
            return this.setBias(pairs.map(([token]) => token), pairs.map(([, bias]) => bias));
        }
        const [ids, values] = [tokenList('tokens', tokens), Float32Array.from(biases)];
        if (ids.length !== values.length) throw invalid(`${ids.length} tokens have ${values.length} biases`);
        this.#withWords([ids, new Uint32Array(values.buffer)], ([at, biasesAt]) =>
            this.#library.check(this.#c.argpick_decoder_set_bias(this.#live(), at, biasesAt, ids.length)));
        this.#biases = [ids.slice(), values];
        return undefined;
    }

    /** Replaces the bans: these tokens are masked. */
    setBans(tokens) {
        const ids = tokenList('tokens', tokens);
        this.#withWords([ids], ([at]) => this.#library.check(this.#c.argpick_decoder_set_bans(this.#live(), at, ids.length)));
        this.#bans = ids.slice();
    }

    /** The state as bytes, the same on every machine. */
    save() {
        const handle = this.#live();
        this.#library.check(this.#c.argpick_decoder_saved_size(handle, this.#pick));
        const size = this.#library.view().getUint32(this.#pick, true);
        const block = this.#library.allocate(size);
        try {
            this.#library.check(this.#c.argpick_decoder_save(handle, block.start, size, this.#pick));
            return this.#library.u8(block.start, size).slice();
        } finally {
            this.#library.release(block);
        }
    }

    /** Takes over a state that `save` made. Its configuration needs no more memory than this decoder has. */
    load(bytes) {
        const block = this.#library.allocate(bytes.length);
        try {
            this.#library.u8(block.start, bytes.length).set(bytes);
            this.#library.check(this.#c.argpick_decoder_load(this.#live(), block.start, bytes.length));
        } finally {
            this.#library.release(block);
        }
    }

    /** Ends the decoder and gives its memory back. A second call does nothing. */
    free() {
        if (!this.#block) return;
        this.#c.argpick_decoder_free(this.#handle);
        this.#library.release(this.#block);
        this.#library.forget(this);
        this.#block = null;
    }

    get #c() {
        return this.#library.exports;
    }

    #live() {
        if (!this.#block) throw new ArgpickError('the decoder has been freed', constants.ERR_NULL);
        return this.#handle;
    }

    /** A block with the configuration as the C library wants it, and the bytes that a decoder of it needs. */
    #configured(config) {
        const library = this.#library;
        const { size, fields } = layout.config;
        const block = library.allocate(size + 16);
        try {
            library.check(this.#c.argpick_config_init(block.start, size));
            for (const [key, value] of Object.entries(config)) {
                const field = fields[key];
                if (!field) throw invalid(`a configuration has no ${name(key)}; it has ${Object.keys(fields).join(', ')}`);
                if (value !== undefined) library.view()[SETTERS[field.kind]](block.start + field.offset, fieldNumber(key, field, value), true);
            }
            library.check(this.#c.argpick_decoder_size(block.start, this.#vocab, block.start + size));
            return { block, needed: library.view().getUint32(block.start + size, true) };
        } catch (error) {
            library.release(block);
            throw error;
        }
    }

    #open(config) {
        const library = this.#library;
        const { block: given, needed } = this.#configured(config);
        try {
            // The decoder, then pick, mask and row, each aligned.
            const words = Math.ceil(this.#vocab / 32);
            const aligned = (bytes) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
            const parts = [aligned(needed), aligned(layout.pick.size), aligned(4 * words), aligned(4 * this.#vocab)];
            const block = library.allocate(parts.reduce((sum, part) => sum + part, 0));
            const [memory, pick, mask, row] = parts.map((_, i) => parts.slice(0, i).reduce((sum, part) => sum + part, block.start));
            try {
                library.check(this.#c.argpick_decoder_init(memory, needed, given.start, this.#vocab, pick));
            } catch (error) {
                library.release(block);
                throw error;
            }
            this.#block = block;
            this.#handle = library.view().getUint32(pick, true);
            [this.#capacity, this.#pick, this.#mask, this.#row] = [needed, pick, mask, row];
            this.#config = { ...config };
            library.remember(this, block);
        } finally {
            library.release(given);
        }
    }

    #take(other) {
        this.#library.forget(other);
        this.#block = other.#block;
        this.#handle = other.#handle;
        this.#capacity = other.#capacity;
        [this.#pick, this.#mask, this.#row] = [other.#pick, other.#mask, other.#row];
        this.#config = other.#config;
        other.#block = null;
        this.#library.remember(this, this.#block);
    }

    /** Calls `use` with the addresses of copies of lists of words. */
    #withWords(lists, use) {
        const library = this.#library;
        const words = lists.reduce((sum, list) => sum + list.length, 0);
        const block = library.allocate(4 * words);
        try {
            let at = block.start;
            const places = lists.map((list) => {
                library.u32(at, list.length).set(list);
                at += 4 * list.length;
                return at - 4 * list.length;
            });
            return use(places);
        } finally {
            library.release(block);
        }
    }

    #tokens(call, tokens) {
        const ids = tokenList('tokens', tokens);
        this.#withWords([ids], ([at]) => this.#library.check(this.#c[call](this.#live(), at, ids.length)));
    }

    /** Copies logits into the decoder's row; answers their type and number. */
    #give(logits) {
        this.#live();
        const half = typeof Float16Array !== 'undefined' && logits instanceof Float16Array;
        const dtype = half ? 'f16' : (logits?.dtype ?? 'f32');
        const values = half ? new Uint16Array(logits.buffer, logits.byteOffset, logits.length) : (logits?.bits ?? logits);
        if (!(dtype in DTYPES)) throw invalid(`dtype cannot be ${name(dtype)}; it is one of ${Object.keys(DTYPES).join(', ')}`);
        if (dtype !== 'f32' && !(values instanceof Uint16Array)) throw new TypeError(`${dtype} logits are { dtype, bits: Uint16Array }`);
        if (dtype === 'f32' && !(values instanceof Float32Array) && !Array.isArray(values)) {
            throw new TypeError('logits are a Float32Array, an array of numbers, or { dtype, bits }');
        }
        // A row of another length is refused by the library, which says what it wanted.
        const count = values.length;
        if (count === this.#vocab) {
            const row = dtype === 'f32' ? this.row : this.#library.u16(this.#row, count);
            if (values.buffer !== row.buffer || values.byteOffset !== row.byteOffset) row.set(values);
        }
        return [this.#row, DTYPES[dtype], count];
    }

    #giveMask(mask) {
        if (mask === null || mask === undefined) return [0, 0];
        const words = tokenList('words of a mask', mask);
        const needed = Math.min(words.length, Math.ceil(this.#vocab / 32));
        this.#library.u32(this.#mask, needed).set(words.subarray(0, needed));
        return [this.#mask, needed];
    }

    #picked(call, logits, mask) {
        const library = this.#library;
        const row = this.#give(logits);
        const words = this.#giveMask(mask);
        const { size, fields } = layout.pick;
        library.view().setUint32(this.#pick, size, true);
        library.check(this.#c[call](this.#handle, ...row, ...words, this.#pick));
        const view = library.view();
        const pick = {};
        for (const [key, { kind, offset, choices }] of Object.entries(fields)) {
            const value = view[GETTERS[kind]](this.#pick + offset, true);
            const asked = kind === 'u32' ? value !== 0xffff_ffff : !Number.isNaN(value);
            pick[key] = choices ? (Object.keys(choices).find((choice) => choices[choice] === value) ?? value) : asked ? value : undefined;
        }
        return pick;
    }

    #rewritten(call, row, mask) {
        if (!(row instanceof Float32Array)) throw new TypeError('a row that is rewritten is a Float32Array');
        const [at, , count] = this.#give(row);
        this.#library.check(this.#c[call](this.#handle, at, count, ...this.#giveMask(mask)));
        if (row.buffer !== this.row.buffer || row.byteOffset !== at) row.set(this.row);
        return row;
    }

    #listed(call, logits, count, mask) {
        if (!Number.isInteger(count) || count < 0) throw invalid(`a number of tokens is asked for, not ${name(count)}`);
        const library = this.#library;
        const capacity = Math.min(count, this.#vocab);
        const { size, fields } = layout.candidate;
        const block = library.allocate(size * capacity);
        try {
            const given = [...this.#give(logits), ...this.#giveMask(mask)];
            library.check(this.#c[call](this.#handle, ...given, block.start, capacity, this.#pick));
            const view = library.view();
            const found = Math.min(capacity, view.getUint32(this.#pick, true));
            return Array.from({ length: found }, (_, i) => Object.fromEntries(Object.entries(fields).map(
                ([key, { kind, offset }]) => [key, view[GETTERS[kind]](block.start + i * size + offset, true)])));
        } finally {
            library.release(block);
        }
    }
}

// A module whose only function answers i32x4.splat: whether this engine has simd128.
const SIMD_PROBE = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 17, 11);

/** Whether this engine has simd128. */
export function hasSimd() {
    return WebAssembly.validate(SIMD_PROBE);
}

/**
 * Loads the library: argpick.wasm beside this file, or argpick-scalar.wasm where the engine has no simd128.
 *
 * `source` may be a URL, a Response, bytes or a WebAssembly.Module in its place. Each call makes a library with a memory of
 * its own; all give the same bits.
 */
export async function load(source = undefined) {
    let from = source ?? new URL(hasSimd() ? './argpick.wasm' : './argpick-scalar.wasm', import.meta.url);
    if (typeof from === 'string') from = new URL(from, import.meta.url);
    if (from instanceof URL && from.protocol === 'file:') {
        const { readFile } = await import('node:fs/promises');
        from = await readFile(from);
    } else if (from instanceof URL) {
        from = await fetch(from);
    }
    if (typeof Response !== 'undefined' && from instanceof Response) {
        if (!from.ok) throw new Error(`${from.url}: ${from.status} ${from.statusText}`);
        from = await from.arrayBuffer();
    }
    const module = from instanceof WebAssembly.Module ? from : await WebAssembly.compile(from);
    return new Argpick(await WebAssembly.instantiate(module, {}));
}
