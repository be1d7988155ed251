// What the other files share: the error, and how values become those of the C library and back.
import { constants } from './layout.js';

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

/** An error for an argument that never reached the library. */
export const invalid = (message) => new ArgpickError(message, constants.ERR_INVALID_PARAMETER);

/** A value for a message. */
export const name = (value) => (typeof value === 'string' ? `"${value}"` : String(value));

/** A number for a field of a struct, from a number, a boolean or one of the field's names. */
export function fieldNumber(key, { kind, choices }, value) {
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
export function tokenList(what, tokens) {
    if (tokens instanceof Uint32Array) return tokens;
    const list = Array.from(tokens);
    const bad = list.find((token) => !Number.isInteger(token) || token < 0 || token > 0xffff_ffff);
    if (bad !== undefined) throw invalid(`${what} are integers from 0 on, not ${name(bad)}`);
    return Uint32Array.from(list);
}

const SETTERS = { f32: 'setFloat32', f64: 'setFloat64', u32: 'setUint32', u64: 'setBigUint64' };
const GETTERS = { f32: 'getFloat32', f64: 'getFloat64', u32: 'getUint32', u64: 'getBigUint64' };

/** A number of things to ask for. */
export function count(what, value) {
    if (!Number.isInteger(value) || value < 0) throw invalid(`${what} is asked for as a number from 0 on, not ${name(value)}`);
    return value;
}

/** Writes the fields that `values` has into a struct at `start`; one that it has not is refused. */
export function writeFields(view, start, { fields }, values, what) {
    for (const [key, value] of Object.entries(values)) {
        const field = fields[key];
        if (!field) throw invalid(`${what} has no ${name(key)}; it has ${Object.keys(fields).join(', ')}`);
        if (value !== undefined) view[SETTERS[field.kind]](start + field.offset, fieldNumber(key, field, value), true);
    }
}

/** The fields of a struct at `start`. A number that is not there (NaN, or no such token) is undefined, a choice is its name. */
export function readFields(view, start, { fields }) {
    const values = {};
    for (const [key, { kind, offset, choices }] of Object.entries(fields)) {
        const value = view[GETTERS[kind]](start + offset, true);
        const known = kind === 'u32' ? value !== 0xffff_ffff : !Number.isNaN(value);
        values[key] = choices ? (Object.keys(choices).find((choice) => choices[choice] === value) ?? value) : known ? value : undefined;
    }
    return values;
}

const DTYPES = { f32: constants.F32, f16: constants.F16, bf16: constants.BF16 };

/** A row as a typed array, and the number of its type. */
export function rowOf(logits) {
    const half = typeof Float16Array !== 'undefined' && logits instanceof Float16Array;
    const dtype = half ? 'f16' : (logits?.dtype ?? 'f32');
    const values = half ? new Uint16Array(logits.buffer, logits.byteOffset, logits.length) : (logits?.bits ?? logits);
    if (!(dtype in DTYPES)) throw invalid(`dtype cannot be ${name(dtype)}; it is one of ${Object.keys(DTYPES).join(', ')}`);
    if (dtype !== 'f32' && !(values instanceof Uint16Array)) throw new TypeError(`${dtype} logits are { dtype, bits: Uint16Array }`);
    if (dtype === 'f32' && !(values instanceof Float32Array) && !Array.isArray(values)) {
        throw new TypeError('logits are a Float32Array, an array of numbers, or { dtype, bits }');
    }
    return { dtype: DTYPES[dtype], values: Array.isArray(values) ? Float32Array.from(values) : values };
}

/** Rows of one type and length, one after the other in one array. */
export function rowsOf(rows) {
    const given = Array.from(rows, rowOf);
    const [first] = given;
    if (!first) return { dtype: constants.F32, length: 0, values: new Float32Array() };
    const length = first.values.length;
    const odd = given.findIndex(({ dtype, values }) => dtype !== first.dtype || values.length !== length);
    if (odd >= 0) throw invalid(`row ${odd} has not the type and the length of row 0`);
    const values = new first.values.constructor(length * given.length);
    given.forEach((row, i) => values.set(row.values, i * length));
    return { dtype: first.dtype, length, values };
}

/** Bitmasks of one length, one after the other: `masks` has one for each of `rows` rows, null where there is none. */
export function masksOf(masks, rows) {
    if (masks === null || masks === undefined) return null;
    const given = Array.from(masks, (mask) => (mask === null || mask === undefined ? null : tokenList('words of a mask', mask)));
    if (given.length !== rows) throw invalid(`${given.length} masks are given for ${rows} rows`);
    const length = Math.max(0, ...given.map((mask) => mask?.length ?? 0));
    const odd = given.findIndex((mask) => mask && mask.length !== length);
    if (odd >= 0) throw invalid(`mask ${odd} has another length than the others`);
    const values = new Uint32Array(length * rows);
    given.forEach((mask, i) => mask && values.set(mask, i * length));
    return { length, values, has: given.map((mask) => mask !== null) };
}

/** Where each of `count` elements of `bytes` bytes stands from `at` on; 0 where there is none. */
export const addresses = (at, count, bytes, has = () => true) => Uint32Array.from({ length: count }, (_, i) => (has(i) ? at + i * bytes : 0));

/** Sequences of tokens as the C library wants them: all tokens, and the lengths. */
export function sequencesOf(what, sequences) {
    const lists = Array.from(sequences, (sequence) => tokenList(what, sequence));
    const tokens = new Uint32Array(lists.reduce((sum, list) => sum + list.length, 0));
    lists.reduce((at, list) => (tokens.set(list, at), at + list.length), 0);
    return [tokens, Uint32Array.from(lists, (list) => list.length)];
}

/** Bytes, of a text in UTF-8 or as they are. */
export function bytesOf(text) {
    if (typeof text === 'string') return new TextEncoder().encode(text);
    if (text instanceof Uint8Array) return text;
    throw new TypeError('text is a string or a Uint8Array of its bytes');
}

/** Pairs from pairs, a Map, or an object by number. */
export const pairsOf = (given) => (given instanceof Map || Array.isArray(given) ? [...given] : Object.entries(given).map(([key, value]) => [Number(key), value]));
