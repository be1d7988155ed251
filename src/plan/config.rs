//! The configuration: everything that decides what a decoder does with a row.

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

/// Whose order of stages and whose rules at ties and boundaries hold. [The page on profiles](crate::docs::profiles) has
/// each as a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Profile {
    /// argpick's own: every stage, one total order, exact boundaries.
    #[default]
    Canon = 0,
    /// Hugging Face transformers.
    HuggingFace = 1,
    /// llama.cpp.
    LlamaCpp = 2,
    /// vLLM.
    Vllm = 3,
}

impl Profile {
    /// Every profile, in the order of their numbers.
    pub const ALL: [Profile; 4] = [Profile::Canon, Profile::HuggingFace, Profile::LlamaCpp, Profile::Vllm];

    /// The name that the command line and the golden files use.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::Canon => "canon",
            Profile::HuggingFace => "huggingface",
            Profile::LlamaCpp => "llama_cpp",
            Profile::Vllm => "vllm",
        }
    }

    /// The profile of a name.
    pub fn from_name(name: &str) -> Option<Profile> {
        Profile::ALL.into_iter().find(|profile| profile.name() == name)
    }
}

/// Which tokens of the history the penalties count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum PenaltyScope {
    /// As the profile does: canon, Hugging Face and llama.cpp count prompt and generated tokens; vLLM counts both for the
    /// repetition penalty and generated ones for frequency and presence.
    #[default]
    Profile = 0,
    /// Prompt and generated tokens.
    All = 1,
    /// Generated tokens only.
    Generated = 2,
}

