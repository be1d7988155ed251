//! From a configuration to a plan: checked parameters, and the list of stages that can do anything.
//!
//! A plan is data. The stages run in the order of the list (canon: top-k, top-p, min-p); a filter that cannot remove
//! anything is dropped here, once, so that a step never asks.

use crate::error::{Error, Result};
use crate::numeric::{exponent_scale, fixed_probability};
use crate::types::{BLOCK, MAX_VOCAB};
use core::ops::{BitOr, BitOrAssign};

/// How a token is picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Mode {
    /// By a random draw from what the filters keep.
    #[default]
    Sample = 0,
    /// The argmax, the lowest id among equals; filters do not run.
    Greedy = 1,
}

/// Which numbers of a [`Pick`](crate::Pick) are computed. Each costs something, so each is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Metrics(u32);

impl Metrics {
    /// Only what costs nothing: the pick, the argmax and the margin.
    pub const NONE: Metrics = Metrics(0);
    /// `top1_probability` and `entropy`: one pass of exponentials.
    pub const CONFIDENCE: Metrics = Metrics(1);
    /// `logprob`: of the drawn token among what was kept; free after top-k or min-p, else a pass of exponentials.
    pub const LOGPROB: Metrics = Metrics(2);
    /// `logprob_raw`: of the row as given, at temperature 1: a pass of exponentials (shared with `CONFIDENCE` at
    /// temperature 1 without adjustments).
    pub const LOGPROB_RAW: Metrics = Metrics(4);
    /// `rank` of the drawn token: a count over the blocks that can hold higher logits.
    pub const RANK: Metrics = Metrics(8);
    /// `kept`: how many tokens the filters left; free after top-k, else a count.
    pub const KEPT: Metrics = Metrics(16);
    /// `kept_mass`: the probability of what the filters left: a pass of exponentials.
    pub const KEPT_MASS: Metrics = Metrics(32);
    /// Everything.
    pub const ALL: Metrics = Metrics(63);

    /// Whether all of `other` is asked for.
    pub const fn contains(self, other: Metrics) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is asked for.
    pub const fn intersects(self, other: Metrics) -> bool {
        self.0 & other.0 != 0
    }

    /// The flags as the C ABI has them.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The flags from bits; `None` if a bit has no meaning.
    pub const fn from_bits(bits: u32) -> Option<Metrics> {
        if bits & !Metrics::ALL.0 == 0 { Some(Metrics(bits)) } else { None }
    }
}

impl BitOr for Metrics {
    type Output = Metrics;
    fn bitor(self, other: Metrics) -> Metrics {
        Metrics(self.0 | other.0)
    }
}

impl BitOrAssign for Metrics {
    fn bitor_assign(&mut self, other: Metrics) {
        self.0 |= other.0;
    }
}

/// Everything that decides what a decoder does with a row. The default is "off" everywhere: draw from the softmax of the
/// row as it is.
///
/// | field | range | off |
/// |---|---|---|
/// | `temperature` | finite, >= 0; 0 is greedy | 1 |
/// | `top_k` | any | 0, or >= vocabulary |
/// | `top_p` | 0 to 1 | 1 |
/// | `min_p` | 0 to 1 | 0 |
/// | `history_capacity` | up to 2^24; 0 is 4,096 | |
/// | `no_repeat_window` | up to `history_capacity` | 0 |
/// | `max_tokens` | any | 0 |
/// | `min_keep` | any; 0 is 1 | 0 |
/// | `valid_vocab` | up to the vocabulary | 0 |
/// | `adjustment_capacity` | up to 2^22; 0 is 1,024 | |
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Seed of the random numbers.
    pub seed: u64,
    /// Stream of the random numbers: one for each sequence that shares a seed.
    pub stream: u64,
    /// Greedy or by a draw.
    pub mode: Mode,
    /// Divides the logits; 1 leaves them, 0 means mode greedy with metrics at temperature 1.
    pub temperature: f32,
    /// Keeps the k highest logits (equal ones by lower id).
    pub top_k: u32,
    /// Keeps the smallest prefix of the order whose probability reaches this; the token that crosses stays.
    pub top_p: f32,
    /// Keeps tokens at least this likely relative to the likeliest.
    pub min_p: f32,
    /// Tokens that the history holds; older ones leave it.
    pub history_capacity: u32,
    /// Masks the last so many generated tokens.
    pub no_repeat_window: u32,
    /// Ends the sequence after so many generated tokens.
    pub max_tokens: u32,
    /// Each filter keeps at least so many tokens, the first of its order.
    pub min_keep: u32,
    /// Only ids below this take part (a model's padded rows are longer than its vocabulary).
    pub valid_vocab: u32,
    /// Room for so many biases, and as many bans.
    pub adjustment_capacity: u32,
    /// Which numbers to report.
    pub metrics: Metrics,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 0,
            stream: 0,
            mode: Mode::Sample,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            history_capacity: 0,
            no_repeat_window: 0,
            max_tokens: 0,
            min_keep: 0,
            valid_vocab: 0,
            adjustment_capacity: 0,
            metrics: Metrics::NONE,
        }
    }
}

