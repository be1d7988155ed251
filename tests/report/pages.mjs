// node pages.mjs TOOL [FOLDER FOR PICTURES]: the pages of `argpick report` in headless Chromium.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Page, browserName, launch } from './chromium.mjs';
import { dataOf, floats, run, words32, writeNpy } from './tool.mjs';

const [, , tool, pictures] = process.argv;
const browserFound = browserName();
if (!browserFound) {
    console.log('skipped: the pages of argpick report (no chromium; its Debian package: chromium)');
    process.exit(3);
}
if (pictures) mkdirSync(pictures, { recursive: true });
const folder = mkdtempSync(join(tmpdir(), 'argpick-pages-'));
const path = (name) => join(folder, name);
const url = (name) => pathToFileURL(path(name)).href;
const browser = await launch(browserFound);
const page = new Page(browser);

const all = (selector, of) => page.value(`[...document.querySelectorAll(${JSON.stringify(selector)})].map((one) => ${of})`);
const text = (selector) => page.value(`document.querySelector(${JSON.stringify(selector)}).textContent`);
/** The pick of each step with the sliders, as words. */
const picks = () => all('#steps .chip', "(one.querySelector('.now') ?? one.querySelector('.word')).textContent");
/** Nothing but the page itself was asked for, and nothing was wrong. */
function quiet(name) {
    assert.deepEqual(page.errors(), []);
    assert.deepEqual([...new Set(page.requests())], [url(name)]);
}
async function picture(name) {
    if (pictures) writeFileSync(join(pictures, `${name}.png`), await page.picture());
}

const PROMPTS = ['The sea and the sky', 'He gave her'];
const SETTINGS = [
    ['greedy', ['--mode', 'greedy']],
    ['careful', ['--mode', 'sample', '--temp', '0.8', '--top-k', '40', '--top-p', '0.9', '--seed', '3']],
    ['lively', ['--mode', 'sample', '--temp', '1.2', '--min-p', '0.05', '--repetition-penalty', '1.1', '--seed', '3']],
];
const prompts = PROMPTS.flatMap((prompt) => ['--context', prompt]);
const decode = (options, ...more) => JSON.parse(run(tool, 'decode', '--steps', 14, ...options, ...more, '--json')).texts;

/** A report of three recordings with two prompts each. */
function recordings() {
    const texts = SETTINGS.map(([name, options]) => decode(options, ...prompts, '--record', path(`${name}.trace`)));
    run(tool, 'report', ...SETTINGS.map(([name]) => path(`${name}.trace`)), '--out', path('page.html'), '--title', 'Three ways on');
    return texts;
}

/** What `argpick explain` says about a step of a run, with other settings. */
function explained(run_, index, settings) {
    const prompt = run_.events.find(([what]) => what === 'prompt')[1];
    const generated = run_.steps.slice(0, index).map(({ token }) => token);
    const list = (option, ids) => (ids.length ? [option, ids.join(',')] : []);
    return JSON.parse(run(tool, 'explain', '--rows', path('rows.npy'), '--masks', path('masks.npy'), '--row', index, '--position', index,
        ...list('--prompt', prompt), ...list('--generated', generated), ...(settings.includes('--top') ? [] : ['--top', 12]), '--json', ...settings));
}

function rowsToFiles(run_) {
    writeNpy(path('rows.npy'), run_.steps.map(({ logits }) => floats(logits.row)));
    writeNpy(path('masks.npy'), run_.steps.map(({ mask }) => words32(mask)));
}

const close = (a, b, what) => assert.ok(Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(b)), `${what}: ${a} is not ${b}`);

