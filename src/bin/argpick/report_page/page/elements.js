// Elements of the page and texts for them. Whatever comes from a file is put in as text, never as HTML.

/** An element with attributes and children; `on...` are listeners, what is null or false is left out. */
export function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (value === null || value === undefined || value === false) continue;
        if (typeof value === 'function') made.addEventListener(name.slice(2), value);
        else made.setAttribute(name, value === true ? '' : String(value));
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return made;
}

/** Replaces the children of the element with this id, and answers it. */
export function fill(id, ...children) {
    const found = document.getElementById(id);
    found.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
    return found;
}

/** A text whose blanks, breaks and control characters can be seen. */
export function visible(text) {
    if (text === '') return '(empty)';
    return text.replaceAll('\n', '⏎').replaceAll('\t', '⇥').replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')
        .replace(/^ +| +$/g, (blanks) => '␣'.repeat(blanks.length));
}

/** A word of a text, kept apart from what surrounds it in any direction of writing. */
export const word = (text, attributes = {}) => element('span', { dir: 'auto', ...attributes, class: `word ${attributes.class ?? ''}`.trim() }, visible(text));

/** A text in quotes. */
export const quoted = (text) => `“${visible(text)}”`;

/** A number with so many digits after the point; nothing known is a dash. */
export function number(value, digits = 3) {
    if (value === null || value === undefined || Number.isNaN(value)) return '–';
    return value === Infinity ? '∞' : value.toFixed(digits);
}

/** A probability as a percentage; small ones keep two digits that count. */
export function percent(value) {
    if (value === null || value === undefined) return '–';
    const hundredths = 100 * value;
    if (hundredths === 0) return '0 %';
    if (hundredths < 0.01) return '< 0.01 %';
    return `${hundredths.toFixed(hundredths < 1 ? 2 : 1)} %`;
}

/** A parameter in the fewest digits that are the same f32. */
export function parameter(value) {
    if (value === null || value === undefined) return '–';
    for (let digits = 1; digits < 10; digits++) {
        const short = Number(value.toPrecision(digits));
        if (Math.fround(short) === Math.fround(value)) return String(short);
    }
    return String(value);
}

/** 1 step, 2 steps. */
export const plural = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;
