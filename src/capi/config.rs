//! `argpick_config`: everything that decides what a decoder does with a row.

use super::abi::{Growing, assert_layout, check_size, read, write};
use super::fault::Fault;
use super::guard::{call, writable};
use super::status::argpick_status;
use crate::error::Error;
use crate::plan::{Config, Metrics, Mirostat, Mode, PenaltyScope, Profile};

/// argpick's own order and rules: every stage, one total order, exact boundaries.
pub const ARGPICK_PROFILE_CANON: u32 = 0;
/// The order and the rules of Hugging Face transformers.
pub const ARGPICK_PROFILE_HUGGINGFACE: u32 = 1;
/// The order and the rules of llama.cpp.
pub const ARGPICK_PROFILE_LLAMA_CPP: u32 = 2;
/// The order and the rules of vLLM.
pub const ARGPICK_PROFILE_VLLM: u32 = 3;

/// Pick by a random draw from what the filters keep.
pub const ARGPICK_MODE_SAMPLE: u32 = 0;
/// Pick the highest logit, the lowest id among equals; filters do not run.
pub const ARGPICK_MODE_GREEDY: u32 = 1;

/// No Mirostat.
pub const ARGPICK_MIROSTAT_OFF: u32 = 0;
/// Mirostat, version 1.
pub const ARGPICK_MIROSTAT_1: u32 = 1;
/// Mirostat, version 2.
pub const ARGPICK_MIROSTAT_2: u32 = 2;

/// The penalties count what the profile's engine counts; canon: prompt and generated tokens.
pub const ARGPICK_PENALTY_SCOPE_PROFILE: u32 = 0;
/// The penalties count prompt and generated tokens.
pub const ARGPICK_PENALTY_SCOPE_ALL: u32 = 1;
/// The penalties count generated tokens only.
pub const ARGPICK_PENALTY_SCOPE_GENERATED: u32 = 2;

/// Report top1_probability and entropy.
pub const ARGPICK_METRIC_CONFIDENCE: u32 = 1;
/// Report logprob.
pub const ARGPICK_METRIC_LOGPROB: u32 = 2;
/// Report logprob_raw.
pub const ARGPICK_METRIC_LOGPROB_RAW: u32 = 4;
/// Report rank.
pub const ARGPICK_METRIC_RANK: u32 = 8;
/// Report kept.
pub const ARGPICK_METRIC_KEPT: u32 = 16;
/// Report kept_mass.
pub const ARGPICK_METRIC_KEPT_MASS: u32 = 32;
/// Report loop_period, loop_repeats and loop_score.
pub const ARGPICK_METRIC_LOOP: u32 = 64;
/// Report flip_argmax, flip_kept and flip_token.
pub const ARGPICK_METRIC_FLIP: u32 = 128;
/// Report everything.
pub const ARGPICK_METRIC_ALL: u32 = 255;

