//! `argpick replay`: execute a recorded run again and name the first difference.

use crate::rows::Rows;
use crate::sampling_args::{in_force, in_force_text};
use crate::{Failure, args, remark};
use argpick::sandbox::default::MODEL;
use argpick::weights::map::Bytes;
use argpick::weights::{Open, Weights};
use argpick::{Difference, Error, FieldValue, Finish, Kernels, Level, Metrics, Record, Replay, StepRecord, Trace};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// The options of `argpick replay`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code 0: every step came out as recorded, bit for bit. 1: one did not, or the trace is damaged \
    or cut off. 2: bad usage. A row is compared by the digest in the trace, so a difference says whether the input was \
    another one. Of a row that is another one it says whether the trace has it at another step, and, where the trace has the \
    flip certificate and the token is another one, by how much some logit must have moved at least."
)]
pub struct Args {
    /// A trace, as `argpick decode --record` or a host writes it
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The rows of its steps, one in each row of a .npy
    #[arg(long, value_name = "FILE.npy", conflicts_with = "weights")]
    rows: Option<PathBuf>,
    /// The masks of its steps, one in each row (32 tokens a word, or one byte or bool a token) [default: those in the trace]
    #[arg(long, value_name = "FILE.npy")]
    masks: Option<PathBuf>,
    /// The sparse head that made its rows from the columns in the trace [default: that of the model inside argpick]
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Force a kernel level: scalar, portable, avx2 or avx512 (else ARGPICK_KERNEL, else the best)
    #[arg(long, value_name = "LEVEL", value_parser = args::level)]
    kernel: Option<Level>,
    /// One JSON document instead of the text
    #[arg(long)]
    json: bool,
}

/// Where rows come from.
enum Source {
    Rows(Rows),
    Head(Weights),
    /// Nothing is needed: there is no step.
    None,
}

/// What came of it.
struct Outcome {
    checked: u64,
    difference: Option<Difference>,
    /// The step that differs, as recorded.
    recorded: Option<StepRecord>,
    /// The step that was recorded on the row given, where that is another one than the first that differs.
    elsewhere: Option<u64>,
    /// The last remark in the trace before the difference.
    note: Option<String>,
}

/// Runs the command.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let kernels = args::choose(args.kernel)?;
    let name = args.trace.display().to_string();
    let failed = |error: argpick::Error| Failure::Message(format!("{name}: {error}"));
    let (bytes, _) = Bytes::map(&args.trace).map_err(failed)?;
    let trace = Trace::open(&bytes).map_err(failed)?;
    let source = source(&args, &trace)?;
    let masks = args.masks.as_deref().map(|path| Rows::masks(path, trace.vocab())).transpose()?;
    if let Some(masks) = &masks
        && masks.count > 1
    {
        enough("masks", masks.count, &trace)?;
    }
    let outcome = execute(&trace, &source, masks.as_ref(), kernels).map_err(|failure| match failure {
        Failure::Message(message) => Failure::Message(format!("{name}: {message}")),
        other => other,
    })?;
    if args.json {
        let document = document(&name, &trace, kernels, &outcome);
        writeln!(out, "{document:#}")?;
    } else {
        print(out, &name, &trace, kernels, &outcome)?;
    }
    match outcome.difference {
        Some(difference) => {
            Err(Failure::Message(format!("{name}: step {} does not come out as recorded", difference.step)))
        }
        None if !trace.is_complete() => Err(Failure::Message(format!(
            "{name}: the trace is cut off or damaged after byte {} of {}; the {} steps before that agree",
            trace.whole_bytes(),
            bytes.len(),
            trace.steps()
        ))),
        None => Ok(()),
    }
}

