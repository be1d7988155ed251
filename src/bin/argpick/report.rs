//! What `argpick decode` prints: the steps of each text in aligned columns, then what the texts show together.

use crate::list_args;
use crate::repetition_args::{penalty_scope_name, without_repetition};
use crate::sampling_args::in_force_text;
use argpick::sandbox::Model;
use argpick::sandbox::patterns::{self, Attractor, CLIFF_MARGIN, Cliff, Loop};
use argpick::sandbox::rules::{PUNCTUATION, Rules};
use argpick::sandbox::session::{Options, Step, Stop, Transcript, join};
use argpick::sandbox::trace::mode_name;
use argpick::{Config, Kernels, Mode};
use std::collections::HashMap;
use std::io::{self, Write};

/// Most cliffs and attractors listed; the rest is counted.
const MOST_LISTED: usize = 5;

/// Fewer repeated steps than this are printed all the same.
const FEWEST_LEFT_OUT: usize = 3;

/// Most numbers of texts listed in one line.
const MOST_TEXTS: usize = 12;

/// Everything a report is made of.
pub struct Shown<'a> {
    /// The model that spoke.
    pub model: &'a Model,
    /// The kernels it ran on.
    pub kernels: Kernels,
    /// The options in force.
    pub options: &'a Options,
    /// The texts.
    pub texts: &'a [Transcript],
}

/// What the texts show together.
pub struct Findings {
    pub cliffs: Vec<Cliff>,
    pub loops: Vec<Option<Loop>>,
    pub attractors: Vec<Attractor>,
    pub generated: Vec<Vec<u32>>,
}

impl Shown<'_> {
    fn word(&self, class: u32) -> String {
        printable(&self.model.words()[class as usize])
    }

    fn words(&self, classes: &[u32]) -> String {
        printable(&join(classes.iter().map(|&class| self.model.words()[class as usize].as_str())))
    }

    /// A loop once around, the same wherever a text entered it: from the beginning of a sentence if there is one in it,
    /// and of those beginnings the first in the alphabet.
    fn cycle(&self, classes: &[u32]) -> String {
        let word = |index: usize| self.model.words()[classes[index % classes.len()] as usize].as_str();
        let turned = |start: usize| (start..start + classes.len()).map(word);
        let begins = |&start: &usize| PUNCTUATION.contains(&word(start + classes.len() - 1));
        let sentences = (0..classes.len()).filter(begins).min_by(|&a, &b| turned(a).cmp(turned(b)));
        let start = sentences.or((0..classes.len()).min_by(|&a, &b| turned(a).cmp(turned(b))));
        printable(&join(turned(start.unwrap_or(0))))
    }

    pub fn findings(&self) -> Findings {
        let generated: Vec<Vec<u32>> = self.texts.iter().map(|text| text.generated().collect()).collect();
        Findings {
            cliffs: patterns::cliffs(self.texts, CLIFF_MARGIN),
            loops: generated.iter().map(|tokens| patterns::find_loop(tokens)).collect(),
            attractors: patterns::attractors(&generated, MOST_LISTED),
            generated,
        }
    }
}

/// Text fit for a terminal: a file's words must not move the cursor.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

pub fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn padded(text: &str, wide: usize) -> String {
    format!("{text}{}", " ".repeat(wide.saturating_sub(width(text))))
}

/// Which steps of a text are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// None: only what came of them.
    Texts,
    /// Each that differs from the one a loop ago.
    Steps,
    /// Each.
    AllSteps,
}

/// Prints the report; `top` is how many of the best logits each step shows.
pub fn print(out: &mut dyn Write, shown: &Shown<'_>, detail: Detail, top: usize) -> io::Result<()> {
    header(out, shown)?;
    for (index, text) in shown.texts.iter().enumerate() {
        writeln!(out, "\n[{}] {}", index + 1, printable(&text.context))?;
        if detail != Detail::Texts {
            let again = if detail == Detail::Steps { repeated(text) } else { None };
            steps(out, shown, text, top, again)?;
        }
        ending(out, shown, text)?;
    }
    summary(out, shown)
}

