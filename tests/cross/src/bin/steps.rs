//! The steps whose instructions are counted: each is run a few times between two requests to callgrind, which writes a file
//! for each. `instructions` reads those files; without valgrind the requests do nothing.
//!
//! The level is AVX2, the highest that valgrind knows. Exit code 3: this processor does not have it.

use argpick::logits::project;
use argpick::logits::train::{Example, TrainableHead, train_step};
use argpick::weights::{Column, ColumnMatrix, ElementType, SparseHead};
use argpick::{
    BeamConfig, BeamSearch, Config, Continuation, Decoder, Dtype, Kernels, Level, Metrics, Mirostat, Mode, Row, score,
};
use argpick_cross::corpus::configurations::USUAL;
use argpick_cross::corpus::rows::{Recipe, Shape, fill, mask, narrow};
use std::hint::black_box;
use std::process::ExitCode;

/// Logits of a row.
const VOCAB: usize = 262_144;
/// Columns of the sparse head.
const COLUMNS: usize = 32;
/// Tokens over which a count is averaged: draws at so many positions.
const TOKENS: usize = 8;

/// What is called for a token.
#[derive(Clone, Copy, PartialEq)]
enum Action {
    Decode(Dtype),
    /// Of the same logits in ascending order.
    Ascending,
    /// Under a bitmask that allows runs of words.
    Masked,
    /// The same with 300 biases, and a history of 4,096 tokens of which 1,500 are distinct.
    Constrained,
    Process,
    Probabilities,
    Score,
    Project,
    Sparse,
    Train,
    /// A step of four beams, each with its row: a token is a beam of it.
    Beams,
    /// With logits in ascending order.
    AscendingBeams,
}

use Action::{
    Ascending, AscendingBeams, Beams, Constrained, Decode, Masked, Probabilities, Process, Project, Score, Sparse,
    Train,
};