fn source(args: &Args, trace: &Trace<'_>) -> Result<Source, Failure> {
    if let Some(path) = &args.rows {
        let rows = Rows::logits(path)?;
        if rows.length != trace.vocab() {
            let (ours, theirs) = (rows.length, trace.vocab());
            return Err(format!("{}: rows of {ours} logits, the trace has {theirs}", path.display()).into());
        }
        enough("rows", rows.count, trace)?;
        return Ok(Source::Rows(rows));
    }
    if trace.steps_with_columns() < trace.steps() {
        let missing = trace.steps() - trace.steps_with_columns();
        return Err(format!("{missing} steps of the trace have no columns: give their rows, --rows FILE.npy").into());
    }
    if trace.steps() == 0 {
        return Ok(Source::None);
    }
    let (weights, origin) = match &args.weights {
        Some(path) => {
            let opened = Weights::open(path, Open::default());
            (opened.map_err(|error| format!("{}: {error}", path.display()))?, path.display().to_string())
        }
        None => {
            let origin = "the model inside argpick".to_owned();
            (Weights::from_bytes(MODEL.to_vec())?, origin)
        }
    };
    let vocab = weights.head().vocab();
    if vocab != trace.vocab() {
        return Err(format!("{origin}: {vocab} logits, the trace has {}", trace.vocab()).into());
    }
    Ok(Source::Head(weights))
}

/// One row of a file for each step of the trace.
fn enough(what: &str, count: usize, trace: &Trace<'_>) -> Result<(), Failure> {
    let steps = trace.steps();
    if (count as u64) < steps {
        return Err(format!("{count} {what} for {steps} steps").into());
    }
    if count as u64 > steps {
        remark(format_args!("{count} {what} for {steps} steps: the last ones are not used"));
    }
    Ok(())
}

fn execute(trace: &Trace<'_>, source: &Source, masks: Option<&Rows>, kernels: Kernels) -> Result<Outcome, Failure> {
    let mut replay = Replay::new_with_kernels(trace.clone(), kernels)?;
    let (mut difference, mut recorded) = (None, None);
    while difference.is_none()
        && let Some(step) = replay.next_step().map_err(|error| before(replay.steps(), error))?
    {
        recorded = Some(step);
        let index = replay.steps() as usize;
        // A step that had no mask needs none, whatever the file has in its row.
        let given = masks.filter(|_| step.mask.is_some()).map(|masks| masks.mask(index)).transpose()?;
        difference = match source {
            Source::Rows(rows) => replay.check(rows.row(index)?.row(), given.as_deref())?,
            Source::Head(weights) => replay.check_sparse(&weights.head(), given.as_deref())?,
            Source::None => return Err("there is a step after all".to_owned().into()),
        };
    }
    let note = difference.as_ref().and_then(|found| note_before(trace, found.step));
    let recorded = recorded.filter(|_| difference.is_some());
    let elsewhere = difference.as_ref().and_then(|found| step_with_row(trace, found));
    Ok(Outcome { checked: replay.steps(), difference, recorded, elsewhere, note })
}

/// What stands before a step and that no decoder could have done.
fn before(step: u64, error: argpick::Error) -> Failure {
    Failure::Message(format!("before step {step}: {error}"))
}

/// Another step that was recorded on the row that was found.
fn step_with_row(trace: &Trace<'_>, difference: &Difference) -> Option<u64> {
    let found = difference.row?.found;
    let steps = trace.records().filter_map(|record| match record {
        Record::Step(step) => Some(step),
        _ => None,
    });
    (0..).zip(steps).find(|(_, step)| step.row == found).map(|(index, _)| index)
}

/// What the flip certificate says of a row that is another one and gives another token: some logit is that much off, or more.
fn least_change(outcome: &Outcome) -> Option<f32> {
    let (found, recorded) = (outcome.difference.as_ref()?, outcome.recorded.as_ref()?);
    let pick = recorded.outcome.ok().filter(|_| recorded.has_numbers && recorded.metrics.contains(Metrics::FLIP))?;
    let is_another_token = found.field.as_ref().is_some_and(|field| field.name == "token");
    // 0 claims nothing.
    (found.row.is_some() && found.mask.is_none() && is_another_token && pick.flip_token > 0.0)
        .then_some(pick.flip_token)
}

/// A field's value for people: choices and statuses by their names.
fn told(name: &str, value: FieldValue) -> String {
    let known = match (name, value) {
        ("finish", FieldValue::Count(number)) => FINISHES.get(number as usize).copied(),
        ("status", FieldValue::Count(0)) => Some("a pick"),
        ("status", FieldValue::Count(number)) => {
            STATUSES.iter().find(|(error, _)| error.status() as u64 == number).map(|(_, text)| *text)
        }
        _ => None,
    };
    known.map_or_else(|| value.to_string(), |text| format!("{value} ({text})"))
}

