// The page: what is chosen, and drawing it anew when that changes.
import { showGroup } from './branches.js';
import { chart } from './charts.js';
import { read } from './data.js';
import { element, fill, plural, visible } from './elements.js';
import { library, look, redecode } from './redecode.js';
import { hint, showSliders } from './sliders.js';
import { showButtons, showStep } from './step.js';
import { outcome, showRun, showSteps, stepByKey } from './text.js';
import { ArgpickError } from './values.js';

const data = read(document.getElementById('data').textContent);
/** What is chosen: a run, a step, changed parameters and the results with them; the library, once it is there. */
const state = { run: data.runs[0], step: 0, changes: {}, now: null, argpick: null, group: 0, charts: [], shown: null };

const MOST_SHOWN = 200;

const byId = (id) => document.getElementById(id);

function showHead() {
    document.title = data.title;
    fill('title', data.title);
    const steps = data.runs.reduce((sum, run) => sum + run.steps.length, 0);
    fill('summary', `${plural(data.runs.length, 'run')}, ${plural(steps, 'step')}`);
    fill('remarks', data.remarks.map((remark) => element('li', {}, remark))).hidden = data.remarks.length === 0;
    fill('versions', `Made by argpick ${data.version} (numerics ${data.numerics}). Charts by uPlot 1.6.32 (MIT).`);
    const name = (run) => `${run.index + 1}. ${visible(run.context ?? run.source).slice(0, 80)} · ${visible(run.label)}`;
    fill('run', data.runs.map((run) => element('option', { value: run.index }, name(run))));
    byId('chooser').hidden = data.runs.length < 2;
    byId('run').addEventListener('change', () => chooseRun(data.runs[Number(byId('run').value)]));
    byId('group-chooser').hidden = data.groups.length < 2;
    fill('group', data.groups.map((group, i) => element('option', { value: i }, visible(group.context).slice(0, 80))));
    byId('group').addEventListener('change', () => {
        state.group = Number(byId('group').value);
        drawGroup();
    });
}

function chooseRun(run, step = 0) {
    Object.assign(state, { run, step: Math.min(step, run.steps.length - 1), changes: {}, now: null });
    byId('run').value = String(run.index);
    const group = data.groups.findIndex(({ runs }) => runs.includes(run.index));
    if (group >= 0 && group !== state.group) {
        state.group = group;
        byId('group').value = String(group);
        drawGroup();
    }
    showRun(run);
    byId('settings').hidden = !run.canRedecode;
    fill('outcome');
    if (run.canRedecode && state.argpick) {
        showSliders(run, changeSettings);
        fill('settings-hint', hint(run, {}));
        check(run);
    }
    draw();
}

function chooseStep(step, focus = false) {
    state.step = step;
    for (const chip of byId('steps').querySelectorAll('.chip')) {
        const isChosen = Number(chip.dataset.step) === step;
        chip.tabIndex = isChosen ? 0 : -1;
        if (isChosen) chip.setAttribute('aria-current', 'step');
        else chip.removeAttribute('aria-current');
        if (isChosen && focus) chip.focus();
    }
    drawStep();
    state.charts.forEach((plot) => plot.redraw(false));
}

function changeSettings(changes) {
    const { argpick, run } = state;
    state.changes = changes;
    state.now = null;
    const line = fill('outcome');
    line.classList.remove('error');
    fill('settings-hint', hint(run, changes));
    if (Object.keys(changes).length > 0) {
        try {
            state.now = redecode(argpick, run, changes);
            line.textContent = outcome(run, state.now);
        } catch (error) {
            if (!(error instanceof ArgpickError)) throw error;
            line.classList.add('error');
            line.textContent = `The library refuses this: ${error.message}.`;
        }
    }
    draw();
}

/** With the recorded parameters every step must come out as recorded; the page says so, or warns. */
function check(run) {
    const line = byId('check');
    line.classList.remove('warning');
    const again = redecode(state.argpick, run, {});
    const wrong = run.steps.findIndex((step, i) => step.isWhole && (again[i].pick?.token ?? null) !== step.token);
    if (wrong >= 0) {
        line.classList.add('warning');
        line.textContent = `Step ${wrong} does not come out as recorded in this page. Do not trust its sliders.`;
    } else {
        const whole = run.steps.filter((step) => step.isWhole).length;
        line.textContent = `Checked in this page: ${plural(whole, 'step')} of this run decode to the recorded tokens.`;
    }
}