/// A step by its name: what is called, and what the configuration changes.
type Step = (&'static str, Action, fn(&mut Config));

const F32: Action = Decode(Dtype::F32);

fn greedy(config: &mut Config) {
    config.mode = Mode::Greedy;
}

fn chain(config: &mut Config) {
    (config.top_k, config.top_p, config.min_p) = (40, 0.95, 0.05);
}

/// A line each. Sampling is at temperature 0.8, nothing is reported unless it says so.
const STEPS: &[Step] = &[
    ("greedy", F32, greedy),
    ("greedy f16", Decode(Dtype::F16), greedy),
    ("greedy bf16", Decode(Dtype::Bf16), greedy),
    ("greedy masked", Masked, greedy),
    ("greedy, entropy", F32, |c| (c.mode, c.metrics) = (Mode::Greedy, Metrics::CONFIDENCE)),
    ("greedy, everything but flips", F32, |c| (c.mode, c.metrics) = (Mode::Greedy, USUAL)),
    ("chain", F32, chain),
    ("chain f16", Decode(Dtype::F16), chain),
    ("chain masked", Masked, chain),
    ("chain, ascending", Ascending, chain),
    ("chain, everything but flips", F32, |c| {
        chain(c);
        c.metrics = USUAL;
    }),
    ("chain, flips", F32, |c| {
        chain(c);
        c.metrics = Metrics::FLIP;
    }),
    ("full", F32, |_| {}),
    ("full f16", Decode(Dtype::F16), |_| {}),
    ("min_p 0.05", F32, |c| c.min_p = 0.05),
    ("top_k 1000", F32, |c| c.top_k = 1000),
    ("top_k 1000, ascending", Ascending, |c| c.top_k = 1000),
    ("top_k 20000", F32, |c| c.top_k = 20_000),
    ("top_p 0.95", F32, |c| c.top_p = 0.95),
    ("top_p 0.95, everything but flips", F32, |c| (c.top_p, c.metrics) = (0.95, USUAL)),
    ("typical_p 0.9", F32, |c| c.typical_p = 0.9),
    ("epsilon_cutoff 3e-4", F32, |c| c.epsilon_cutoff = 3e-4),
    ("eta_cutoff 2e-3", F32, |c| c.eta_cutoff = 2e-3),
    ("top_n_sigma 1", F32, |c| c.top_n_sigma = 1.0),
    ("top_a 0.2", F32, |c| c.top_a = 0.2),
    ("tfs_z 0.95", F32, |c| c.tfs_z = 0.95),
    ("top_h 0.4", F32, |c| c.top_h = 0.4),
    ("xtc after chain", F32, |c| {
        chain(c);
        (c.xtc_probability, c.xtc_threshold) = (0.5, 0.1);
    }),
    ("dynatemp and chain", F32, |c| {
        chain(c);
        (c.dynatemp_range, c.dynatemp_exponent) = (0.5, 1.0);
    }),
    ("mirostat 1", F32, |c| (c.mirostat, c.mirostat_tau, c.mirostat_eta) = (Mirostat::One, 5.0, 0.1)),
    ("mirostat 2", F32, |c| (c.mirostat, c.mirostat_tau, c.mirostat_eta) = (Mirostat::Two, 5.0, 0.1)),
    ("adaptive-p after min_p", F32, |c| (c.adaptive_target, c.adaptive_decay, c.min_p) = (0.3, 0.9, 0.05)),
    ("penalties, biases, mask, greedy", Constrained, |c| {
        (c.mode, c.repetition_penalty, c.frequency_penalty) = (Mode::Greedy, 1.1, 0.1);
    }),
    ("penalties, biases, mask, chain", Constrained, |c| {
        chain(c);
        (c.repetition_penalty, c.frequency_penalty, c.presence_penalty) = (1.1, 0.1, 0.1);
    }),
    ("DRY, biases, mask, chain", Constrained, |c| {
        chain(c);
        (c.dry_multiplier, c.dry_allowed_length) = (0.8, 2);
    }),
    ("process, chain", Process, chain),
    ("probabilities, chain", Probabilities, chain),
    ("probabilities", Probabilities, |_| {}),
    ("score", Score, |_| {}),
    ("project 32 columns", Project, |_| {}),
    ("sparse head of 32 columns, greedy", Sparse, greedy),
    ("train 32 columns", Train, |_| {}),
    ("beam step, 4 beams, per beam", Beams, |_| {}),
    ("beam step, per beam, ascending", AscendingBeams, |_| {}),
];

/// Requests to callgrind, by their order in callgrind.h.
#[derive(Clone, Copy)]
enum Request {
    Zero = 1,
    DumpAt = 3,
    StartInstrumentation = 4,
}

/// Valgrind's client request (valgrind.h): a sequence of instructions that does nothing elsewhere.
fn request(request: Request, argument: u64) {
    #[cfg(target_arch = "x86_64")]
    {
        let words = [0x4354_0000 + request as u64, argument, 0, 0, 0, 0];
        // SAFETY: rdi is turned by 128 bits altogether; valgrind reads the words and writes rdx.
        unsafe {
            core::arch::asm!(
                "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
                in("rax") words.as_ptr(), inout("rdx") 0u64 => _, options(nostack)
            );
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (request, argument);
}

/// Everything that steps read and write.
struct Memory {
    row: Vec<f32>,
    ascending: Vec<f32>,
    copy: Vec<f32>,
    halves: Vec<u16>,
    mask: Vec<u32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    columns: Vec<u32>,
}

impl Memory {
    fn new() -> Self {
        let recipe = Recipe { vocab: VOCAB, shape: Shape::Normal };
        let mut row = vec![0.0; VOCAB];
        fill(recipe, 0, &mut row);
        let mut ascending = row.clone();
        ascending.sort_unstable_by(f32::total_cmp);
        // The columns are one row from another start on each: what they hold does not matter to a count.
        let weights = (0..COLUMNS).flat_map(|column| row.iter().cycle().skip(column * 977).take(VOCAB)).copied();
        Memory {
            ascending,
            copy: row.clone(),
            halves: vec![0; VOCAB],
            mask: mask(1, VOCAB, &mut vec![0; VOCAB / 32]).to_vec(),
            weights: weights.collect(),
            bias: row.clone(),
            columns: (0..COLUMNS as u32).collect(),
            row,
        }
    }
}

/// One token of a step.
fn token(action: Action, memory: &mut Memory, decoder: &mut Decoder, number: usize) {
    let kernels = decoder.kernels();
    match action {
        Decode(dtype) => {
            // Made before the first token; narrowing again would be counted.
            let row = match dtype {
                Dtype::F32 => Row::F32(&memory.row),
                Dtype::F16 => Row::F16(bytemuck::cast_slice(&memory.halves)),
                Dtype::Bf16 => Row::Bf16(bytemuck::cast_slice(&memory.halves)),
            };
            black_box(decoder.decode(row, None).expect("a pick"));
        }
        Ascending => _ = black_box(decoder.decode(&memory.ascending, None).expect("a pick")),
        Masked | Constrained => _ = black_box(decoder.decode(&memory.row, Some(&memory.mask)).expect("a pick")),
        Process => decoder.process(&mut memory.copy, None).expect("logits"),
        Probabilities => decoder.probabilities(&mut memory.copy, None).expect("probabilities"),
        Score => _ = black_box(score(kernels, &memory.row, 12_345).expect("a score")),
        Project | Sparse => {
            let bytes = bytemuck::cast_slice(&memory.weights);
            let bias = Column { bytes: bytemuck::cast_slice(&memory.bias), element: ElementType::F32 };
            let matrix = ColumnMatrix::new(bytes, ElementType::F32, VOCAB, COLUMNS).expect("a matrix");
            let head = SparseHead::new(matrix, bias).expect("a head");
            if action == Project {
                project(kernels, &head, &memory.columns, None, &mut memory.copy).expect("logits");
            } else {
                black_box(decoder.decode_sparse(&head, &memory.columns, None, None).expect("a pick"));
            }
        }
        Train => {
            let head = TrainableHead { weights: &mut memory.weights, bias: &mut memory.bias };
            let example = Example { columns: &memory.columns, values: None, target: number as u32 };
            black_box(train_step(kernels, head, &example, 1e-6, &mut memory.copy).expect("a score"));
        }
        Beams | AscendingBeams => unreachable!("they need no decoder"),
    }
}

/// A few steps of four beams. Each has the row from another token on.
fn run_beams(name: &str, kernels: Kernels, row: &[f32]) {
    const STEPS: usize = TOKENS / 4;
    let config = BeamConfig { beams: 4, max_tokens: 16, ..BeamConfig::default() };
    let rotated = |by: usize| [&row[by..], &row[..by]].concat();
    let logits = [0, 977, 1954, 2931].map(rotated);
    let rows = [0, 1, 2, 3].map(|beam| Row::F32(&logits[beam]));
    let mut search = BeamSearch::new_with_kernels(&config, VOCAB, kernels).expect("a search");
    let mut next = [Continuation::default(); 4];
    // The first has one row, the second is the first of its kind.
    search.step(&rows[..1], &[], &mut next).expect("a step");
    search.step(&rows, &[], &mut next).expect("a step");
    let label = format!("{name} / {}\0", 4 * STEPS);
    request(Request::Zero, 0);
    (0..STEPS).for_each(|_| _ = black_box(search.step(black_box(&rows), &[], &mut next).expect("a step")));
    request(Request::DumpAt, label.as_ptr() as u64);
}

fn run(step: &Step, kernels: Kernels, memory: &mut Memory) {
    let (name, action, change) = *step;
    match action {
        Beams => return run_beams(name, kernels, &memory.row),
        AscendingBeams => return run_beams(name, kernels, &memory.ascending),
        _ => {}
    }
    let mut config = Config { seed: 7, temperature: 0.8, ..Config::default() };
    change(&mut config);
    let mut decoder = Decoder::new_with_kernels(&config, VOCAB, kernels).expect("a decoder");
    if let Decode(dtype) = action {
        narrow(&memory.row, dtype, &mut memory.halves);
    }
    if action == Constrained {
        let history: Vec<u32> = (0..4096).map(|i| i % 1500 * 173).collect();
        decoder.prompt(&history).expect("a history");
        let biases: Vec<_> = (0..300).map(|i| (i * 811, 1.5)).collect();
        decoder.set_bias(&biases).expect("biases");
    }
    // A row that is rewritten is another one for the next token, so there is no next. What wants the columns is long enough.
    let tokens = if matches!(action, Decode(_) | Ascending | Masked | Constrained) { TOKENS } else { 1 };
    // The first call resolves what the loader has put off.
    memory.copy.copy_from_slice(&memory.row);
    token(action, memory, &mut decoder, 0);
    memory.copy.copy_from_slice(&memory.row);
    let label = format!("{name} / {tokens}\0");
    request(Request::Zero, 0);
    (1..=tokens).for_each(|number| token(action, memory, &mut decoder, number));
    request(Request::DumpAt, label.as_ptr() as u64);
}

fn main() -> ExitCode {
    let Ok(kernels) = Kernels::new(Level::Avx2) else {
        println!("skipped: instructions of a step: this processor does not have AVX2");
        return ExitCode::from(3);
    };
    let mut memory = Memory::new();
    request(Request::StartInstrumentation, 0);
    STEPS.iter().for_each(|step| run(step, kernels, &mut memory));
    println!("{VOCAB}");
    ExitCode::SUCCESS
}
