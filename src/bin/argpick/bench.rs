//! `argpick bench`: what a token costs on this machine, beside the bare reading of its row.
//!
//! Stages and measuring code are those of `cargo bench` (`benches/support`), so that figures can be compared.

// One implementation for the benchmarks and for this command; each uses a part of it.
#[path = "../../../benches/support/mod.rs"]
#[allow(dead_code)]
mod support;

use crate::{Failure, remark};
use argpick::weights::PendingFile;
use argpick::{Kernels, Level, MAX_VOCAB};
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use support::measure::{Line, Machine, Measured, Statistics, Table};
use support::rows::{self, VOCABULARIES};
use support::stages::{self, STAGES, Stage};
use support::subject::{Reader, Subject, dtype_suffix};

/// The options of `argpick bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Tokens of the made row; may be given more than once [default: 32000 50257 128256 151936 262144]
    #[arg(long, value_name = "N")]
    vocab: Vec<usize>,
    /// `gaussian` (normal logits, deviation 3), or FILE.npy, or FILE.npy:N for its row number N; may be given more than once
    #[arg(long, value_name = "ROW", default_value = "gaussian")]
    row: Vec<String>,
    /// Kernel level; may be given more than once [default: the one in use, see `argpick kernels`]
    #[arg(long, value_name = "LEVEL", value_parser = PossibleValuesParser::new(Level::ALL.map(Level::name)))]
    level: Vec<String>,
    /// What to measure; may be given more than once [default: everything]
    #[arg(long, value_name = "STAGE", value_parser = PossibleValuesParser::new(STAGES.iter().map(|stage| stage.name)))]
    stage: Vec<String>,
    /// Timed rounds of each line
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rounds: u32,
    /// Rows that are not in any cache: calls rotate over 256 MB
    #[arg(long)]
    cold: bool,
    /// One JSON document instead of the table
    #[arg(long)]
    json: bool,
    /// Write the results to FILE as well
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A row to measure on.
struct NamedRow {
    name: String,
    logits: Vec<f32>,
}

/// Runs the command.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let rows = rows_of(&args)?;
    let levels = levels_of(&args)?;
    let stages: Vec<&'static Stage> = match &args.stage[..] {
        [] => STAGES.iter().collect(),
        names => names.iter().filter_map(|name| stages::find(name)).collect(),
    };
    // Before anything is measured: a file that cannot be written should not cost the time.
    let file = match &args.out {
        Some(path) => Some((path, PendingFile::create(path).map_err(|error| format!("{}: {error}", path.display()))?)),
        None => None,
    };
    let machine = Machine::here();
    if !machine.optimised {
        remark("this build is not optimised; use --release");
    }
    let longest = rows.iter().map(|row| &row.logits).max_by_key(|logits| logits.len());
    let reader = Reader::fastest(longest.map_or(&[], |logits| logits))?;
    let mut lines = Vec::new();
    for row in &rows {
        for &level in &levels {
            for &stage in &stages {
                if let Some(line) = measure(stage, row, level, reader, &args)? {
                    lines.push(line);
                }
            }
        }
    }
    let text = if args.json {
        format!("{:#}\n", document(&machine, reader, &lines))
    } else {
        format!("{machine}\nfloor      {}\n\n{}", reader.name(), Table(&lines))
    };
    if let Some((path, mut file)) = file {
        let written = file.write_all(text.as_bytes()).map_err(|error| error.to_string());
        let finished = written.and_then(|()| file.finish().map_err(|error| error.to_string()));
        finished.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    out.write_all(text.as_bytes())?;
    Ok(())
}

/// One line, or none where the stage cannot be measured as asked.
fn measure(
    stage: &'static Stage,
    row: &NamedRow,
    level: Level,
    reader: Reader,
    args: &Args,
) -> Result<Option<Line>, Failure> {
    let vocab = row.logits.len();
    if args.cold && stage.is_in_place() {
        remark(format_args!("{}: not measured: a row that is rewritten in place is never cold", stage.name));
        return Ok(None);
    }
    if !stage.runs_at(level) {
        remark(format_args!("{}: not measured: it takes no kernel level but the one in use", stage.name));
        return Ok(None);
    }
    let memory = if args.cold { "cold" } else { "hot" };
    remark(format_args!("{}, {}, {vocab} tokens, {level}, {memory}", stage.name, row.name));
    let mut subject = Subject::new(stage, &row.logits, level, args.cold)?;
    subject.check(&row.logits).map_err(|message| format!("row {}: {message}", row.name))?;
    let measured = Measured::new(&mut subject, reader, args.rounds as usize);
    let row = format!("{}{}", row.name, dtype_suffix(stage.dtype));
    Ok(Some(Line { stage: stage.name, level: level.name(), vocab, row, cold: args.cold, measured }))
}

fn rows_of(args: &Args) -> Result<Vec<NamedRow>, Failure> {
    if let Some(vocab) = args.vocab.iter().find(|&&vocab| vocab == 0 || vocab > MAX_VOCAB) {
        return Err(format!("--vocab {vocab}: a vocabulary has 1 to {MAX_VOCAB} tokens").into());
    }
    if !args.vocab.is_empty() && !args.row.iter().any(|row| row == "gaussian") {
        return Err("--vocab: rows from a file have their own length".to_owned().into());
    }
    let vocabularies = if args.vocab.is_empty() { &VOCABULARIES[..] } else { &args.vocab };
    let mut all = Vec::new();
    for row in &args.row {
        if row == "gaussian" {
            let made = vocabularies.iter().map(|&vocab| NamedRow { name: row.clone(), logits: rows::gaussian(vocab) });
            all.extend(made);
            continue;
        }
        let (path, index) = match row.rsplit_once(':') {
            Some((path, index)) if !Path::new(row).exists() => {
                (path, index.parse().map_err(|_| format!("--row {row}: {index} is not the number of a row"))?)
            }
            _ => (row.as_str(), 0),
        };
        let logits = rows::from_npy(Path::new(path), index)?;
        if logits.is_empty() || logits.len() > MAX_VOCAB {
            return Err(format!("{path}: a row has 1 to {MAX_VOCAB} logits, not {}", logits.len()).into());
        }
        let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
        all.push(NamedRow { name: format!("{stem}:{index}"), logits });
    }
    Ok(all)
}

fn levels_of(args: &Args) -> Result<Vec<Level>, Failure> {
    if args.level.is_empty() {
        return Ok(vec![Kernels::detect()?.level()]);
    }
    let named = args.level.iter().filter_map(|name| Level::from_name(name));
    named.map(|level| Ok(Kernels::new(level)?.level())).collect()
}

fn document(machine: &Machine, reader: Reader, lines: &[Line]) -> Value {
    let statistics = |statistics: Statistics| json!({ "min_ns": statistics.minimum, "median_ns": statistics.median, "p99_ns": statistics.p99 });
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "stage": line.stage,
                "row": line.row,
                "vocab": line.vocab,
                "level": line.level,
                "memory": if line.cold { "cold" } else { "hot" },
                "rounds": line.measured.rounds,
                "floor": statistics(line.measured.floor),
                "time": statistics(line.measured.stage),
                "min_ratio": line.measured.minimum_ratio(),
                "median_ratio": line.measured.median_ratio(),
            })
        })
        .collect();
    json!({
        "machine": {
            "processor": machine.processor,
            "processors_allowed": machine.allowed,
            "pinned": machine.is_pinned(),
            "target": machine.target,
            "baseline": machine.baseline,
            "optimised": machine.optimised,
        },
        "version": machine.version,
        "floor": reader.name(),
        "lines": lines,
    })
}
