//! `argpick decode --json`: the report as one JSON document, for programs.

use crate::list_args;
use crate::repetition_args::{penalty_scope_name, without_repetition};
use crate::report::{Findings, Shown};
use crate::sampling_args::in_force;
use argpick::Candidate;
use argpick::sandbox::patterns::{CLIFF_MARGIN, Loop};
use argpick::sandbox::session::{Stop, Transcript};
use argpick::sandbox::trace::mode_name;
use serde_json::{Value, json};
use std::io::{self, Write};

/// Writes the report as one JSON document. Numbers that JSON lacks are null.
pub fn write(out: &mut dyn Write, shown: &Shown<'_>) -> io::Result<()> {
    let Findings { cliffs, loops, attractors, .. } = shown.findings();
    let word = |class: u32| shown.model.words()[class as usize].as_str();
    let options = shown.options;
    let rules = &options.rules;
    let texts: Vec<Value> = shown.texts.iter().zip(&loops).map(|(text, found)| text_json(shown, text, found)).collect();
    let filters = in_force(&without_repetition(&options.base))
        .into_iter()
        .filter(|(name, _)| !["profile", "top_k", "top_p", "min_p"].contains(name));
    let filters: serde_json::Map<String, Value> =
        filters.map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let document = json!({
        "model": {
            "origin": shown.model.origin(),
            "vocab": shown.model.vocab(),
            "columns": shown.model.space().dimension(),
            "notes": shown.model.weights().notes(),
        },
        "kernel": shown.kernels.level().name(),
        "parameters": {
            "mode": mode_name(options.mode),
            "temp": options.temperature,
            "steps": options.steps,
            "topk": options.top_k,
            "top_p": options.top_p,
            "min_p": options.min_p,
            "profile": options.base.profile.name(),
            "filters": filters,
            "seed": options.seed,
            "stream": options.stream,
            "repetition_penalty": options.base.repetition_penalty,
            "frequency_penalty": options.base.frequency_penalty,
            "presence_penalty": options.base.presence_penalty,
            "penalty_window": options.base.penalty_window,
            "penalty_scope": penalty_scope_name(options.base.penalty_scope),
            "dry_multiplier": options.base.dry_multiplier,
            "dry_base": options.base.dry_base,
            "dry_allowed_length": options.base.dry_allowed_length,
            "dry_window": options.base.dry_window,
            "no_repeat_ngram": options.base.no_repeat_ngram,
            "loop_repeats": options.base.loop_repeats,
            "loop_period": options.base.loop_period,
            "min_tokens": options.base.min_tokens,
            "length_decay_start": options.base.length_decay_start,
            "length_decay_factor": options.base.length_decay_factor,
            "history_capacity": options.base.history_capacity,
            "words": list_args::words_json(&options.lists),
            "min_steps": rules.min_steps,
            "stop_punct": rules.stop_punct,
            "ban": rules.ban,
            "no_repeat": rules.no_repeat,
            "no_repeat_window": rules.repeat_window(),
            "no_dangling": rules.no_dangling,
            "det_a_an": rules.det_a_an,
            "topic_lock": rules.topic_lock,
            "topic_keep": rules.topic_keep,
            "topic_topn": rules.topic_topn,
        },
        "texts": texts,
        "summary": {
            "cliff_margin": CLIFF_MARGIN,
            "cliffs": cliffs.iter().map(|cliff| json!({
                "text": cliff.text, "step": cliff.step, "best": word(cliff.best), "second": word(cliff.second),
                "margin": cliff.margin,
            })).collect::<Vec<_>>(),
            "attractors": attractors.iter().map(|attractor| json!({
                "tokens": attractor.tokens.iter().map(|&class| word(class)).collect::<Vec<_>>(),
                "texts": attractor.texts,
            })).collect::<Vec<_>>(),
        },
    });
    serde_json::to_writer_pretty(&mut *out, &document).map_err(io::Error::from)?;
    writeln!(out)
}

fn text_json(shown: &Shown<'_>, text: &Transcript, found: &Option<Loop>) -> Value {
    let word = |class: u32| shown.model.words()[class as usize].as_str();
    let steps: Vec<Value> = text
        .steps
        .iter()
        .map(|step| {
            let mut shown = json!({
                "step": step.step,
                "picked": word(step.class),
                "margin": step.margin,
                "p_top1": step.top1_probability,
                "entropy": step.entropy,
                "logprob": step.logprob,
                "rank": step.rank,
                "allowed": step.allowed,
                "top": step.top.iter().map(|&(class, logit)| json!([word(class), logit])).collect::<Vec<_>>(),
            });
            if let Some(lists) = &step.lists {
                let list = |candidates: &[Candidate]| {
                    let one = |&Candidate { token, logit, logprob }: &Candidate| {
                        json!({ "token": token, "word": word(token), "logit": logit, "logprob": logprob })
                    };
                    candidates.iter().map(one).collect::<Vec<_>>()
                };
                let [flip_argmax, flip_kept, flip_token] = lists.flip;
                shown["token"] = json!(step.class);
                shown["logprob_raw"] = json!(lists.logprob_raw);
                shown["cumulative_logprob"] = json!(lists.cumulative_logprob);
                shown["flip_argmax"] = json!(flip_argmax);
                shown["flip_kept"] = json!(flip_kept);
                shown["flip_token"] = json!(flip_token);
                shown["top_logprobs"] = json!(list(&lists.top));
                shown["top_logprobs_raw"] = json!(list(&lists.top_raw));
                shown["kept"] = json!(list(&lists.kept));
            }
            shown
        })
        .collect();
    json!({
        "context_start": text.context,
        "continuation": text.continuation(shown.model),
        "input_tokens": text.prompt.len(),
        "unknown_tokens": text.unknown,
        "output_tokens": text.generated().count(),
        "stop": text.stop.name(),
        "stop_string": match &text.stop {
            Stop::StopString(number) => Some(&shown.options.lists.stop_strings[*number]),
            _ => None,
        },
        "held_back": text.held_back,
        "error": match &text.stop {
            Stop::Refused(error) => Some(error.to_string()),
            _ => None,
        },
        "stream": text.stream,
        "loop": found.as_ref().map(|found| json!({
            "start": found.start, "period": found.period, "length": found.length,
        })),
        "steps": steps,
    })
}
