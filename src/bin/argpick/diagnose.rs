//! `argpick diagnose`: rows of logits against their targets: flat, saturated or healthy; how accurate; how well calibrated.
//!
//! Rows are read where they lie in the file, one after the other. A row that is refused (NaN, everything masked) is named and
//! left out of every figure.

use crate::report::plural;
use crate::rows::{Rows, integers};
use crate::sampling_args::{SamplingArgs, in_force, in_force_text};
use crate::{Failure, args, diagnose_plot};
use argpick::lab::{Assessment, Reliability};
use argpick::sandbox::trace;
use argpick::{Config, Decoder, DiagnosisLimits, Level, RowDiagnosis, TokenId, Verdict};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Rows that are printed without `--all-rows`.
const MOST_ROWS: usize = 20;

/// The options of `argpick diagnose`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Greedy accuracy is how often the argmax is the target; drawn accuracy what draws with these filters have on \
    average, computed, not drawn. Calibration compares the argmax's probability with how often it is right, at temperature 1 \
    and as the filters leave it. src/docs/lab.md says what each number means. Exit code 1 if a row was refused."
)]
pub struct Args {
    /// The rows: a .npy (f32, f16, bf16 as raw V2, f64) with one row, or one in each row of a matrix
    #[arg(long, value_name = "FILE.npy", help_heading = "Input")]
    rows: PathBuf,
    /// The target of each row: a .npy of whole numbers, or ids with commas between
    #[arg(long, value_name = "FILE.npy|IDS", allow_hyphen_values = true, help_heading = "Input")]
    targets: String,
    /// Leave out the rows with this target (-100 marks padding in some trainers)
    #[arg(long, alias = "ignore_target", value_name = "N", allow_negative_numbers = true, help_heading = "Input")]
    ignore_target: Option<i64>,
    /// Only the first N logits of a row take part: for rows that are padded [default: all]
    #[arg(long, alias = "valid_vocab", value_name = "N", help_heading = "Input")]
    valid_vocab: Option<usize>,
    /// Temperature of the draws; 0 is greedy
    #[arg(long, visible_alias = "temperature", value_name = "T", default_value = "1", value_parser = args::temperature,
          help_heading = "Decoding")]
    temp: f64,
    /// Force a kernel level: scalar, portable, avx2 or avx512 (else ARGPICK_KERNEL, else the best)
    #[arg(long, value_name = "LEVEL", value_parser = args::level, help_heading = "Decoding")]
    kernel: Option<Level>,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// A row is flat from this fraction of the largest possible entropy on
    #[arg(long, alias = "flat_entropy", value_name = "F", default_value = "0.9", value_parser = args::probability,
          help_heading = "Limits")]
    flat_entropy: f32,
    /// A row is saturated from this probability of its argmax on
    #[arg(long, alias = "saturated_top1", value_name = "P", default_value = "0.999", value_parser = args::probability,
          help_heading = "Limits")]
    saturated_top1: f32,
    /// The k of top-k accuracy, with commas between
    #[arg(long, alias = "accuracy_at", value_name = "K", value_delimiter = ',', default_value = "5,10",
          value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    accuracy_at: Vec<u32>,
    /// Bins of the reliability diagrams
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000),
          help_heading = "Limits")]
    bins: u32,
    /// Print every row, not only the first 20
    #[arg(long, alias = "all_rows", conflicts_with = "json", help_heading = "Output")]
    all_rows: bool,
    /// Draw the reliability diagram, and the rows by entropy and top-1 probability
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
    /// One JSON document instead of text
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// One row that was looked at.
pub struct Looked {
    pub row: usize,
    pub target: TokenId,
    pub found: RowDiagnosis,
    /// The probability with which the argmax is drawn.
    pub configured: f32,
}

/// Everything that was found.
pub struct Findings {
    pub looked: Vec<Looked>,
    pub assessment: Assessment,
    pub limits: DiagnosisLimits,
    /// Rows that were refused, and why.
    pub refused: Vec<(usize, String)>,
    /// Rows left out for their target.
    pub ignored: usize,
    /// Logits of a row that take part.
    pub vocab: usize,
    /// Whether draws are as the rows are: temperature 1 and no filters.
    pub is_plain: bool,
}

