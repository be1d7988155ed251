//! The naive decoder: every rule of a step in real arithmetic (f64), by sorting everything.
//!
//! This is the judge of *values*: it evaluates no polynomial, truncates no mass and takes no short cut. What it cannot
//! know is on which side of a boundary rounded arithmetic falls, so it answers a range where the rules allow one:
//! the number of kept tokens may differ from real arithmetic only where the cumulative mass is within
//! `1e-6 + V * 2^-40` of p. `exact.rs` is the judge of bits.
//!
//! All three filters keep a prefix of the total order (higher logit first, then lower id), so a kept set is a count.

use super::filters::{Filters, Whose};

/// What one step is given, as plain data: a row and everything that bears on it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The logits as given.
    pub row: Vec<f32>,
    /// The caller's bitmask, 32-bit words; ids past its end are disallowed.
    pub mask: Option<Vec<u32>>,
    /// Added to the logit, one f32 addition per token.
    pub bias: Vec<(u32, f32)>,
    /// Tokens never picked; an invalid logit there is still an error.
    pub bans: Vec<u32>,
    /// Tokens generated so far, oldest first.
    pub generated: Vec<u32>,
    /// The configuration and the position.
    pub settings: Settings,
}

/// The configuration of one step; the fields mean what they mean in the library's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub seed: u64,
    pub stream: u64,
    pub position: u64,
    pub greedy: bool,
    pub temperature: f32,
    pub top_k: u32,
    pub top_p: f32,
    pub min_p: f32,
    pub no_repeat_window: u32,
    pub min_keep: u32,
    pub valid_vocab: u32,
    /// The filters that `filters.rs` judges; everything in this file is the rest.
    pub filters: Filters,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            seed: 0,
            stream: 0,
            position: 0,
            greedy: false,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            no_repeat_window: 0,
            min_keep: 0,
            valid_vocab: 0,
            filters: Filters::default(),
        }
    }
}

impl Settings {
    /// Mode greedy, asked for or by temperature 0.
    pub fn is_greedy(&self) -> bool {
        self.greedy || (self.temperature == 0.0 && !self.filters_come_before_zero())
    }

    /// llama.cpp's temperature comes last: at 0 it keeps the first of what typical and XTC left, and with a range it is not 0.
    fn filters_come_before_zero(&self) -> bool {
        let filters = &self.filters;
        let removes_argmax = filters.typical_p < 1.0 || (filters.xtc_probability > 0.0 && filters.xtc_threshold <= 0.5);
        filters.whose == Whose::LlamaCpp && filters.mirostat == 0 && (removes_argmax || filters.dynatemp_range > 0.0)
    }

    /// The temperature the metrics are taken at: that of the configuration, 1 where it says 0.
    pub fn metric_temperature(&self) -> f32 {
        match self.temperature {
            0.0 => 1.0,
            // vLLM raises the others to 0.01.
            low if low < 0.01 && self.filters.whose == Whose::Vllm => 0.01,
            temperature => temperature,
        }
    }

    /// Each filter keeps at least this many of its own order.
    pub fn floor(&self) -> usize {
        self.min_keep.max(1) as usize
    }

    /// Whether top-k can remove anything, as far as the configuration tells: `min_keep` may raise k, and only
    /// `valid_vocab` tokens can take part. The kind of draw depends on it.
    pub fn top_k_active(&self, vocab: usize) -> bool {
        let valid = if self.valid_vocab == 0 { vocab } else { self.valid_vocab as usize };
        self.top_k != 0 && (self.top_k as usize).max(self.floor()) < valid
    }
}

/// Why a step is refused.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    InvalidLogit { index: u32, value: f32 },
    EverythingMasked,
}

/// The row after the elementwise rules. Tokens that are out are at negative infinity in both.
pub struct Adjusted {
    /// As given, over the tokens that take part by `valid_vocab` and the bitmask.
    pub raw: Vec<f32>,
    /// After bias, bans and the no-repeat window.
    pub logits: Vec<f32>,
}

impl Case {
    pub fn new(row: Vec<f32>) -> Case {
        Case {
            row,
            mask: None,
            bias: Vec::new(),
            bans: Vec::new(),
            generated: Vec::new(),
            settings: Settings::default(),
        }
    }

