//! The list of stages.

use argpick::{Config, Dtype, Kernels, Level, Metrics, Mirostat, Mode};

/// What a stage calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `Decoder::decode`.
    Decode,
    /// `Decoder::decode` under a bitmask whose words are zero in every other run of sixteen.
    Masked,
    /// The same with a history of 4,096 tokens, 1,500 of them distinct, and 300 biases.
    Burdened,
    /// `Decoder::process`, in place.
    Process,
    /// `Decoder::probabilities`, in place.
    Probabilities,
    /// `softmax`, in place.
    Softmax,
    /// `logits::project` with so many columns.
    Project(usize),
    /// `Decoder::decode_sparse` with so many columns.
    Sparse(usize),
}

/// One way to use the library.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Its name in identifiers and options.
    pub name: &'static str,
    /// What is called.
    pub action: Action,
    /// With which configuration.
    pub config: fn() -> Config,
    /// On rows of this type.
    pub dtype: Dtype,
}

impl Stage {
    /// The first part of identifiers.
    pub const fn room(&self) -> &'static str {
        match self.action {
            Action::Decode | Action::Masked | Action::Burdened => "decode",
            Action::Process | Action::Probabilities | Action::Softmax => "in-place",
            Action::Project(_) | Action::Sparse(_) => "head",
        }
    }

    /// Whether the row is rewritten: it has just been copied then, so it cannot be cold.
    pub const fn is_in_place(&self) -> bool {
        matches!(self.action, Action::Process | Action::Probabilities | Action::Softmax)
    }

    /// Whether it can be told to run at this level: `softmax` always takes the one in use.
    pub fn runs_at(&self, level: Level) -> bool {
        self.action != Action::Softmax || Kernels::detect().is_ok_and(|kernels| kernels.level() == level)
    }

    /// Columns of the sparse head that one call reads; 0 for a row.
    pub const fn columns(&self) -> usize {
        match self.action {
            Action::Project(columns) | Action::Sparse(columns) => columns,
            _ => 0,
        }
    }
}

fn sampling() -> Config {
    Config { seed: 7, temperature: 0.8, ..Config::default() }
}

fn greedy() -> Config {
    Config { mode: Mode::Greedy, ..Config::default() }
}

fn chain() -> Config {
    Config { top_k: 40, top_p: 0.95, min_p: 0.05, ..sampling() }
}

fn penalties() -> Config {
    Config { repetition_penalty: 1.1, frequency_penalty: 0.1, presence_penalty: 0.1, ..chain() }
}

fn min_p() -> Config {
    Config { min_p: 0.05, ..sampling() }
}

fn top_p() -> Config {
    Config { top_p: 0.95, ..sampling() }
}

fn with_entropy(config: Config) -> Config {
    Config { metrics: Metrics::CONFIDENCE, ..config }
}

const fn decode(name: &'static str, config: fn() -> Config) -> Stage {
    Stage { name, action: Action::Decode, config, dtype: Dtype::F32 }
}

/// All stages. Sampling is at temperature 0.8.
pub const STAGES: &[Stage] = &[
    decode("greedy", greedy),
    decode("greedy-entropy", || with_entropy(greedy())),
    decode("chain", chain),
    decode("chain-entropy", || with_entropy(chain())),
    decode("min-p", min_p),
    decode("min-p-entropy", || with_entropy(min_p())),
    decode("full", sampling),
    decode("full-entropy", || with_entropy(sampling())),
    decode("top-p", top_p),
    decode("top-p-entropy", || with_entropy(top_p())),
    decode("top-k-1000", || Config { top_k: 1000, ..sampling() }),
    decode("typical", || Config { typical_p: 0.9, ..sampling() }),
    decode("epsilon", || Config { epsilon_cutoff: 3e-4, ..sampling() }),
    decode("top-n-sigma", || Config { top_n_sigma: 1.0, ..sampling() }),
    decode("mirostat-2", || Config { mirostat: Mirostat::Two, ..sampling() }),
    decode("xtc", || Config { xtc_probability: 0.5, ..sampling() }),
    Stage { action: Action::Masked, ..decode("greedy-masked", greedy) },
    Stage { action: Action::Burdened, ..decode("chain-penalties", penalties) },
    Stage { dtype: Dtype::F16, ..decode("greedy-f16", greedy) },
    Stage { dtype: Dtype::Bf16, ..decode("greedy-bf16", greedy) },
    Stage { action: Action::Process, ..decode("process", chain) },
    Stage { action: Action::Probabilities, ..decode("probabilities", chain) },
    Stage { action: Action::Softmax, ..decode("softmax", sampling) },
    Stage { action: Action::Project(3), ..decode("project-3", greedy) },
    Stage { action: Action::Project(32), ..decode("project-32", greedy) },
    Stage { action: Action::Sparse(3), ..decode("greedy-sparse-3", greedy) },
    Stage { action: Action::Sparse(32), ..decode("greedy-sparse-32", greedy) },
];

/// What the result of `stage` is compared with at the scalar level: `softmax`, which cannot be told its level, with the
/// probabilities of the same temperature.
pub fn reference(stage: &'static Stage) -> &'static Stage {
    const PROBABILITIES: Stage = Stage { action: Action::Probabilities, ..decode("softmax", sampling) };
    if stage.action == Action::Softmax { &PROBABILITIES } else { stage }
}

/// The stage of a name.
pub fn find(name: &str) -> Option<&'static Stage> {
    STAGES.iter().find(|stage| stage.name == name)
}