/// Everything that decides what a decoder does with a row. Fill it by argpick_config_init, then set what you want.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_config {
    /// sizeof(argpick_config), set by argpick_config_init.
    pub struct_size: u32,
    /// Whose order and rules hold: ARGPICK_PROFILE_.
    pub profile: u32,
    /// Seed of the random numbers.
    pub seed: u64,
    /// Stream of the random numbers: one for each sequence that shares a seed.
    pub stream: u64,
    /// ARGPICK_MODE_SAMPLE or ARGPICK_MODE_GREEDY.
    pub mode: u32,
    /// Divides the logits: finite, at least 0. 1 leaves them; 0 means mode greedy with metrics at temperature 1, but under
    /// ARGPICK_PROFILE_LLAMA_CPP the first token of what typical and XTC leave, or a temperature that follows the entropy.
    pub temperature: f32,
    /// Keeps the so many highest logits, the lower id first among equals. 0, or at least the vocabulary: off.
    pub top_k: u32,
    /// Keeps the smallest prefix of the order with this much probability, 0 to 1; the token that crosses stays. 1: off.
    pub top_p: f32,
    /// Keeps what is at least this likely relative to the likeliest, 0 to 1. 0: off.
    pub min_p: f32,
    /// Tokens that the history holds, up to 2^24; past it the oldest leave. 0: 4096.
    pub history_capacity: u32,
    /// Masks the generated ones among the last so many tokens, up to history_capacity. 0: off.
    pub no_repeat_window: u32,
    /// Ends the sequence after so many generated tokens. 0: no limit.
    pub max_tokens: u32,
    /// Each filter keeps at least so many, the first of its order. 0: 1.
    pub min_keep: u32,
    /// Only ids below this take part, up to the vocabulary; the row may be longer. 0: all.
    pub valid_vocab: u32,
    /// What to report beside token, argmax, margin and finish: ARGPICK_METRIC_ flags. Each costs up to a pass of the row.
    pub metrics: u32,
    /// Room for so many biases, and as many bans, up to 2^22. 0: 1024.
    pub adjustment_capacity: u32,
    /// Keeps the tokens whose surprise is nearest the entropy, up to this probability, 0 to 1. 1: off.
    pub typical_p: f32,
    /// Removes tokens less likely than this, 0 to 1. 0: off.
    pub epsilon_cutoff: f32,
    /// Removes tokens less likely than the lesser of this and its root times exp(-entropy), 0 to 1. 0: off.
    pub eta_cutoff: f32,
    /// Keeps logits within so many standard deviations of the highest, finite, at least 0. 0: off.
    pub top_n_sigma: f32,
    /// Removes tokens less likely than this times the square of the largest probability, 0 to 1. 0: off.
    pub top_a: f32,
    /// Tail-free: keeps this share of the curvature of the sorted probabilities, 0 to 1. 1: off.
    pub tfs_z: f32,
    /// Keeps the prefix with this share of the entropy of the first 100 tokens, 0 to 1. 0: off.
    pub top_h: f32,
    /// How often the likeliest tokens are removed ("exclude top choices"), 0 to 1. 0: off.
    pub xtc_probability: f32,
    /// What counts as a top choice: this likely; all but the least likely of them go. Above 0.5: off.
    pub xtc_threshold: f32,
    /// 1: top-k keeps all tokens that equal the k-th. 0: exactly k.
    pub keep_ties: u32,
    /// Half the range of a temperature that follows the entropy, finite, at least 0. 0: off.
    pub dynatemp_range: f32,
    /// The exponent of that curve, finite, at least 0.
    pub dynatemp_exponent: f32,
    /// ARGPICK_MIROSTAT_: in place of all filters.
    pub mirostat: u32,
    /// Mirostat's target surprise in bits, finite, at least 0.
    pub mirostat_tau: f32,
    /// Mirostat's learning rate, finite, at least 0.
    pub mirostat_eta: f32,
    /// Adaptive-p: prefers tokens whose probability is near this, up to 1. Negative: off.
    pub adaptive_target: f32,
    /// Adaptive-p: how slowly the mean of what was picked forgets, 0 to 0.99.
    pub adaptive_decay: f32,
    /// Divides positive and multiplies negative logits of tokens in the history; finite, above 0. 1: off.
    pub repetition_penalty: f32,
    /// Subtracted once for each time a token stands in the history; finite. 0: off.
    pub frequency_penalty: f32,
    /// Subtracted if a token stands in the history; finite. 0: off.
    pub presence_penalty: f32,
    /// The penalties see so many of the last tokens, up to history_capacity. 0: all that the history holds.
    pub penalty_window: u32,
    /// ARGPICK_PENALTY_SCOPE_: whether the penalties count the prompt.
    pub penalty_scope: u32,
    /// DRY: the penalty of a token that would prolong a repetition; finite, at least 0. 0: off.
    pub dry_multiplier: f32,
    /// DRY: by how much each further token of the repetition multiplies the penalty; finite, at least 1.
    pub dry_base: f32,
    /// DRY: repetitions up to this length are free.
    pub dry_allowed_length: u32,
    /// DRY sees so many of the last tokens, up to history_capacity. 0: all that the history holds.
    pub dry_window: u32,
    /// Masks what would complete an n-gram of this length that stands in the history. 0: off.
    pub no_repeat_ngram: u32,
    /// Masks the end tokens until so many tokens are generated. 0: off.
    pub min_tokens: u32,
    /// From so many generated tokens on, the logits of the end tokens rise.
    pub length_decay_start: u32,
    /// By how much: |logit| * (factor^(tokens past the start) - 1) is added; finite, above 0. 1: off.
    pub length_decay_factor: f32,
    /// The longest period of a loop that is looked for, up to history_capacity. 0: 64 where loops are asked for.
    pub loop_period: u32,
    /// Ends the sequence when its end repeats so many times. 0: never.
    pub loop_repeats: u32,
    /// Room for so many tokens of end tokens, stop sequences, breakers, bad and biased sequences, of each kind,
    /// up to 2^16. 0: 256.
    pub sequence_capacity: u32,
    /// 0.
    pub reserved0: u32,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers only.
