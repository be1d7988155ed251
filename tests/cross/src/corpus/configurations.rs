//! The configurations of the corpus: a line each. A new field of `Config` needs a few lines here and nothing else.

use argpick::{Config, Metrics, Mirostat, Mode, PenaltyScope, Profile};

/// A configuration by its name: what it changes in [`base`].
pub type Configuration = (&'static str, fn(&mut Config));

/// Everything that is reported but the flip certificate, which costs more than all the rest: it has lines of its own.
pub const USUAL: Metrics = match Metrics::from_bits(Metrics::ALL.bits() & !Metrics::FLIP.bits()) {
    Some(usual) => usual,
    None => Metrics::ALL,
};

/// Where every configuration begins: everything off, everything usual reported, small capacities.
pub fn base() -> Config {
    Config {
        seed: 0x5eed,
        stream: 3,
        history_capacity: 64,
        adjustment_capacity: 16,
        metrics: USUAL,
        ..Config::default()
    }
}

/// All of them.
pub static CONFIGURATIONS: &[Configuration] = &[
    ("plain", |_| {}),
    ("greedy", |c| c.mode = Mode::Greedy),
    ("greedy, nothing reported", |c| (c.mode, c.metrics) = (Mode::Greedy, Metrics::NONE)),
    ("temperature 0", |c| c.temperature = 0.0),
    ("temperature 1e-40", |c| c.temperature = 1e-40),
    ("temperature 1e-30", |c| c.temperature = 1e-30),
    ("temperature 0.001", |c| c.temperature = 1e-3),
    ("temperature 0.1", |c| c.temperature = 0.1),
    ("temperature 0.8", |c| c.temperature = 0.8),
    ("temperature 0.8, nothing reported", |c| (c.temperature, c.metrics) = (0.8, Metrics::NONE)),
    ("temperature 1.9", |c| c.temperature = 1.9),
    ("temperature 10", |c| c.temperature = 10.0),
    ("temperature 100", |c| c.temperature = 100.0),
    ("temperature 3e38", |c| c.temperature = 3e38),
    ("top_k 1", |c| c.top_k = 1),
    ("top_k 2", |c| c.top_k = 2),
    ("top_k 40", |c| c.top_k = 40),
    ("top_k 999", |c| c.top_k = 999),
    ("top_k 5000", |c| c.top_k = 5000),
    ("top_p 0", |c| c.top_p = 0.0),
    ("top_p 1e-42", |c| c.top_p = 1e-42),
    ("top_p 0.5", |c| c.top_p = 0.5),
    ("top_p 0.95", |c| c.top_p = 0.95),
    ("top_p 0.95, nothing reported", |c| (c.top_p, c.metrics) = (0.95, Metrics::NONE)),
    ("top_p 0.9999", |c| c.top_p = 0.9999),
    ("min_p 1e-42", |c| c.min_p = 1e-42),
    ("min_p 0.001", |c| c.min_p = 1e-3),
    ("min_p 0.05", |c| c.min_p = 0.05),
    ("min_p 0.05, nothing reported", |c| (c.min_p, c.metrics) = (0.05, Metrics::NONE)),
    ("min_p 1", |c| c.min_p = 1.0),
    ("chain", |c| (c.temperature, c.top_k, c.top_p, c.min_p) = (0.8, 40, 0.95, 0.05)),
    ("chain, temperature 100", |c| (c.temperature, c.top_k, c.top_p, c.min_p) = (100.0, 40, 0.95, 0.05)),
    ("chain, temperature 0.001", |c| (c.temperature, c.top_k, c.top_p, c.min_p) = (1e-3, 40, 0.95, 0.05)),
    ("top_p and min_p", |c| (c.top_p, c.min_p) = (0.9, 0.02)),
    ("top_k and min_p", |c| (c.top_k, c.min_p) = (100, 0.01)),
    ("min_keep 3", |c| (c.top_k, c.top_p, c.min_p, c.min_keep) = (1, 0.1, 0.9, 3)),
    ("min_keep 5000", |c| (c.top_p, c.min_keep) = (0.1, 5000)),
    ("no_repeat_window 5", |c| (c.no_repeat_window, c.top_p) = (5, 0.9)),
    ("valid_vocab 1", |c| c.valid_vocab = 1),
    ("valid_vocab 500", |c| (c.valid_vocab, c.top_p) = (500, 0.9)),
    ("max_tokens 2", |c| c.max_tokens = 2),
    ("top_k 40, ties kept", |c| (c.top_k, c.keep_ties) = (40, true)),
    ("typical_p 0.2", |c| c.typical_p = 0.2),
    ("typical_p 0.9", |c| c.typical_p = 0.9),
    ("typical_p after top_k", |c| (c.top_k, c.typical_p) = (100, 0.5)),
    ("epsilon_cutoff 3e-4", |c| c.epsilon_cutoff = 3e-4),
    ("epsilon_cutoff 0.3", |c| c.epsilon_cutoff = 0.3),
    ("eta_cutoff 2e-3", |c| c.eta_cutoff = 2e-3),
    ("eta_cutoff 0.5, temperature 100", |c| (c.eta_cutoff, c.temperature) = (0.5, 100.0)),
    ("top_n_sigma 1", |c| c.top_n_sigma = 1.0),
    ("top_n_sigma 0.01", |c| (c.top_n_sigma, c.temperature) = (0.01, 0.1)),
    ("top_a 0.2", |c| c.top_a = 0.2),
    ("top_a 1", |c| c.top_a = 1.0),
    ("tfs_z 0.95", |c| c.tfs_z = 0.95),
    ("tfs_z 0.3, temperature 0.001", |c| (c.tfs_z, c.temperature) = (0.3, 1e-3)),
    ("top_h 0.4", |c| c.top_h = 0.4),
    ("xtc 1", |c| (c.xtc_probability, c.xtc_threshold) = (1.0, 0.01)),
    ("xtc 0.5 after min_p", |c| (c.xtc_probability, c.xtc_threshold, c.min_p) = (0.5, 0.1, 0.02)),
    ("every filter", |c| {
        (c.temperature, c.top_k, c.top_p, c.min_p) = (1.3, 500, 0.99, 1e-3);
        (c.typical_p, c.epsilon_cutoff, c.eta_cutoff, c.top_n_sigma) = (0.95, 1e-4, 1e-4, 3.0);
        (c.top_a, c.tfs_z, c.top_h) = (0.01, 0.99, 0.9);
        (c.xtc_probability, c.xtc_threshold) = (0.5, 0.1);
    }),
    ("every filter, min_keep 7", |c| {
        (c.temperature, c.top_k, c.top_p, c.min_p, c.min_keep) = (0.2, 3, 0.3, 0.5, 7);
        (c.typical_p, c.epsilon_cutoff, c.eta_cutoff, c.top_n_sigma) = (0.2, 0.2, 0.2, 0.5);
        (c.top_a, c.tfs_z, c.top_h) = (0.5, 0.5, 0.2);
        (c.xtc_probability, c.xtc_threshold) = (1.0, 0.05);
    }),
    ("dynatemp", |c| (c.temperature, c.dynatemp_range, c.dynatemp_exponent) = (1.0, 0.7, 1.4)),
    ("dynatemp and chain", |c| {
        (c.temperature, c.dynatemp_range, c.dynatemp_exponent) = (0.9, 0.9, 0.5);
        (c.top_k, c.top_p, c.min_p) = (40, 0.95, 0.05);
    }),
    ("mirostat 1", |c| (c.mirostat, c.mirostat_tau, c.mirostat_eta) = (Mirostat::One, 5.0, 0.1)),
    ("mirostat 2", |c| (c.mirostat, c.mirostat_tau, c.mirostat_eta) = (Mirostat::Two, 3.0, 0.3)),
    ("mirostat 2, temperature 0.1", |c| {
        (c.mirostat, c.mirostat_tau, c.mirostat_eta, c.temperature) = (Mirostat::Two, 0.01, 1e-39, 0.1);
    }),
    ("adaptive-p", |c| (c.adaptive_target, c.adaptive_decay) = (0.3, 0.9)),
    ("adaptive-p after min_p", |c| (c.adaptive_target, c.adaptive_decay, c.min_p) = (0.05, 0.5, 0.02)),
    ("repetition_penalty 1.3", |c| c.repetition_penalty = 1.3),
    ("repetition_penalty 0.5", |c| (c.repetition_penalty, c.penalty_window) = (0.5, 11)),
    ("repetition_penalty 1e-38", |c| c.repetition_penalty = 1e-38),
    ("frequency and presence", |c| (c.frequency_penalty, c.presence_penalty) = (0.7, -0.4)),
    ("every penalty, generated tokens", |c| {
        (c.repetition_penalty, c.frequency_penalty, c.presence_penalty) = (1.1, 0.3, 0.2);
        (c.penalty_scope, c.penalty_window) = (PenaltyScope::Generated, 16);
    }),
    ("DRY", |c| (c.dry_multiplier, c.dry_base, c.dry_allowed_length) = (0.8, 1.75, 2)),
    ("DRY, free from 1, window 25", |c| {
        (c.dry_multiplier, c.dry_base, c.dry_allowed_length, c.dry_window) = (1e-3, 3.0, 1, 25);
    }),
    ("no_repeat_ngram 3", |c| c.no_repeat_ngram = 3),
    ("min_tokens 100", |c| c.min_tokens = 100),
    ("length decay", |c| (c.length_decay_start, c.length_decay_factor) = (3, 1.05)),
    ("loops", |c| (c.loop_period, c.loop_repeats) = (30, 2)),
    ("huggingface", |c| {
        (c.profile, c.repetition_penalty, c.temperature) = (Profile::HuggingFace, 1.2, 0.8);
        (c.top_k, c.top_p, c.min_p, c.typical_p) = (50, 0.9, 0.01, 0.9);
    }),
    ("huggingface, cutoffs", |c| {
        (c.profile, c.epsilon_cutoff, c.eta_cutoff, c.min_keep) = (Profile::HuggingFace, 1e-3, 1e-3, 2);
    }),
    ("llama_cpp", |c| {
        (c.profile, c.repetition_penalty, c.frequency_penalty) = (Profile::LlamaCpp, 1.1, 0.1);
        (c.top_k, c.top_p, c.min_p, c.typical_p, c.temperature) = (40, 0.95, 0.05, 0.9, 0.8);
        (c.xtc_probability, c.xtc_threshold, c.dry_multiplier) = (0.5, 0.1, 0.8);
    }),
    ("llama_cpp, dynatemp and top_n_sigma", |c| {
        (c.profile, c.top_n_sigma, c.dynatemp_range, c.min_p) = (Profile::LlamaCpp, 1.5, 0.5, 0.0);
    }),
    ("llama_cpp, mirostat", |c| {
        (c.profile, c.mirostat, c.mirostat_tau, c.mirostat_eta) = (Profile::LlamaCpp, Mirostat::Two, 5.0, 0.1);
    }),
    ("vllm", |c| {
        (c.profile, c.repetition_penalty, c.presence_penalty) = (Profile::Vllm, 1.1, 0.5);
        (c.temperature, c.top_k, c.top_p, c.min_p) = (0.8, 50, 0.9, 0.01);
    }),
    ("not in the profile", |c| (c.profile, c.top_a) = (Profile::Vllm, 0.2)),
    ("flips", |c| c.metrics = Metrics::ALL),
    ("greedy, flips", |c| (c.mode, c.metrics) = (Mode::Greedy, Metrics::ALL)),
    ("chain, flips", |c| (c.top_k, c.top_p, c.min_p, c.metrics) = (40, 0.95, 0.05, Metrics::ALL)),
    ("top_p 0.9, flips", |c| (c.top_p, c.metrics) = (0.9, Metrics::FLIP)),
    ("typical_p 0.9, flips", |c| (c.typical_p, c.metrics) = (0.9, Metrics::FLIP)),
    ("top_n_sigma 1, flips", |c| (c.top_n_sigma, c.metrics) = (1.0, Metrics::FLIP)),
    ("a list, tfs_z and top_h, flips", |c| (c.top_k, c.tfs_z, c.top_h, c.metrics) = (20, 0.9, 0.5, Metrics::FLIP)),
    ("another seed", |c| (c.seed, c.stream) = (u64::MAX, u64::MAX)),
];
