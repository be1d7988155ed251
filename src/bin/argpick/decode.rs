//! `argpick decode`: continue texts with an additive n-gram model and show every step.

use crate::beams::{self, BeamArgs};
use crate::list_args::ListArgs;
use crate::repetition_args::RepetitionArgs;
use crate::sampling_args::{SamplingArgs, remark_on_greedy};
use crate::{Failure, args, document, plot, remark, report};
use argpick::sandbox::beams::BeamOptions;
use argpick::sandbox::default::CONTEXTS;
use argpick::sandbox::rules::{Rules, TOPIC_KEEP};
use argpick::sandbox::session::{Options, Session, Stop, Transcript};
use argpick::sandbox::{Model, contexts, default_model, trace};
use argpick::{Config, Level, Metrics, Mode, TraceParts};
use clap::ValueEnum;
use std::io::Write;
use std::path::PathBuf;

/// Most logits per step that `--top` accepts.
const MOST_TOP: i64 = 1000;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeName {
    /// Always the best token
    Greedy,
    /// A draw from the distribution
    Sample,
}

/// The options of `argpick decode`. Names of two words are accepted with underscores too.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model: an .npz or .safetensors file [default: the small model inside argpick]
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    weights: Option<PathBuf>,
    /// Prompts: a JSON file ({"contexts": [...]} or [...]) or plain text, one per line [default: prompts for the
    /// model inside argpick]
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    contexts: Option<PathBuf>,
    /// A prompt; may be given again, also beside --contexts
    #[arg(long, value_name = "TEXT", help_heading = "Input")]
    context: Vec<String>,

    /// At most so many tokens per text
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Decoding")]
    steps: u32,
    /// How to pick [default: greedy]
    #[arg(long, value_enum, help_heading = "Decoding")]
    mode: Option<ModeName>,
    /// Temperature; 0 is greedy. In greedy mode, that of the reported probabilities
    #[arg(long, visible_alias = "temperature", value_name = "T", default_value = "1", value_parser = args::temperature,
          help_heading = "Decoding")]
    temp: f64,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Decoding")]
    seed: u64,
    /// Stream of the first text; each later text takes the next one
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Decoding")]
    stream: u64,
    /// Force a kernel level: scalar, portable, avx2 or avx512 (else ARGPICK_KERNEL, else the best)
    #[arg(long, value_name = "LEVEL", value_parser = args::level, help_heading = "Decoding")]
    kernel: Option<Level>,

    #[command(flatten)]
    sampling: SamplingArgs,
    /// Only ids below this take part; 0 = all
    #[arg(long, alias = "valid_vocab", value_name = "N", default_value_t = 0, help_heading = "Filters")]
    valid_vocab: u32,
    #[command(flatten)]
    repetition: RepetitionArgs,
    #[command(flatten)]
    beams: BeamArgs,
    #[command(flatten)]
    lists: ListArgs,

    /// No text ends before this step
    #[arg(long, alias = "min_steps", value_name = "N", default_value_t = 0, help_heading = "Rules")]
    min_steps: u32,
    /// A ".", "!" or "?" ends the text
    #[arg(long, alias = "stop_punct", value_name = "0|1", default_value = "1", num_args = 0..=1,
          default_missing_value = "1", value_parser = args::flag, help_heading = "Rules")]
    stop_punct: bool,
    /// Words never to pick, with commas between
    #[arg(long, value_name = "WORDS", help_heading = "Rules")]
    ban: Vec<String>,
    /// Never the same token twice in a row
    #[arg(long, alias = "no_repeat", value_name = "0|1", default_value = "0", num_args = 0..=1,
          default_missing_value = "1", value_parser = args::flag, help_heading = "Rules")]
    no_repeat: bool,
    /// None of the last N generated tokens again; 0 = off
    #[arg(long, alias = "no_repeat_window", value_name = "N", default_value_t = 0, help_heading = "Rules")]
    no_repeat_window: u32,
    /// No text ends after an article, a preposition and the like
    #[arg(long, alias = "no_dangling", value_name = "0|1", default_value = "1", num_args = 0..=1,
          default_missing_value = "1", value_parser = args::flag, help_heading = "Rules")]
    no_dangling: bool,
    /// After "a" and "an" only what English allows
    #[arg(long, alias = "det_a_an", value_name = "0|1", default_value = "0", num_args = 0..=1,
          default_missing_value = "1", value_parser = args::flag, help_heading = "Rules")]
    det_a_an: bool,
    /// Only the prompt's words and --topic-keep
    #[arg(long, alias = "topic_lock", value_name = "0|1", default_value = "0", num_args = 0..=1,
          default_missing_value = "1", value_parser = args::flag, help_heading = "Rules")]
    topic_lock: bool,
    /// Words that --topic-lock leaves besides, with commas between [default: is,a,an,of,in,and,has,are,the]
    #[arg(long, alias = "topic_keep", value_name = "WORDS", help_heading = "Rules")]
    topic_keep: Option<String>,
    /// With --topic-lock, only the N best; 0 = all
    #[arg(long, alias = "topic_topn", value_name = "N", default_value_t = 24, help_heading = "Rules")]
    topic_topn: u32,

    /// Best logits to report per step [default: 8, of which 5 are printed]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=MOST_TOP), help_heading = "Output")]
    top: Option<u32>,
    /// With --json, the log-probabilities of each step: of the --top best (as given, and after the rules), of what the
    /// filters keep, of the pick so far, and how far the logits may move before the answer changes
    #[arg(long, requires = "json", help_heading = "Output")]
    logprobs: bool,
    /// Write a trace, one JSON record per step
    #[arg(long, alias = "trace_out", value_name = "FILE", help_heading = "Output")]
    trace_out: Option<PathBuf>,
    /// Write the curves of margin, top-1 probability and entropy as CSV
    #[arg(long, alias = "csv_out", value_name = "FILE", help_heading = "Output")]
    csv_out: Option<PathBuf>,
    /// Record the run, so that `argpick replay` can execute it again
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    record: Option<PathBuf>,
    /// Draw the same curves, per text
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
    /// One JSON document instead of the report
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Only the texts and the summary, no steps
    #[arg(long, short, conflicts_with = "json", help_heading = "Output")]
    quiet: bool,
    /// Every step, also those of a loop that repeat earlier ones number for number
    #[arg(long, alias = "all_steps", conflicts_with_all = ["json", "quiet"], help_heading = "Output")]
    all_steps: bool,
}