unsafe impl Growing for argpick_config {
    const NAME: &'static str = "config";
    const RELEASED: &'static [u32] = &[72, 208];
    const DEFAULT: Self = argpick_config {
        struct_size: size_of::<Self>() as u32,
        profile: ARGPICK_PROFILE_CANON,
        seed: 0,
        stream: 0,
        mode: ARGPICK_MODE_SAMPLE,
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        history_capacity: 0,
        no_repeat_window: 0,
        max_tokens: 0,
        min_keep: 0,
        valid_vocab: 0,
        metrics: 0,
        adjustment_capacity: 0,
        typical_p: 1.0,
        epsilon_cutoff: 0.0,
        eta_cutoff: 0.0,
        top_n_sigma: 0.0,
        top_a: 0.0,
        tfs_z: 1.0,
        top_h: 0.0,
        xtc_probability: 0.0,
        xtc_threshold: 0.1,
        keep_ties: 0,
        dynatemp_range: 0.0,
        dynatemp_exponent: 1.0,
        mirostat: 0,
        mirostat_tau: 5.0,
        mirostat_eta: 0.1,
        adaptive_target: -1.0,
        adaptive_decay: 0.9,
        repetition_penalty: 1.0,
        frequency_penalty: 0.0,
        presence_penalty: 0.0,
        penalty_window: 0,
        penalty_scope: 0,
        dry_multiplier: 0.0,
        dry_base: 1.75,
        dry_allowed_length: 2,
        dry_window: 0,
        no_repeat_ngram: 0,
        min_tokens: 0,
        length_decay_start: 0,
        length_decay_factor: 1.0,
        loop_period: 0,
        loop_repeats: 0,
        sequence_capacity: 0,
        reserved0: 0,
    };
}

assert_layout!(argpick_config {
    struct_size: 4,
    profile: 4,
    seed: 8,
    stream: 8,
    mode: 4,
    temperature: 4,
    top_k: 4,
    top_p: 4,
    min_p: 4,
    history_capacity: 4,
    no_repeat_window: 4,
    max_tokens: 4,
    min_keep: 4,
    valid_vocab: 4,
    metrics: 4,
    adjustment_capacity: 4,
    typical_p: 4,
    epsilon_cutoff: 4,
    eta_cutoff: 4,
    top_n_sigma: 4,
    top_a: 4,
    tfs_z: 4,
    top_h: 4,
    xtc_probability: 4,
    xtc_threshold: 4,
    keep_ties: 4,
    dynatemp_range: 4,
    dynatemp_exponent: 4,
    mirostat: 4,
    mirostat_tau: 4,
    mirostat_eta: 4,
    adaptive_target: 4,
    adaptive_decay: 4,
    repetition_penalty: 4,
    frequency_penalty: 4,
    presence_penalty: 4,
    penalty_window: 4,
    penalty_scope: 4,
    dry_multiplier: 4,
    dry_base: 4,
    dry_allowed_length: 4,
    dry_window: 4,
    no_repeat_ngram: 4,
    min_tokens: 4,
    length_decay_start: 4,
    length_decay_factor: 4,
    loop_period: 4,
    loop_repeats: 4,
    sequence_capacity: 4,
    reserved0: 4,
});

