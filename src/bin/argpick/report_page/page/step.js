// One step: its numbers, its best tokens, what each filter leaves.
import { element, fill, number, parameter, percent, plural, quoted, word } from './elements.js';

const CLIFF = 0.05;

/** Shows a step. `now` is its result with the sliders, `seen` its tokens and stages with them, both null where there are none. */
export function showStep(run, index, now, seen) {
    const step = run.steps[index];
    const title = step.token === null ? 'refused' : quoted(run.word(step.token));
    fill('step-title', `Step ${index}: `, element('bdi', {}, title));
    fill('step-words', words(run, step, now));
    const pick = now?.pick ?? null;
    // Numbers of a whole row only: those of its best logits are others.
    const known = pick && step.isWhole ? pick : step;
    const numbers = [
        ['entropy', number(known.entropy)],
        ['margin', number(known.margin)],
        ['best token', percent(known.top1Probability ?? step.top1)],
        ['log-probability', number(known.logprob)],
        ['rank', known.rank ?? '–'],
        ['kept', known.kept ?? '–'],
        ['position', step.position],
    ];
    fill('numbers', numbers.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', { 'data-number': name }, String(value)))));
    showBest(run, step, pick, seen?.best ?? step.best);
    showStages(seen?.stages ?? step.stages);
}

function words(run, step, now) {
    if (step.error !== null) return `The decoder refused this step: ${step.error}.`;
    const parts = [];
    if (step.margin === Infinity) parts.push('There was only one token to choose.');
    else if (step.margin !== null && step.margin < CLIFF) parts.push(`A cliff: the runner-up was only ${number(step.margin)} behind.`);
    else if (step.top1 !== null && step.top1 > 0.9) parts.push('A clear case: the best token has nearly everything.');
    if (step.rank > 0) parts.push(`The draw took the token of rank ${step.rank}, not the best.`);
    if (now?.pick && now.pick.token !== step.token) parts.push(`With the sliders: ${quoted(run.word(now.pick.token))}.`);
    if (now?.error) parts.push(`With the sliders: ${now.error}.`);
    if (step.bestCount > 0) {
        parts.push(`The page has the ${step.bestCount} best of this step's ${run.vocab} logits; the sliders take all others for masked.`);
    }
    return parts.join(' ');
}

function showBest(run, step, pick, best) {
    const hasBars = best.some(({ before }) => before !== null);
    document.getElementById('of-bars').hidden = !hasBars;
    document.getElementById('of-sliders').hidden = !run.canRedecode;
    const head = ['Token', 'Logit', ...(hasBars ? ['Probability', 'Before', 'After'] : [])];
    const rows = best.map(({ token, logit, before, after }) => {
        const marks = [
            token === step.token ? element('span', { class: 'mark', title: 'recorded pick', role: 'img', 'aria-label': 'recorded pick' }, ' ●') : null,
            token === pick?.token ? element('span', { class: 'mark now', title: 'pick with the sliders', role: 'img', 'aria-label': 'pick with the sliders' }, ' ◆') : null,
        ];
        const cells = [
            element('td', {}, word(run.word(token)), ...marks.filter(Boolean)),
            element('td', { class: 'number' }, number(logit)),
        ];
        if (hasBars) {
            const bar = (share, kind) => {
                const made = element('div', { class: `fill ${kind}` });
                made.style.width = `${(100 * share).toFixed(3)}%`;
                return made;
            };
            cells.push(
                element('td', { class: 'bars' }, element('div', { class: 'track', title: `${percent(before)} before, ${percent(after)} after` },
                    bar(before, 'before'), bar(after, 'after'))),
                element('td', { class: 'number' }, percent(before)),
                element('td', { class: 'number' }, after === 0 ? 'cut' : percent(after)),
            );
        }
        return element('tr', { class: after === 0 ? 'cut' : null, 'data-token': typeof token === 'number' ? token : null,
            'data-before': before, 'data-after': after, 'data-logit': logit }, cells);
    });
    fill('best', element('thead', {}, element('tr', {}, head.map((title, i) =>
        element('th', { scope: 'col', class: i === 1 || i > 2 ? 'number' : null }, title)))), element('tbody', {}, rows));
    document.getElementById('best').hidden = best.length === 0;
}

function showStages(stages) {
    const rows = stages.map(({ name, parameter: value, kept, keptMass, temperature }) => {
        const share = element('div', { class: 'fill only' });
        share.style.width = `${(100 * keptMass).toFixed(3)}%`;
        return element('tr', { 'data-stage': name, 'data-kept': kept, 'data-mass': keptMass },
            element('th', { scope: 'row' }, name.replaceAll('_', '-')),
            element('td', { class: 'number' }, parameter(value)),
            element('td', { class: 'number' }, String(kept)),
            element('td', { class: 'bars' }, element('div', { class: 'track' }, share)),
            element('td', { class: 'number' }, percent(keptMass)),
            element('td', { class: 'number' }, parameter(temperature)));
    });
    const head = ['Filter', 'Value', 'Tokens left', 'Of all probability', '', 'Temp.'];
    fill('stages', element('thead', {}, element('tr', {}, head.map((title, i) =>
        (title ? element('th', { scope: 'col', class: ['', 'number', 'number', 'bars', 'number', 'number'][i] }, title) : element('td', {}))))), element('tbody', {}, rows));
    document.getElementById('stages').hidden = stages.length === 0;
    document.getElementById('stages-title').hidden = stages.length === 0;
}

/** How many steps there are, for the buttons. */
export function showButtons(index, count) {
    document.getElementById('previous').disabled = index === 0;
    document.getElementById('next').disabled = index === count - 1;
    document.getElementById('previous').title = `${plural(index, 'step')} before`;
    document.getElementById('next').title = `${plural(count - 1 - index, 'step')} after`;
}