/// Mirostat (Basu et al. 2020): truncation steered towards a constant surprise. It takes the place of all other filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Mirostat {
    /// Not used.
    #[default]
    Off = 0,
    /// Version 1: estimates Zipf's exponent from the first 100 tokens and keeps the k tokens it asks for.
    One = 1,
    /// Version 2: keeps tokens whose surprise is at most mu.
    Two = 2,
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
    /// `loop_period`, `loop_repeats` and `loop_score`: whether the sequence runs in a circle.
    pub const LOOP: Metrics = Metrics(64);
    /// `flip_argmax`, `flip_kept` and `flip_token`: how much the logits would have to change for another answer
    /// ([`docs::flips`](crate::docs::flips)). Some passes over the row, more where a filter measures all of it.
    pub const FLIP: Metrics = Metrics(128);
    /// Everything.
    pub const ALL: Metrics = Metrics(255);

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
/// row as it is. [The page on parameters](crate::docs::parameters) has every range.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Whose order and rules hold.
    pub profile: Profile,
    /// Seed of the random numbers.
    pub seed: u64,
    /// Stream of the random numbers: one for each sequence that shares a seed.
    pub stream: u64,
    /// Greedy or by a draw.
    pub mode: Mode,
    /// Divides the logits; 1 leaves them, 0 means mode greedy with metrics at temperature 1 (under llama.cpp's profile the first of
    /// what typical and XTC leave, or a temperature that follows the entropy).
    pub temperature: f32,
    /// Keeps the k highest logits (equal ones by lower id).
    pub top_k: u32,
    /// Keeps the smallest prefix of the order whose probability reaches this; the token that crosses stays.
    pub top_p: f32,
    /// Keeps tokens at least this likely relative to the likeliest.
    pub min_p: f32,
    /// Keeps the tokens whose surprise is nearest the entropy, up to this probability; 1 is off (Meister et al. 2023).
    pub typical_p: f32,
    /// Removes tokens less likely than this; 0 is off (Hewitt et al. 2022).
    pub epsilon_cutoff: f32,
    /// Removes tokens less likely than the lesser of this and its root times exp(-entropy); 0 is off (Hewitt et al. 2022).
    pub eta_cutoff: f32,
    /// Keeps logits within so many standard deviations of the highest; 0 is off (Tang et al. 2024).
    pub top_n_sigma: f32,
    /// Removes tokens less likely than this times the square of the largest probability; 0 is off.
    pub top_a: f32,
    /// Cuts where the sorted probabilities bend, at this share of their curvature; 1 is off (Phénix and Egan 2019).
    pub tfs_z: f32,
    /// Keeps the prefix whose share of the entropy of the first 100 tokens is at most this; 0 is off.
    pub top_h: f32,
    /// How often the likeliest tokens are removed: "exclude top choices"; 0 is off.
    pub xtc_probability: f32,
    /// What counts as a top choice: this likely; all but the least likely of them go. Off above 0.5.
    pub xtc_threshold: f32,
    /// Each filter keeps at least so many tokens, the first of its order.
    pub min_keep: u32,
    /// Top-k keeps all tokens that equal the k-th.
    pub keep_ties: bool,
    /// Half the range of a temperature that follows the entropy; 0 is off.
    pub dynatemp_range: f32,
    /// The exponent of that curve.
    pub dynatemp_exponent: f32,
    /// Mirostat in place of the filters.
    pub mirostat: Mirostat,
    /// Mirostat's target surprise in bits.
    pub mirostat_tau: f32,
    /// Mirostat's learning rate.
    pub mirostat_eta: f32,
    /// Adaptive-p: prefers tokens whose probability is near this; negative is off.
    pub adaptive_target: f32,
    /// Adaptive-p: how slowly the mean of what was picked forgets, 0 to 0.99.
    pub adaptive_decay: f32,
    /// Divides positive and multiplies negative logits of tokens in the history; 1 is off (Keskar et al. 2019).
    pub repetition_penalty: f32,
    /// Subtracted once for each time a token stands in the history; 0 is off.
    pub frequency_penalty: f32,
    /// Subtracted if a token stands in the history; 0 is off.
    pub presence_penalty: f32,
    /// The penalties see so many of the last tokens; 0 is all that the history holds.
    pub penalty_window: u32,
    /// Whether the penalties count the prompt.
    pub penalty_scope: PenaltyScope,
    /// DRY: the penalty of a token that would prolong a repetition; 0 is off.
    pub dry_multiplier: f32,
    /// DRY: by how much each further token of the repetition multiplies the penalty.
    pub dry_base: f32,
    /// DRY: repetitions up to this length are free.
    pub dry_allowed_length: u32,
    /// DRY sees so many of the last tokens; 0 is all that the history holds.
    pub dry_window: u32,
    /// Masks the generated ones among the last so many tokens.
    pub no_repeat_window: u32,
    /// Masks what would complete an n-gram of this length that stands in the history; 0 is off.
    pub no_repeat_ngram: u32,
    /// Masks the end tokens until so many tokens are generated.
    pub min_tokens: u32,
    /// Ends the sequence after so many generated tokens.
    pub max_tokens: u32,
    /// From so many generated tokens on, the logits of the end tokens rise.
    pub length_decay_start: u32,
    /// By how much: the absolute logit times (factor^(tokens past the start) - 1) is added; 1 is off.
    pub length_decay_factor: f32,
    /// The longest period of a loop that is looked for; 0 is 64 where loops are asked for.
    pub loop_period: u32,
    /// Ends the sequence when its end repeats so many times; 0 never ends it.
    pub loop_repeats: u32,
    /// Only ids below this take part (a model's padded rows are longer than its vocabulary).
    pub valid_vocab: u32,
    /// Tokens that the history holds; older ones leave it.
    pub history_capacity: u32,
    /// Room for so many biases, and as many bans.
    pub adjustment_capacity: u32,
    /// Room for so many tokens of end tokens, stop sequences, breakers, bad and biased sequences, of each kind; and as many
    /// bytes of stop strings.
    pub sequence_capacity: u32,
    /// Which numbers to report.
    pub metrics: Metrics,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            profile: Profile::Canon,
            seed: 0,
            stream: 0,
            mode: Mode::Sample,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            epsilon_cutoff: 0.0,
            eta_cutoff: 0.0,
            top_n_sigma: 0.0,
            top_a: 0.0,
            tfs_z: 1.0,
            top_h: 0.0,
            xtc_probability: 0.0,
            xtc_threshold: 0.1,
            min_keep: 0,
            keep_ties: false,
            dynatemp_range: 0.0,
            dynatemp_exponent: 1.0,
            mirostat: Mirostat::Off,
            mirostat_tau: 5.0,
            mirostat_eta: 0.1,
            adaptive_target: -1.0,
            adaptive_decay: 0.9,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            penalty_window: 0,
            penalty_scope: PenaltyScope::Profile,
            dry_multiplier: 0.0,
            dry_base: 1.75,
            dry_allowed_length: 2,
            dry_window: 0,
            no_repeat_window: 0,
            no_repeat_ngram: 0,
            min_tokens: 0,
            max_tokens: 0,
            length_decay_start: 0,
            length_decay_factor: 1.0,
            loop_period: 0,
            loop_repeats: 0,
            valid_vocab: 0,
            history_capacity: 0,
            adjustment_capacity: 0,
            sequence_capacity: 0,
            metrics: Metrics::NONE,
        }
    }
}
