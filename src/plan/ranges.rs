//! The ranges of all parameters, and which of them a profile knows.

use super::config::{Config, Mirostat, PenaltyScope, Profile};
use crate::error::{Error, Result};
use crate::types::MAX_VOCAB;

/// Refuses a parameter outside its range, and one that the profile has no stage for.
pub(super) fn check(config: &Config, vocab: usize) -> Result<()> {
    let invalid = |name, value: f64| Err(Error::InvalidParameter { name, value });
    if vocab == 0 || vocab > MAX_VOCAB {
        return invalid("vocab", vocab as f64);
    }
    let unit = |x: f32| (0.0..=1.0).contains(&x);
    let at_least_zero = |x: f32| x >= 0.0 && x.is_finite();
    let above_zero = |x: f32| x > 0.0 && x.is_finite();
    let floats = [
        ("temperature", config.temperature, at_least_zero(config.temperature)),
        ("top_p", config.top_p, unit(config.top_p)),
        ("min_p", config.min_p, unit(config.min_p)),
        ("typical_p", config.typical_p, unit(config.typical_p)),
        ("epsilon_cutoff", config.epsilon_cutoff, unit(config.epsilon_cutoff)),
        ("eta_cutoff", config.eta_cutoff, unit(config.eta_cutoff)),
        ("top_n_sigma", config.top_n_sigma, at_least_zero(config.top_n_sigma)),
        ("top_a", config.top_a, unit(config.top_a)),
        ("tfs_z", config.tfs_z, unit(config.tfs_z)),
        ("top_h", config.top_h, unit(config.top_h)),
        ("xtc_probability", config.xtc_probability, unit(config.xtc_probability)),
        ("xtc_threshold", config.xtc_threshold, unit(config.xtc_threshold)),
        ("dynatemp_range", config.dynatemp_range, at_least_zero(config.dynatemp_range)),
        ("dynatemp_exponent", config.dynatemp_exponent, at_least_zero(config.dynatemp_exponent)),
        ("mirostat_tau", config.mirostat_tau, at_least_zero(config.mirostat_tau)),
        ("mirostat_eta", config.mirostat_eta, at_least_zero(config.mirostat_eta)),
        (
            "adaptive_target",
            config.adaptive_target,
            config.adaptive_target <= 1.0 && config.adaptive_target.is_finite(),
        ),
        ("adaptive_decay", config.adaptive_decay, (0.0..=0.99).contains(&config.adaptive_decay)),
        ("repetition_penalty", config.repetition_penalty, above_zero(config.repetition_penalty)),
        ("frequency_penalty", config.frequency_penalty, config.frequency_penalty.is_finite()),
        ("presence_penalty", config.presence_penalty, config.presence_penalty.is_finite()),
        ("dry_multiplier", config.dry_multiplier, at_least_zero(config.dry_multiplier)),
        ("dry_base", config.dry_base, config.dry_base >= 1.0 && config.dry_base.is_finite()),
        ("length_decay_factor", config.length_decay_factor, above_zero(config.length_decay_factor)),
    ];
    for (name, value, holds) in floats {
        if !holds {
            return invalid(name, value.into());
        }
    }
    if !(config.temperature + config.dynatemp_range).is_finite() {
        // The upper end of the range is a temperature, too.
        return invalid("dynatemp_range", config.dynatemp_range.into());
    }
    let history = history_capacity(config) as u32;
    let counts = [
        ("valid_vocab", config.valid_vocab, vocab as u32),
        ("history_capacity", config.history_capacity, 1 << 24),
        ("penalty_window", config.penalty_window, history),
        ("dry_window", config.dry_window, history),
        ("no_repeat_window", config.no_repeat_window, history),
        ("no_repeat_ngram", config.no_repeat_ngram, history),
        ("loop_period", config.loop_period, history),
        ("adjustment_capacity", config.adjustment_capacity, MAX_VOCAB as u32),
        ("sequence_capacity", config.sequence_capacity, 1 << 16),
    ];
    for (name, value, most) in counts {
        if value > most {
            return invalid(name, value.into());
        }
    }
    known_to_profile(config)
}

/// Tokens that the history holds.
pub(super) fn history_capacity(config: &Config) -> usize {
    if config.history_capacity == 0 { 4096 } else { config.history_capacity as usize }
}

/// Refuses what the profile's engine has no stage for: what it would do is not defined.
fn known_to_profile(config: &Config) -> Result<()> {
    use Profile::{HuggingFace, LlamaCpp, Vllm};
    let standard = Config::default();
    // The parameter, whether it is used, and the engines that have it.
    let rules: [(&str, bool, &[Profile]); 21] = [
        ("typical_p", config.typical_p != standard.typical_p, &[HuggingFace, LlamaCpp]),
        ("epsilon_cutoff", config.epsilon_cutoff != 0.0, &[HuggingFace]),
        ("eta_cutoff", config.eta_cutoff != 0.0, &[HuggingFace]),
        ("top_n_sigma", config.top_n_sigma != 0.0, &[LlamaCpp]),
        ("top_a", config.top_a != 0.0, &[]),
        ("tfs_z", config.tfs_z != standard.tfs_z, &[]),
        ("top_h", config.top_h != 0.0, &[HuggingFace]),
        ("xtc_probability", config.xtc_probability != 0.0, &[LlamaCpp]),
        ("dynatemp_range", config.dynatemp_range != 0.0, &[LlamaCpp]),
        ("mirostat", config.mirostat != Mirostat::Off, &[LlamaCpp]),
        ("adaptive_target", config.adaptive_target >= 0.0, &[LlamaCpp]),
        ("min_keep", config.min_keep > 1, &[HuggingFace, LlamaCpp]),
        ("keep_ties", config.keep_ties, &[HuggingFace, Vllm]),
        ("frequency_penalty", config.frequency_penalty != 0.0, &[LlamaCpp, Vllm]),
        ("presence_penalty", config.presence_penalty != 0.0, &[LlamaCpp, Vllm]),
        ("penalty_window", config.penalty_window != 0, &[LlamaCpp]),
        ("penalty_scope", config.penalty_scope != PenaltyScope::Profile, &[HuggingFace, LlamaCpp]),
        ("dry_multiplier", config.dry_multiplier != 0.0, &[LlamaCpp]),
        ("no_repeat_ngram", config.no_repeat_ngram != 0, &[HuggingFace]),
        ("length_decay_factor", config.length_decay_factor != 1.0, &[HuggingFace]),
        ("min_tokens", config.min_tokens != 0, &[HuggingFace, Vllm]),
    ];
    for (name, used, engines) in rules {
        if used && config.profile != Profile::Canon && !engines.contains(&config.profile) {
            return Err(Error::NotInProfile { name, profile: config.profile.name() });
        }
    }
    Ok(())
}