const _: () = {
    assert!(
        ARGPICK_PROFILE_CANON == Profile::Canon as u32 && ARGPICK_PROFILE_HUGGINGFACE == Profile::HuggingFace as u32
    );
    assert!(ARGPICK_PROFILE_LLAMA_CPP == Profile::LlamaCpp as u32 && ARGPICK_PROFILE_VLLM == Profile::Vllm as u32);
    assert!(ARGPICK_MIROSTAT_OFF == Mirostat::Off as u32);
    assert!(ARGPICK_MIROSTAT_1 == Mirostat::One as u32 && ARGPICK_MIROSTAT_2 == Mirostat::Two as u32);
    assert!(ARGPICK_PENALTY_SCOPE_PROFILE == PenaltyScope::Profile as u32);
    assert!(ARGPICK_PENALTY_SCOPE_ALL == PenaltyScope::All as u32);
    assert!(ARGPICK_PENALTY_SCOPE_GENERATED == PenaltyScope::Generated as u32);
    assert!(ARGPICK_MODE_SAMPLE == Mode::Sample as u32 && ARGPICK_MODE_GREEDY == Mode::Greedy as u32);
    assert!(ARGPICK_METRIC_CONFIDENCE == Metrics::CONFIDENCE.bits());
    assert!(ARGPICK_METRIC_LOGPROB == Metrics::LOGPROB.bits());
    assert!(ARGPICK_METRIC_LOGPROB_RAW == Metrics::LOGPROB_RAW.bits());
    assert!(ARGPICK_METRIC_RANK == Metrics::RANK.bits());
    assert!(ARGPICK_METRIC_KEPT == Metrics::KEPT.bits());
    assert!(ARGPICK_METRIC_KEPT_MASS == Metrics::KEPT_MASS.bits());
    assert!(ARGPICK_METRIC_LOOP == Metrics::LOOP.bits());
    assert!(ARGPICK_METRIC_FLIP == Metrics::FLIP.bits());
    assert!(ARGPICK_METRIC_ALL == Metrics::ALL.bits());
};

/// The core's configuration of a C one. Ranges are checked where the core compiles it.
///
/// # Safety
/// `config`, unless NULL or misaligned, points to a config that is as long as its `struct_size` says.
pub(super) unsafe fn config_of(config: *const argpick_config) -> Result<Config, Fault> {
    // SAFETY: the caller's part is the same.
    let given = unsafe { read(config) }?;
    let invalid = |name, value: u32| Fault::Core(Error::InvalidParameter { name, value: value.into() });
    if given.reserved0 != 0 {
        return Err(Fault::Reserved { what: "reserved0", value: given.reserved0 });
    }
    if given.keep_ties > 1 {
        return Err(invalid("keep_ties", given.keep_ties));
    }
    // Without `..`: a new field of the core must get its place here.
    Ok(Config {
        profile: Profile::from_number(given.profile).ok_or(invalid("profile", given.profile))?,
        seed: given.seed,
        stream: given.stream,
        mode: Mode::from_number(given.mode).ok_or(invalid("mode", given.mode))?,
        temperature: given.temperature,
        top_k: given.top_k,
        top_p: given.top_p,
        min_p: given.min_p,
        history_capacity: given.history_capacity,
        no_repeat_window: given.no_repeat_window,
        max_tokens: given.max_tokens,
        min_keep: given.min_keep,
        valid_vocab: given.valid_vocab,
        adjustment_capacity: given.adjustment_capacity,
        typical_p: given.typical_p,
        epsilon_cutoff: given.epsilon_cutoff,
        eta_cutoff: given.eta_cutoff,
        top_n_sigma: given.top_n_sigma,
        top_a: given.top_a,
        tfs_z: given.tfs_z,
        top_h: given.top_h,
        xtc_probability: given.xtc_probability,
        xtc_threshold: given.xtc_threshold,
        keep_ties: given.keep_ties != 0,
        dynatemp_range: given.dynatemp_range,
        dynatemp_exponent: given.dynatemp_exponent,
        mirostat: Mirostat::from_number(given.mirostat).ok_or(invalid("mirostat", given.mirostat))?,
        mirostat_tau: given.mirostat_tau,
        mirostat_eta: given.mirostat_eta,
        adaptive_target: given.adaptive_target,
        adaptive_decay: given.adaptive_decay,
        repetition_penalty: given.repetition_penalty,
        frequency_penalty: given.frequency_penalty,
        presence_penalty: given.presence_penalty,
        penalty_window: given.penalty_window,
        penalty_scope: PenaltyScope::from_number(given.penalty_scope)
            .ok_or(invalid("penalty_scope", given.penalty_scope))?,
        dry_multiplier: given.dry_multiplier,
        dry_base: given.dry_base,
        dry_allowed_length: given.dry_allowed_length,
        dry_window: given.dry_window,
        no_repeat_ngram: given.no_repeat_ngram,
        min_tokens: given.min_tokens,
        length_decay_start: given.length_decay_start,
        length_decay_factor: given.length_decay_factor,
        loop_period: given.loop_period,
        loop_repeats: given.loop_repeats,
        sequence_capacity: given.sequence_capacity,
        metrics: Metrics::from_bits(given.metrics).ok_or(invalid("metrics", given.metrics))?,
    })
}