    /// Whether the token takes part at all: below `valid_vocab` and allowed by the bitmask.
    pub fn takes_part(&self, token: usize) -> bool {
        let valid = self.settings.valid_vocab as usize;
        if valid != 0 && token >= valid {
            return false;
        }
        match &self.mask {
            None => true,
            Some(words) => words.get(token >> 5).is_some_and(|word| (word >> (token & 31)) & 1 == 1),
        }
    }

    /// Bias, bitmask, bans and the no-repeat window, with every check, in token order.
    pub fn adjust(&self) -> Result<Adjusted, Refusal> {
        let vocab = self.row.len();
        let mut raw = vec![f32::NEG_INFINITY; vocab];
        let mut logits = vec![f32::NEG_INFINITY; vocab];
        let window = self.settings.no_repeat_window as usize;
        let recent = &self.generated[self.generated.len().saturating_sub(window)..];
        let invalid = |value: f32| value.is_nan() || value == f32::INFINITY;
        for token in 0..vocab {
            if !self.takes_part(token) {
                continue;
            }
            let given = self.row[token];
            if invalid(given) {
                return Err(Refusal::InvalidLogit { index: token as u32, value: given });
            }
            let mut value = given;
            for &(biased, amount) in &self.bias {
                if biased as usize == token {
                    // vLLM holds biases within 100.
                    let most = if self.settings.filters.whose == Whose::Vllm { 100.0 } else { f32::INFINITY };
                    value += amount.clamp(-most, most);
                }
            }
            if invalid(value) {
                return Err(Refusal::InvalidLogit { index: token as u32, value });
            }
            raw[token] = given;
            if !self.bans.contains(&(token as u32)) && !recent.contains(&(token as u32)) {
                logits[token] = value;
            }
        }
        if logits.iter().all(|&value| value == f32::NEG_INFINITY) {
            return Err(Refusal::EverythingMasked);
        }
        Ok(Adjusted { raw, logits })
    }
}

/// The tokens that are left, in the total order. `-0.0` equals `0.0`.
pub fn total_order(logits: &[f32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..logits.len() as u32).filter(|&t| logits[t as usize] > f32::NEG_INFINITY).collect();
    order.sort_by(|&a, &b| {
        logits[b as usize].partial_cmp(&logits[a as usize]).expect("no NaN is left here").then(a.cmp(&b))
    });
    order
}

/// Units of log2 per unit of logit: log2(e) / T, within the clamp the rules name.
pub fn scale(temperature: f32) -> f64 {
    (std::f64::consts::LOG2_E / f64::from(temperature)).clamp(2f64.powi(-60), 2f64.powi(60))
}

/// Everything real arithmetic says about a step.
pub struct Reality {
    /// Tokens left after the elementwise rules, in the total order.
    pub order: Vec<u32>,
    /// The weight of each of them relative to the first, before truncation.
    pub weights: Vec<f64>,
    /// Sum of `weights`.
    pub total: f64,
    /// Top-1 minus top-2 logit; +inf if there is no second.
    pub margin: f64,
    /// In nats.
    pub entropy: f64,
    /// The fewest and the most tokens a rounded implementation may keep.
    pub kept: (usize, usize),
    /// The largest logit as given, and the logarithm of the sum of exponentials relative to it, at temperature 1. The two
    /// are kept apart: beside a huge maximum their sum would lose the logarithm.
    pub raw: (f64, f64),
    /// The adjusted row.
    pub adjusted: Adjusted,
}

impl Reality {
    pub fn of(case: &Case) -> Result<Reality, Refusal> {
        let adjusted = case.adjust()?;
        let settings = &case.settings;
        let order = total_order(&adjusted.logits);
        let logit = |rank: usize| f64::from(adjusted.logits[order[rank] as usize]);
        let temperature = settings.metric_temperature();
        let weights: Vec<f64> = (0..order.len()).map(|r| ((logit(r) - logit(0)) * scale(temperature)).exp2()).collect();
        let total = sum_small_first(&weights);
        let margin = if order.len() > 1 { logit(0) - logit(1) } else { f64::INFINITY };
        // H = ln Z - sum p ln w, with 0 * (-inf) = 0.
        let expected: f64 = (0..order.len())
            .rev()
            .filter(|&r| weights[r] > 0.0)
            .map(|r| weights[r] / total * (logit(r) - logit(0)) * scale(temperature) * std::f64::consts::LN_2)
            .sum();
        let entropy = total.ln() - expected;
        let kept = if settings.is_greedy() { (1, 1) } else { kept_range(case, &adjusted.logits, &order, &weights) };
        let raw = logsumexp_parts(&adjusted.raw);
        Ok(Reality { order, weights, total, margin, entropy, kept, raw, adjusted })
    }