async function showsWhatTheToolSays(texts) {
    const data = dataOf(path('page.html'));
    await page.open(url('page.html'));
    assert.equal(await text('h1'), 'Three ways on');
    assert.equal(await page.value('document.title'), 'Three ways on');
    const numbers = (step) => [step.entropy, step.margin, step.p_top1];
    for (const [set, [name, options]] of SETTINGS.entries()) {
        for (const [at] of PROMPTS.entries()) {
            const index = set * PROMPTS.length + at;
            const told = texts[set][at];
            await page.value(`(() => { const select = document.getElementById('run'); select.value = '${index}'; select.dispatchEvent(new Event('change')); })()`);
            assert.deepEqual(await all('#steps .chip', 'one.textContent'), told.steps.map(({ picked }) => picked), name);
            assert.match(await text('#check'), new RegExp(`: ${told.steps.length} steps of this run decode to the recorded tokens`));
            told.steps.forEach((step, i) => numbers(step).forEach((value, k) =>
                close([data.runs[index].steps[i].entropy, data.runs[index].steps[i].margin, data.runs[index].steps[i].top1][k], value, `${name} step ${i}`)));
            if (at > 0) continue;
            // Its bars and stages are those of `explain`, for some steps.
            rowsToFiles(data.runs[index]);
            for (const step of [0, 3, told.steps.length - 1]) {
                await page.value(`document.querySelectorAll('#steps .chip')[${step}].click()`);
                const [side] = explained(data.runs[index], step, options).profiles;
                const bars = await all('#best tbody tr', '({ token: Number(one.dataset.token), logit: Number(one.dataset.logit), after: Number(one.dataset.after),'
                    + " width: parseFloat(one.querySelector('.fill.after').style.width), cut: one.className === 'cut' })");
                assert.equal(bars.length, 12);
                bars.forEach((bar, i) => {
                    const expected = side.top[i];
                    assert.equal(bar.token, expected.token);
                    close(bar.logit, expected.logit, 'logit');
                    close(bar.after, expected.probability, 'probability');
                    assert.ok(Math.abs(bar.width - 100 * expected.probability) < 0.001);
                    assert.equal(bar.cut, !expected.kept);
                });
                const stages = await all('#stages tbody tr', '[one.dataset.stage, Number(one.dataset.kept), Number(one.dataset.mass)]');
                assert.deepEqual(stages.map(([stage, kept]) => [stage, kept]), side.stages.map(({ stage, kept }) => [stage, kept]));
                stages.forEach(([, , mass], i) => close(mass, side.stages[i].kept_mass, 'mass'));
            }
        }
    }
    quiet('page.html');
}

/** Steps where bundles of texts split, computed here. */
function partings(lists) {
    const found = [];
    const split = (bundle, at) => {
        const ways = Map.groupBy ? Map.groupBy(bundle, (i) => lists[i][at]) : bundle.reduce((map, i) => map.set(lists[i][at], [...(map.get(lists[i][at]) ?? []), i]), new Map());
        if (ways.size > 1) found.push({ at, ways: [...ways] });
        for (const [token, rest] of ways) if (token !== undefined && rest.length > 1) split(rest, at + 1);
    };
    split(lists.map((_, i) => i), 0);
    return found.sort((a, b) => a.at - b.at);
}

async function marksWhereRunsPart(texts) {
    await page.open(url('page.html'));
    for (const [at] of PROMPTS.entries()) {
        await page.value(`(() => { const select = document.getElementById('group'); select.value = '${at}'; select.dispatchEvent(new Event('change')); })()`);
        const told = texts.map((set) => set[at]);
        const expected = partings(told.map(({ steps }) => steps.map(({ picked }) => picked)));
        assert.ok(expected.length > 0, 'the settings of this test make texts that part');
        const shown = await all('#partings li', '[Number(one.dataset.step), one.textContent]');
        assert.deepEqual(shown.map(([step]) => step), expected.map(({ at: step }) => step));
        assert.deepEqual(await all('#side-by-side tr.parting', 'Number(one.dataset.step)'), [...new Set(expected.map(({ at: step }) => step))]);
        for (const [i, { at: step, ways }] of expected.entries()) {
            for (const [token, runs] of ways) {
                if (token !== undefined) assert.ok(shown[i][1].includes(`“${token}”`), shown[i][1]);
                for (const member of runs.filter((one) => told[one].steps[step])) {
                    const { entropy, margin } = told[member].steps[step];
                    assert.ok(shown[i][1].includes(`entropy ${entropy.toFixed(3)}, margin ${margin.toFixed(3)}`), `${entropy} ${margin}: ${shown[i][1]}`);
                }
            }
        }
        const columns = await page.value('document.querySelectorAll("#side-by-side thead th").length');
        assert.equal(columns, 1 + SETTINGS.length);
    }
    // How many texts there are.
    const [first] = PROMPTS.keys();
    await page.value(`(() => { const select = document.getElementById('group'); select.value = '${first}'; select.dispatchEvent(new Event('change')); })()`);
    assert.equal(await text('#twins'), `3 runs, ${new Set(texts.map((set) => JSON.stringify(set[first].steps.map(({ picked }) => picked)))).size} different texts.`);
    // A word of the table leads to its step.
    await page.value('document.querySelectorAll("#side-by-side tbody tr")[2].querySelectorAll("button")[1].click()');
    assert.match(await text('#step-title'), /^Step 2/);
    quiet('page.html');
}

