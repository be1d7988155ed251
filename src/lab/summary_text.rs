//! The summary for a reader, and as JSON for a program.

use super::record::RunRecord;
use super::summary::{Extreme, Fork, Group, PromptSummary, SetSummary, Summary};
use super::tree::shortened;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::{self, Write};

/// The most runs that are named one by one.
const MOST_RUNS: usize = 12;

/// Writes the summary as text: a table of the runs of each prompt, which are the same and why, where they part; then a table
/// of the parameter sets. `records` are the runs that were summed up.
///
/// # Errors
/// Those of the writer.
pub fn write_text(out: &mut dyn Write, summary: &Summary, records: &[&RunRecord]) -> fmt::Result {
    let by_run: HashMap<usize, &RunRecord> = records.iter().map(|&record| (record.run, record)).collect();
    let mut by_prompt: HashMap<usize, Vec<&RunRecord>> = HashMap::new();
    records.iter().for_each(|&record| by_prompt.entry(record.prompt.0).or_default().push(record));
    let wide = records.iter().map(|record| record.set.1.chars().count()).max().unwrap_or(0).clamp(3, 40);
    for prompt in &summary.prompts {
        writeln!(out, "[{}] {}", prompt.prompt + 1, printable(&prompt.name))?;
        writeln!(
            out,
            "   {:>4}  {:wide$}  {:>6}  {:>4} {:>5}  {:<14}  {:>7} {:>8} {:>5}  text",
            "run", "set", "seed", "in", "out", "ended by", "entropy", "margin", "loop"
        )?;
        for record in by_prompt.get(&prompt.prompt).into_iter().flatten() {
            let text = match &record.error {
                Some(error) => format!("error: {}", printable(error)),
                None => shortened(&record.text),
            };
            writeln!(
                out,
                "   {:>4}  {:wide$}  {:>6}  {:>4} {:>5}  {:<14}  {:>7.3} {:>8.3} {:>5.2}  {text}",
                record.run,
                cut(&record.set.1, wide),
                record.seed,
                record.input_tokens,
                record.output_tokens,
                record.finish.name().replace('_', " "),
                record.mean_entropy(),
                record.mean_margin(),
                record.loop_score
            )?;
        }
        prompt.groups.iter().filter(|group| group.runs.len() > 1).try_for_each(|group| same(out, group, &by_run))?;
        prompt.forks.iter().try_for_each(|fork| part(out, fork))?;
        writeln!(out)?;
    }
    sets(out, &summary.sets, wide)
}

/// Runs with the same text, and whether that says something.
fn same(out: &mut dyn Write, group: &Group, by_run: &HashMap<usize, &RunRecord>) -> fmt::Result {
    let mut names: Vec<&str> = Vec::new();
    for record in group.runs.iter().filter_map(|run| by_run.get(run)) {
        if !names.contains(&record.set.1.as_str()) {
            names.push(&record.set.1);
        }
    }
    writeln!(out, "   same  {}: {}", runs(&group.runs), printable(&names.join(" | ")))?;
    if let (Some(entropy), Some(margin)) = (group.largest_entropy, group.smallest_margin) {
        writeln!(
            out,
            "         entropy at most {:.3} (run {}, step {}), margin at least {:.3} (run {}, step {}){}",
            entropy.value,
            entropy.run,
            entropy.step,
            margin.value,
            margin.run,
            margin.step,
            if group.is_greedy { "; every pick was the best token" } else { "" }
        )?;
    }
    match group.probability {
        None => writeln!(out, "         none of them draws"),
        Some(probability) if probability >= 0.5 => writeln!(
            out,
            "         nothing else was to be expected: a draw gives this text with a probability of at least {probability:.3}"
        ),
        Some(probability) => writeln!(
            out,
            "         other texts were likelier together: a draw gives this one with a probability of {}",
            if probability < 0.001 { format!("{probability:.1e}") } else { format!("{probability:.3}") }
        ),
    }
}

/// Where runs part, and what the row was like for each way.
fn part(out: &mut dyn Write, fork: &Fork) -> fmt::Result {
    let after = match fork.shared.char_indices().rev().nth(39) {
        Some((start, _)) => format!("...{}", &fork.shared[start..]),
        None => fork.shared.clone(),
    };
    writeln!(out, "   part  step {} after {:?}", fork.step, after)?;
    for way in &fork.ways {
        let members: Vec<usize> = way.choices.iter().map(|choice| choice.run).collect();
        let Some(token) = way.token else {
            writeln!(out, "         the end: {}", runs(&members))?;
            continue;
        };
        let piece = if way.piece.is_empty() { format!("token {token}") } else { format!("{:?}", way.piece) };
        let range = |values: Vec<f32>| {
            let (least, most) = (values.iter().copied().fold(f32::INFINITY, f32::min), values.iter().copied());
            let most = most.fold(f32::NEG_INFINITY, f32::max);
            if least == most { format!("{least:.3}") } else { format!("{least:.3} to {most:.3}") }
        };
        writeln!(
            out,
            "         {piece}: {}; entropy {}, margin {}, p(top1) {}",
            runs(&members),
            range(way.choices.iter().map(|choice| choice.entropy).collect()),
            range(way.choices.iter().map(|choice| choice.margin).collect()),
            range(way.choices.iter().map(|choice| choice.top1_probability).collect())
        )?;
    }
    Ok(())
}