fn header(out: &mut dyn Write, shown: &Shown<'_>) -> io::Result<()> {
    let space = shown.model.space();
    writeln!(
        out,
        "model    {}: {}, {} of context",
        printable(shown.model.origin()),
        plural(shown.model.vocab(), "word"),
        plural(space.dimension(), "column")
    )?;
    for note in shown.model.weights().notes() {
        writeln!(out, "         {}", printable(note))?;
    }
    writeln!(out, "decode   {}", decoding(shown))?;
    writeln!(out, "rules    {}", rules(&shown.options.rules))?;
    for (name, list) in list_args::in_force(&shown.options.lists) {
        writeln!(out, "         {name}: {}", printable(&list.join(" | ")))?;
    }
    Ok(())
}

fn decoding(shown: &Shown<'_>) -> String {
    let options = shown.options;
    let mut parts = vec![mode_name(options.mode).to_owned(), format!("temperature {}", options.temperature)];
    if options.mode == Mode::Sample {
        if options.top_k > 0 {
            parts.push(format!("top-k {}", options.top_k));
        }
        if options.top_p < 1.0 {
            parts.push(format!("top-p {}", options.top_p));
        }
        if options.min_p > 0.0 {
            parts.push(format!("min-p {}", options.min_p));
        }
        // Those above have their places.
        let rest = Config { top_k: 0, top_p: 1.0, min_p: 0.0, ..without_repetition(&options.base) };
        parts.extend(in_force_text(&rest));
        parts.push(format!("seed {}", options.seed));
        parts.push(format!("stream {}", options.stream));
    }
    parts.extend(repetition(options));
    parts.push(plural(options.steps as usize, "step"));
    parts.push(format!("kernels {}", shown.kernels.level().name()));
    parts.join(", ")
}

/// What the decoder does about repetition and the end of a text, where it is not off.
fn repetition(options: &Options) -> Vec<String> {
    let (asked, off) = (&options.base, Config::default());
    let mut parts = Vec::new();
    let mut add = |on: bool, text: String| {
        if on {
            parts.push(text);
        }
    };
    let penalised = asked.repetition_penalty != off.repetition_penalty
        || asked.frequency_penalty != off.frequency_penalty
        || asked.presence_penalty != off.presence_penalty;
    add(asked.repetition_penalty != off.repetition_penalty, format!("repetition-penalty {}", asked.repetition_penalty));
    add(asked.frequency_penalty != off.frequency_penalty, format!("frequency-penalty {}", asked.frequency_penalty));
    add(asked.presence_penalty != off.presence_penalty, format!("presence-penalty {}", asked.presence_penalty));
    add(penalised && asked.penalty_window > 0, format!("penalty-window {}", asked.penalty_window));
    add(
        asked.dry_multiplier > 0.0,
        format!("dry {} x {}^n from {}", asked.dry_multiplier, asked.dry_base, asked.dry_allowed_length),
    );
    add(asked.dry_multiplier > 0.0 && asked.dry_window > 0, format!("dry-window {}", asked.dry_window));
    add(asked.no_repeat_ngram > 0, format!("no-repeat-ngram {}", asked.no_repeat_ngram));
    add(
        penalised && asked.penalty_scope != off.penalty_scope,
        format!("penalty-scope {}", penalty_scope_name(asked.penalty_scope)),
    );
    add(asked.dry_multiplier > 0.0 && asked.dry_window > 0, format!("dry-window {}", asked.dry_window));
    add(asked.loop_repeats > 0, format!("loop-repeats {}", asked.loop_repeats));
    add(asked.loop_repeats > 0 && asked.loop_period > 0, format!("loop-period {}", asked.loop_period));
    add(
        asked.length_decay_factor != off.length_decay_factor,
        format!("length-decay {}^n from {}", asked.length_decay_factor, asked.length_decay_start),
    );
    add(asked.history_capacity > 0, format!("history-capacity {}", asked.history_capacity));
    add(asked.min_tokens > 0, format!("min-tokens {}", asked.min_tokens));
    add(
        asked.length_decay_factor != off.length_decay_factor,
        format!("length-decay {} from {}", asked.length_decay_factor, asked.length_decay_start),
    );
    add(asked.history_capacity > 0, format!("history-capacity {}", asked.history_capacity));
    parts
}

