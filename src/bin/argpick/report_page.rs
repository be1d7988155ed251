//! `argpick report`: one self-contained page from recorded runs, traces of steps and sweeps.

mod branches;
mod details;
mod html;
mod lines;
mod recording;
mod run;
mod sweeps;
mod words;

use crate::rows::Rows;
use crate::{Failure, args, remark};
use argpick::sandbox::{Model, default_model, trace};
use argpick::weights::map::Bytes;
use argpick::{Kernels, Level};
use details::Budget;
use run::Run;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use words::Words;

/// The largest file that is read, in bytes: a page of more would open nowhere.
const MOST_BYTES: u64 = 256 << 20;
/// The most runs of a page.
const MOST_RUNS: usize = 500;

/// The options of `argpick report`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Inputs: what `argpick decode --record` and a host's recorder write (with the rows of its steps, so that the \
    sliders of the page decode anew), what `argpick decode --trace-out` writes, and the results of a sweep. Runs with one \
    prompt, from whichever file, stand side by side. The page is one file: no server, no network."
)]
pub struct Args {
    /// Recorded runs, traces of steps, results of sweeps
    #[arg(value_name = "FILE", required = true)]
    inputs: Vec<PathBuf>,
    /// The page to write
    #[arg(long, short, value_name = "FILE.html")]
    out: PathBuf,
    /// The heading of the page [default: from the inputs]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// The model whose head made the rows from the columns in a recording [default: the model inside argpick]
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// The rows of a recording's steps, one in each row of a .npy; for one recording
    #[arg(long, value_name = "FILE.npy", conflicts_with = "weights")]
    rows: Option<PathBuf>,
    /// The masks of a recording's steps, where they are not in it; for one recording
    #[arg(long, value_name = "FILE.npy", requires = "rows")]
    masks: Option<PathBuf>,
    /// The texts of the tokens: a JSON list, a JSON object of ids by text, or one a line [default: those of the model]
    #[arg(long, value_name = "FILE")]
    words: Option<PathBuf>,
    /// Tokens to show in each step
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=200))]
    top: u32,
    /// At most so many steps in all; those after them are left out, and the page says so
    #[arg(long, value_name = "N", default_value_t = 2000)]
    most_steps: usize,
    /// At most so many MiB of whole rows in the page; of later steps only the best logits are there, and the page says so
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    row_limit: usize,
    /// How many of the best logits of a step are there if its row is not
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65536))]
    best: u32,
    /// Force a kernel level: scalar, portable, avx2 or avx512 (else ARGPICK_KERNEL, else the best)
    #[arg(long, value_name = "LEVEL", value_parser = args::level)]
    kernel: Option<Level>,
}

/// What the readers of inputs share.
pub struct Source {
    kernels: Kernels,
    model: Option<Model>,
    /// Whether the model was asked for, and not only at hand.
    is_asked: bool,
    rows: Option<Rows>,
    masks: Option<PathBuf>,
    words: Option<Words>,
    budget: Budget,
    /// What the page must say about itself as a whole.
    remarks: Vec<String>,
}

/// Runs the command.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let options = [&args.weights, &args.rows, &args.masks, &args.words];
    let inputs = args.inputs.iter().chain(options.into_iter().flatten());
    args::check_outputs([&*args.out], inputs.map(|path| &**path))?;
    let mut source = Source {
        kernels: args::choose(args.kernel)?,
        model: Some(match &args.weights {
            Some(path) => Model::open(path)?,
            None => default_model()?,
        }),
        is_asked: args.weights.is_some(),
        rows: args.rows.as_deref().map(Rows::logits).transpose()?,
        masks: args.masks.clone(),
        words: args.words.as_deref().map(Words::read).transpose()?,
        budget: Budget::new(args.top as usize, args.most_steps, args.row_limit << 20, args.best as usize),
        remarks: Vec::new(),
    };
    let mut runs: Vec<Run> = Vec::new();
    let mut recordings = 0;
    for path in &args.inputs {
        let bytes = open(path)?;
        let name = file_name(path);
        if bytes.starts_with(b"APKT") {
            recordings += 1;
            if recordings > 1 && source.rows.is_some() {
                return Err("--rows are those of one recording: give one, or record with columns".to_owned().into());
            }
            recording::read(&name, &bytes, &mut source, &mut runs)?;
        } else {
            lines::read(&name, &bytes, &mut source, &mut runs)?;
        }
    }
    if recordings == 0 && (source.rows.is_some() || source.is_asked && runs.iter().all(|run| !run.has_rows())) {
        remark("no input is a recording that --rows or --weights could be for: they have no effect");
    }
    if runs.len() > MOST_RUNS {
        source
            .remarks
            .push(format!("The inputs have {} runs. The page shows the first {MOST_RUNS} of them.", runs.len()));
        runs.truncate(MOST_RUNS);
    }
    if runs.is_empty() {
        return Err("there is nothing to show: the inputs have no step".to_owned().into());
    }
    let title = args.title.clone().unwrap_or_else(|| default_title(&args.inputs));
    source.budget.say(&mut source.remarks);
    for line in &source.remarks {
        remark(line);
    }
    let document = document(&title, &source, &runs);
    let page = html::page(&title, &document);
    trace::write_file(&args.out, |file| file.write_all(page.as_bytes()))?;
    let steps: usize = runs.iter().map(|run| run.steps.len()).sum();
    let (plural_runs, plural_steps) = (if runs.len() == 1 { "" } else { "s" }, if steps == 1 { "" } else { "s" });
    writeln!(
        out,
        "{}: {} run{plural_runs}, {steps} step{plural_steps}, {} bytes",
        args.out.display(),
        runs.len(),
        page.len()
    )?;
    Ok(())
}

fn open(path: &Path) -> Result<Bytes, Failure> {
    let refuse = |reason: String| Failure::Message(format!("{}: {reason}", path.display()));
    let found = fs::metadata(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    if found.len() > MOST_BYTES {
        let size = found.len() >> 20;
        return Err(refuse(format!("{size} MiB are more than a page can show ({} MiB)", MOST_BYTES >> 20)));
    }
    Ok(Bytes::map(path).map_err(|error| refuse(error.to_string()))?.0)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn default_title(inputs: &[PathBuf]) -> String {
    match inputs {
        [one] => format!("What the decoder did: {}", file_name(one)),
        several => format!("What the decoder did: {} files", several.len()),
    }
}

/// The data of the page.
fn document(title: &str, source: &Source, runs: &[Run]) -> Value {
    // Each vocabulary stands once, whichever runs share it.
    let mut vocabularies: Vec<&Words> = Vec::new();
    let runs_json: Vec<Value> = runs
        .iter()
        .map(|run| {
            let place = run.words.as_ref().map(|words| {
                vocabularies.iter().position(|known| *known == words).unwrap_or_else(|| {
                    vocabularies.push(words);
                    vocabularies.len() - 1
                })
            });
            run.json(place)
        })
        .collect();
    json!({
        "format": 1,
        "title": title,
        "version": env!("CARGO_PKG_VERSION"),
        "numerics": argpick::numeric::NUMERICS_VERSION,
        "remarks": source.remarks,
        "vocabularies": vocabularies.iter().map(|words| words.json()).collect::<Vec<_>>(),
        "runs": runs_json,
        "groups": branches::groups(runs),
    })
}