// Keys on the sliders, and the options of the tool that say the same.
const MOVES = [
    { index: 0, keys: [['#mode', 'ArrowUp', 1]], options: ['--mode', 'sample', '--seed', '0'] },
    { index: 0, keys: [['#mode', 'ArrowUp', 1], ['#temperature', 'ArrowRight', 8], ['#topK', 'ArrowRight', 6], ['#seed', 'ArrowRight', 5]],
        options: ['--mode', 'sample', '--temp', '1.4', '--top-k', '6', '--seed', '5'] },
    { index: 2, keys: [['#topP', 'ArrowLeft', 40], ['#minP', 'ArrowRight', 5], ['#seed', 'ArrowRight', 4]],
        options: ['--mode', 'sample', '--temp', '0.8', '--top-k', '40', '--top-p', '0.5', '--min-p', '0.05', '--seed', '7'] },
    { index: 4, keys: [['#temperature', 'ArrowRight', 10], ['#minP', 'Home', 1], ['#seed', 'ArrowLeft', 2]],
        options: ['--mode', 'sample', '--temp', '1.7', '--repetition-penalty', '1.1', '--seed', '1'] },
    { index: 4, typed: [['#temperature-value', '0.33'], ['#seed-value', '18446744073709551615']],
        options: ['--mode', 'sample', '--temp', '0.33', '--min-p', '0.05', '--repetition-penalty', '1.1', '--seed', '18446744073709551615'] },
];

async function slidersPickWhatTheToolPicks() {
    const data = dataOf(path('page.html'));
    let different = 0;
    for (const { index, keys = [], typed = [], options } of MOVES) {
        await page.open(url('page.html'));
        await page.value(`(() => { const select = document.getElementById('run'); select.value = '${index}'; select.dispatchEvent(new Event('change')); })()`);
        for (const [selector, key, times] of keys) {
            await page.focus(selector);
            await page.press(key, times);
        }
        for (const [selector, value] of typed) await page.type(selector, value);
        const given = data.runs[index];
        rowsToFiles(given);
        const words = data.vocabularies[given.words];
        const shown = await picks();
        const expected = given.steps.map((_, i) => words[explained(given, i, options).profiles[0].pick.token]);
        assert.deepEqual(shown, expected, options.join(' '));
        const recorded = given.steps.map(({ token }) => words[token]);
        const first = expected.findIndex((word, i) => word !== recorded[i]);
        different += expected.filter((word, i) => word !== recorded[i]).length;
        // Up to the first token that differs, it is the text that the tool writes with these settings.
        const [written] = decode(options, '--context', given.context);
        const until = first < 0 ? expected.length : first + 1;
        assert.deepEqual(shown.slice(0, until), written.steps.slice(0, until).map(({ picked }) => picked), options.join(' '));
        if (first >= 0) assert.ok((await text('#outcome')).includes(`first step ${first}: “${expected[first]}” instead of “${recorded[first]}”`));
        quiet('page.html');
        await page.focus('#reset');
        await page.press('Enter');
        assert.deepEqual(await picks(), recorded);
    }
    assert.ok(different > 10, 'the moves must matter');
    // More of the kept tokens than the file has: they come from the row.
    await page.type('#shown', '40');
    assert.equal(await page.value('document.querySelectorAll("#best tbody tr").length'), 40);
    const [side] = explained(data.runs[4], 0, [...SETTINGS[2][1], '--top', 40]).profiles;
    assert.deepEqual(await all('#best tbody tr', 'Number(one.dataset.token)'), side.top.slice(0, 40).map(({ token }) => token));
    // What the library refuses is said, and nothing breaks.
    await page.type('#temperature-value', '-1');
    assert.match(await text('#outcome'), /temperature.*-1/);
    quiet('page.html');
}

async function canBeUsedWithTheKeyboard() {
    await page.open(url('page.html'));
    const order = [];
    for (let i = 0; i < 22; i++) {
        await page.press('Tab');
        order.push(await page.value('document.activeElement.id || document.activeElement.className'));
    }
    const wanted = ['skip', 'run', 'chip', 'mode', 'temperature', 'temperature-value', 'topK', 'topK-value', 'topP', 'topP-value', 'minP', 'minP-value',
        'seed', 'seed-value', 'next', 'group'];
    assert.deepEqual(order.filter((one) => wanted.includes(one)), wanted);
    await page.focus('#steps .chip');
    await page.press('ArrowRight', 3);
    const state = () => page.value('[document.activeElement.dataset.step, document.querySelector("#step-title").textContent, document.querySelectorAll("[aria-current]").length]');
    const [step, title, current] = await state();
    assert.deepEqual([step, title.startsWith('Step 3: '), current], ['3', true, 1]);
    await page.press('ArrowLeft', 2);
    assert.equal((await state())[0], '1');
    await page.press('End');
    assert.equal((await state())[0], '13');
    await page.press('ArrowRight');
    assert.equal((await state())[0], '13');
    await page.press('Home');
    assert.equal((await state())[0], '0');
    // Whatever can be used has a name for those who do not see it.
    const { nodes } = await browser.send('Accessibility.getFullAXTree');
    const used = nodes.filter(({ ignored, role }) => !ignored && ['button', 'slider', 'combobox', 'spinbutton', 'img', 'region', 'table', 'link'].includes(role?.value));
    assert.ok(used.length > 30, `${used.length}`);
    assert.deepEqual(used.filter(({ name }) => !name?.value).map(({ role }) => role.value), []);
    quiet('page.html');
}

