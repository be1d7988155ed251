// A decoder: a sequence being decoded, in a block of the library's memory.
import * as layout from './layout.js';
import { Library, aligned } from './library.js';
import {
    ArgpickError, addresses, bytesOf, count, fieldNumber, invalid, masksOf, name, pairsOf, readFields, rowOf, rowsOf, sequencesOf,
    tokenList, writeFields,
} from './values.js';

const { constants } = layout;
const STOPS = { tokens: 'tokens of a stop', breakers: 'tokens of a breaker', bad: 'tokens of a bad sequence', biased: 'tokens of a biased sequence' };

/** A sequence being decoded: a configuration, a position, a history, and what was set for it. */
export class Decoder {
    #library;
    #vocab;
    #config = {};
    // The block, and where its parts begin.
    #block = null;
    #handle = 0;
    #capacity = 0;
    #pick = 0;
    #mask = 0;
    #row = 0;

    constructor(library, config, vocab, leastCapacity = 0) {
        if (!(library instanceof Library)) throw new TypeError('a decoder is made by argpick.decoder(config, vocab)');
        if (!Number.isInteger(vocab)) throw invalid(`vocab is the number of logits of a row, not ${name(vocab)}`);
        this.#library = library;
        this.#vocab = vocab;
        this.#open(config, leastCapacity);
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

    /** Mirostat's mu for the next step, in bits; NaN if it is off. */
    get mirostatMu() {
        this.#library.check(this.#c.argpick_decoder_mirostat_mu(this.#live(), this.#pick));
        return this.#library.view().getFloat32(this.#pick, true);
    }

    /** The probability that adaptive-p prefers in the next step; NaN if it is off. */
    get adaptiveTarget() {
        this.#library.check(this.#c.argpick_decoder_adaptive_target(this.#live(), this.#pick));
        return this.#library.view().getFloat32(this.#pick, true);
    }

    /** Why the sequence has ended, as far as tokens and bytes were recorded: 'none' if it goes on. */
    get finish() {
        this.#library.check(this.#c.argpick_decoder_finish(this.#live(), this.#pick));
        const number = this.#library.view().getUint32(this.#pick, true);
        const { choices } = layout.pick.fields.finish;
        return Object.keys(choices).find((choice) => choices[choice] === number) ?? number;
    }

    /** The decoder's own row in WebAssembly memory: who writes logits here and passes it on saves a copy. Taken anew on each
     * use, because a view ends when the memory grows. */
    get row() {
        this.#live();
        return this.#library.f32(this.#row, this.#vocab);
    }

    /** Its address in the library's memory, for the functions in `exports`. */
    get handle() {
        return this.#live();
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

    /** The first `limit` tokens of the order, after biases and masks and before truncation. */
    top(logits, limit, mask = null) {
        return this.#listed('argpick_top', layout.candidate, logits, Math.min(count('a number of tokens', limit), this.#vocab), mask);
    }

    /** The same of the row as given, at temperature 1: without penalties, biases and bans. */
    topRaw(logits, limit, mask = null) {
        return this.#listed('argpick_top_raw', layout.candidate, logits, Math.min(count('a number of tokens', limit), this.#vocab), mask);
    }

    /** The tokens that the filters keep, by ascending id, at most `limit` of them. */
    kept(logits, limit = this.#vocab, mask = null) {
        return this.#listed('argpick_kept', layout.candidate, logits, Math.min(count('a number of tokens', limit), this.#vocab), mask);
    }

    /** The probability with which `token` is picked from this row: 0 if a filter removes it. */
    probabilityOf(logits, token, mask = null) {
        const [id] = tokenList('tokens', [token]);
        const given = [...this.#give(logits), ...this.#giveMask(mask)];
        this.#library.check(this.#c.argpick_probability_of(this.#handle, ...given, id, this.#pick));
        return this.#library.view().getFloat32(this.#pick, true);
    }

    /** What each stage in force leaves of a row, in the order in which they run, the row itself first. */
    explain(logits, mask = null) {
        const found = this.#listed('argpick_explain', layout.stage, logits, constants.MOST_STAGES, mask);
        return found.map(({ stage, ...rest }) => ({ name: this.#library.text(this.#c.argpick_stage_name(stage)), ...rest }));
    }

    /** A pick from one row for each of many configurations that differ only in what comes after the adjustments: the pick, or
     * the error of its configuration. Nothing is recorded. */
    sweep(configs, logits, mask = null) {
        const library = this.#library;
        const { size } = layout.config;
        const number = configs.length;
        const row = rowOf(logits);
        const words = mask === null || mask === undefined ? new Uint32Array() : tokenList('words of a mask', mask);
        const parts = [number * aligned(size), 4 * number, row.values, words, layout.pick.size * number, 4 * number, 8];
        return library.placed(parts, ([structs, list, rowAt, maskAt, picks, statuses, needed]) => {
            configs.forEach((config, i) => this.#write(structs + i * aligned(size), config));
            library.u32(list, number).set(addresses(structs, number, aligned(size)));
            for (let i = 0; i < number; i++) library.view().setUint32(picks + i * layout.pick.size, layout.pick.size, true);
            // One that cannot be needs no memory and is refused below.
            const memory64 = configs.map((_, i) => (this.#c.argpick_sweep_words(list + 4 * i, 1, this.#vocab, needed) === constants.OK
                ? library.view().getUint32(needed, true) : 0));
            const memoryWords = Math.max(0, ...memory64);
            return library.placed([8 * memoryWords], ([memory]) => {
                const status = this.#c.argpick_sweep(this.#live(), list, number, rowAt, row.dtype, row.values.length,
                    words.length || mask ? maskAt : 0, words.length, memory, memoryWords, picks, statuses, 0);
                const each = Array.from(library.u32(statuses, number));
                // A configuration that was refused is its own answer; what is wrong with the row is everybody's.
                if (status !== constants.OK && !each.some((one) => one !== constants.OK)) library.check(status);
                return each.map((one, i) => one === constants.OK
                    ? { pick: readFields(library.view(), picks + i * layout.pick.size, layout.pick) }
                    : { error: new ArgpickError(library.text(this.#c.argpick_status_message(one)), one) });
            });
        });
    }

    /** Verifies drafted tokens, and records those that stand and the one that comes after them. */
    verify({ tokens, parents = null, logits, masks = null, acceptance = 'match', draftDecoder = null, draftLogits = [], draftMasks = null }) {
        const library = this.#library;
        const drafts = tokenList('drafted tokens', tokens);
        const above = parents === null ? null : tokenList('parents', Array.from(parents, (parent) => parent ?? constants.ROOT));
        if (above && above.length !== drafts.length) throw invalid(`${above.length} parents are given for ${drafts.length} drafts`);
        const [rows, draftRows] = [rowsOf(logits), rowsOf(draftLogits)];
        if (logits.length !== drafts.length + 1) throw invalid(`${drafts.length} drafts need ${drafts.length + 1} rows, not ${logits.length}`);
        const [bits, draftBits] = [masksOf(masks, logits.length), masksOf(draftMasks, draftLogits.length)];
        const room = drafts.length + 1;
        const parts = [layout.drafts.size, drafts, above ?? 0, rows.values, 4 * logits.length, draftRows.values, 4 * draftLogits.length,
            bits?.values ?? 0, 4 * logits.length, draftBits?.values ?? 0, 4 * draftLogits.length, layout.pick.size * room, layout.verified.size];
        return library.placed(parts, ([at, draftsAt, parentsAt, rowsAt, rowList, draftRowsAt, draftRowList, masksAt, maskList,
            draftMasksAt, draftMaskList, picks, verified]) => {
            const lists = (to, from, number, stride, has) => library.u32(to, number).set(addresses(from, number, stride, has));
            lists(rowList, rowsAt, logits.length, rows.length * rows.values.BYTES_PER_ELEMENT);
            lists(draftRowList, draftRowsAt, draftLogits.length, draftRows.length * draftRows.values.BYTES_PER_ELEMENT);
            if (bits) lists(maskList, masksAt, logits.length, 4 * bits.length, (i) => bits.has[i]);
            if (draftBits) lists(draftMaskList, draftMasksAt, draftLogits.length, 4 * draftBits.length, (i) => draftBits.has[i]);
            library.u8(at, layout.drafts.size).fill(0);
            library.view().setUint32(at, layout.drafts.size, true);
            writeFields(library.view(), at, layout.drafts, {
                acceptance, dtype: rows.dtype, draftDtype: draftRows.dtype, tokens: draftsAt, parents: above ? parentsAt : 0,
                drafts: drafts.length, logits: rowList, count: rows.length, masks: bits ? maskList : 0, maskWords: bits?.length ?? 0,
                draftDecoder: draftDecoder ? draftDecoder.handle : 0, draftLogits: draftLogits.length ? draftRowList : 0,
                draftRows: draftLogits.length, draftCount: draftRows.length, draftMasks: draftBits ? draftMaskList : 0,
                draftMaskWords: draftBits?.length ?? 0, picks: room,
            }, 'what is verified');
            for (let i = 0; i < room; i++) library.view().setUint32(picks + i * layout.pick.size, layout.pick.size, true);
            library.view().setUint32(verified, layout.verified.size, true);
            library.check(this.#c.argpick_verify(this.#live(), at, picks, verified));
            const result = readFields(library.view(), verified, layout.verified);
            return { ...result, picks: Array.from({ length: result.emitted }, (_, i) =>
                readFields(library.view(), picks + i * layout.pick.size, layout.pick)) };
        });
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
    undo(number = 1) {
        if (!Number.isInteger(number) || number < 0) throw invalid(`count is a number of tokens, not ${name(number)}`);
        this.#library.check(this.#c.argpick_decoder_undo(this.#live(), number));
    }

    /** Sets the position that the next draw takes its random numbers from. */
    seek(position) {
        const number = fieldNumber('position', { kind: 'u64' }, position);
        this.#library.check(this.#c.argpick_decoder_seek(this.#live(), number));
    }

    /** Hands over the bytes of the last generated token, for the stop strings. Without bytes it only asks. */
    pushBytes(bytes = '') {
        const given = bytesOf(bytes);
        return this.#library.placed([given, 8], ([at, answer]) => {
            this.#library.check(this.#c.argpick_decoder_push_bytes(this.#live(), at, given.length, answer, answer + 4));
            const [stop, heldBack] = this.#library.u32(answer, 2);
            return { stop: stop === 0xffff_ffff ? undefined : stop, heldBack };
        });
    }

    /** Starts a new sequence; what was set (biases, bans, stops and so on) stays. With a configuration, that one is in force from
     * now on. */
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
        // More memory than it has: a new one takes over the state, which outlives the reset that follows. If that fails, the
        // old one stays.
        const next = new Decoder(this.#library, config, this.#vocab, this.#capacity);
        try {
            next.load(this.save());
            next.reset(config);
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
            const pairs = pairsOf(tokens);
            this.setBias(pairs.map(([token]) => token), pairs.map(([, bias]) => bias));
            return;
        }
        const [ids, values] = [tokenList('tokens', tokens), Float32Array.from(biases)];
        if (ids.length !== values.length) throw invalid(`${ids.length} tokens have ${values.length} biases`);
        this.#library.placed([ids, values], ([at, biasesAt]) =>
            this.#library.check(this.#c.argpick_decoder_set_bias(this.#live(), at, biasesAt, ids.length)));
    }

    /** Replaces the bans: these tokens are masked. */
    setBans(tokens) {
        this.#tokens('argpick_decoder_set_bans', tokens);
    }

    /** Replaces the end tokens: each ends the sequence when it is generated. */
    setEndTokens(tokens) {
        this.#tokens('argpick_decoder_set_end_tokens', tokens);
    }

    /** Replaces the stop sequences: the sequence ends when generated tokens end with one of them. */
    setStops(sequences) {
        this.#sequences('argpick_decoder_set_stops', STOPS.tokens, sequences);
    }

    /** Replaces DRY's breakers. */
    setBreakers(sequences) {
        this.#sequences('argpick_decoder_set_breakers', STOPS.breakers, sequences);
    }

    /** Replaces the bad sequences: none of them is completed. */
    setBadSequences(sequences) {
        this.#sequences('argpick_decoder_set_bad_sequences', STOPS.bad, sequences);
    }

    /** Replaces the biased sequences: biases[i] is added to the token that completes sequences[i]. */
    setSequenceBias(sequences, biases) {
        const values = Float32Array.from(biases);
        if (values.length !== sequences.length) throw invalid(`${sequences.length} sequences have ${values.length} biases`);
        this.#sequences('argpick_decoder_set_sequence_bias', STOPS.biased, sequences, values);
    }

    /** Replaces the forced tokens: pairs of position and token, a Map, or an object by position. */
    setForced(forced) {
        const pairs = pairsOf(forced);
        const positions = BigUint64Array.from(pairs, ([position]) => fieldNumber('position', { kind: 'u64' }, position));
        const tokens = tokenList('tokens', pairs.map(([, token]) => token));
        this.#library.placed([positions, tokens], ([positionsAt, at]) =>
            this.#library.check(this.#c.argpick_decoder_set_forced(this.#live(), positionsAt, at, tokens.length)));
    }

    /** Replaces the stop strings, which `pushBytes` looks for: texts, or their bytes. */
    setStopStrings(strings) {
        const [bytes, lengths] = sequencesOf('bytes', Array.from(strings, bytesOf));
        const text = Uint8Array.from(bytes);
        this.#library.placed([text, lengths], ([at, lengthsAt]) =>
            this.#library.check(this.#c.argpick_decoder_set_stop_strings(this.#live(), at, text.length, lengthsAt, lengths.length)));
    }

    /** The state as bytes, the same on every machine. */
    save() {
        const handle = this.#live();
        this.#library.check(this.#c.argpick_decoder_saved_size(handle, this.#pick));
        const size = this.#library.view().getUint32(this.#pick, true);
        return this.#library.placed([size], ([at]) => {
            this.#library.check(this.#c.argpick_decoder_save(handle, at, size, this.#pick));
            return this.#library.u8(at, size).slice();
        });
    }

    /** Takes over a state that `save` made. Its configuration needs no more memory than this decoder has. */
    load(bytes) {
        this.#library.placed([bytes], ([at]) => this.#library.check(this.#c.argpick_decoder_load(this.#live(), at, bytes.length)));
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

    #write(start, config) {
        this.#library.check(this.#c.argpick_config_init(start, layout.config.size));
        writeFields(this.#library.view(), start, layout.config, config, 'a configuration');
    }

    /** A block with the configuration as the C library wants it, and the bytes that a decoder of it needs. */
    #configured(config) {
        const library = this.#library;
        const { size } = layout.config;
        const block = library.allocate(size + 16);
        try {
            this.#write(block.start, config);
            library.check(this.#c.argpick_decoder_size(block.start, this.#vocab, block.start + size));
            return { block, needed: library.view().getUint32(block.start + size, true) };
        } catch (error) {
            library.release(block);
            throw error;
        }
    }

    #open(config, leastCapacity) {
        const library = this.#library;
        const { block: given, needed } = this.#configured(config);
        try {
            // The decoder, then pick, mask and row, each aligned.
            const capacity = Math.max(needed, leastCapacity);
            const words = Math.ceil(this.#vocab / 32);
            const parts = [aligned(capacity), aligned(layout.pick.size), aligned(4 * words), aligned(4 * this.#vocab)];
            const block = library.allocate(parts.reduce((sum, part) => sum + part, 0));
            const [memory, pick, mask, row] = parts.map((_, i) => parts.slice(0, i).reduce((sum, part) => sum + part, block.start));
            try {
                library.check(this.#c.argpick_decoder_init(memory, capacity, given.start, this.#vocab, pick));
            } catch (error) {
                library.release(block);
                throw error;
            }
            this.#block = block;
            this.#handle = library.view().getUint32(pick, true);
            [this.#capacity, this.#pick, this.#mask, this.#row] = [capacity, pick, mask, row];
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

    #tokens(call, tokens) {
        const ids = tokenList('tokens', tokens);
        this.#library.placed([ids], ([at]) => this.#library.check(this.#c[call](this.#live(), at, ids.length)));
    }

    #sequences(call, what, sequences, values = null) {
        const [tokens, lengths] = sequencesOf(what, sequences);
        this.#library.placed([tokens, lengths, values ?? 0], ([at, lengthsAt, valuesAt]) => this.#library.check(
            this.#c[call](this.#live(), at, tokens.length, lengthsAt, ...(values ? [valuesAt] : []), lengths.length)));
    }

    /** Copies logits into the decoder's row; answers their type and number. */
    #give(logits) {
        this.#live();
        const { dtype, values } = rowOf(logits);
        // A row of another length is refused by the library, which says what it wanted.
        if (values.length === this.#vocab) {
            const row = dtype === constants.F32 ? this.row : this.#library.u16(this.#row, values.length);
            if (values.buffer !== row.buffer || values.byteOffset !== row.byteOffset) row.set(values);
        }
        return [this.#row, dtype, values.length];
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
        library.view().setUint32(this.#pick, layout.pick.size, true);
        library.check(this.#c[call](this.#handle, ...row, ...words, this.#pick));
        return readFields(library.view(), this.#pick, layout.pick);
    }

    #rewritten(call, row, mask) {
        if (!(row instanceof Float32Array)) throw new TypeError('a row that is rewritten is a Float32Array');
        const [at, , length] = this.#give(row);
        this.#library.check(this.#c[call](this.#handle, at, length, ...this.#giveMask(mask)));
        if (row.buffer !== this.row.buffer || row.byteOffset !== at) row.set(this.row);
        return row;
    }

    /** The structs that a function writes about a row, at most `capacity` of them. */
    #listed(call, struct, logits, capacity, mask) {
        const library = this.#library;
        return library.placed([struct.size * capacity], ([start]) => {
            const given = [...this.#give(logits), ...this.#giveMask(mask)];
            library.check(this.#c[call](this.#handle, ...given, start, capacity, this.#pick));
            const view = library.view();
            const found = Math.min(capacity, view.getUint32(this.#pick, true));
            return Array.from({ length: found }, (_, i) => readFields(view, start + i * struct.size, struct));
        });
    }
}