impl From<&Config> for argpick_config {
    fn from(config: &Config) -> Self {
        // Without `..`: a new field of the core must get its place here.
        let &Config {
            profile,
            seed,
            stream,
            mode,
            temperature,
            top_k,
            top_p,
            min_p,
            history_capacity,
            no_repeat_window,
            max_tokens,
            min_keep,
            valid_vocab,
            adjustment_capacity,
            typical_p,
            epsilon_cutoff,
            eta_cutoff,
            top_n_sigma,
            top_a,
            tfs_z,
            top_h,
            xtc_probability,
            xtc_threshold,
            keep_ties,
            dynatemp_range,
            dynatemp_exponent,
            mirostat,
            mirostat_tau,
            mirostat_eta,
            adaptive_target,
            adaptive_decay,
            repetition_penalty,
            frequency_penalty,
            presence_penalty,
            penalty_window,
            penalty_scope,
            dry_multiplier,
            dry_base,
            dry_allowed_length,
            dry_window,
            no_repeat_ngram,
            min_tokens,
            length_decay_start,
            length_decay_factor,
            loop_period,
            loop_repeats,
            sequence_capacity,
            metrics,
        } = config;
        argpick_config {
            struct_size: size_of::<Self>() as u32,
            profile: profile as u32,
            seed,
            stream,
            mode: mode as u32,
            temperature,
            top_k,
            top_p,
            min_p,
            history_capacity,
            no_repeat_window,
            max_tokens,
            min_keep,
            valid_vocab,
            adjustment_capacity,
            typical_p,
            epsilon_cutoff,
            eta_cutoff,
            top_n_sigma,
            top_a,
            tfs_z,
            top_h,
            xtc_probability,
            xtc_threshold,
            keep_ties: keep_ties.into(),
            dynatemp_range,
            dynatemp_exponent,
            mirostat: mirostat as u32,
            mirostat_tau,
            mirostat_eta,
            adaptive_target,
            adaptive_decay,
            repetition_penalty,
            frequency_penalty,
            presence_penalty,
            penalty_window,
            penalty_scope: penalty_scope as u32,
            dry_multiplier,
            dry_base,
            dry_allowed_length,
            dry_window,
            no_repeat_ngram,
            min_tokens,
            length_decay_start,
            length_decay_factor,
            loop_period,
            loop_repeats,
            sequence_capacity,
            metrics: metrics.bits(),
            reserved0: 0,
        }
    }
}

/// Fills a configuration with "off" everywhere: draw from the softmax of the row as it is.
///
/// struct_size is sizeof(argpick_config) as the caller's header has it; a smaller size of an earlier release works.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE.
///
/// # Safety
/// - config points to struct_size bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_config_init(config: *mut argpick_config, struct_size: u32) -> argpick_status {
    call("argpick_config_init", || {
        writable(config, "config")?;
        check_size::<argpick_config>(struct_size)?;
        // SAFETY: not NULL, aligned and of a released size; that so many bytes can be written is the caller's part.
        unsafe { write(config, struct_size, &argpick_config::DEFAULT) };
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_cores() {
        let config = argpick_config::DEFAULT;
        // SAFETY: `config` is one.
        assert_eq!(unsafe { config_of(&raw const config) }.ok(), Some(Config::default()));
    }

    #[test]
    fn a_configuration_told_is_the_one_given() {
        // No field at its default, and all different from each other as far as their types allow.
        let mut config = Config { seed: 1 << 40, stream: 3 << 40, ..Config::default() };
        for (i, (name, value)) in Config::default().parameters().enumerate() {
            let told = match name {
                "profile" | "mode" | "mirostat" | "penalty_scope" | "keep_ties" => 1.0,
                "metrics" => f64::from(Metrics::FLIP.bits() | Metrics::RANK.bits()),
                _ => value + 1.0 + i as f64,
            };
            assert_eq!(config.set_parameter(name, told), Ok(true), "{name}");
        }
        for ((name, value), (_, standard)) in config.parameters().zip(Config::default().parameters()) {
            assert_ne!(value, standard, "{name}");
        }
        let told = argpick_config::from(&config);
        // SAFETY: `told` is one.
        assert_eq!(unsafe { config_of(&raw const told) }.ok(), Some(config));
    }
}
