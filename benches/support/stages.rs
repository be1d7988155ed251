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
    /// `logits::train_step` with so many columns.
    Train(usize),
    /// `decode_batch`, or `decode_batch_parallel` on a pool of threads.
    Batch {
        /// Rows of a batch, each in memory of its own.
        rows: usize,
        /// Threads; 1 is `decode_batch`.
        threads: usize,
    },
    /// `BeamSearch::step` with so many beams, each with a row in memory of its own.
    Beams(usize),
    /// `Decoder::sweep` with the sixteen configurations of [`sixteen`].
    Sweep,
    /// `Decoder::evaluate` for each of the same configurations.
    Singles,
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
    /// On rows of this type, or on weights of it.
    pub dtype: Dtype,
}

impl Stage {
    /// The first part of identifiers.
    pub const fn room(&self) -> &'static str {
        match self.action {
            Action::Decode | Action::Masked | Action::Burdened => "decode",
            Action::Process | Action::Probabilities | Action::Softmax => "in-place",
            Action::Project(_) | Action::Sparse(_) | Action::Train(_) => "head",
            Action::Batch { .. } | Action::Beams(_) | Action::Sweep | Action::Singles => "many",
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
            Action::Project(columns) | Action::Sparse(columns) | Action::Train(columns) => columns,
            _ => 0,
        }
    }

    /// Rows that one call reads.
    pub const fn rows(&self) -> usize {
        match self.action {
            Action::Batch { rows, .. } | Action::Beams(rows) => rows,
            _ => 1,
        }
    }
}

/// Sampling at temperature 0.8.
pub fn sampling() -> Config {
    Config { seed: 7, temperature: 0.8, ..Config::default() }
}

fn greedy() -> Config {
    Config { mode: Mode::Greedy, ..Config::default() }
}

/// The default chain of filters.
pub fn chain() -> Config {
    Config { top_k: 40, top_p: 0.95, min_p: 0.05, ..sampling() }
}

/// The chain after all penalties.
pub fn penalties() -> Config {
    Config { repetition_penalty: 1.1, frequency_penalty: 0.1, presence_penalty: 0.1, ..chain() }
}

fn min_p() -> Config {
    Config { min_p: 0.05, ..sampling() }
}

/// A nucleus alone.
pub fn top_p() -> Config {
    Config { top_p: 0.95, ..sampling() }
}

fn with_entropy(config: Config) -> Config {
    Config { metrics: Metrics::CONFIDENCE, ..config }
}

fn logprobs(temperature: f32) -> Config {
    let metrics = Metrics::CONFIDENCE | Metrics::LOGPROB | Metrics::LOGPROB_RAW;
    Config { metrics, temperature, ..sampling() }
}

/// Four filters at four temperatures.
pub fn sixteen() -> Vec<Config> {
    let filters = [sampling(), chain(), min_p(), Config { top_k: 100, ..sampling() }];
    let at = |filter: &Config, temperature: f32| Config { temperature, ..filter.clone() };
    filters.iter().flat_map(|filter| [0.6, 0.8, 1.0, 1.2].map(|temperature| at(filter, temperature))).collect()
}

const fn decode(name: &'static str, config: fn() -> Config) -> Stage {
    Stage { name, action: Action::Decode, config, dtype: Dtype::F32 }
}

const fn f16(name: &'static str, config: fn() -> Config) -> Stage {
    Stage { dtype: Dtype::F16, ..decode(name, config) }
}

const fn bf16(name: &'static str, config: fn() -> Config) -> Stage {
    Stage { dtype: Dtype::Bf16, ..decode(name, config) }
}

const fn sparse(name: &'static str, columns: usize, dtype: Dtype) -> Stage {
    Stage { action: Action::Sparse(columns), dtype, ..decode(name, greedy) }
}

const fn call(name: &'static str, action: Action, config: fn() -> Config) -> Stage {
    Stage { action, ..decode(name, config) }
}

/// The batch on one thread and on two.
pub const THREAD_STAGES: [&str; 2] = ["batch-8-threads-1", "batch-8-threads-2"];

/// Sixteen configurations in one call, and in sixteen.
pub const SWEEP_STAGES: [&str; 2] = ["sweep-16", "singles-16"];

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
    // Entropy and both log-probabilities, where they share a temperature and where they do not.
    decode("full-logprobs", || logprobs(1.0)),
    decode("full-logprobs-raw", || logprobs(0.8)),
    decode("top-p", top_p),
    decode("top-p-entropy", || with_entropy(top_p())),
    decode("top-k-1000", || Config { top_k: 1000, ..sampling() }),
    decode("top-n-sigma", || Config { top_n_sigma: 1.0, ..sampling() }),
    decode("typical", || Config { typical_p: 0.9, ..sampling() }),
    decode("mirostat-2", || Config { mirostat: Mirostat::Two, ..sampling() }),
    decode("epsilon", || Config { epsilon_cutoff: 3e-4, ..sampling() }),
    decode("xtc", || Config { xtc_probability: 0.5, ..sampling() }),
    Stage { action: Action::Masked, ..decode("greedy-masked", greedy) },
    Stage { action: Action::Burdened, ..decode("chain-penalties", penalties) },
    f16("greedy-f16", greedy),
    f16("chain-f16", chain),
    f16("min-p-f16", min_p),
    f16("full-f16", sampling),
    f16("full-entropy-f16", || with_entropy(sampling())),
    bf16("greedy-bf16", greedy),
    bf16("chain-bf16", chain),
    bf16("min-p-bf16", min_p),
    bf16("full-bf16", sampling),
    bf16("full-entropy-bf16", || with_entropy(sampling())),
    Stage { action: Action::Process, ..decode("process", chain) },
    Stage { action: Action::Probabilities, ..decode("probabilities", chain) },
    Stage { action: Action::Softmax, ..decode("softmax", sampling) },
    Stage { action: Action::Project(3), ..decode("project-3", greedy) },
    Stage { action: Action::Project(32), ..decode("project-32", greedy) },
    sparse("greedy-sparse-3", 3, Dtype::F32),
    sparse("greedy-sparse-3-f16", 3, Dtype::F16),
    sparse("greedy-sparse-3-bf16", 3, Dtype::Bf16),
    sparse("greedy-sparse-32", 32, Dtype::F32),
    sparse("greedy-sparse-32-f16", 32, Dtype::F16),
    sparse("greedy-sparse-32-bf16", 32, Dtype::Bf16),
    call("train-3", Action::Train(3), greedy),
    call("train-32", Action::Train(32), greedy),
    call(THREAD_STAGES[0], Action::Batch { rows: 8, threads: 1 }, chain),
    #[cfg(feature = "parallel")]
    call(THREAD_STAGES[1], Action::Batch { rows: 8, threads: 2 }, chain),
    call("beams-4", Action::Beams(4), sampling),
    call(SWEEP_STAGES[0], Action::Sweep, sampling),
    call(SWEEP_STAGES[1], Action::Singles, sampling),
];

/// What the result of `stage` is compared with at the scalar level: `softmax`, which cannot be told its level, with the
/// probabilities of the same temperature; a sweep with single calls; threads with one thread.
pub fn reference(stage: Stage) -> Stage {
    let action = match stage.action {
        Action::Softmax => Action::Probabilities,
        Action::Sweep => Action::Singles,
        Action::Batch { rows, .. } => Action::Batch { rows, threads: 1 },
        same => same,
    };
    Stage { action, ..stage }
}

/// The stage of a name.
pub fn find(name: &str) -> Option<&'static Stage> {
    STAGES.iter().find(|stage| stage.name == name)
}