/// Runs the command.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let kernels = args::choose(args.kernel)?;
    let outputs = [&args.trace_out, &args.csv_out, &args.record, &args.plot];
    let inputs = [&args.weights, &args.contexts];
    args::check_outputs(
        outputs.into_iter().flatten().map(|path| &**path),
        inputs.into_iter().flatten().map(|path| &**path),
    )?;
    let model = match &args.weights {
        Some(path) => Model::open(path)?,
        None => default_model()?,
    };
    let mut prompts = match &args.contexts {
        Some(path) => contexts::read(path)?,
        None => Vec::new(),
    };
    prompts.extend(args.context.iter().cloned());
    if prompts.is_empty() && args.weights.is_none() {
        prompts.extend(CONTEXTS.map(String::from));
    }
    if prompts.is_empty() {
        return Err(Failure::Message("give a prompt: --context TEXT or --contexts FILE".to_owned()));
    }
    let options = options(&args, &model);
    if let Some(config) = args.beams.config(args.sampling.profile, args.temp, args.steps) {
        let options = BeamOptions {
            config,
            rules: options.rules,
            beside: args.repetition.config(Config::default()),
            lists: options.lists,
        };
        return beams::run(out, &model, kernels, &options, &prompts, args.json);
    }
    let asked = Config { mode: mode(&args), temperature: args.temp as f32, ..args.sampling.config(Config::default()) };
    remark_on_greedy(&asked, args.seed != 0 || args.stream != 0, args.mode.is_some());
    // A replay that meets another row can say then by how much it must be off.
    let mut recorded = options.clone();
    if args.record.is_some() {
        recorded.base.metrics |= Metrics::FLIP;
    }
    let mut session = Session::new(&model, recorded, kernels)?;
    if args.record.is_some() {
        session.start_recording(TraceParts::default())?;
    }
    let texts: Vec<Transcript> = prompts.iter().map(|prompt| session.run(prompt)).collect::<Result<_, _>>()?;
    let shown = report::Shown { model: &model, kernels, options: &options, texts: &texts };

    let refused = texts.iter().find_map(|text| match &text.stop {
        Stop::Refused(error) => Some((text, error)),
        _ => None,
    });
    if refused.is_none() {
        // A trace of a run that failed would look like one of a run that ended.
        if let Some(path) = &args.trace_out {
            trace::write_file(path, |file| trace::write_jsonl(file, &model, &options, &texts))?;
        }
        if let Some(path) = &args.csv_out {
            trace::write_file(path, |file| trace::write_csv(file, &model, &options, &texts))?;
        }
        if let Some(path) = &args.record {
            let recorded = session.finish_recording()?.unwrap_or_default();
            trace::write_file(path, |file| file.write_all(&recorded))?;
        }
        if let Some(path) = &args.plot {
            let drawing = plot::draw(&shown)?;
            trace::write_file(path, |file| file.write_all(drawing.as_bytes()))?;
        }
    }
    if args.json {
        document::write(out, &shown)?;
    } else {
        let detail = match (args.quiet, args.all_steps) {
            (true, _) => report::Detail::Texts,
            (_, true) => report::Detail::AllSteps,
            _ => report::Detail::Steps,
        };
        report::print(out, &shown, detail, args.top.unwrap_or(5) as usize)?;
    }
    match refused {
        Some((text, error)) => Err(Failure::Message(format!("{:?}, step {}: {error}", text.context, text.steps.len()))),
        None => Ok(()),
    }
}