fn sets(out: &mut dyn Write, sets: &[SetSummary], wide: usize) -> fmt::Result {
    writeln!(
        out,
        "{:wide$}  {:>5}  {:>10} {:>10} {:>10}  {:>7} {:>8} {:>5}  {:>9}  ended by",
        "set", "runs", "distinct-1", "distinct-2", "distinct-3", "entropy", "margin", "loop", "s/token"
    )?;
    for set in sets {
        // Texts too short for an n-gram have no ratio.
        let [one, two, three] =
            set.distinct.map(|ratio| if ratio.is_nan() { "-".to_owned() } else { format!("{ratio:.3}") });
        let ends: Vec<String> =
            set.finishes.iter().map(|(reason, count)| format!("{} {count}", reason.name().replace('_', " "))).collect();
        writeln!(
            out,
            "{:wide$}  {:>5}  {one:>10} {two:>10} {three:>10}  {:>7.3} {:>8.3} {:>5.2}  {:>9.2e}  {}",
            cut(&set.name, wide),
            set.runs,
            set.mean_entropy,
            set.mean_margin,
            set.mean_loop_score,
            set.seconds_per_token,
            ends.join(", ")
        )?;
    }
    Ok(())
}

fn runs(numbers: &[usize]) -> String {
    let shown: Vec<String> = numbers.iter().take(MOST_RUNS).map(usize::to_string).collect();
    let rest = numbers.len().saturating_sub(MOST_RUNS);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{} {}{more}", if numbers.len() == 1 { "run" } else { "runs" }, shown.join(" "))
}

/// A name for a column. One that is wider loses its middle: names made of parameters often differ only in the last.
fn cut(name: &str, wide: usize) -> String {
    let name = printable(name);
    let count = name.chars().count();
    if count <= wide {
        return name;
    }
    let (head, tail) = (wide.saturating_sub(3) / 2, wide.saturating_sub(3).div_ceil(2));
    name.chars().take(head).chain("...".chars()).chain(name.chars().skip(count - tail)).collect()
}

/// Without control characters, which a file from somewhere must not send to a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The summary as JSON. What is no number in JSON is null.
pub fn to_json(summary: &Summary) -> Value {
    json!({
        "done": summary.done,
        "failed": summary.failed,
        "prompts": summary.prompts.iter().map(prompt_json).collect::<Vec<_>>(),
        "parameter_sets": summary.sets.iter().map(set_json).collect::<Vec<_>>(),
    })
}

fn prompt_json(prompt: &PromptSummary) -> Value {
    let extreme = |extreme: Option<Extreme>| {
        extreme.map(|found| json!({"value": found.value, "step": found.step, "run": found.run}))
    };
    let groups = prompt.groups.iter().map(|group| {
        json!({
            "runs": group.runs,
            "largest_entropy": extreme(group.largest_entropy),
            "smallest_margin": extreme(group.smallest_margin),
            "probability": group.probability,
            "every_pick_is_best": group.is_greedy,
        })
    });
    let forks = prompt.forks.iter().map(|fork| {
        let ways = fork.ways.iter().map(|way| {
            let choices = way.choices.iter().map(|choice| {
                json!({
                    "run": choice.run,
                    "entropy": choice.entropy,
                    "margin": choice.margin,
                    "top1_probability": choice.top1_probability,
                })
            });
            json!({"token": way.token, "piece": way.piece, "runs": choices.collect::<Vec<_>>()})
        });
        json!({"step": fork.step, "shared": fork.shared, "ways": ways.collect::<Vec<_>>()})
    });
    json!({
        "prompt": prompt.prompt,
        "name": prompt.name,
        "identical": groups.collect::<Vec<_>>(),
        "partings": forks.collect::<Vec<_>>(),
        "failed": prompt.failed,
    })
}

fn set_json(set: &SetSummary) -> Value {
    let finishes: serde_json::Map<String, Value> =
        set.finishes.iter().map(|(reason, count)| (reason.name().to_owned(), json!(count))).collect();
    json!({
        "parameter_set": set.set,
        "name": set.name,
        "runs": set.runs,
        "distinct_1": set.distinct[0],
        "distinct_2": set.distinct[1],
        "distinct_3": set.distinct[2],
        "mean_entropy": set.mean_entropy,
        "mean_margin": set.mean_margin,
        "mean_loop_score": set.mean_loop_score,
        "seconds_per_token": set.seconds_per_token,
        "finishes": finishes,
    })
}
