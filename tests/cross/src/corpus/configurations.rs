//! The configurations of the corpus: a line each. A new field of `Config` needs a few lines here and nothing else.

use argpick::{Config, Metrics, Mode};

/// A configuration by its name: what it changes in [`base`].
pub type Configuration = (&'static str, fn(&mut Config));

/// Where every configuration begins: everything off, everything reported, small capacities.
pub fn base() -> Config {
    Config {
        seed: 0x5eed,
        stream: 3,
        history_capacity: 64,
        adjustment_capacity: 16,
        metrics: Metrics::ALL,
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
    ("another seed", |c| (c.seed, c.stream) = (u64::MAX, u64::MAX)),
];