async function followsTheReader() {
    await page.open(url('page.html'));
    // Two colours as their contrast (WCAG 2).
    const contrast = `(() => {
        const light = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map((x) => (x / 255 <= 0.03928 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4)); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const pair = (one, other) => { const [a, b] = [light(one), light(other)].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); };
        const style = (selector) => getComputedStyle(document.querySelector(selector));
        const panel = style('section').backgroundColor;
        return { paper: style('body').backgroundColor, least: Math.min(...['h1', '.hint', '#best td', '#best th', '#summary', '#versions', 'label'].map((one) => pair(style(one).color, panel))) };
    })()`;
    const ink = () => page.value(`(() => { const canvas = document.querySelector('#charts canvas'); const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0); const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
        const sum = [0, 0, 0]; for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) sum.forEach((_, k) => (sum[k] += data[i + k])); return sum; })()`);
    await page.size(1280, 900);
    await page.dark(false);
    const light = await page.value(contrast);
    // The curves are drawn a moment later.
    const inkOnce = async (isRight) => {
        for (const end = Date.now() + 30_000; ;) {
            const found = await ink();
            if (isRight(found) || Date.now() > end) return found;
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    };
    const isDrawn = (found) => found.some((value) => value > 0);
    const lightInk = await inkOnce(isDrawn);
    await picture('light');
    await page.dark(true);
    const dark = await page.value(contrast);
    const darkInk = await inkOnce((found) => isDrawn(found) && String(found) !== String(lightInk));
    await picture('dark');
    assert.notEqual(light.paper, dark.paper);
    assert.ok(light.least >= 4.5 && dark.least >= 4.5, `${light.least} ${dark.least}`);
    assert.ok(isDrawn(lightInk) && isDrawn(darkInk) && String(lightInk) !== String(darkInk), 'the curves are drawn, in the colours of the page');
    await page.dark(false);
    for (const width of [1280, 700, 360]) {
        await page.size(width, 900);
        assert.ok(await page.value('document.documentElement.scrollWidth') <= width, `too wide for ${width}`);
    }
    await picture('narrow');
    await page.size(1280, 900);
    quiet('page.html');
}

async function hostileTextsStayTexts() {
    const evil = ['<img src=x onerror=window.hacked=1>', '</script><script>window.hacked=2</script>', '<!--', "'\"&amp;", '\u202eabc\u2028', '\u0000\u001b[31m', ''];
    const line = (step, picked) => JSON.stringify({ context_start: evil[1], step, picked, mode: 'greedy', temp: 1, margin: null, p_top1: 0.5, entropy: 1,
        top: evil.map((word, i) => [word, -i]) });
    writeFileSync(path('evil.jsonl'), evil.map((word, i) => line(i, word)).join('\n'));
    writeFileSync(path('twin.jsonl'), evil.map((word, i) => line(i, i === 3 ? evil[0] : word)).join('\n'));
    run(tool, 'report', path('evil.jsonl'), path('twin.jsonl'), '-o', path('evil.html'), '--title', evil.slice(0, 3).join(' '));
    await page.open(url('evil.html'));
    assert.equal(await page.value('window.hacked'), undefined);
    assert.equal(await page.value('document.images.length + document.querySelectorAll("main script").length'), 0);
    assert.equal(await text('h1'), evil.slice(0, 3).join(' '));
    const chips = await all('#steps .chip', 'one.textContent');
    assert.deepEqual(chips.slice(0, 4), evil.slice(0, 4));
    assert.equal(chips[6], '(empty)');
    assert.match(await text('#numbers'), /margin∞/);
    // No rows, no sliders: it says so.
    assert.equal(await page.value('document.getElementById("settings").hidden'), true);
    assert.deepEqual(await all('#of-bars, #of-sliders', 'one.hidden'), [true, true], 'the legend names nothing that is not there');
    assert.match(await text('#run-remarks'), /has the best logits of each step and no rows/);
    assert.match(await text('#partings'), /Step 3/);
    quiet('evil.html');
}

async function saysWhatItLeavesOut() {
    const given = path('lively.trace');
    run(tool, 'report', given, '-o', path('short.html'), '--row-limit', 0, '--best', 20, '--most-steps', 16);
    await page.open(url('short.html'));
    const remarks = await text('#remarks');
    assert.match(remarks, /\d+ steps are left out: the page holds at most 16/);
    assert.match(remarks, /Of 16 steps the page holds only the 20 best logits/);
    assert.match(await text('#step-words'), /The page has the 20 best of this step's 181 logits/);
    assert.equal(await page.value('document.querySelectorAll("#steps .chip").length'), 14);
    const entropy = () => text('#numbers [data-number="entropy"]');
    const recorded = await entropy();
    // With no more tokens kept than there are, the sliders still pick what the library picks from the whole row.
    await page.focus('#minP');
    await page.press('Home');
    await page.focus('#topK');
    await page.press('ArrowRight', 12);
    const whole = dataOf(path('page.html'));
    const index = whole.runs.findIndex(({ source }) => source === 'lively.trace');
    rowsToFiles(whole.runs[index]);
    const words = whole.vocabularies[whole.runs[index].words];
    const options = ['--mode', 'sample', '--temp', '1.2', '--top-k', '12', '--repetition-penalty', '1.1', '--seed', '3'];
    const expected = whole.runs[index].steps.map((_, i) => words[explained(whole.runs[index], i, options).profiles[0].pick.token]);
    assert.deepEqual(await picks(), expected);
    assert.equal(await entropy(), recorded, 'the entropy of a part of a row is not shown as that of the row');
    quiet('short.html');
}

async function warnsWhenItDoesNotComeOut() {
    const html = readFileSync(path('page.html'), 'utf8');
    const token = dataOf(path('page.html')).runs[0].steps[2].token;
    let seen = 0;
    writeFileSync(path('wrong.html'), html.replaceAll(`"token":${token},`, (found) => (seen++ === 0 ? `"token":${(token + 1) % 181},` : found)));
    await page.open(url('wrong.html'));
    assert.match(await text('#check'), /does not come out as recorded/);
}

async function showsSweeps() {
    writeFileSync(path('sweep.json'), JSON.stringify({ prompts: PROMPTS, parameter_sets: ['greedy', 'careful', 'creative'], seeds: [1], max_tokens: 12 }));
    run(tool, 'sweep', path('sweep.json'), '--out', path('sweep.jsonl'));
    run(tool, 'report', path('sweep.jsonl'), '-o', path('sweep.html'));
    const results = readFileSync(path('sweep.jsonl'), 'utf8').trim().split('\n').map(JSON.parse).sort((a, b) => a.run - b.run);
    await page.open(url('sweep.html'));
    assert.equal(await page.value('document.querySelectorAll("#run option").length'), results.length);
    for (const [index, result] of results.entries()) {
        await page.value(`(() => { const select = document.getElementById('run'); select.value = '${index}'; select.dispatchEvent(new Event('change')); })()`);
        assert.deepEqual(await all('#steps .chip', 'one.textContent'), result.pieces.map((piece) => piece.trim() || '<EOS>'));
        assert.match(await text('#check'), /decode to the recorded tokens/);
    }
    const first = results.filter(({ prompt }) => prompt === 0).map(({ tokens }) => tokens);
    assert.deepEqual(await all('#partings li', 'Number(one.dataset.step)').then((steps) => steps.length > 0), partings(first).length > 0);
    await picture('sweep');
    quiet('sweep.html');
}

let failed = null;
try {
    await page.size(1280, 900);
    const texts = recordings();
    const checks = [showsWhatTheToolSays, marksWhereRunsPart, slidersPickWhatTheToolPicks, canBeUsedWithTheKeyboard, followsTheReader,
        hostileTextsStayTexts, saysWhatItLeavesOut, warnsWhenItDoesNotComeOut, showsSweeps];
    for (const check of checks) {
        const begun = Date.now();
        await check(texts).catch((error) => {
            throw new Error(`${check.name}: ${error.stack}`);
        });
        console.log(`ok ${check.name} (${Date.now() - begun} ms)`);
    }
} catch (error) {
    failed = error;
}
await browser.close();
rmSync(folder, { recursive: true, force: true });
if (failed) {
    console.error(failed.message);
    process.exit(1);
}
console.log('passed: the pages of argpick report');
