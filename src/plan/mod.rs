//! From a configuration to a plan: checked parameters, and the list of stages that can do anything.
//!
//! A plan is data. The stages run in the order of the list, which is the profile's; a filter that cannot remove anything is
//! dropped here, once, so that a step never asks.

mod config;
mod names;
mod ranges;
mod words;

pub use config::{Config, Metrics, Mirostat, Mode, PenaltyScope, Profile};
pub(crate) use words::CONFIG_WORDS;

use crate::error::Result;
use crate::numeric::{exponent_scale, fixed_probability};
use crate::types::BLOCK;

/// One truncating stage with its parameter in the form a step needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stage {
    /// The configured temperature is in force from here on; before it, temperature 1.
    Temperature,
    /// Temperature 0 after filters that may take the argmax: the first token of what is left stays.
    Argmax,
    /// A temperature that follows the entropy of what is left: `low` to `high`.
    DynamicTemperature { low: f32, high: f32, exponent: f32 },
    /// Keep so many, and perhaps all that equal the last.
    TopK { k: usize, keep_ties: bool },
    /// Keep the prefix that reaches this probability, in units of 2^-32.
    TopP(u64),
    /// Keep what is at least this likely relative to the first.
    MinP(f32),
    /// Keep the likeliest in the order of typicality, up to this probability, in units of 2^-32.
    Typical(u64),
    /// Keep what is at least this likely.
    Epsilon(f32),
    /// The same with a limit that falls with the entropy.
    Eta(f32),
    /// Keep what is within so many standard deviations of the highest logit.
    TopNSigma(f32),
    /// Keep what is at least this times the squared largest probability.
    TopA(f32),
    /// Tail-free: this share of the curvature of the sorted probabilities.
    TailFree(f32),
    /// Bounded entropy.
    TopH(f32),
    /// Exclude top choices.
    Xtc { probability: u64, threshold: f32 },
    /// Mirostat 1 or 2: its mu is part of the decoder's state.
    Mirostat(Mirostat),
}

/// Stages at most.
pub(crate) const MAX_STAGES: usize = 13;

/// Top-k up to this many goes by a short list of candidates; beyond it, by a search for the k-th logit. Tail-free sampling
/// looks at no more.
pub(crate) const LIST_LIMIT: usize = 4096;

/// Top-h measures the entropy of so many of the first tokens (Hugging Face `TopHLogitsWarper`).
pub(crate) const TOP_H_TOKENS: usize = 100;

/// Mirostat 1 estimates Zipf's exponent from so many of the first tokens (llama.cpp's default).
pub(crate) const MIROSTAT_TOKENS: usize = 100;

/// A compiled configuration.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub config: Config,
    pub vocab: usize,
    /// Tokens that can take part: ids below this.
    pub valid: usize,
    pub greedy: bool,
    /// The configured temperature; above 0. A dynamic one replaces it in a step.
    pub temperature: f32,
    /// `exponent_scale(temperature)`.
    pub scale: f32,
    /// The temperature that the first stage sees: the configured one, or 1 where temperature comes later.
    pub first_temperature: f32,
    pub min_keep: usize,
    stages: [Option<Stage>; MAX_STAGES],
    /// Draw (a), inverse CDF over what is kept, if a stage bounds the kept set by rank or threshold; else draw (b).
    pub draws_by_inversion: bool,
    /// Whether the kept distribution is reshaped around a target probability before the draw.
    pub adaptive: bool,
    /// Entries of the candidate list.
    pub list_capacity: usize,
    pub history_capacity: usize,
    pub no_repeat_window: usize,
    pub adjustment_capacity: usize,
}

impl Plan {
    pub(crate) fn compile(config: &Config, vocab: usize) -> Result<Plan> {
        ranges::check(config, vocab)?;
        let valid = if config.valid_vocab == 0 { vocab } else { config.valid_vocab as usize };
        let (greedy, temperature) = temperature_rule(config);
        let min_keep = (config.min_keep as usize).max(1);
        let mut stages = [None; MAX_STAGES];
        let mut first_temperature = temperature;
        if !greedy {
            let found = order(config).iter().filter_map(|&kind| stage(kind, config, valid, min_keep));
            for (to, stage) in stages.iter_mut().zip(found) {
                *to = Some(stage);
            }
            if stages[0] == Some(Stage::Temperature) {
                // In force from the start: no stage at all.
                stages.rotate_left(1);
                stages[MAX_STAGES - 1] = None;
            } else if stages.iter().flatten().any(|stage| sets_temperature(*stage)) {
                first_temperature = 1.0;
            }
        }
        let adaptive = !greedy && config.adaptive_target >= 0.0 && config.mirostat == Mirostat::Off;
        let longest = stages.iter().flatten().map(|&stage| listed(stage, min_keep, valid)).max().unwrap_or(0);
        Ok(Plan {
            vocab,
            valid,
            greedy,
            temperature,
            scale: exponent_scale(temperature),
            first_temperature,
            min_keep,
            draws_by_inversion: adaptive || stages.iter().flatten().any(|&stage| bounds_by_rank_or_threshold(stage)),
            adaptive,
            stages,
            // Twice the list, so that weeding out is rare, and two blocks, so that one always fits.
            list_capacity: if longest == 0 { 0 } else { 2 * longest + 2 * BLOCK },
            history_capacity: ranges::history_capacity(config),
            no_repeat_window: config.no_repeat_window as usize,
            adjustment_capacity: match config.adjustment_capacity {
                0 => 1024,
                capacity => capacity as usize,
            },
            config: config.clone(),
        })
    }