    pub fn argmax(&self) -> u32 {
        self.order[0]
    }

    pub fn top1_probability(&self) -> f64 {
        1.0 / self.total
    }

    pub fn rank(&self, token: u32) -> Option<usize> {
        self.order.iter().position(|&t| t == token)
    }

    /// Sum of the weights of the first `kept`.
    pub fn kept_total(&self, kept: usize) -> f64 {
        sum_small_first(&self.weights[..kept])
    }

    /// The log-probability of the token of this rank among the first `kept`, in nats.
    pub fn logprob(&self, rank: usize, kept: usize, temperature: f32) -> f64 {
        let difference = f64::from(self.adjusted.logits[self.order[rank] as usize])
            - f64::from(self.adjusted.logits[self.order[0] as usize]);
        difference * scale(temperature) * std::f64::consts::LN_2 - self.kept_total(kept).ln()
    }

    pub fn logprob_raw(&self, token: u32) -> f64 {
        f64::from(self.adjusted.raw[token as usize]) - self.raw.0 - self.raw.1
    }

    pub fn kept_mass(&self, kept: usize) -> f64 {
        self.kept_total(kept) / self.total
    }

    /// The distribution drawn from with this many tokens kept, by token id.
    pub fn probabilities(&self, kept: usize) -> Vec<f64> {
        let total = self.kept_total(kept);
        let mut probabilities = vec![0.0; self.adjusted.logits.len()];
        for (rank, &token) in self.order[..kept].iter().enumerate() {
            probabilities[token as usize] = self.weights[rank] / total;
        }
        probabilities
    }
}

/// The weights descend, so adding from the end adds the small ones first.
fn sum_small_first(weights: &[f64]) -> f64 {
    weights.iter().rev().sum()
}

/// The maximum of a row and ln of the sum of exponentials relative to it.
pub fn logsumexp_parts(row: &[f32]) -> (f64, f64) {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&z| (f64::from(z) - f64::from(max)).exp()).sum();
    (f64::from(max), sum.ln())
}

/// Top-k, then top-p over what is left, then min-p over what is left of that; each keeps the first `min_keep`.
fn kept_range(case: &Case, logits: &[f32], order: &[u32], weights: &[f64]) -> (usize, usize) {
    let settings = &case.settings;
    let vocab = case.row.len();
    let mut kept = order.len();
    if settings.top_k_active(vocab) {
        kept = kept.min((settings.top_k as usize).max(settings.floor()));
    }
    let (mut low, mut high) = (kept, kept);
    if settings.top_p < 1.0 {
        let total = sum_small_first(&weights[..kept]);
        let prefix = |p: f64| {
            let mut mass = 0.0;
            let crossing = weights[..kept].iter().position(|w| {
                mass += w;
                mass >= p * total
            });
            crossing.map_or(kept, |rank| rank + 1).max(settings.floor()).min(kept)
        };
        let tolerance = 1e-6 + vocab as f64 * 2f64.powi(-40);
        low = prefix(f64::from(settings.top_p) - tolerance);
        high = prefix(f64::from(settings.top_p) + tolerance);
    }
    if settings.min_p > 0.0 {
        let max = f64::from(logits[order[0] as usize]);
        let threshold = max + f64::from(settings.metric_temperature()) * f64::from(settings.min_p).ln();
        // The rule rounds the threshold to f32 once: half a unit in the last place either way.
        let slack = (threshold.abs() * 2f64.powi(-24)).max(f64::from(f32::MIN_POSITIVE) * 2f64.powi(-24));
        let count = |limit: f64| order.iter().take_while(|&&t| f64::from(logits[t as usize]) >= limit).count();
        let floor = settings.floor();
        low = low.min(count(threshold + slack)).max(floor.min(low));
        high = high.min(count(threshold - slack)).max(floor.min(high));
    }
    (low, high)
}

/// Row, temperature -> probabilities in f64; negative infinity is probability 0.
pub fn softmax(row: &[f32], temperature: f32) -> Vec<f64> {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> =
        row.iter().map(|&z| ((f64::from(z) - f64::from(max)) * scale(temperature)).exp2()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|w| w / total).collect()
}
