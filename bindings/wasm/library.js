// The library in its memory: blocks, views, errors. Decoders and searches live in it.
//
// The module has no allocator: what lives in it stands in blocks that the Heap below deals out. Memory may grow whenever a
// block is needed, which detaches every view; so no view is kept, each is taken when it is used.
import { constants } from './layout.js';
import { ArgpickError } from './values.js';

const PAGE = 65536;
const ALIGNMENT = constants.MEMORY_ALIGNMENT;

/** Rounds up to where a block may begin. */
export const aligned = (bytes) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** The memory above what the linker has placed: blocks, first fit, neighbours joined again when they are freed. */
class Heap {
    constructor(memory, base) {
        this.memory = memory;
        const start = aligned(base);
        this.holes = [{ start, end: memory.buffer.byteLength }];
    }

    allocate(bytes) {
        const size = Math.max(ALIGNMENT, aligned(bytes));
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

/** A library in a memory of its own. */
export class Library {
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
        // Gives back the memory of what nobody has freed.
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

    /** Turns a row of logits into probabilities in place. */
    softmax(row, temperature = 1) {
        if (!(row instanceof Float32Array)) throw new TypeError('a row that is rewritten is a Float32Array');
        return this.placed([row], ([at]) => {
            this.check(this.#exports.argpick_softmax(at, row.length, temperature));
            row.set(this.f32(at, row.length));
            return row;
        });
    }

    // What decoders and searches need of it.

    allocate(bytes) {
        return this.#heap.allocate(bytes);
    }

    release(block) {
        this.#heap.release(block);
    }

    /** Calls `use` with the addresses of copies of arrays, or of so many bytes where a part is a number; they end with the call. */
    placed(parts, use) {
        const bytes = parts.map((part) => aligned(typeof part === 'number' ? part : part.byteLength));
        const block = this.allocate(bytes.reduce((sum, each) => sum + each, 0));
        try {
            let next = block.start;
            const places = parts.map((part, i) => {
                const at = next;
                next += bytes[i];
                if (typeof part !== 'number') this.u8(at, part.byteLength).set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
                return at;
            });
            return use(places);
        } finally {
            this.release(block);
        }
    }

    remember(owner, block) {
        this.#forgotten.register(owner, block, owner);
    }

    forget(owner) {
        this.#forgotten.unregister(owner);
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