    /// The stages in order.
    pub(crate) fn stages(&self) -> impl Iterator<Item = Stage> + '_ {
        self.stages.iter().flatten().copied()
    }

    /// Whether there are penalties or DRY that are not applied: llama.cpp's chain of mirostat has biases, temperature and mirostat
    /// alone.
    pub(crate) fn ignores_penalties(&self) -> bool {
        let config = &self.config;
        let is_used = config.repetition_penalty != 1.0
            || [config.frequency_penalty, config.presence_penalty, config.dry_multiplier].iter().any(|&x| is_set(x));
        is_used && is_llama_mirostat(config)
    }

    /// What a stage keeps at least: the profiles' engines do not ask `min_keep` everywhere.
    pub(crate) fn min_keep_of(&self, stage: Stage) -> usize {
        let knows = match self.config.profile {
            Profile::Canon => true,
            Profile::HuggingFace => !matches!(stage, Stage::TopH(_)),
            Profile::LlamaCpp => {
                !matches!(stage, Stage::Argmax | Stage::TopK { .. } | Stage::TopNSigma(_) | Stage::Mirostat(_))
            }
            Profile::Vllm => false,
        };
        if knows { self.min_keep } else { 1 }
    }

    /// Whether a stage may need the mass of the whole row: not where a short list stands before it.
    pub(crate) fn has_nucleus_of_row(&self) -> bool {
        let listed = self.stages().any(|stage| matches!(stage, Stage::TopK { k, .. } if k <= LIST_LIMIT));
        !listed && self.stages().any(|stage| matches!(stage, Stage::TopP(_)))
    }

    /// The probability of top-p if that is the only stage and nobody asks what it kept: then a draw can test the tokens it
    /// proposes instead of finding the whole nucleus.
    pub(crate) fn lone_nucleus(&self) -> Option<u64> {
        let asked = Metrics::LOGPROB | Metrics::KEPT | Metrics::KEPT_MASS | Metrics::FLIP;
        let mut stages = self.stages();
        match (stages.next(), stages.next()) {
            (Some(Stage::TopP(p)), None)
                if self.min_keep == 1 && !self.adaptive && !self.config.metrics.intersects(asked) =>
            {
                Some(p)
            }
            _ => None,
        }
    }
}

/// Whether to be greedy, and the temperature of draws and metrics, above 0.
fn temperature_rule(config: &Config) -> (bool, f32) {
    let asked = config.mode == Mode::Greedy;
    match config.temperature {
        0.0 if leaves_filters_at_zero(config) => (asked, 1.0),
        0.0 => (true, 1.0),
        // vLLM raises what is lower to 0.01 before it asks what is greedy (`SamplingParams`, 0.33.0).
        low if config.profile == Profile::Vllm && low < 0.01 => (asked, 0.01),
        temperature => (asked, temperature),
    }
}

/// llama.cpp's temperature is the last of its chain: at 0 it takes the best of what typical and XTC have left, which need not be
/// the argmax, and one that follows the entropy does not stay 0.
fn leaves_filters_at_zero(config: &Config) -> bool {
    let takes_the_first = config.typical_p < 1.0 || xtc_acts(config);
    config.profile == Profile::LlamaCpp
        && config.mirostat == Mirostat::Off
        && (takes_the_first || follows_entropy(config))
}

/// By its bits: a host may have its float environment flush small numbers to zero.
pub(crate) fn is_set(parameter: f32) -> bool {
    parameter.to_bits() << 1 != 0
}

fn xtc_acts(config: &Config) -> bool {
    config.xtc_probability > 0.0 && config.xtc_threshold <= 0.5
}

fn is_llama_mirostat(config: &Config) -> bool {
    config.profile == Profile::LlamaCpp && config.mirostat != Mirostat::Off
}

/// Whether the temperature follows the entropy; that of llama.cpp's mirostat does not.
fn follows_entropy(config: &Config) -> bool {
    config.dynatemp_range > 0.0 && !is_llama_mirostat(config)
}

/// The kinds of stages, for the orders below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Temperature,
    TopK,
    TopP,
    MinP,
    Typical,
    Epsilon,
    Eta,
    TopNSigma,
    TopA,
    TailFree,
    TopH,
    Xtc,
    Mirostat,
}

