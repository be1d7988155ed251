// Writes layout.js and layout.d.ts from include/argpick.h: where the fields of the structs lie, what the constants are, and
// the types of configurations, picks and continuations with their comments. `node layout.mjs --check` only compares.
import { readFile, writeFile } from 'node:fs/promises';

const here = new URL('.', import.meta.url);
const header = await readFile(new URL('../../include/argpick.h', here), 'utf8');

const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
// As WebAssembly has them: a pointer and a size are 32 bits.
const TYPES = { uint32_t: ['u32', 4], size_t: ['u32', 4], float: ['f32', 4], uint64_t: ['u64', 8], double: ['f64', 8], argpick_dtype: ['u32', 4] };

function struct(name) {
    const body = new RegExp(`typedef struct ${name} \\{([^}]*)\\} ${name};`).exec(header);
    if (!body) throw new Error(`argpick.h has no struct ${name}`);
    const fields = [];
    let [offset, comment] = [0, []];
    for (const line of body[1].split('\n').map((line) => line.trim()).filter(Boolean)) {
        if (line.startsWith('//')) {
            comment.push(line.slice(2).trim());
            continue;
        }
        const [, pointed, type, field] = /^(?:(?:const |struct )?\w+ (\*)(?:const \*)?|(\w+) )(\w+);$/.exec(line) ?? [];
        if (!pointed && !TYPES[type]) throw new Error(`${name}: cannot read "${line}"`);
        const [kind, size] = pointed ? TYPES.size_t : TYPES[type];
        if (offset % size) throw new Error(`${name}.${field} would need padding`);
        fields.push({ name: camel(field), field, kind, offset, comment });
        [offset, comment] = [offset + size, []];
    }
    return { size: offset, fields };
}

const constants = [...header.matchAll(/^#define ARGPICK_(\w+) (-?\d+)$/gm)].map(([, name, value]) => [name, Number(value)]);
// The names that a field may be given by: mode has MODE_SAMPLE and so on, metrics METRIC_CONFIDENCE.
const choices = (field) => {
    const prefix = field === 'metrics' ? 'METRIC_' : `${field.toUpperCase()}_`;
    return constants.filter(([name]) => name.startsWith(prefix))
        .map(([name, value]) => [name.slice(prefix.length).toLowerCase().replaceAll('_', '-'), value]);
};
const hidden = (field) => field === 'struct_size' || /^reserved\d+$/.test(field);

const structs = {
    config: struct('argpick_config'),
    pick: struct('argpick_pick'),
    candidate: struct('argpick_candidate'),
    stage: struct('argpick_stage'),
    drafts: struct('argpick_drafts'),
    verified: struct('argpick_verified'),
    beamConfig: struct('argpick_beam_config'),
    beamState: struct('argpick_beam_state'),
    beamContinuation: struct('argpick_beam_continuation'),
    hypothesis: struct('argpick_hypothesis'),
};
const notice = '// Made from include/argpick.h by layout.mjs.\n';
const quote = (value) => JSON.stringify(value).replaceAll('"', "'");

let code = notice;
for (const [name, { size, fields }] of Object.entries(structs)) {
    code += `\nexport const ${name} = {\n    size: ${size},\n    fields: {\n`;
    for (const { name, field, kind, offset } of fields.filter(({ field }) => !hidden(field))) {
        const named = choices(field).map(([choice, value]) => `${quote(choice)}: ${value}`).join(', ');
        code += `        ${name}: { kind: '${kind}', offset: ${offset}${named && `, choices: { ${named} }`} },\n`;
    }
    code += '    },\n};\n';
}
code += '\nexport const constants = {\n';
code += constants.map(([name, value]) => `    ${name}: ${value},\n`).join('') + '};\n';

let types = notice;
const typeOf = (name, { field, kind }) => {
    const named = choices(field).map(([choice]) => quote(choice)).join(' | ');
    if (!name.endsWith('onfig')) return named || (kind === 'u64' ? 'bigint' : 'number');
    if (field === 'metrics') return `number | (${named})[]`;
    if (named) return `number | ${named}`;
    return kind === 'u64' ? 'number | bigint' : kind === 'u32' ? 'number | boolean' : 'number';
};
// A comment of the header, for readers of JavaScript: 'mode' in place of ARGPICK_MODE_.
const about = (comment) => comment.join(' ').replaceAll('*/', '');
const INTERFACES = {
    config: ['Config', 'Everything that decides what a decoder does with a row. What is left out is off.'],
    pick: ['Pick', 'The token picked, and how sure the row was. What `metrics` did not ask for is undefined.'],
    candidate: ['Candidate', 'A token of a row.'],
    beamConfig: ['BeamConfig', 'Everything that decides what a beam search does. What is left out has its default.'],
    beamContinuation: ['BeamContinuation', 'A beam and the token it goes on with, or ends with.'],
};
for (const [name, [title, comment]] of Object.entries(INTERFACES)) {
    const { fields } = structs[name];
    types += `\n/** ${comment} */\nexport interface ${title} {\n`;
    for (const field of fields.filter(({ field }) => !hidden(field))) {
        const absent = name === 'pick' && /METRIC_/.test(about(field.comment));
        const optional = name.endsWith('onfig') ? '?' : '';
        types += `    /** ${about(field.comment)} */\n`;
        types += `    ${optional ? '' : 'readonly '}${field.name}${optional}: ${typeOf(name, field)}${absent ? ' | undefined' : ''};\n`;
    }
    types += '}\n';
}
types += '\n/** The constants of the C header without their prefix. */\nexport const constants: {\n';
types += constants.map(([name]) => `    readonly ${name}: number;\n`).join('') + '};\n';

for (const [file, text] of [['layout.js', code], ['layout.d.ts', types]]) {
    const path = new URL(file, here);
    if (!process.argv.includes('--check')) await writeFile(path, text);
    else if (await readFile(path, 'utf8').catch(() => '') !== text) {
        console.error(`bindings/wasm/${file} is not that of include/argpick.h: run node bindings/wasm/layout.mjs`);
        process.exitCode = 1;
    }
}