/// Runs the command.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let kernels = args::choose(args.kernel)?;
    args::check_outputs(args.plot.as_deref(), [&*args.rows, Path::new(&args.targets)])?;
    let rows = Rows::logits(&args.rows)?;
    let vocab = args.valid_vocab.unwrap_or(rows.length);
    if vocab == 0 || vocab > rows.length {
        return Err(Failure::Message(format!(
            "--valid-vocab is {vocab}; allowed: 1 to {}, the length of the rows of {}",
            rows.length,
            args.rows.display()
        )));
    }
    let targets = targets(&args, rows.count, vocab)?;
    let config = args.sampling.config(Config { temperature: args.temp as f32, ..Config::default() });
    let mut decoder = Decoder::new_with_kernels(&config, vocab, kernels)?;
    let mut findings = Findings {
        looked: Vec::with_capacity(rows.count),
        assessment: Assessment::new(&args.accuracy_at, args.bins as usize)?,
        limits: DiagnosisLimits {
            flat_entropy: args.flat_entropy,
            saturated_top1: args.saturated_top1,
            ..DiagnosisLimits::default()
        },
        refused: Vec::new(),
        ignored: 0,
        vocab,
        is_plain: in_force(&config).iter().all(|(name, _)| *name == "profile"),
    };
    rows.read_in_order();
    // Drawn on stderr, and only if that is a terminal.
    let bar = ProgressBar::new(rows.count as u64);
    let style = ProgressStyle::with_template("rows {bar:24} {pos}/{len}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    for (index, target) in targets.into_iter().enumerate() {
        bar.inc(1);
        let Some(target) = target else {
            findings.ignored += 1;
            continue;
        };
        let mut row = rows.row(index)?;
        row.cut(vocab);
        let mut found = [RowDiagnosis::default()];
        let looked = decoder.diagnose(&[row.row()], &[target], &findings.limits, &mut found).and_then(|_| {
            let [found] = found;
            let configured = decoder.probability_of(row.row(), None, found.score.argmax)?;
            findings.assessment.add(&found, configured)?;
            Ok(Looked { row: index, target, found, configured })
        });
        match looked {
            Ok(looked) => findings.looked.push(looked),
            Err(error) => findings.refused.push((index, error.to_string())),
        }
    }
    bar.finish_and_clear();
    if let Some(path) = &args.plot {
        let drawing = diagnose_plot::draw(&findings, &args.rows)?;
        trace::write_file(path, |file| file.write_all(drawing.as_bytes()))?;
    }
    if args.json {
        writeln!(out, "{:#}", document(&args, &config, &findings))?;
    } else {
        print(out, &args, &config, &findings)?;
    }
    match findings.refused.as_slice() {
        [] => Ok(()),
        [(row, error), rest @ ..] => {
            let more =
                if rest.is_empty() { String::new() } else { format!(" (and {} more)", plural(rest.len(), "row")) };
            Err(Failure::Message(format!("{}: row {row} was refused: {error}{more}", args.rows.display())))
        }
    }
}

/// The target of each row; `None` where the row is left out.
fn targets(args: &Args, count: usize, vocab: usize) -> Result<Vec<Option<TokenId>>, String> {
    let is_list = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b"-, ".contains(&byte));
    let (origin, list) = if is_list(&args.targets) && !Path::new(&args.targets).exists() {
        let read = |text: &str| text.trim().parse::<i64>().map_err(|error| format!("--targets: {text:?}: {error}"));
        ("--targets".to_owned(), args.targets.split(',').map(read).collect::<Result<Vec<_>, _>>()?)
    } else {
        (args.targets.clone(), integers(Path::new(&args.targets))?)
    };
    if list.len() != count {
        let (rows, targets) = (plural(count, "row"), plural(list.len(), "target"));
        return Err(format!("{origin}: {targets}, but {} has {rows}; allowed: one for each row", args.rows.display()));
    }
    let read = |(row, &target): (usize, &i64)| {
        if Some(target) == args.ignore_target {
            return Ok(None);
        }
        match TokenId::try_from(target) {
            Ok(token) if (token as usize) < vocab => Ok(Some(token)),
            _ => Err(format!(
                "{origin}: the target of row {row} is {target}; allowed: 0 to {}, or what --ignore-target names",
                vocab - 1
            )),
        }
    };
    list.iter().enumerate().map(read).collect()
}

