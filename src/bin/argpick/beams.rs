//! `argpick decode --beams`: the best continuations that a beam search finds.

use crate::list_args;
use crate::repetition_args::penalty_scope_name;
use crate::report::{plural, printable, rules};
use crate::sampling_args::{in_force, in_force_text};
use crate::{Failure, remark};
use argpick::sandbox::Model;
use argpick::sandbox::beams::{BeamOptions, Found, search};
use argpick::{BeamConfig, EarlyStopping, Kernels, Profile};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::io::Write;

/// What a search has no use for: how a token is drawn and from what, and what is told of single steps.
const NOT_OF_BEAMS: [&str; 35] = [
    "mode",
    "seed",
    "stream",
    "top_k",
    "keep_ties",
    "top_p",
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "top_n_sigma",
    "top_a",
    "tfs_z",
    "top_h",
    "xtc_probability",
    "xtc_threshold",
    "min_keep",
    "dynatemp_range",
    "dynatemp_exponent",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
    "adaptive_target",
    "adaptive_decay",
    "stop_string",
    "forced",
    "valid_vocab",
    "top",
    "trace_out",
    "csv_out",
    "logprobs",
    "record",
    "plot",
    "quiet",
    "all_steps",
];

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Early {
    /// As soon as there are as many texts as beams
    Yes,
    /// When no beam would become one of the best if it ended now
    No,
    /// When no beam can become one of the best any more
    Never,
}

/// The options of a beam search.
#[derive(Clone, Debug, clap::Args)]
pub struct BeamArgs {
    /// Search with N beams instead of picking token by token; rules, penalties and lists hold for each beam, filters and draws
    /// do not apply
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024),
          conflicts_with_all = NOT_OF_BEAMS, help_heading = "Beam search")]
    beams: Option<u32>,
    /// Divide the beams into G groups, of which later ones avoid the words of earlier ones [default: 1]
    #[arg(long, value_name = "G", requires = "beams", value_parser = clap::value_parser!(u32).range(1..=1024),
          help_heading = "Beam search")]
    groups: Option<u32>,
    /// What a word loses for each beam of an earlier group that goes on with it [default: 0]
    #[arg(long, alias = "diversity_penalty", value_name = "X", requires = "beams", help_heading = "Beam search")]
    diversity_penalty: Option<f32>,
    /// Scores are divided by the length to this power: above 0 favours long texts [default: 0]
    #[arg(
        long,
        alias = "length_penalty",
        value_name = "A",
        requires = "beams",
        allow_negative_numbers = true,
        help_heading = "Beam search"
    )]
    length_penalty: Option<f32>,
    /// When a search ends before --steps [default: never]
    #[arg(long, alias = "early_stopping", value_enum, requires = "beams", help_heading = "Beam search")]
    early_stopping: Option<Early>,
    /// Show the K best texts [default: as many as beams]
    #[arg(long, alias = "n_best", value_name = "K", requires = "beams",
          value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Beam search")]
    n_best: Option<u32>,
}

impl BeamArgs {
    /// The search asked for, if one is.
    pub fn config(&self, profile: Profile, temperature: f64, steps: u32) -> Option<BeamConfig<'static>> {
        Some(BeamConfig {
            profile,
            beams: self.beams?,
            groups: self.groups.unwrap_or(1),
            diversity_penalty: self.diversity_penalty.unwrap_or(0.0),
            length_penalty: self.length_penalty.unwrap_or(0.0),
            early_stopping: match self.early_stopping {
                Some(Early::Yes) => EarlyStopping::Full,
                Some(Early::No) => EarlyStopping::Heuristic,
                Some(Early::Never) | None => EarlyStopping::Never,
            },
            temperature: temperature as f32,
            max_tokens: steps,
            n_best: self.n_best.unwrap_or(0),
            ..BeamConfig::default()
        })
    }
}

fn early_name(early: EarlyStopping) -> &'static str {
    match early {
        EarlyStopping::Full => "yes",
        EarlyStopping::Heuristic => "no",
        EarlyStopping::Never => "never",
    }
}

