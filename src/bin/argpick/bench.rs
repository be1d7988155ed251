//! `argpick bench`: what a token costs on this machine, beside the bare reading of its row.
//!
//! Stages and measuring code are those of `cargo bench` (`benches/support`), so that figures can be compared.

mod document;
mod drawing;
mod figures;
mod histogram;

// One implementation for the benchmarks and for this command; each uses a part of it.
#[path = "../../../benches/support/mod.rs"]
#[allow(dead_code)]
mod support;

use crate::{Failure, remark};
use argpick::weights::PendingFile;
use argpick::{Kernels, Level, MAX_VOCAB};
use clap::builder::PossibleValuesParser;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use support::curves::Curves;
use support::draws::Draws;
use support::machine::Machine;
use support::measure::Measured;
use support::reader::Reader;
use support::rows::{self, VOCABULARIES};
use support::stages::{self, STAGES, Stage};
use support::subject::{Subject, dtype_suffix};
use support::table::{Comparisons, Line, Table, comparisons};

/// The options of `argpick bench`.
#[derive(Clone, Debug, clap::Args)]
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
    /// Each row also shifted by 1000, shuffled and ascending: nothing may cost more on those
    #[arg(long)]
    rearranged: bool,
    /// As many single draws by full sampling and by top-p: the slowest, and how many blocks of 64 tokens they evaluate
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    draws: u32,
    /// Draw how often each time occurred, a panel for each line, into this SVG
    #[arg(long, value_name = "FILE")]
    histogram: Option<PathBuf>,
    /// Instead of the table: draw time against vocabulary, k, p, history and batch, as SVGs into this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["stage", "cold", "json", "out", "histogram", "rearranged", "draws"])]
    plot: Option<PathBuf>,
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
    original: Option<String>,
}

/// Draws of one kind from one row.
struct DrawLine {
    stage: &'static str,
    row: String,
    level: &'static str,
    vocab: usize,
    draws: Draws,
}

/// Runs the command.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    if args.plot.is_some() {
        return plot(&args, out);
    }
    let mut rows = rows_of(&args)?;
    if args.rearranged {
        rows = rows.into_iter().flat_map(with_rearranged).collect();
    }
    let levels = levels_of(&args)?;
    let stages: Vec<&'static Stage> = match &args.stage[..] {
        [] => STAGES.iter().collect(),
        names => names.iter().filter_map(|name| stages::find(name)).collect(),
    };
    // Before anything is measured: a file that cannot be written should not cost the time.
    let file = args.out.as_deref().map(pending).transpose()?;
    let picture = args.histogram.as_deref().map(pending).transpose()?;
    let machine = machine();
    let reader = fastest_reader(&rows)?;
    let mut lines = Vec::new();
    let mut draws = Vec::new();
    for row in &rows {
        for &level in &levels {
            for &stage in &stages {
                if let Some(line) = measure(stage, row, level, reader, &args)? {
                    lines.push(line);
                }
            }
            if args.draws > 0 {
                draws.extend(draw(row, level, args.draws as usize)?);
            }
        }
    }
    let compared = comparisons(&lines);
    let text = if args.json {
        format!("{:#}\n", document::document(&machine, reader, &lines, &compared, &draws))
    } else {
        let mut text = format!("{machine}\nfloor      {}\n\n{}", reader.name(), Table(&lines));
        if !compared.is_empty() {
            let _ = write!(text, "\n{}", Comparisons(&compared));
        }
        if !draws.is_empty() {
            let _ = write!(text, "\n{}", document::Draws(&draws));
        }
        text
    };
    if let Some(picture) = picture {
        finish(picture, &histogram::draw(&machine.processor, &lines)?)?;
    }
    if let Some(file) = file {
        finish(file, &text)?;
    }
    out.write_all(text.as_bytes())?;
    Ok(())
}

/// A file that appears when it is finished, with its name for messages.
fn pending(path: &Path) -> Result<(&Path, PendingFile), Failure> {
    Ok((path, PendingFile::create(path).map_err(|error| format!("{}: {error}", path.display()))?))
}

fn finish((path, mut file): (&Path, PendingFile), text: &str) -> Result<(), Failure> {
    let written = file.write_all(text.as_bytes()).map_err(|error| error.to_string());
    let finished = written.and_then(|()| file.finish().map_err(|error| error.to_string()));
    Ok(finished.map_err(|error| format!("{}: {error}", path.display()))?)
}

fn machine() -> Machine {
    let machine = Machine::here();
    if !machine.optimised {
        remark("this build is not optimised; use --release");
    }
    machine
}

fn fastest_reader(rows: &[NamedRow]) -> Result<Reader, Failure> {
    let longest = rows.iter().max_by_key(|row| row.logits.len());
    Ok(Reader::fastest(longest.map_or(&[][..], |row| &row.logits))?)
}

/// The row and its rearrangements.
fn with_rearranged(row: NamedRow) -> Vec<NamedRow> {
    let others = rows::rearranged(&row.logits);
    let named = others.map(|(how, logits)| NamedRow {
        name: format!("{} {how}", row.name),
        logits,
        original: Some(row.name.clone()),
    });
    [row].into_iter().chain(named).collect()
}

/// `--plot`.
fn plot(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let folder = args.plot.as_deref().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let longest = args.vocab.iter().copied().max().unwrap_or(1 << 20);
    // The other figures have rows of one length, that of a file's where there is one.
    let args = Args { vocab: Vec::new(), ..args.clone() };
    let mut rows: Vec<NamedRow> = rows_of(&args)?;
    rows.retain(|row| row.name != "gaussian");
    let length = rows.first().map_or(longest.min(262_144), |row| row.logits.len());
    if rows.iter().any(|row| row.logits.len() != length) {
        return Err("--plot: the rows must be of the same length".to_owned().into());
    }
    rows.insert(0, NamedRow { name: "N(0,3)".to_owned(), logits: rows::gaussian(length), original: None });
    let machine = machine();
    let reader = fastest_reader(&rows)?;
    for level in levels_of(&args)? {
        let curves = Curves { level, reader, rounds: args.rounds as usize };
        let written = figures::write(&curves, longest, &rows, &machine.processor, folder)?;
        writeln!(out, "{machine}\nfloor      {}\nlevel      {level}\n", reader.name())?;
        out.write_all(written.as_bytes())?;
    }
    Ok(())
}

/// Single draws by full sampling and by a nucleus.
fn draw(row: &NamedRow, level: Level, draws: usize) -> Result<Vec<DrawLine>, Failure> {
    let mut lines = Vec::new();
    for (stage, config) in [("full", stages::sampling()), ("top-p", stages::top_p())] {
        remark(format_args!("{draws} draws, {stage}, {}, {level}", row.name));
        let draws = Draws::new(&row.logits, &config, level, draws)?;
        lines.push(DrawLine { stage, row: row.name.clone(), level: level.name(), vocab: row.logits.len(), draws });
    }
    Ok(lines)
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
    let (level, original) = (level.name(), row.original.as_ref());
    let original = original.map(|original| format!("{original}{}", dtype_suffix(stage.dtype)));
    let row = format!("{}{}", row.name, dtype_suffix(stage.dtype));
    Ok(Some(Line { stage: stage.name, level, vocab, row, original, cold: args.cold, measured }))
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
            let made = vocabularies.iter().map(|&vocab| NamedRow {
                name: row.clone(),
                logits: rows::gaussian(vocab),
                original: None,
            });
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
        all.push(NamedRow { name: format!("{stem}:{index}"), logits, original: None });
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