/// The name of a verdict.
pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Healthy => "healthy",
        Verdict::Flat => "flat",
        Verdict::Saturated => "saturated",
    }
}

const VERDICTS: [Verdict; 3] = [Verdict::Healthy, Verdict::Flat, Verdict::Saturated];

/// What more than half of the rows are.
fn overall(found: &Findings) -> &'static str {
    let most = VERDICTS.into_iter().find(|&verdict| 2 * found.assessment.count(verdict) > found.assessment.rows());
    most.map_or("mixed", verdict_name)
}

fn print(out: &mut dyn Write, args: &Args, config: &Config, found: &Findings) -> Result<(), Failure> {
    let sums = &found.assessment;
    writeln!(
        out,
        "rows     {}: {} of {} logits",
        args.rows.display(),
        plural(sums.rows() as usize, "row"),
        found.vocab
    )?;
    let left_out = [(found.ignored, "ignored"), (found.refused.len(), "refused")];
    for (count, why) in left_out.into_iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "         {} {why}", plural(count, "row"))?;
    }
    for (row, error) in found.refused.iter().take(MOST_ROWS) {
        writeln!(out, "         row {row}: {error}")?;
    }
    let set = in_force_text(config);
    writeln!(out, "draws    {}", if set.is_empty() { "temperature 1, no filters".to_owned() } else { set.join(", ") })?;
    let limits = &found.limits;
    let (flat, saturated) = (limits.flat_entropy, limits.saturated_top1);
    writeln!(
        out,
        "limits   flat from {flat} of the largest entropy, saturated from a top-1 probability of {saturated}\n"
    )?;
    if sums.rows() == 0 {
        writeln!(out, "no row was left to look at")?;
        return Ok(());
    }
    for verdict in VERDICTS {
        let count = sums.count(verdict);
        let part = 100.0 * count as f64 / sums.rows() as f64;
        writeln!(out, "{:<18} {count:>9}  {part:>5.1} %", verdict_name(verdict))?;
    }
    writeln!(out, "{:<18} {:>9}\n", "overall", overall(found))?;
    let mut line = |name: &str, value: f64, what: &str| match value.is_nan() {
        true => writeln!(out, "{name:<18} {:>9}  {what}", "-"),
        false => writeln!(out, "{name:<18} {value:>9.4}  {what}"),
    };
    line("greedy accuracy", sums.greedy_accuracy(), "the argmax is the target")?;
    line("drawn accuracy", sums.expected_accuracy(), "the expected accuracy of these draws")?;
    for (k, accuracy) in sums.top_k_accuracy() {
        line(&format!("top-{k} accuracy"), accuracy, "the target is among the first k")?;
    }
    let masked = match sums.infinite_losses() {
        0 => "nats, at temperature 1".to_owned(),
        count => format!("nats, at temperature 1, without {} whose target is masked", plural(count as usize, "row")),
    };
    line("loss", sums.loss(), &masked)?;
    line("entropy", sums.entropy(), "nats, at temperature 1")?;
    line("p(top1)", sums.top1_probability(), "at temperature 1")?;
    diagram(out, "at temperature 1", sums.raw())?;
    if !found.is_plain {
        diagram(out, "as drawn", sums.configured())?;
    }
    rows(out, args, found)
}

fn diagram(out: &mut dyn Write, name: &str, diagram: &Reliability) -> Result<(), Failure> {
    let (error, largest, over) = (diagram.expected_error(), diagram.largest_error(), diagram.overconfidence());
    let sure = if over >= 0.0 { "too sure" } else { "not sure enough" };
    writeln!(
        out,
        "\ncalibration {name}: expected error {error:.4}, largest {largest:.4}, {sure} by {:.4}",
        over.abs()
    )?;
    writeln!(out, "  {:<15} {:>8}  {:>10} {:>9} {:>8}", "p(top1)", "rows", "confidence", "accuracy", "gap")?;
    let count = diagram.bins().len() as f64;
    for (index, bin) in diagram.bins().iter().enumerate().filter(|(_, bin)| bin.rows > 0) {
        let range = format!("{:.3} to {:.3}", index as f64 / count, (index + 1) as f64 / count);
        let (confidence, accuracy) = (bin.confidence(), bin.accuracy());
        let gap = accuracy - confidence;
        writeln!(out, "  {range:<15} {:>8}  {confidence:>10.4} {accuracy:>9.4} {gap:>+8.4}", bin.rows)?;
    }
    Ok(())
}