/// Searches after each prompt and tells what was found.
pub fn run(
    out: &mut dyn Write,
    model: &Model,
    kernels: Kernels,
    options: &BeamOptions,
    prompts: &[String],
    is_json: bool,
) -> Result<(), Failure> {
    if options.config.max_tokens == 0 {
        return Err(Failure::Usage("--beams needs --steps of 1 or more".to_owned()));
    }
    if options.config.temperature == 0.0 {
        return Err(Failure::Usage("--beams needs a --temp above 0".to_owned()));
    }
    let found: Vec<Found> =
        prompts.iter().map(|prompt| search(model, options, kernels, prompt)).collect::<Result<_, _>>()?;
    for found in found.iter().filter(|found| found.exhausted) {
        remark(format_args!("{:?}: the rules left no word to any beam after step {}", found.context, found.steps));
    }
    if is_json {
        writeln!(out, "{:#}", document(model, kernels, options, &found))?;
        return Ok(());
    }
    let space = model.space();
    let config = &options.config;
    writeln!(
        out,
        "model    {}: {}, {} of context",
        printable(model.origin()),
        plural(model.vocab(), "word"),
        plural(space.dimension(), "column")
    )?;
    writeln!(
        out,
        "decode   {} in {}, profile {}, temperature {}, diversity-penalty {}, length-penalty {}, early-stopping {}, {}, \
         kernels {}",
        plural(config.beams as usize, "beam"),
        plural(config.groups as usize, "group"),
        config.profile.name(),
        config.temperature,
        config.diversity_penalty,
        config.length_penalty,
        early_name(config.early_stopping),
        plural(config.max_tokens as usize, "step"),
        kernels.level().name()
    )?;
    writeln!(out, "rules    {}", rules(&options.rules))?;
    let listed = list_args::in_force_text(&options.lists);
    let beside: Vec<String> = in_force_text(&options.beside).into_iter().chain(listed).collect();
    if !beside.is_empty() {
        writeln!(out, "beside   {}", printable(&beside.join(", ")))?;
    }
    for (index, found) in found.iter().enumerate() {
        writeln!(out, "\n[{}] {}", index + 1, printable(&found.context))?;
        writeln!(out, "  {:>4} {:>12} {:>12} {:>6}  {:<12} text", "rank", "score", "logprob", "length", "end")?;
        for (rank, text) in found.texts.iter().enumerate() {
            writeln!(
                out,
                "  {rank:>4} {:>12.6} {:>12.6} {:>6}  {:<12} {}",
                text.score,
                text.logprob,
                text.length,
                text.stop.name(),
                printable(&text.continuation(model))
            )?;
        }
        if found.texts.is_empty() {
            writeln!(out, "  no text ended")?;
        }
    }
    Ok(())
}

fn document(model: &Model, kernels: Kernels, options: &BeamOptions, found: &[Found]) -> Value {
    let BeamOptions { config, rules, beside, lists } = options;
    let texts: Vec<Value> = found
        .iter()
        .map(|found| {
            let hypotheses = found.texts.iter().map(|text| {
                let words = text.classes.iter().map(|&class| model.words()[class as usize].as_str());
                json!({
                    "continuation": text.continuation(model),
                    "tokens": words.collect::<Vec<_>>(),
                    "score": text.score,
                    "logprob": text.logprob,
                    "length": text.length,
                    "stop": text.stop.name(),
                })
            });
            json!({
                "context_start": found.context,
                "input_tokens": found.prompt.len(),
                "unknown_tokens": found.unknown,
                "steps": found.steps,
                "exhausted": found.exhausted,
                "hypotheses": hypotheses.collect::<Vec<_>>(),
            })
        })
        .collect();
    let value = |(name, value): (&'static str, f64)| match name {
        "penalty_scope" => (name, json!(penalty_scope_name(beside.penalty_scope))),
        _ => (name, json!(value)),
    };
    let repetition: std::collections::BTreeMap<&str, Value> = in_force(beside).into_iter().map(value).collect();
    json!({
        "model": {
            "origin": model.origin(),
            "vocab": model.vocab(),
            "columns": model.space().dimension(),
            "notes": model.weights().notes(),
        },
        "kernel": kernels.level().name(),
        "parameters": {
            "profile": config.profile.name(),
            "beams": config.beams,
            "groups": config.groups,
            "diversity_penalty": config.diversity_penalty,
            "length_penalty": config.length_penalty,
            "early_stopping": early_name(config.early_stopping),
            "temp": config.temperature,
            "steps": config.max_tokens,
            "n_best": if config.n_best == 0 { config.beams } else { config.n_best },
            // What the decoders beside the beams do: what is in force of it.
            "repetition": repetition,
            "words": list_args::words_json(lists),
            "min_steps": rules.min_steps,
            "stop_punct": rules.stop_punct,
            "ban": rules.ban,
            "no_repeat_window": rules.repeat_window(),
            "no_dangling": rules.no_dangling,
            "det_a_an": rules.det_a_an,
            "topic_lock": rules.topic_lock,
            "topic_keep": rules.topic_keep,
            "topic_topn": rules.topic_topn,
        },
        "texts": texts,
    })
}
