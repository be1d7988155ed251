//! `argpick train`: a text file to a model of the decoder sandbox.
//!
//! The work is done by the library; this file has the options, the progress bar on stderr, Ctrl-C, and the report on
//! stdout.

use crate::{Failure, args, remark};
use argpick::kernels::Level;
use argpick::sandbox::train::{Progress, Report, Stage, TrainOptions, train_file};
use argpick::types::Dtype;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The options of `argpick train`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The same text, options and seed give the same file, bit for bit, on every machine. \
    Ctrl-C ends the run and keeps the model of the last whole epoch.")]
pub struct Args {
    /// The text: UTF-8, of any size; paragraphs are separated by empty lines
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// The model to write, a NumPy archive
    #[arg(long, value_name = "MODEL.npz")]
    out: PathBuf,
    /// Words and marks in the vocabulary: the most frequent ones
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..1 << 22))]
    vocab: u32,
    /// Columns for pairs of tokens
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    d2: u32,
    /// Columns for triples of tokens
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    d3: u32,
    /// Passes over the text
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Learning rate of the first epoch; it falls to a tenth in equal steps
    #[arg(long, value_name = "X", default_value_t = 0.1, value_parser = learning_rate, allow_negative_numbers = true)]
    lr: f32,
    /// Seed of the order in which the text is learned
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Hold out the last of every N sentences to measure on; 0 holds out none
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = hold_out)]
    hold_out: u32,
    /// Tokens in the shuffle buffer; 0 learns in the order of the text
    #[arg(long, value_name = "N", default_value_t = 1 << 16)]
    shuffle: u32,
    /// Element type of W in the file
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: WeightType,
    /// Force a kernel level: scalar, portable, avx2 or avx512 (else ARGPICK_KERNEL, else the best); the model is the
    /// same
    #[arg(long, value_name = "LEVEL", value_parser = args::level)]
    kernel: Option<Level>,
    /// One JSON document instead of the table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum WeightType {
    F32,
    F16,
}

fn learning_rate(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        Ok(rate) => Err(format!("{rate} is outside its range, finite and above 0")),
        Err(error) => Err(error.to_string()),
    }
}

fn hold_out(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(1) => Err("1 would hold out every sentence; 0 holds out none".into()),
        Ok(every) => Ok(every),
        Err(error) => Err(error.to_string()),
    }
}

/// Trains, writes the model, prints the report.
///
/// # Errors
/// What went wrong; the model of the last whole epoch stays.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let kernels = args::choose(args.kernel)?;
    let options = TrainOptions {
        vocab: args.vocab as usize,
        d2: args.d2,
        d3: args.d3,
        epochs: args.epochs,
        learning_rate: args.lr,
        seed: args.seed,
        hold_out: args.hold_out,
        shuffle: args.shuffle as usize,
        dtype: match args.dtype {
            WeightType::F32 => Dtype::F32,
            WeightType::F16 => Dtype::F16,
        },
    };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
        .map_err(|error| Failure::Message(format!("cannot listen for Ctrl-C: {error}")))?;
    // Drawn on stderr, and only if that is a terminal.
    let bar = ProgressBar::new(0);
    let mut show = |progress: &Progress| {
        draw(&bar, progress);
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let result = train_file(kernels, &args.text, &args.out, &options, &mut show);
    bar.finish_and_clear();
    let report = result?;
    if report.epochs.is_empty() {
        return Err(Failure::Message("stopped before the first epoch was whole; nothing is written".into()));
    }
    if report.interrupted {
        let (whole, asked) = (report.epochs.len(), args.epochs);
        remark(format_args!("stopped in epoch {} of {asked}; {} holds epoch {whole}", whole + 1, args.out.display()));
    }
    if args.json {
        to_json(&args, &report, out)?
    } else {
        to_text(&args, &report, out)?
    }
    Ok(())
}

/// Puts the bar where the trainer is.
fn draw(bar: &ProgressBar, progress: &Progress) {
    let name = match progress.stage {
        Stage::Counting => "counting words",
        Stage::Learning => "learning",
        Stage::Measuring => "measuring",
    };
    if progress.total == 0 {
        bar.set_style(
            ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        bar.set_message(format!("{name}: {}", progress.done));
    } else {
        let style = ProgressStyle::with_template("{prefix} {bar:24} {percent:>3} % {msg}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(format!("epoch {}/{}", progress.epoch, progress.epochs));
        bar.set_length(progress.total);
        if progress.done < bar.position() {
            bar.reset();
        }
        bar.set_message(format!("{name}, loss {:.4}", progress.loss));
    }
    bar.set_position(progress.done);
}

/// The report for a reader.
fn to_text(args: &Args, report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    let (tokens, distinct, coverage) = (report.tokens, report.distinct_words, 100.0 * report.coverage);
    writeln!(
        out,
        "text   {}: {tokens} tokens, {distinct} different, {coverage:.1} % of them in the vocabulary of {}",
        args.text.display(),
        args.vocab
    )?;
    writeln!(out, "model  {} classes, {} columns", report.classes, report.features)?;
    writeln!(out, "\nepoch  rate      loss    accuracy  held-out perplexity  accuracy")?;
    for (number, epoch) in (1..).zip(&report.epochs) {
        let accuracy = 100.0 * epoch.accuracy;
        write!(out, "{number:>5}  {:<8.5} {:>7.4}  {accuracy:>6.1} %", epoch.learning_rate, epoch.loss)?;
        match epoch.held_out {
            Some(held_out) => writeln!(out, "  {:>19.3}  {:>6.1} %", held_out.perplexity, 100.0 * held_out.accuracy)?,
            None => writeln!(out)?,
        }
    }
    writeln!(out)?;
    if let Some(last) = report.epochs.last() {
        writeln!(out, "training loss        {:.4} nats a token", last.loss)?;
        if let (Some(held_out), Some(unigram)) = (last.held_out, report.unigram_perplexity) {
            let (perplexity, count) = (held_out.perplexity, held_out.tokens);
            writeln!(out, "held-out perplexity  {perplexity:.3} on {count} tokens (unigram model: {unigram:.3})")?;
            writeln!(out, "greedy accuracy      {:.1} % held out", 100.0 * held_out.accuracy)?;
        } else {
            writeln!(out, "greedy accuracy      {:.1} % while learning", 100.0 * last.accuracy)?;
        }
    }
    writeln!(out, "written              {}", args.out.display())?;
    Ok(())
}

/// The report for a program.
fn to_json(args: &Args, report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    let epochs: Vec<_> = report
        .epochs
        .iter()
        .map(|epoch| {
            serde_json::json!({
                "learning_rate": epoch.learning_rate,
                "loss": epoch.loss,
                "accuracy": epoch.accuracy,
                "held_out": epoch.held_out.map(|held_out| serde_json::json!({
                    "tokens": held_out.tokens,
                    "perplexity": held_out.perplexity,
                    "accuracy": held_out.accuracy,
                })),
            })
        })
        .collect();
    let document = serde_json::json!({
        "text": args.text.display().to_string(),
        "out": args.out.display().to_string(),
        "tokens": report.tokens,
        "distinct_words": report.distinct_words,
        "coverage": report.coverage,
        "classes": report.classes,
        "features": report.features,
        "unigram_perplexity": report.unigram_perplexity,
        "epochs": epochs,
        "interrupted": report.interrupted,
    });
    writeln!(out, "{document:#}")
}
