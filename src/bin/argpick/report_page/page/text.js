// The text of a run: what it is, and a box for each step.
import { element, fill, number, percent, plural, quoted, word } from './elements.js';

/** What the run is: where it is from, what was in force, how it ended. */
export function showRun(run) {
    const pair = ([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, word(value)));
    fill('facts', pair(['from', run.source]), run.parameters.map(pair), pair(['steps', String(run.steps.length)]), run.facts.map(pair));
    fill('run-remarks', run.remarks.map((remark) => element('li', {}, remark))).hidden = run.remarks.length === 0;
    const prompt = run.context === null ? [] : ['Prompt: ', word(run.context)];
    fill('prompt', ...prompt);
    fill('ending', run.stop === null ? [] : [`The text ends by ${run.stop}.`]);
}

/** The boxes. `now` has the picks of the sliders, or null; `choose` is called with the step that is wanted. */
export function showSteps({ run, step: selected, now }, choose) {
    const difference = now === null ? -1 : firstDifference(run, now);
    const chips = run.steps.map((step, index) => {
        const recorded = step.token === null ? `(${step.error})` : run.word(step.token);
        const other = now?.[index]?.pick?.token;
        const differs = now !== null && now[index] !== undefined && other !== step.token;
        const kind = run.undone.has(index) ? 'undone' : step.recorded ? '' : 'evaluated';
        const said = `Step ${index}: ${quoted(recorded)}${kind && `, ${kind}`}` + (step.top1 === null ? '' : `, best token ${percent(step.top1)}`)
            + (differs ? `, with the sliders ${now[index].pick ? quoted(run.word(other)) : 'an error'}` : '');
        const chip = element('button', {
            type: 'button', class: `chip ${kind}`.trim(), 'data-step': index, 'aria-label': said,
            'aria-current': index === selected ? 'step' : null, tabindex: index === selected ? 0 : -1, onclick: () => choose(index, true),
            title: [kind, step.entropy === null ? '' : `entropy ${number(step.entropy)}, margin ${number(step.margin)}`].filter(Boolean).join('; '),
        }, word(recorded));
        if (differs) {
            const text = now[index].pick ? word(run.word(other)) : 'error';
            chip.append(element('span', { class: `now${index > difference ? ' beyond' : ''}` }, text));
        }
        // Up to a half of the colour: the text on it stays easy to read.
        if (step.top1 !== null) chip.style.setProperty('--doubt', (0.4 * (1 - step.top1)).toFixed(3));
        return chip;
    });
    // Tokens that the host recorded without a step stand between the boxes.
    const parts = [];
    let next = 0;
    for (const { token, step } of run.text) {
        if (step === null) parts.push(element('span', { class: 'given', title: 'recorded by the host' }, word(run.word(token))));
        else for (; next <= step; next++) parts.push(chips[next]);
    }
    fill('steps', parts, chips.slice(next));
}

/** Arrow keys on the boxes: the step they lead to, or null. */
export function stepByKey(key, step, count) {
    const to = { ArrowRight: step + 1, ArrowLeft: step - 1, ArrowDown: step + 1, ArrowUp: step - 1, Home: 0, End: count - 1 }[key];
    return to === undefined ? null : Math.min(Math.max(to, 0), count - 1);
}

/** The first step whose pick is another one, or -1. */
export const firstDifference = (run, now) => run.steps.findIndex((step, i) => now[i] !== undefined && (now[i].pick?.token ?? null) !== step.token);

/** What the sliders come to, in a sentence. */
export function outcome(run, now) {
    const compared = now.filter((result) => result !== undefined).length;
    const different = run.steps.filter((step, i) => now[i] !== undefined && (now[i].pick?.token ?? null) !== step.token).length;
    if (different === 0) return `With these settings all ${plural(compared, 'step')} pick the same tokens.`;
    const first = firstDifference(run, now);
    const { pick, error } = now[first];
    const instead = pick ? `${quoted(run.word(pick.token))} instead of ${quoted(run.word(run.steps[first].token))}` : error;
    return `With these settings ${different} of ${plural(compared, 'step')} pick another token, first step ${first}: ${instead}. `
        + 'Up to there the text is the one that would have come; the steps after it are judged on the recorded text, because their rows are.';
}