fn rows(out: &mut dyn Write, args: &Args, found: &Findings) -> Result<(), Failure> {
    writeln!(
        out,
        "\n{:>8} {:>9} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9}  verdict",
        "row", "target", "argmax", "rank", "loss", "entropy", "p(top1)", "drawn"
    )?;
    let most = if args.all_rows { found.looked.len() } else { MOST_ROWS };
    for Looked { row, target, found, .. } in found.looked.iter().take(most) {
        let score = &found.score;
        writeln!(
            out,
            "{row:>8} {target:>9} {:>9} {:>8} {:>9.4} {:>9.4} {:>9.5} {:>9.5}  {}",
            score.argmax,
            score.rank,
            score.loss,
            score.entropy,
            score.top1_probability,
            found.expected_accuracy,
            verdict_name(found.verdict)
        )?;
    }
    if found.looked.len() > most {
        writeln!(out, "     ... {} more (--all-rows, --json)", found.looked.len() - most)?;
    }
    Ok(())
}

fn document(args: &Args, config: &Config, found: &Findings) -> Value {
    let sums = &found.assessment;
    let parameters: serde_json::Map<String, Value> = in_force(config)
        .into_iter()
        .filter(|(name, _)| *name != "profile")
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let rows = found.looked.iter().map(|looked| {
        let RowDiagnosis { score, expected_accuracy, verdict } = looked.found;
        json!({
            "row": looked.row,
            "target": looked.target,
            "argmax": score.argmax,
            "rank": score.rank,
            "loss": score.loss,
            "entropy": score.entropy,
            "p_top1": score.top1_probability,
            "tokens": score.tokens,
            "expected_accuracy": expected_accuracy,
            "drawn_p_argmax": looked.configured,
            "verdict": verdict_name(verdict),
        })
    });
    let top_k = sums.top_k_accuracy().map(|(k, accuracy)| json!({"k": k, "accuracy": accuracy}));
    json!({
        "rows_file": args.rows.to_string_lossy(),
        "rows": sums.rows(),
        "ignored": found.ignored,
        "vocab": found.vocab,
        "profile": config.profile.name(),
        "parameters": parameters,
        "limits": {"flat_entropy": found.limits.flat_entropy, "saturated_top1": found.limits.saturated_top1},
        "verdict": overall(found),
        "healthy": sums.count(Verdict::Healthy),
        "flat": sums.count(Verdict::Flat),
        "saturated": sums.count(Verdict::Saturated),
        "greedy_accuracy": sums.greedy_accuracy(),
        "expected_accuracy": sums.expected_accuracy(),
        "top_k_accuracy": top_k.collect::<Vec<_>>(),
        "loss": sums.loss(),
        "masked_targets": sums.infinite_losses(),
        "entropy": sums.entropy(),
        "p_top1": sums.top1_probability(),
        "calibration": calibration(sums.raw()),
        "drawn_calibration": calibration(sums.configured()),
        "refused": found.refused.iter().map(|(row, error)| json!({"row": row, "error": error})).collect::<Vec<_>>(),
        "results": rows.collect::<Vec<_>>(),
    })
}

fn calibration(diagram: &Reliability) -> Value {
    let bins = diagram.bins().iter().map(
        |bin| json!({"rows": bin.rows, "hits": bin.hits, "confidence": bin.confidence(), "accuracy": bin.accuracy()}),
    );
    json!({
        "expected_error": diagram.expected_error(),
        "largest_error": diagram.largest_error(),
        "overconfidence": diagram.overconfidence(),
        "bins": bins.collect::<Vec<_>>(),
    })
}