function draw() {
    showSteps(state, chooseStep);
    drawStep();
    drawCharts();
}

function drawStep() {
    const { argpick, run, step, changes, now } = state;
    const given = run.steps[step];
    const canLook = argpick && run.canRedecode && given.hasRow;
    byId('more').hidden = !canLook;
    const count = state.shown ?? Math.max(given.best.length, 1);
    byId('shown').value = String(count);
    // What was recorded is there without decoding anew; more of it, or other settings, is not.
    const seen = canLook && (now || count !== given.best.length) ? look(argpick, run, now ? changes : {}, step, count) : null;
    showStep(run, step, now?.[step] ?? null, seen);
    showButtons(step, run.steps.length);
}

const CURVES = [
    { title: 'Entropy (nats)', name: 'entropy', of: (pick) => pick.entropy },
    { title: 'Margin (best minus second logit)', name: 'margin', of: (pick) => pick.margin },
    { title: 'Probability of the best token', name: 'top1', of: (pick) => pick.top1Probability, most: 1 },
];

function drawCharts() {
    const { run, now } = state;
    const parent = byId('charts');
    state.charts.forEach((plot) => plot.destroy());
    parent.replaceChildren();
    state.charts = CURVES.map(({ title, name, of, most }) => {
        const curves = [{ label: 'recorded', colour: 'after', values: run.steps.map((step) => step[name]) }];
        // A row of which only the best is here has another entropy: its curve would lie.
        if (now) curves.push({ label: 'with the sliders', colour: 'now', dash: [6, 4], values: run.steps.map((step, i) => (now[i]?.pick && step.isWhole ? of(now[i].pick) : null)) });
        return chart(parent, {
            title, curves, most, onstep: (step) => chooseStep(step),
            marked: () => [[state.step, 'quiet']],
            summary: `${title} of ${plural(run.steps.length, 'step')}. The numbers of each step are beside the chart.`,
        });
    });
    const legend = [element('span', { class: 'line' }), ' recorded'];
    fill('curves-legend', now ? [...legend, ' ', element('span', { class: 'line now' }), ' with the sliders'] : legend, '. From left to right: the steps; click one to see it.');
}

function drawGroup() {
    byId('branches').hidden = data.groups.length === 0;
    if (data.groups.length === 0) return;
    showGroup(data, data.groups[state.group], (run, step) => {
        chooseRun(run, step);
        byId('text').scrollIntoView();
        byId('steps').querySelector('[aria-current]')?.focus();
    });
}

byId('steps').addEventListener('keydown', (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const step = stepByKey(event.key, state.step, state.run.steps.length);
    if (step === null) return;
    event.preventDefault();
    chooseStep(step, true);
});
byId('shown').addEventListener('change', () => {
    const count = Math.round(Number(byId('shown').value));
    state.shown = count >= 1 ? Math.min(count, MOST_SHOWN) : null;
    drawStep();
});
byId('previous').addEventListener('click', () => chooseStep(Math.max(state.step - 1, 0)));
byId('next').addEventListener('click', () => chooseStep(Math.min(state.step + 1, state.run.steps.length - 1)));
byId('sliders').addEventListener('submit', (event) => event.preventDefault());
// A canvas does not follow the style sheet by itself.
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    drawCharts();
    drawGroup();
});
let width = innerWidth;
addEventListener('resize', () => {
    if (innerWidth === width) return;
    width = innerWidth;
    drawCharts();
    drawGroup();
});

async function start() {
    showHead();
    drawGroup();
    chooseRun(data.runs[0]);
    if (data.runs.some((run) => run.canRedecode)) {
        fill('settings-hint', 'The decoder is being loaded.');
        try {
            state.argpick = await library(byId('module').textContent);
            chooseRun(state.run, state.step);
        } catch (error) {
            // An engine without WebAssembly or its vectors: everything but the sliders works.
            fill('settings-hint', `The decoder cannot run in this browser (${error.message}), so the sliders are missing.`);
        }
    } else {
        fill('check', 'No run has its rows in this page, so there is nothing to decode anew.');
    }
    document.documentElement.dataset.ready = 'yes';
}

start();