/// One truncating stage with its parameter in the form a step needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stage {
    /// Keep so many.
    TopK(usize),
    /// Keep the prefix that reaches this probability, in units of 2^-32.
    TopP(u64),
    /// Keep what is at least this likely relative to the first.
    MinP(f32),
}

/// Top-k up to this many goes by a short list of candidates; beyond it, by a search for the k-th logit.
pub(crate) const LIST_LIMIT: usize = 4096;

/// A compiled configuration.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub config: Config,
    pub vocab: usize,
    /// Tokens that can take part: ids below this.
    pub valid: usize,
    pub greedy: bool,
    /// The temperature of metrics and draws; above 0.
    pub temperature: f32,
    /// `exponent_scale(temperature)`.
    pub scale: f32,
    pub min_keep: usize,
    stages: [Option<Stage>; 3],
    /// Draw (a), inverse CDF over what is kept, if a stage bounds the kept set by rank or threshold; else draw (b).
    pub draws_by_inversion: bool,
    /// Entries of the candidate list.
    pub list_capacity: usize,
    pub history_capacity: usize,
    pub no_repeat_window: usize,
    pub adjustment_capacity: usize,
}

impl Plan {
    pub(crate) fn compile(config: &Config, vocab: usize) -> Result<Plan> {
        let invalid = |name, value: f64| Err(Error::InvalidParameter { name, value });
        if vocab == 0 || vocab > MAX_VOCAB {
            return invalid("vocab", vocab as f64);
        }
        let Config { temperature, top_p, min_p, .. } = *config;
        if !(temperature >= 0.0 && temperature.is_finite()) {
            return invalid("temperature", temperature.into());
        }
        if !(0.0..=1.0).contains(&top_p) {
            return invalid("top_p", top_p.into());
        }
        if !(0.0..=1.0).contains(&min_p) {
            return invalid("min_p", min_p.into());
        }
        if config.valid_vocab as usize > vocab {
            return invalid("valid_vocab", config.valid_vocab.into());
        }
        if config.history_capacity > 1 << 24 {
            return invalid("history_capacity", config.history_capacity.into());
        }
        let history_capacity = if config.history_capacity == 0 { 4096 } else { config.history_capacity };
        if config.no_repeat_window > history_capacity {
            return invalid("no_repeat_window", config.no_repeat_window.into());
        }
        if config.adjustment_capacity as usize > MAX_VOCAB {
            return invalid("adjustment_capacity", config.adjustment_capacity.into());
        }
        let valid = if config.valid_vocab == 0 { vocab } else { config.valid_vocab as usize };
        let greedy = config.mode == Mode::Greedy || temperature == 0.0;
        let temperature = if temperature == 0.0 { 1.0 } else { temperature };
        let min_keep = (config.min_keep as usize).max(1);
        let top_k = (config.top_k as usize).max(min_keep);
        let top_k_acts = config.top_k != 0 && top_k < valid;
        let stages = [
            top_k_acts.then_some(Stage::TopK(top_k)),
            (top_p < 1.0).then(|| Stage::TopP(fixed_probability(top_p))),
            (min_p > 0.0).then_some(Stage::MinP(min_p)),
        ];
        let stages = if greedy { [None; 3] } else { stages };
        let listed = |wanted: usize| if wanted <= LIST_LIMIT { wanted } else { 0 };
        let longest = stages.iter().flatten().map(|stage| match stage {
            Stage::TopK(k) => listed(*k),
            Stage::TopP(_) | Stage::MinP(_) if min_keep > 1 => listed(min_keep),
            _ => 0,
        });
        let longest = longest.max().unwrap_or(0);
        Ok(Plan {
            vocab,
            valid,
            greedy,
            temperature,
            scale: exponent_scale(temperature),
            min_keep,
            draws_by_inversion: stages.iter().flatten().any(|stage| matches!(stage, Stage::TopK(_) | Stage::MinP(_))),
            stages,
            // Twice the list, so that weeding out is rare, and two blocks, so that one always fits.
            list_capacity: if longest == 0 { 0 } else { 2 * longest + 2 * BLOCK },
            history_capacity: history_capacity as usize,
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

    /// Whether a nucleus may need the mass of the whole row: not where a short list stands before it.
    pub(crate) fn has_nucleus_of_row(&self) -> bool {
        let listed = self.stages().any(|stage| matches!(stage, Stage::TopK(k) if k <= LIST_LIMIT));
        !listed && self.stages().any(|stage| matches!(stage, Stage::TopP(_)))
    }

    /// The probability of top-p if that is the only stage and nobody asks what it kept: then a draw can test the tokens it
    /// proposes instead of finding the whole nucleus.
    pub(crate) fn lone_nucleus(&self) -> Option<u64> {
        let asked = self.config.metrics.intersects(Metrics::LOGPROB | Metrics::KEPT | Metrics::KEPT_MASS);
        match self.stages {
            [None, Some(Stage::TopP(p)), None] if self.min_keep == 1 && !asked => Some(p),
            _ => None,
        }
    }
}
