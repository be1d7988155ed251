//! `argpick sweep`: many configurations. Over prompts, as a sweep file says (`crate::lab`); or over one row, a pick for each.

use crate::lab::{self, LabArgs};
use crate::rows::Rows;
use crate::sampling_args::{in_force, in_force_text, profile};
use crate::sequence_args::SequenceArgs;
use crate::{Failure, args, with_range};
use argpick::{Config, Decoder, Error, Kernels, Level, Metrics, Pick, Row, sweep_words};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The options of `argpick sweep`.
#[derive(Debug, clap::Args)]
#[command(after_help = "A sweep file, in YAML or JSON:\n\n\
    \x20 prompts: [\"The sea and the sky\", {name: again, tokens: [5, 12]}]\n\
    \x20 parameter_sets: [greedy, careful, creative, {name: hot, preset: creative, temperature: 1.3}]\n\
    \x20 seeds: [1, 2]           # default [0]\n\
    \x20 max_tokens: 40          # default 64\n\
    \x20 max_batch_size: 8       # runs decoded together; decides no result\n\
    \x20 stop_strings: [\".\"]     # also end_tokens, stop_tokens, min_tokens, loop_repeats\n\n\
    greedy is mode greedy; careful is temperature 0.2, top_k 50, top_p 0.9; creative is temperature 0.9, top_k 100, top_p \
    0.95. src/docs/lab.md has the whole format and what each number means.\n\n\
    The configurations of --configs: [{\"top_p\": 0.9, \"temperature\": 0.8, \"seed\": 1}, {\"top_k\": 40}, ...]. A profile \
    may be given by name, a choice by its number, a flag as true or false. Configurations that differ only in what comes \
    after penalties and masks share one pass over the row.")]
pub struct Args {
    /// The sweep file, YAML, or JSON by its name: decodes every prompt under every parameter set with every seed
    #[arg(value_name = "FILE", required_unless_present = "rows")]
    sweep: Option<PathBuf>,
    #[command(flatten)]
    lab: LabArgs,

    /// The row: a .npy with one row, or one in each row of a matrix
    #[arg(long, value_name = "FILE.npy", requires = "configs", conflicts_with = "sweep", help_heading = "One row")]
    rows: Option<PathBuf>,
    /// Which row of the matrix, from 0
    #[arg(long, value_name = "N", default_value_t = 0, requires = "rows", help_heading = "One row")]
    row: usize,
    /// The configurations: a JSON array of objects, what is left out is at its default
    #[arg(long, value_name = "FILE.json", requires = "rows", help_heading = "One row")]
    configs: Option<PathBuf>,
    /// Masks, one in each row (32 tokens a word, or one byte or bool a token)
    #[arg(long, value_name = "FILE.npy", requires = "rows", help_heading = "One row")]
    masks: Option<PathBuf>,
    #[command(flatten)]
    sequence: SequenceArgs,
    /// Force a kernel level: scalar, portable, avx2 or avx512 (else ARGPICK_KERNEL, else the best)
    #[arg(long, value_name = "LEVEL", value_parser = args::level)]
    kernel: Option<Level>,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    match (&args.sweep, &args.rows, &args.configs) {
        (Some(_), _, _) if args.sequence.is_given() => {
            Err(Failure::Usage("a sequence is of use to --rows only; a sweep file has its own".to_owned()))
        }
        (Some(file), _, _) => lab::run(file, &args.lab, (args.kernel, args.json), out),
        (None, Some(rows), Some(configs)) => over_a_row(&args, (rows, configs), out),
        // The options are declared so that this does not come.
        _ => Err(Failure::Usage("give a sweep file, or --rows and --configs".to_owned())),
    }
}

