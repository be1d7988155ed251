// The sliders: what would other parameters pick?
import { element, fill, parameter } from './elements.js';

// What each does to the step, its range on the slider, and its value where it is off. A number field takes what the slider
// does not reach.
const SLIDERS = [
    { name: 'temperature', label: 'Temperature', least: 0, most: 2, by: 0.05, standard: 1, hint: '0 is greedy' },
    { name: 'topK', label: 'Top-k', least: 0, most: 100, by: 1, standard: 0, hint: '0 is off' },
    { name: 'topP', label: 'Top-p', least: 0, most: 1, by: 0.01, standard: 1, hint: '1 is off' },
    { name: 'minP', label: 'Min-p', least: 0, most: 1, by: 0.01, standard: 0, hint: '0 is off' },
    { name: 'seed', label: 'Seed', least: 0, most: 100, by: 1, standard: 0, hint: 'of the draws' },
];
const GREEDY = 1;

/** The form for a run; `changed` is called with the parameters that are not the recorded ones. */
export function showSliders(run, changed) {
    const changes = {};
    const recorded = (name, standard) => {
        const value = run.config[name] ?? standard;
        return typeof value === 'bigint' ? value : Math.fround(value);
    };
    const say = () => changed({ ...changes });
    const reset = element('button', { type: 'button', disabled: true, id: 'reset' }, 'As recorded');
    const note = (label, name) => {
        label.classList.toggle('changed', name in changes);
        reset.disabled = Object.keys(changes).length === 0;
    };

    const mode = element('select', { id: 'mode' }, element('option', { value: '0' }, 'Draw (sample)'), element('option', { value: '1' }, 'Best token (greedy)'));
    mode.value = String(run.config.mode ?? 0);
    const modeLabel = element('label', { for: 'mode' }, 'Pick');
    mode.addEventListener('change', () => {
        if (Number(mode.value) === (run.config.mode ?? 0)) delete changes.mode;
        else changes.mode = Number(mode.value);
        note(modeLabel, 'mode');
        say();
    });
    const rows = SLIDERS.map(({ name, label: text, least, most, by, standard, hint }) => {
        const start = recorded(name, standard);
        const reach = name === 'topK' ? Math.min(run.vocab, Math.max(most, Number(start))) : Math.max(most, Number(start));
        const label = element('label', { for: name }, text);
        // A slider cannot stand between its steps, and a seed can be larger than its numbers: the field says what is in force.
        const slider = element('input', { type: 'range', id: name, min: least, max: reach, step: by, 'aria-describedby': 'settings-hint' });
        const field = element('input', { type: 'number', id: `${name}-value`, min: least, step: 'any', 'aria-label': `${text}, ${hint}`, title: hint });
        const show = () => {
            const value = name in changes ? changes[name] : start;
            slider.value = String(Math.min(Number(value), reach));
            field.value = typeof value === 'bigint' ? String(value) : parameter(value);
            slider.setAttribute('aria-valuetext', field.value);
            note(label, name);
        };
        const take = (value) => {
            if (value === start || value === Number(start)) delete changes[name];
            else changes[name] = value;
            show();
            say();
        };
        slider.addEventListener('input', () => take(name === 'seed' ? BigInt(slider.value) : Number(slider.value)));
        field.addEventListener('change', () => {
            const given = field.value.trim();
            if (given === '' || !Number.isFinite(Number(given))) show();
            else take(name === 'seed' && /^\d+$/.test(given) ? BigInt(given) : Number(given));
        });
        show();
        return { parts: [label, slider, field], show };
    });
    reset.addEventListener('click', () => {
        Object.keys(changes).forEach((name) => delete changes[name]);
        mode.value = String(run.config.mode ?? 0);
        modeLabel.classList.remove('changed');
        rows.forEach(({ show }) => show());
        say();
        mode.focus();
    });
    fill('sliders', modeLabel, mode, rows.flatMap(({ parts }) => parts), element('div', { class: 'buttons' }, reset));
}

/** Why filters and seed may have no effect. */
export const hint = (run, changes) => {
    const config = { ...run.config, ...changes };
    const greedy = (config.mode ?? 0) === GREEDY || config.temperature === 0;
    return greedy ? 'Greedy takes the best token: filters and seed have no effect until “Pick” is a draw.'
        : 'Each step is decoded anew in this page, by the same library, on its recorded row.';
};