/// The rules in force, one after the other.
pub fn rules(rules: &Rules) -> String {
    let mut parts = Vec::new();
    let mut add = |on: bool, text: String| {
        if on {
            parts.push(text);
        }
    };
    add(rules.min_steps > 0, format!("min-steps {}", rules.min_steps));
    add(!rules.ban.is_empty(), printable(&format!("ban {}", rules.ban.join(","))));
    add(rules.repeat_window() > 0, format!("no-repeat-window {}", rules.repeat_window()));
    add(rules.det_a_an, "det-a-an".to_owned());
    add(
        rules.topic_lock,
        printable(&format!("topic-lock (keep {}; best {})", rules.topic_keep.join(","), rules.topic_topn)),
    );
    add(rules.no_dangling, "no-dangling".to_owned());
    add(rules.stop_punct, "stop-punct".to_owned());
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// From which step on a text only repeats itself, number for number, and the period.
fn repeated(text: &Transcript) -> Option<(usize, usize)> {
    let generated: Vec<u32> = text.generated().collect();
    let found = patterns::find_loop(&generated)?;
    let same = |&i: &usize| {
        let (now, then) = (&text.steps[i], &text.steps[i - found.period]);
        *now == Step { step: now.step, ..then.clone() }
    };
    let count = (found.period..text.steps.len()).rev().take_while(same).count();
    (count >= FEWEST_LEFT_OUT).then_some((text.steps.len() - count, found.period))
}

fn steps(
    out: &mut dyn Write,
    shown: &Shown<'_>,
    text: &Transcript,
    top: usize,
    again: Option<(usize, usize)>,
) -> io::Result<()> {
    let rows = &text.steps[..again.map_or(text.steps.len(), |(first, _)| first)];
    if rows.is_empty() {
        return Ok(());
    }
    let sampled = shown.options.mode == Mode::Sample;
    let picks: Vec<String> = rows.iter().map(|step| shown.word(step.class)).collect();
    let pick_width = picks.iter().map(|pick| width(pick)).max().unwrap_or(0).max(4);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|step| step.top.iter().take(top).map(|&(class, z)| format!("{} {z:.2}", shown.word(class))).collect())
        .collect();
    let cell_width = |column: usize| cells.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max();
    let widths: Vec<usize> = (0..top).map_while(cell_width).collect();

    let rank_title = if sampled { "  rank" } else { "" };
    let best_title = if top > 0 { "   best logits" } else { "" };
    writeln!(out, "    step  {}{rank_title}   margin  p_top1  entropy{best_title}", padded("pick", pick_width))?;
    for ((step, pick), row) in rows.iter().zip(&picks).zip(&cells) {
        let rank = if sampled { format!("  {:>4}", step.rank) } else { String::new() };
        let cliff = if step.margin < CLIFF_MARGIN { '~' } else { ' ' };
        let best: Vec<String> = row.iter().zip(&widths).map(|(cell, &wide)| padded(cell, wide)).collect();
        let line = format!(
            "    {:>4}  {}{rank} {:>8.3}{cliff}  {:>5.3}   {:>6.3}   {}",
            step.step,
            padded(pick, pick_width),
            step.margin,
            step.top1_probability,
            step.entropy,
            best.join("  ")
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    if let Some((first, period)) = again {
        let last = text.steps.len() - 1;
        writeln!(out, "     ...  steps {first} to {last} repeat the last {period} (--all-steps shows them)")?;
    }
    Ok(())
}

fn ending(out: &mut dyn Write, shown: &Shown<'_>, text: &Transcript) -> io::Result<()> {
    let continuation = printable(&text.continuation(shown.model));
    writeln!(out, "  text    {} | {continuation}", printable(&text.context))?;
    let unknown = match text.unknown {
        0 => String::new(),
        count => format!(" ({count} unknown)"),
    };
    writeln!(
        out,
        "  tokens  {} in{unknown}, {} out; stopped by {}",
        text.prompt.len(),
        text.generated().count(),
        stop(shown, text)
    )?;
    if !text.steps.is_empty() {
        writeln!(out, "  p_top1  {}", text.steps.iter().map(bar).collect::<String>())?;
    }
    Ok(())
}

fn stop(shown: &Shown<'_>, text: &Transcript) -> String {
    match &text.stop {
        Stop::EndToken => "the end token".to_owned(),
        Stop::Punctuation => "punctuation".to_owned(),
        Stop::Steps => "the number of steps".to_owned(),
        Stop::Loop => "a loop".to_owned(),
        Stop::StopSequence => "a stop sequence".to_owned(),
        Stop::StopString(number) => {
            printable(&format!("the stop string {:?}", shown.options.lists.stop_strings[*number]))
        }
        Stop::Exhausted => "the rules: nothing is left to pick".to_owned(),
        Stop::Refused(error) => format!("an error: {error}"),
    }
}

/// One character for a probability, in eighths.
fn bar(step: &Step) -> char {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    BARS[((step.top1_probability * 8.0) as usize).min(7)]
}

fn text_numbers(texts: &[usize]) -> String {
    let shown: Vec<String> = texts.iter().take(MOST_TEXTS).map(|text| format!("[{}]", text + 1)).collect();
    let rest = texts.len().saturating_sub(MOST_TEXTS);
    if rest > 0 { format!("{} and {rest} more", shown.join(" ")) } else { shown.join(" ") }
}

fn summary(out: &mut dyn Write, shown: &Shown<'_>) -> io::Result<()> {
    let Findings { cliffs, loops, attractors, generated } = shown.findings();
    let steps: usize = shown.texts.iter().map(|text| text.steps.len()).sum();
    writeln!(out, "\nsummary over {} and {}", plural(shown.texts.len(), "text"), plural(steps, "step"))?;

    if cliffs.is_empty() {
        writeln!(out, "  cliffs      none: no margin below {CLIFF_MARGIN}")?;
    } else {
        writeln!(
            out,
            "  cliffs      {} with a margin below {CLIFF_MARGIN} (~): the runner-up was as good",
            plural(cliffs.len(), "step")
        )?;
    }
    // A loop comes by the same cliff again and again: one line with a count.
    let mut distinct: Vec<(&Cliff, usize)> = Vec::new();
    let mut places = HashMap::new();
    for cliff in &cliffs {
        let place = *places.entry((cliff.best, cliff.second, cliff.margin.to_bits())).or_insert(distinct.len());
        match distinct.get_mut(place) {
            Some((_, count)) => *count += 1,
            None => distinct.push((cliff, 1)),
        }
    }
    for (cliff, count) in distinct.iter().take(MOST_LISTED) {
        let (best, second) = (shown.word(cliff.best), shown.word(cliff.second));
        let place = format!("[{}] step {}", cliff.text + 1, cliff.step);
        let again = if *count > 1 { format!(", {count} times") } else { String::new() };
        writeln!(out, "    {} \"{best}\" over \"{second}\" by {:.4}{again}", padded(&place, 13), cliff.margin)?;
    }
    more(out, distinct.len())?;

    let looping: Vec<(usize, &Loop)> =
        loops.iter().enumerate().filter_map(|(text, found)| found.as_ref().map(|found| (text, found))).collect();
    if looping.is_empty() {
        writeln!(out, "  loops       none")?;
    } else {
        writeln!(out, "  loops       {} of {}", looping.len(), plural(shown.texts.len(), "text"))?;
    }
    for (text, found) in looping.iter().take(MOST_LISTED) {
        let place = format!("[{}] step {}", text + 1, found.start);
        let cycle = shown.cycle(&generated[*text][found.start..found.start + found.period]);
        let times = found.length as f64 / found.period as f64;
        writeln!(out, "    {} period {}, {times:.1} times: {cycle} ...", padded(&place, 13), found.period)?;
    }
    more(out, looping.len())?;

    if attractors.is_empty() {
        writeln!(out, "  attractors  none")?;
    } else {
        writeln!(out, "  attractors  the same words after different prompts")?;
    }
    for attractor in &attractors {
        // A loop is shown once around.
        let words = match patterns::find_loop(&attractor.tokens) {
            Some(found) => format!("{} ...", shown.cycle(&attractor.tokens[found.start..found.start + found.period])),
            None => shown.words(&attractor.tokens),
        };
        let (some, all) = (attractor.texts.len(), shown.texts.len());
        writeln!(out, "    {some} of {all}: {words}   {}", text_numbers(&attractor.texts))?;
    }
    Ok(())
}

fn more(out: &mut dyn Write, count: usize) -> io::Result<()> {
    match count.saturating_sub(MOST_LISTED) {
        0 => Ok(()),
        rest => writeln!(out, "    and {rest} more"),
    }
}