fn mode(args: &Args) -> Mode {
    match args.mode {
        Some(ModeName::Sample) => Mode::Sample,
        Some(ModeName::Greedy) | None => Mode::Greedy,
    }
}

/// Words as the model has them, with a remark on each that cannot have an effect.
fn known(model: &Model, option: &str, list: Vec<String>) -> Vec<String> {
    list.into_iter()
        .map(|word| if model.class(&word).is_some() { word } else { word.to_lowercase() })
        .inspect(|word| {
            if model.class(word).is_none() {
                remark(format_args!("{option}: the model has no word {word:?}, so this has no effect"));
            }
        })
        .collect()
}

/// The options in force.
fn options(args: &Args, model: &Model) -> Options {
    let known = |option: &str, list: Vec<String>| known(model, option, list);
    let topic_keep = match &args.topic_keep {
        Some(list) => known("--topic-keep", args::word_list(list)),
        None => TOPIC_KEEP.map(String::from).to_vec(),
    };
    Options {
        steps: args.steps,
        mode: mode(args),
        temperature: args.temp,
        top_k: args.sampling.top_k,
        top_p: args.sampling.top_p,
        min_p: args.sampling.min_p,
        base: args
            .sampling
            .config(args.repetition.config(Config { valid_vocab: args.valid_vocab, ..Config::default() })),
        seed: args.seed,
        stream: args.stream,
        top: args.top.unwrap_or(8) as usize,
        lists: args.lists.lists(),
        step_lists: args.logprobs,
        rules: Rules {
            min_steps: args.min_steps,
            ban: known("--ban", args.ban.iter().flat_map(|list| args::word_list(list)).collect()),
            no_repeat: args.no_repeat,
            no_repeat_window: args.no_repeat_window,
            det_a_an: args.det_a_an,
            topic_lock: args.topic_lock,
            topic_keep,
            topic_topn: args.topic_topn,
            no_dangling: args.no_dangling,
            stop_punct: args.stop_punct,
        },
    }
}
