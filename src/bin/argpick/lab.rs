//! `argpick sweep FILE`: prompts x parameter sets x seeds with a model of the sandbox.

use crate::report::{plural, printable};
use crate::{Failure, args, remark};
use argpick::lab::{self, Fingerprint, Input, Model as _, Results, RunRecord, SandboxModel, Sweep, summarise};
use argpick::sandbox::text::tokens;
use argpick::sandbox::{Model, default_model};
use argpick::{Kernels, Level};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the progress is drawn.
const EVERY: Duration = Duration::from_millis(100);

/// The options of the form with a sweep file.
#[derive(Debug, clap::Args)]
pub struct LabArgs {
    /// The model: an .npz or .safetensors file [default: the small model inside argpick]
    #[arg(long, value_name = "FILE", conflicts_with = "rows", help_heading = "Prompts x parameter sets")]
    weights: Option<PathBuf>,
    /// Keep the results here, one JSON line a run; a sweep that was interrupted goes on with the runs that are left
    #[arg(long, value_name = "FILE.jsonl", conflicts_with = "rows", help_heading = "Prompts x parameter sets")]
    out: Option<PathBuf>,
    /// Decode so many runs together, whatever the file says; decides no result
    #[arg(long, alias = "max_batch_size", value_name = "N", conflicts_with = "rows",
          value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Prompts x parameter sets")]
    max_batch_size: Option<u32>,
    /// Do runs again that ended with an error
    #[arg(
        long,
        alias = "retry_errors",
        requires = "out",
        conflicts_with = "rows",
        help_heading = "Prompts x parameter sets"
    )]
    retry_errors: bool,
}

/// Runs the sweep of a file.
pub fn run(
    file: &Path,
    args: &LabArgs,
    (level, json): (Option<Level>, bool),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let kernels = args::choose(level)?;
    let sweep = Sweep::read(file)?;
    let model = match &args.weights {
        Some(path) => Model::open(path)?,
        None => default_model()?,
    };
    let maker = SandboxModel::new(&model, kernels);
    let ends =
        lab::run::resolve(&sweep, &maker).map_err(|error| Failure::Message(format!("{}: {error}", file.display())))?;
    for (index, prompt) in sweep.prompts.iter().enumerate() {
        let Input::Text(text) = &prompt.input else { continue };
        let mut unknown: Vec<String> = tokens(text).filter(|word| !model.space().contains(word)).collect();
        unknown.sort();
        unknown.dedup();
        if !unknown.is_empty() {
            let words = printable(&unknown.join(", "));
            remark(format_args!(
                "prompts[{index}]: the model does not know these words, and takes each for the same: {words}"
            ));
        }
    }
    let fingerprint = Fingerprint::new(&sweep, &maker.identity());
    let mut results = match &args.out {
        Some(path) => Results::open(path, &sweep, fingerprint)?,
        None => Results::in_memory(&sweep, fingerprint),
    };
    if results.torn() > 0 {
        remark(format_args!(
            "the last line of the results was cut off ({} bytes): that run is done again",
            results.torn()
        ));
    }
    let left = results.left(args.retry_errors);
    let there = sweep.len() - left.len();
    if there > 0 {
        remark(format_args!("{there} of {} runs are done already; left: {}", sweep.len(), left.len()));
    }
    let batch = args.max_batch_size.map_or(sweep.max_batch_size, |size| size as usize);
    let is_stopped = do_runs(&maker, (&sweep, &ends), kernels, batch, &left, &mut results)?;
    results.sync()?;

    let records: Vec<&RunRecord> = results.done().collect();
    let summary = summarise(records.iter().copied());
    let shown = Shown { file, args, sweep: &sweep, model: &model, results: &results };
    if json {
        writeln!(out, "{:#}", shown.document(&summary, &records))?;
    } else {
        shown.print(out, &summary, &records)?;
    }
    if is_stopped {
        let on = if args.out.is_some() { "; the same command goes on from there" } else { "" };
        return Err(Failure::Message(format!("stopped: {} of {} runs are done{on}", summary.done, sweep.len())));
    }
    match summary.failed {
        0 => Ok(()),
        failed => Err(Failure::Message(format!("{failed} of {} runs ended with an error", sweep.len()))),
    }
}

/// Does the runs that are left; whether somebody has stopped it.
fn do_runs(
    model: &SandboxModel<'_>,
    sweep: (&Sweep, &lab::run::TokenEnds),
    kernels: Kernels,
    batch: usize,
    left: &[usize],
    results: &mut Results,
) -> Result<bool, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
        .map_err(|error| Failure::Message(format!("cannot listen for Ctrl-C: {error}")))?;
    // Drawn on stderr, and only if that is a terminal.
    let bar = ProgressBar::new(left.len() as u64);
    let style = ProgressStyle::with_template("runs {bar:24} {pos}/{len}, {msg}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut shown = Instant::now();
    let mut watch = |progress: &lab::run::Progress| {
        // A step may take a microsecond, which drawing does not.
        if shown.elapsed() >= EVERY {
            shown = Instant::now();
            bar.set_position(progress.runs as u64);
            bar.set_message(format!("{} tokens", progress.tokens));
        }
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let done = lab::run::run(model, sweep, kernels, batch, left, &mut |record| results.add(record), &mut watch);
    bar.finish_and_clear();
    Ok(done?.is_break())
}

struct Shown<'a> {
    file: &'a Path,
    args: &'a LabArgs,
    sweep: &'a Sweep,
    model: &'a Model,
    results: &'a Results,
}

impl Shown<'_> {
    fn print(&self, out: &mut dyn Write, summary: &lab::Summary, records: &[&RunRecord]) -> Result<(), Failure> {
        let sweep = self.sweep;
        let (prompts, sets, seeds) = (sweep.prompts.len(), sweep.sets.len(), sweep.seeds.len());
        writeln!(
            out,
            "sweep    {}: {} x {} x {} = {}",
            self.file.display(),
            plural(prompts, "prompt"),
            plural(sets, "parameter set"),
            plural(seeds, "seed"),
            plural(sweep.len(), "run")
        )?;
        let columns = self.model.space().dimension();
        writeln!(out, "model    {}: {} words, {columns} columns of context", self.model.origin(), self.model.vocab())?;
        for set in &sweep.sets {
            writeln!(out, "set      {}: {}", printable(&set.name), lab::in_words(&set.config).join(", "))?;
        }
        if let Some(path) = &self.args.out {
            writeln!(out, "results  {}: {} of {} runs", path.display(), summary.done, sweep.len())?;
        }
        writeln!(out)?;
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = lab::write_text(&mut text, summary, records);
        Ok(out.write_all(text.as_bytes())?)
    }

    fn document(&self, summary: &lab::Summary, records: &[&RunRecord]) -> Value {
        let sweep = self.results.fingerprint().as_str();
        let run = |record: &&RunRecord| serde_json::from_str::<Value>(&record.to_line(sweep)).unwrap_or_default();
        json!({
            "sweep": sweep,
            "file": self.file.to_string_lossy(),
            "model": {
                "origin": self.model.origin(),
                "vocab": self.model.vocab(),
                "columns": self.model.space().dimension(),
            },
            "runs": self.sweep.len(),
            "summary": lab::to_json(summary),
            "results": records.iter().map(run).collect::<Vec<_>>(),
        })
    }
}
