// A beam search: several sequences side by side, rows in, continuations out. The model is the host's.
import * as layout from './layout.js';
import { Library, aligned } from './library.js';
import { ArgpickError, addresses, invalid, masksOf, name, readFields, rowsOf, tokenList, writeFields } from './values.js';

const { constants } = layout;

/** A search in a block of the library's memory. */
export class BeamSearch {
    #library;
    #vocab;
    #config = {};
    #endTokens = new Uint32Array();
    #block = null;
    #handle = 0;
    #capacity = 0;
    // A struct of the state, and a number.
    #state = 0;

    constructor(library, config, vocab, endTokens) {
        if (!(library instanceof Library)) throw new TypeError('a search is made by argpick.beam(config, vocab, endTokens)');
        if (!Number.isInteger(vocab)) throw invalid(`vocab is the number of logits of a row, not ${name(vocab)}`);
        this.#library = library;
        this.#vocab = vocab;
        this.#open(config, tokenList('end tokens', endTokens));
    }

    /** The length of the rows. */
    get vocab() {
        return this.#vocab;
    }

    /** The configuration in force, as it was given. */
    get config() {
        return { ...this.#config };
    }

    /** Where the search stands: beams that go on, beams that ended with the last step, tokens of each live beam, hypotheses. */
    get state() {
        this.#live();
        this.#library.view().setUint32(this.#state, layout.beamState.size, true);
        this.#library.check(this.#c.argpick_beam_inspect(this.#handle, this.#state));
        const { live, ended, length, hypotheses } = readFields(this.#library.view(), this.#state, layout.beamState);
        return { live, ended, length, hypotheses };
    }

    /**
     * Takes a row for each live beam and chooses how the search goes on: `next` has the beams that go on (parent, token, score),
     * `ended` those that ended. `decoders`, one for each beam of the configuration, adjust the rows and follow.
     */
    step(rows, { masks = null, decoders = [] } = {}) {
        const library = this.#library;
        this.#live();
        const given = rowsOf(rows);
        const bits = masksOf(masks, rows.length);
        library.view().setUint32(this.#state, layout.beamState.size, true);
        library.check(this.#c.argpick_beam_inspect(this.#handle, this.#state));
        const { outputs } = readFields(library.view(), this.#state, layout.beamState);
        const { size } = layout.beamContinuation;
        const parts = [given.values, 4 * rows.length, bits?.values ?? 0, 4 * rows.length, 4 * decoders.length, size * outputs];
        return library.placed(parts, ([rowsAt, rowList, masksAt, maskList, decoderList, next]) => {
            library.u32(rowList, rows.length).set(addresses(rowsAt, rows.length, given.length * given.values.BYTES_PER_ELEMENT));
            if (bits) library.u32(maskList, rows.length).set(addresses(masksAt, rows.length, 4 * bits.length, (i) => bits.has[i]));
            library.u32(decoderList, decoders.length).set(Array.from(decoders, (decoder) => decoder.handle));
            library.view().setUint32(this.#state, layout.beamState.size, true);
            library.check(this.#c.argpick_beam_step(this.#handle, rowList, given.dtype, given.length, rows.length, bits ? maskList : 0,
                bits?.length ?? 0, decoders.length ? decoderList : 0, decoders.length, next, outputs, this.#state));
            const view = library.view();
            const { live, ended, length, hypotheses } = readFields(view, this.#state, layout.beamState);
            const all = Array.from({ length: live + ended }, (_, i) => readFields(view, next + i * size, layout.beamContinuation));
            return { next: all.slice(0, live), ended: all.slice(live), length, hypotheses };
        });
    }

    /** The tokens of a live beam, and the sum of their log-probabilities. */
    tokens(index) {
        const { length } = this.state;
        const [beam] = tokenList('beams', [index]);
        return this.#library.placed([8, 4 * length], ([score, at]) => {
            this.#library.check(this.#c.argpick_beam_tokens(this.#handle, beam, at, length, score));
            return { tokens: this.#library.u32(at, length).slice(), score: this.#library.view().getFloat64(score, true) };
        });
    }

    /** The hypothesis of a rank, 0 the best; before the search is finished, the best so far. */
    best(rank = 0) {
        this.#live();
        const library = this.#library;
        const [number] = tokenList('ranks', [rank]);
        const { size } = layout.hypothesis;
        return library.placed([size], ([at]) => {
            const ask = (tokens, capacity) => {
                library.view().setUint32(at, size, true);
                library.check(this.#c.argpick_beam_best(this.#handle, number, tokens, capacity, at));
                return readFields(library.view(), at, layout.hypothesis);
            };
            const { length } = ask(0, 0);
            return library.placed([4 * length], ([tokensAt]) => {
                const { finish, score, logprob } = ask(tokensAt, length);
                return { tokens: library.u32(tokensAt, length).slice(), finish, score, logprob };
            });
        });
    }

    /** Starts anew. With a configuration, that one and these end tokens are in force from now on. */
    reset(config = null, endTokens = this.#endTokens) {
        this.#live();
        if (config === null) {
            this.#library.check(this.#c.argpick_beam_reset(this.#handle, 0, 0, 0));
            return;
        }
        const ends = tokenList('end tokens', endTokens);
        const fits = this.#configured(config, ends, ([at, endsAt], needed) => {
            if (needed > this.#capacity) return false;
            this.#library.check(this.#c.argpick_beam_reset(this.#handle, at, endsAt, ends.length));
            return true;
        });
        if (!fits) {
            // A search keeps nothing over a reset, so a larger one takes its place; if it cannot be made, the old one stays.
            const old = [this.#block, this.#handle];
            this.#library.forget(this);
            try {
                this.#open(config, ends);
            } catch (error) {
                [this.#block, this.#handle] = old;
                this.#library.remember(this, this.#block);
                throw error;
            }
            this.#c.argpick_beam_free(old[1]);
            this.#library.release(old[0]);
        }
        this.#config = { ...config };
        this.#endTokens = ends.slice();
    }

    /** Ends the search and gives its memory back. A second call does nothing. */
    free() {
        if (!this.#block) return;
        this.#c.argpick_beam_free(this.#handle);
        this.#library.release(this.#block);
        this.#library.forget(this);
        this.#block = null;
    }

    get #c() {
        return this.#library.exports;
    }

    #live() {
        if (!this.#block) throw new ArgpickError('the search has been freed', constants.ERR_NULL);
    }

    /** Calls `use` with the addresses of the configuration and the end tokens, and the bytes that a search of them needs. */
    #configured(config, ends, use) {
        const library = this.#library;
        const { size } = layout.beamConfig;
        return library.placed([size, ends, 8], ([at, endsAt, needed]) => {
            library.check(this.#c.argpick_beam_config_init(at, size));
            writeFields(library.view(), at, layout.beamConfig, config, 'a configuration of a search');
            library.check(this.#c.argpick_beam_size(at, this.#vocab, endsAt, ends.length, needed));
            return use([at, endsAt, needed], library.view().getUint32(needed, true));
        });
    }

    #open(config, ends) {
        const library = this.#library;
        this.#configured(config, ends, ([at, endsAt, out], needed) => {
            const block = library.allocate(aligned(needed) + aligned(layout.beamState.size));
            try {
                library.check(this.#c.argpick_beam_init(block.start, needed, at, this.#vocab, endsAt, ends.length, out));
            } catch (error) {
                library.release(block);
                throw error;
            }
            this.#block = block;
            this.#handle = library.view().getUint32(out, true);
            this.#capacity = needed;
            this.#state = block.start + aligned(needed);
        });
        this.#config = { ...config };
        this.#endTokens = ends.slice();
        library.remember(this, this.#block);
    }
}