fn over_a_row(args: &Args, (path, configs): (&Path, &Path), out: &mut dyn Write) -> Result<(), Failure> {
    let kernels = args::choose(args.kernel)?;
    let rows = Rows::logits(path)?;
    let row = rows.row(args.row)?;
    let mask = match &args.masks {
        Some(path) => Some(Rows::masks(path, rows.length)?.mask(args.row)?),
        None => None,
    };
    let configs: Vec<Config> = read(configs)?.into_iter().map(|config| args.sequence.with_room(config)).collect();
    let place = rows.place(args.row);
    let results = sweep(args, (row.row(), &place), mask.as_deref(), &configs, kernels)?;
    if args.json {
        writeln!(out, "{:#}", document(args, (path, rows.length), &configs, &results))?;
    } else {
        print(out, args, (path, rows.length), &configs, &results)?;
    }
    let refused = results.iter().filter(|result| result.is_err()).count();
    if refused > 0 {
        let (all, many) = (configs.len(), if refused == 1 { "has" } else { "have" });
        return Err(Failure::Message(format!("{refused} of {all} configurations {many} an error instead of a pick")));
    }
    Ok(())
}

/// A result for each configuration. Those that treat the row alike before they filter it share a pass over it.
fn sweep(
    args: &Args,
    (row, place): (Row<'_>, &str),
    mask: Option<&[u32]>,
    configs: &[Config],
    kernels: Kernels,
) -> Result<Vec<argpick::Result<Pick>>, Failure> {
    let vocab = row.len();
    let mut results = vec![Ok(Pick::default()); configs.len()];
    let mut left: Vec<usize> = (0..configs.len()).collect();
    while let Some(&first) = left.first() {
        let mut decoder = match Decoder::new_with_kernels(&configs[first], vocab, kernels) {
            Ok(decoder) => decoder,
            Err(error @ (Error::InvalidParameter { .. } | Error::NotInProfile { .. })) => {
                results[first] = Err(error);
                left.remove(0);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        args.sequence.begin(&mut decoder)?;
        let together: Vec<Config> = left.iter().map(|&index| configs[index].clone()).collect();
        // An invalid configuration needs no memory: it is refused before.
        let needed = |config| sweep_words(std::slice::from_ref(config), vocab).unwrap_or(0);
        let mut memory = vec![0; together.iter().map(needed).max().unwrap_or(0)];
        let mut found = vec![Ok(Pick::default()); together.len()];
        let swept = decoder.sweep(row, mask, &together, &mut memory, &mut found, &mut []);
        swept.map_err(|error| format!("{place}: {error}"))?;
        // What was refused may differ from the first one only, which has its answer now.
        let mut later = Vec::new();
        for (index, result) in left.into_iter().zip(found) {
            if result.is_err() && index != first {
                later.push(index);
            } else {
                results[index] = result;
            }
        }
        left = later;
    }
    Ok(results)
}

/// Reads the configurations.
fn read(path: &Path) -> Result<Vec<Config>, String> {
    let refuse = |reason: String| format!("{}: {reason}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    let list: Vec<Map<String, Value>> = serde_json::from_str(&text)
        .map_err(|error| refuse(format!("it must be a JSON array of objects with parameters: {error}")))?;
    if list.is_empty() {
        return Err(refuse("there is no configuration in it".to_owned()));
    }
    let read_one = |(index, object): (usize, &Map<String, Value>)| {
        let place = |reason: String| refuse(format!("configuration {index}: {reason}"));
        let mut config = Config {
            metrics: Metrics::CONFIDENCE | Metrics::LOGPROB | Metrics::RANK | Metrics::KEPT,
            ..Config::default()
        };
        object.iter().try_for_each(|(name, value)| set(&mut config, name, value)).map_err(place)?;
        Ok(config)
    };
    list.iter().enumerate().map(read_one).collect()
}

/// Sets one parameter.
pub fn set(config: &mut Config, name: &str, value: &Value) -> Result<(), String> {
    let whole = || value.as_u64().ok_or_else(|| format!("{name} is {value}; it must be a whole number from 0 up"));
    let number = match (name, value) {
        ("seed", _) => {
            config.seed = whole()?;
            return Ok(());
        }
        ("stream", _) => {
            config.stream = whole()?;
            return Ok(());
        }
        ("metrics", _) => return Err("metrics cannot be set here: the table says what is measured".to_owned()),
        ("profile", Value::String(text)) => {
            config.profile = profile(text)?;
            return Ok(());
        }
        ("mode", Value::String(text)) => match text.as_str() {
            "sample" => 0.0,
            "greedy" => 1.0,
            _ => return Err(format!("mode is {value}; it must be \"sample\" or \"greedy\"")),
        },
        (_, Value::Bool(flag)) => f64::from(u8::from(*flag)),
        (_, Value::Number(number)) => number.as_f64().unwrap_or(f64::NAN),
        _ if config.parameters().all(|(known, _)| known != name) => return Err(unknown(name)),
        _ => return Err(format!("{name} is {value}; it must be a number")),
    };
    match config.set_parameter(name, number) {
        Ok(true) => Ok(()),
        Ok(false) => Err(unknown(name)),
        Err(error) => Err(with_range(error)),
    }
}

fn unknown(name: &str) -> String {
    format!("there is no parameter {name:?}")
}

/// What a configuration has besides the defaults, as options.
fn described(config: &Config) -> String {
    let mut parts = in_force_text(config);
    let numbers = [("seed", config.seed), ("stream", config.stream)];
    parts.extend(numbers.iter().filter(|(_, number)| *number != 0).map(|(name, number)| format!("{name} {number}")));
    if parts.is_empty() { "defaults".to_owned() } else { parts.join(", ") }
}

fn print(
    out: &mut dyn Write,
    args: &Args,
    (path, vocab): (&Path, usize),
    configs: &[Config],
    results: &[argpick::Result<Pick>],
) -> Result<(), Failure> {
    writeln!(out, "row      {}:{}, {vocab} logits\n", path.display(), args.row)?;
    writeln!(
        out,
        "{:>6} {:>9} {:>6} {:>9} {:>10} {:>10} {:>11}  configuration",
        "config", "token", "rank", "kept", "entropy", "p(top1)", "logprob"
    )?;
    for (index, (config, result)) in configs.iter().zip(results).enumerate() {
        let described = described(config);
        match result {
            Ok(pick) => writeln!(
                out,
                "{index:>6} {:>9} {:>6} {:>9} {:>10.6} {:>10.8} {:>11.6}  {described}",
                pick.token, pick.rank, pick.kept, pick.entropy, pick.top1_probability, pick.logprob
            )?,
            Err(error) => writeln!(out, "{index:>6} error: {error}  {described}")?,
        }
    }
    Ok(())
}

fn document(
    args: &Args,
    (path, vocab): (&Path, usize),
    configs: &[Config],
    results: &[argpick::Result<Pick>],
) -> Value {
    let pairs = configs.iter().zip(results).map(|(config, result)| {
        let parameters: Map<String, Value> = in_force(config)
            .into_iter()
            .filter(|(name, _)| !matches!(*name, "profile" | "metrics"))
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        let mut entry = json!({
            "profile": config.profile.name(),
            "seed": config.seed,
            "stream": config.stream,
            "parameters": parameters,
            "pick": null,
            "error": null,
        });
        match result {
            Ok(pick) => {
                entry["pick"] = json!({
                    "token": pick.token,
                    "rank": pick.rank,
                    "kept": pick.kept,
                    "entropy": pick.entropy,
                    "p_top1": pick.top1_probability,
                    "logprob": pick.logprob,
                });
            }
            Err(error) => entry["error"] = json!(with_range(*error)),
        }
        entry
    });
    json!({
        "rows": path.to_string_lossy(),
        "row": args.row,
        "vocab": vocab,
        "position": args.sequence.position(),
        "configs": pairs.collect::<Vec<_>>(),
    })
}