/// The reasons to finish, by their numbers.
const FINISHES: [&str; 5] = ["none", "length", "end token", "stop", "loop"];
const _: () = assert!(Finish::Length as u32 == 1 && Finish::EndToken as u32 == 2 && Finish::Stop as u32 == 3);
const _: () = assert!(Finish::None as u32 == 0 && Finish::Loop as u32 == 4);

/// The statuses that a step may have been refused with.
const STATUSES: [(Error, &str); 3] = [
    (Error::InvalidLogit { index: 0, value: 0.0 }, "a logit that is NaN or +inf"),
    (Error::EverythingMasked, "everything masked"),
    (Error::Finished, "the sequence had ended"),
];

/// The last remark before a step.
fn note_before(trace: &Trace<'_>, step: u64) -> Option<String> {
    let (mut steps, mut last) = (0, None);
    for record in trace.records() {
        match record {
            Record::Note(text) => last = Some(text.to_owned()),
            Record::Step(_) if steps == step => return last,
            Record::Step(_) => steps += 1,
            _ => {}
        }
    }
    None
}

fn print(
    out: &mut dyn Write,
    name: &str,
    trace: &Trace<'_>,
    kernels: Kernels,
    outcome: &Outcome,
) -> Result<(), Failure> {
    let config = trace.config();
    let mut parts = vec![format!("seed {}", config.seed), format!("stream {}", config.stream)];
    parts.extend(in_force_text(config));
    writeln!(out, "trace    {name}: {} steps, {} tokens", trace.steps(), trace.vocab())?;
    writeln!(out, "config   {}", parts.join(", "))?;
    writeln!(out, "kernels  {}", kernels.level())?;
    let Some(found) = &outcome.difference else {
        writeln!(out, "agrees   {} of {} steps", outcome.checked, trace.steps())?;
        return Ok(());
    };
    writeln!(out, "agrees   {} of {} steps", found.step, trace.steps())?;
    writeln!(out, "differs  step {}, position {}", found.step, found.position)?;
    if let Some(note) = &outcome.note {
        writeln!(out, "within   {}", note.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>())?;
    }
    match found.row {
        Some(row) => {
            writeln!(
                out,
                "row      another one: its digest is {:016x}, {:016x} was recorded",
                row.found, row.recorded
            )?;
            if let Some(step) = outcome.elsewhere {
                writeln!(out, "         the trace has it at step {step}")?;
            }
            if let Some(change) = least_change(outcome) {
                writeln!(out, "         some logit is off by {change} or more: less would not have changed the token")?;
            }
        }
        None => writeln!(out, "row      the same")?,
    }
    match found.mask {
        Some(mask) => writeln!(
            out,
            "mask     another one: its digest is {:016x}, {:016x} was recorded",
            mask.found, mask.recorded
        )?,
        None => writeln!(out, "mask     the same")?,
    }
    match &found.field {
        Some(field) => {
            let (found, recorded) = (told(field.name, field.found), told(field.name, field.recorded));
            writeln!(out, "answer   {} is {found}, {recorded} was recorded", field.name)?;
        }
        None => writeln!(out, "answer   the same")?,
    }
    Ok(())
}

fn document(name: &str, trace: &Trace<'_>, kernels: Kernels, outcome: &Outcome) -> Value {
    let config = trace.config();
    let parameters: serde_json::Map<String, Value> =
        in_force(config).into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let digests = |found: Option<argpick::Digests>| {
        found.map(|digests| {
            json!({ "recorded": format!("{:016x}", digests.recorded), "found": format!("{:016x}", digests.found) })
        })
    };
    json!({
        "trace": name,
        "vocab": trace.vocab(),
        "steps": trace.steps(),
        "complete": trace.is_complete(),
        "seed": config.seed,
        "stream": config.stream,
        "parameters": parameters,
        "kernel": kernels.level().name(),
        "checked": outcome.checked,
        "agrees": outcome.difference.is_none(),
        "difference": outcome.difference.as_ref().map(|found| json!({
            "step": found.step,
            "position": found.position,
            "note": outcome.note,
            "row": digests(found.row),
            "row_of_step": outcome.elsewhere,
            "least_change": least_change(outcome),
            "mask": digests(found.mask),
            "field": found.field.as_ref().map(|field| json!({
                "name": field.name,
                // As text: what is no number in JSON (infinity) is one here.
                "recorded": field.recorded.to_string(),
                "found": field.found.to_string(),
            })),
        })),
    })
}
