// Runs with one prompt, side by side.
import { chart } from './charts.js';
import { element, fill, number, percent, quoted, word } from './elements.js';

const COLOURS = 8;

export const colourOf = (place) => `series-${(place % COLOURS) + 1}`;

const swatch = (place) => {
    const made = element('span', { class: 'swatch', 'aria-hidden': 'true' });
    made.style.background = `var(--${colourOf(place)})`;
    return made;
};

const list = (names) => (names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`);

/** Shows a group; `choose` is called with a run and a step of it. */
export function showGroup(data, group, choose) {
    const runs = group.runs.map((index) => data.runs[index]);
    const place = (index) => group.runs.indexOf(index);
    const name = (index) => `run ${place(index) + 1}`;
    showPartings(group, name);
    showTwins(runs, name);
    const length = Math.max(...runs.map((run) => run.text.length));
    const partingAt = new Map(group.partings.map((parting) => [parting.step, true]));

    fill('group-chart');
    chart(document.getElementById('group-chart'), {
        title: 'Entropy of each step (nats)',
        curves: runs.map((run, i) => ({ label: name(run.index), colour: colourOf(i), values: run.text.map(({ step }) => (step === null ? null : run.steps[step].entropy)) })),
        marked: () => group.partings.map(({ step }) => [step, 'now']),
        summary: `Entropy of each step of ${runs.length} runs. The numbers are in the table below.`,
    });

    const settings = (run) => run.parameters.map(([parameter, value]) => `${parameter} ${value}`).join(', ');
    const head = element('tr', {}, element('th', { scope: 'col' }, 'Step'), runs.map((run, i) => element('th', { scope: 'col' },
        swatch(i), `Run ${i + 1}: `, word(run.label), element('small', {}, settings(run)))));
    const rows = Array.from({ length: length + 1 }, (_, at) => {
        const cells = runs.map((run, i) => {
            if (at > run.text.length) return element('td');
            if (at === run.text.length) return element('td', { class: 'apart' }, element('small', {}, run.stop === null ? 'end' : `ends by ${run.stop}`));
            const { token, step } = run.text[at];
            const found = step === null ? null : run.steps[step];
            const label = [word(run.word(token)), ' ', element('small', {}, found ? `${number(found.entropy, 2)} | ${number(found.margin, 2)}` : '')];
            const cell = element('td', { class: 'apart' }, found ? element('button', { type: 'button', onclick: () => choose(run, step) }, label) : label);
            // The colour of the first run that has the same text up to here.
            const twin = runs.findIndex((other) => sameUpTo(other, run, at));
            cell.style.borderLeftColor = `var(--${colourOf(twin < 0 ? i : twin)})`;
            return cell;
        });
        return element('tr', { class: partingAt.has(at) ? 'parting' : null, 'data-step': at },
            element('th', { scope: 'row' }, String(at), partingAt.has(at) ? element('span', { class: 'mark now' }, ' part') : null), cells);
    });
    fill('side-by-side', element('thead', {}, head), element('tbody', {}, rows));
}

function showPartings(group, name) {
    if (group.partings.length === 0) {
        fill('partings', element('li', {}, 'The texts part nowhere.'));
        return;
    }
    fill('partings', group.partings.map(({ step, branches }) => element('li', { 'data-step': step }, `Step ${step}: `,
        branches.flatMap(({ token, runs, numbers }, i) => {
            const way = token === null ? 'the text ends' : element('strong', {}, quoted(token));
            return [i > 0 ? '; ' : '', way, ' in ', together(runs.map(name), numbers)];
        }))));
}

/** Which runs have the same text to the end: settings that made no difference. */
function showTwins(runs, name) {
    const bundles = new Map();
    for (const run of runs) {
        const text = JSON.stringify(run.text.map(({ token }) => run.word(token)));
        bundles.set(text, [...(bundles.get(text) ?? []), run]);
    }
    const twins = [...bundles.values()].filter((bundle) => bundle.length > 1);
    fill('twins', `${runs.length} runs, ${bundles.size} different ${bundles.size === 1 ? 'text' : 'texts'}.`,
        twins.map((bundle) => ` The text is the same in ${list(bundle.map((run) => name(run.index)))}.`));
}

/** Names of runs with the numbers of their steps; runs with the same numbers are named together. */
function together(names, numbers) {
    const parts = new Map();
    names.forEach((run, i) => {
        const known = numbers[i];
        const said = known ? ` (entropy ${number(known[0])}, margin ${number(known[1] ?? Infinity)}, best token ${percent(known[2])})` : '';
        parts.set(said, [...(parts.get(said) ?? []), run]);
    });
    return list([...parts].map(([said, runs]) => list(runs) + said));
}

function sameUpTo(one, other, at) {
    for (let i = 0; i <= at; i++) {
        const [a, b] = [one.text[i], other.text[i]];
        if (!a || !b || one.word(a.token) !== other.word(b.token)) return false;
    }
    return true;
}
