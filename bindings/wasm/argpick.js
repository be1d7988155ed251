// argpick for JavaScript: the C library as WebAssembly, without glue but these files. See README.md.
import { BeamSearch } from './beam.js';
import { Decoder } from './decoder.js';
import { Library } from './library.js';

export { BeamSearch } from './beam.js';
export { Decoder } from './decoder.js';
export { constants } from './layout.js';
export { ArgpickError } from './values.js';

/** A library in a memory of its own: what `load` answers. */
export class Argpick extends Library {
    /** A decoder for rows of `vocab` logits. */
    decoder(config = {}, vocab = undefined) {
        return new Decoder(this, config, vocab);
    }

    /** A beam search for rows of `vocab` logits. */
    beam(config = {}, vocab = undefined, endTokens = []) {
        return new BeamSearch(this, config, vocab, endTokens);
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