/// The order of a profile. Mirostat takes the place of all filters, in every profile that has it.
fn order(config: &Config) -> &'static [Kind] {
    use Kind::{Epsilon, Eta, MinP, TailFree, Temperature, TopA, TopH, TopK, TopNSigma, TopP, Typical, Xtc};
    if config.mirostat != Mirostat::Off {
        return &[Temperature, Kind::Mirostat];
    }
    match config.profile {
        Profile::Canon => &[Temperature, TopK, TopP, MinP, Typical, Epsilon, Eta, TopNSigma, TopA, TailFree, TopH, Xtc],
        Profile::HuggingFace => &[Temperature, TopH, TopK, TopP, MinP, Typical, Epsilon, Eta],
        Profile::LlamaCpp => &[TopNSigma, TopK, Typical, TopP, MinP, Xtc, Temperature],
        Profile::Vllm => &[Temperature, MinP, TopK, TopP],
    }
}

/// A stage with its parameter; `None` if it cannot do anything.
fn stage(kind: Kind, config: &Config, valid: usize, min_keep: usize) -> Option<Stage> {
    match kind {
        Kind::Temperature if follows_entropy(config) => {
            let low = config.temperature - config.dynatemp_range;
            Some(Stage::DynamicTemperature {
                low: if low > 0.0 { low } else { 0.0 },
                high: config.temperature + config.dynatemp_range,
                exponent: config.dynatemp_exponent,
            })
        }
        Kind::Temperature if config.temperature == 0.0 => Some(Stage::Argmax),
        Kind::Temperature => Some(Stage::Temperature),
        Kind::TopK => {
            // llama.cpp's top-k does not know min_keep.
            let least = if config.profile == Profile::LlamaCpp { 1 } else { min_keep };
            let k = (config.top_k as usize).max(least);
            // Hugging Face and vLLM compare values with the k-th largest, so equal ones stay.
            let keep_ties = config.keep_ties || matches!(config.profile, Profile::HuggingFace | Profile::Vllm);
            (config.top_k != 0 && k < valid).then_some(Stage::TopK { k, keep_ties })
        }
        Kind::TopP => (config.top_p < 1.0).then(|| Stage::TopP(fixed_probability(config.top_p))),
        Kind::MinP => (config.min_p > 0.0).then_some(Stage::MinP(config.min_p)),
        Kind::Typical => (config.typical_p < 1.0).then(|| Stage::Typical(fixed_probability(config.typical_p))),
        Kind::Epsilon => (config.epsilon_cutoff > 0.0).then_some(Stage::Epsilon(config.epsilon_cutoff)),
        Kind::Eta => (config.eta_cutoff > 0.0).then_some(Stage::Eta(config.eta_cutoff)),
        Kind::TopNSigma => (config.top_n_sigma > 0.0).then_some(Stage::TopNSigma(config.top_n_sigma)),
        Kind::TopA => (config.top_a > 0.0).then_some(Stage::TopA(config.top_a)),
        Kind::TailFree => (config.tfs_z < 1.0).then_some(Stage::TailFree(config.tfs_z)),
        Kind::TopH => (config.top_h > 0.0).then_some(Stage::TopH(config.top_h)),
        Kind::Xtc => xtc_acts(config).then(|| Stage::Xtc {
            probability: fixed_probability(config.xtc_probability),
            threshold: config.xtc_threshold,
        }),
        Kind::Mirostat => Some(Stage::Mirostat(config.mirostat)),
    }
}

fn sets_temperature(stage: Stage) -> bool {
    matches!(stage, Stage::Temperature | Stage::DynamicTemperature { .. })
}

fn bounds_by_rank_or_threshold(stage: Stage) -> bool {
    matches!(
        stage,
        Stage::TopK { .. }
            | Stage::Argmax
            | Stage::MinP(_)
            | Stage::TopNSigma(_)
            | Stage::TailFree(_)
            | Stage::TopH(_)
            | Stage::Mirostat(Mirostat::One)
    )
}

/// Tokens that a stage may want as a short list.
fn listed(stage: Stage, min_keep: usize, valid: usize) -> usize {
    let within = |wanted: usize| if wanted <= LIST_LIMIT { wanted } else { 0 };
    let own = match stage {
        Stage::Temperature | Stage::DynamicTemperature { .. } | Stage::Xtc { .. } => return 0,
        Stage::Argmax => 1,
        Stage::TopK { k, .. } => within(k),
        Stage::TailFree(_) => LIST_LIMIT,
        Stage::TopH(_) => TOP_H_TOKENS,
        Stage::Mirostat(Mirostat::One) => MIROSTAT_TOKENS,
        _ => 0,
    };
    let widened = if min_keep > 1 { within(min_keep) } else { 0 };
    own.max(widened).min(valid)
}
