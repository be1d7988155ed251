//! A stage on a row at a level: set up, checked, and called once at a time.

use super::rows::Buffer;
use super::stages::{self, Action, Stage};
use argpick::logits::project;
use argpick::weights::{Column, ColumnMatrix, ElementType, SparseHead};
use argpick::{Decoder, Dtype, Error, Kernels, Level, Pick, Row, softmax};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// More memory than the caches of any common processor hold.
pub const COLD_BYTES: usize = 256 << 20;

/// What one call said, as bits.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Pick([u32; 11]),
    Row(Vec<u32>),
}

/// Weights of a sparse head: one allocation, columns contiguous, f32.
struct Head {
    weights: Vec<f32>,
    bias: Vec<f32>,
    features: usize,
    columns: Vec<Vec<u32>>,
}

impl Head {
    /// A head whose logits are spread like `logits`. When cold, calls walk through columns that fill [`COLD_BYTES`].
    fn new(logits: &[f32], count: usize, cold: bool) -> Head {
        let vocab = logits.len();
        let sets = if cold { COLD_BYTES.div_ceil(4 * vocab * count).max(2) } else { 1 };
        let features = sets * count;
        // A column is the row shifted, scaled so that a sum of `count` has the spread of the row.
        let scale = 1.0 / (count as f32).sqrt();
        let mut weights = Vec::with_capacity(features * vocab);
        for feature in 0..features {
            let shift = feature * 977 % vocab;
            weights.extend(logits[shift..].iter().chain(&logits[..shift]).map(|logit| logit * scale));
        }
        let columns = (0..sets).map(|set| (set * count..(set + 1) * count).map(|column| column as u32).collect());
        Head { weights, bias: vec![0.125; vocab], features, columns: columns.collect() }
    }

    fn view(&self) -> SparseHead<'_> {
        let weights = bytemuck::cast_slice(&self.weights);
        let bias = Column { bytes: bytemuck::cast_slice(&self.bias), element: ElementType::F32 };
        let weights = ColumnMatrix::new(weights, ElementType::F32, self.bias.len(), self.features);
        weights.and_then(|weights| SparseHead::new(weights, bias)).expect("the shapes are those of the allocation")
    }
}

/// A stage, ready to be called.
pub struct Subject {
    stage: &'static Stage,
    kernels: Kernels,
    decoder: Decoder,
    rows: Vec<Buffer>,
    mask: Option<Vec<u32>>,
    head: Option<Head>,
    work: Vec<f32>,
}

impl Subject {
    /// A stage on `logits`. When `cold`, the calls rotate over [`COLD_BYTES`] of copies.
    pub fn new(stage: &'static Stage, logits: &[f32], level: Level, cold: bool) -> Result<Subject, Error> {
        let kernels = Kernels::new(level)?;
        let vocab = logits.len();
        let mut decoder = Decoder::new_with_kernels(&(stage.config)(), vocab, kernels)?;
        if stage.action == Action::Burdened {
            burden(&mut decoder, logits)?;
        }
        let copies =
            if cold && stage.columns() == 0 { COLD_BYTES.div_ceil(stage.dtype.size() * vocab).max(2) } else { 1 };
        // Half of the words allow nothing, in runs of sixteen.
        let mask = matches!(stage.action, Action::Masked | Action::Burdened)
            .then(|| (0..vocab.div_ceil(32)).map(|word| if word / 16 % 2 == 0 { u32::MAX } else { 0 }).collect());
        let head = (stage.columns() > 0).then(|| Head::new(logits, stage.columns(), cold));
        let rows = vec![Buffer::new(logits, stage.dtype); copies];
        Ok(Subject { stage, kernels, decoder, rows, mask, head, work: vec![0.0; vocab] })
    }

    /// Holds a few calls against the scalar level.
    pub fn check(&mut self, logits: &[f32]) -> Result<(), String> {
        let fail = |error: Error| format!("{}: {error}", self.stage.name);
        let mut scalar = Subject::new(stages::reference(self.stage), logits, Level::Scalar, false).map_err(fail)?;
        for round in 0..4 {
            let expected = scalar.call(0).map_err(fail)?.0;
            let actual = self.call(0).map_err(fail)?.0;
            if actual != expected {
                let (level, stage) = (self.kernels.level(), self.stage.name);
                return Err(format!(
                    "{stage}: {level} does not say what scalar says at call {round}: nothing is timed"
                ));
            }
        }
        Ok(())
    }

    /// One call on the row number `round`, and how long it took.
    pub fn step(&mut self, round: usize) -> Duration {
        let (_, duration) = self.time(round).expect("the same call succeeded when it was checked");
        duration
    }

    /// One call with all that it said.
    fn call(&mut self, round: usize) -> Result<(Said, Duration), Error> {
        let (pick, duration) = self.time(round)?;
        let said = match pick {
            Some(pick) => Said::Pick(bits_of(&pick)),
            None => Said::Row(self.work.iter().map(|x| x.to_bits()).collect()),
        };
        Ok((said, duration))
    }

    /// One call; the result is a pick, or the row in `work`.
    fn time(&mut self, round: usize) -> Result<(Option<Pick>, Duration), Error> {
        let Subject { stage, kernels, decoder, rows, mask, head, work } = self;
        let row = rows[round % rows.len()].row();
        if let (true, Row::F32(logits)) = (stage.is_in_place(), row) {
            work.copy_from_slice(logits);
        }
        let head = head.as_ref().map(|head| (head.view(), &head.columns[round % head.columns.len()][..]));
        let begun = Instant::now();
        let said = match (stage.action, head) {
            (Action::Decode, _) | (Action::Sparse(_), None) => Some(decoder.decode(black_box(row), None)?),
            (Action::Masked | Action::Burdened, _) => Some(decoder.decode(black_box(row), mask.as_deref())?),
            (Action::Process, _) => decoder.process(black_box(work), None).map(|()| None)?,
            (Action::Probabilities, _) => decoder.probabilities(black_box(work), None).map(|()| None)?,
            (Action::Softmax, _) => softmax(black_box(work), 0.8).map(|()| None)?,
            (Action::Project(_), Some((head, columns))) => {
                project(*kernels, black_box(&head), columns, None, work).map(|()| None)?
            }
            (Action::Sparse(_), Some((head, columns))) => {
                Some(decoder.decode_sparse(black_box(&head), columns, None, None)?)
            }
            (Action::Project(_), None) => None,
        };
        let said = black_box(said);
        let duration = begun.elapsed();
        black_box(&*work);
        Ok((said, duration))
    }

    /// The bare reading of the memory that call `round` reads, and how long it took.
    pub fn floor(&self, round: usize, reader: Reader) -> Duration {
        let begun = Instant::now();
        match &self.head {
            Some(head) => {
                let vocab = head.bias.len();
                black_box(reader.largest(black_box(&head.bias)));
                for &column in &head.columns[round % head.columns.len()] {
                    black_box(reader.largest(black_box(&head.weights[column as usize * vocab..][..vocab])));
                }
            }
            None => {
                let bytes = self.rows[round % self.rows.len()].bytes();
                // Half-precision rows are read as if they were floats: it is the bytes that count.
                let (_, floats, _) = bytemuck::pod_align_to::<u8, f32>(bytes);
                black_box(reader.largest(black_box(floats)));
            }
        }
        begun.elapsed()
    }

    /// How many different rows the calls rotate over.
    pub fn rotation(&self) -> usize {
        self.head.as_ref().map_or(self.rows.len(), |head| head.columns.len())
    }
}

/// Tokens of a history in which 1,500 are distinct.
const HISTORY: usize = 4_096;
const DISTINCT: usize = 1_500;
const BIASES: usize = 300;

/// A long history, half of it likely tokens and half any, and biases all over the vocabulary.
fn burden(decoder: &mut Decoder, logits: &[f32]) -> Result<(), Error> {
    let vocab = logits.len();
    let mut order: Vec<u32> = (0..vocab as u32).collect();
    order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
    let distinct = DISTINCT.min(vocab / 2);
    let likely = order[..distinct / 2].iter().copied();
    let any = (0..distinct - distinct / 2).map(|i| order[distinct / 2 + i * (vocab - distinct / 2) / distinct]);
    let tokens: Vec<u32> = likely.chain(any).collect();
    // Some tokens stand in it more often than others.
    let history: Vec<u32> = (0..HISTORY).map(|i| tokens[if i < distinct { i } else { i * i / 7 % distinct }]).collect();
    decoder.accept(&history)?;
    let count = BIASES.min(vocab);
    let biases: Vec<(u32, f32)> =
        (0..count).map(|i| ((i * (vocab / count)) as u32, if i % 2 == 0 { 0.5 } else { -0.5 })).collect();
    decoder.set_bias(&biases)
}

/// A reader of memory: the largest of some floats, and nothing else.
#[derive(Clone, Copy, Debug)]
pub enum Reader {
    /// Thirty-two running maxima, which the compiler keeps in registers of the target's baseline.
    Plain,
    /// The library's own kernel, in the widest registers.
    Kernel(Kernels),
}

impl Reader {
    /// The largest value.
    pub fn largest(self, values: &[f32]) -> f32 {
        match self {
            Reader::Plain => plain_largest(values),
            Reader::Kernel(kernels) => kernels.largest(values),
        }
    }

    /// Whichever reads `logits` faster here and now.
    pub fn fastest(logits: &[f32]) -> Result<Reader, Error> {
        let best = Level::ALL.into_iter().rev().find(|level| level.is_available()).unwrap_or(Level::Scalar);
        let readers = [Reader::Plain, Reader::Kernel(Kernels::new(best)?)];
        let mut least = [Duration::MAX; 2];
        for _ in 0..200 {
            for (reader, least) in readers.iter().zip(&mut least) {
                let begun = Instant::now();
                black_box(reader.largest(black_box(logits)));
                *least = begun.elapsed().min(*least);
            }
        }
        Ok(if least[1] < least[0] { readers[1] } else { readers[0] })
    }

    /// Its name in reports.
    pub fn name(self) -> String {
        match self {
            Reader::Plain => "32 running maxima in baseline registers".to_owned(),
            Reader::Kernel(kernels) => format!("kernel `largest`, {}", kernels.level()),
        }
    }
}

#[inline(never)]
fn plain_largest(values: &[f32]) -> f32 {
    let (chunks, tail) = values.as_chunks::<32>();
    let mut lanes = [f32::NEG_INFINITY; 32];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    lanes.iter().chain(tail).fold(f32::NEG_INFINITY, |largest, &value| if value > largest { value } else { largest })
}

fn bits_of(pick: &Pick) -> [u32; 11] {
    let floats = [pick.margin, pick.top1_probability, pick.entropy, pick.logprob_raw, pick.logprob, pick.kept_mass];
    let [a, b, c, d, e, f] = floats.map(f32::to_bits);
    [pick.token, pick.argmax, pick.rank, pick.kept, pick.finish as u32, a, b, c, d, e, f]
}

/// The name of an element type beside a row's name; nothing for f32.
pub fn dtype_suffix(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "",
        Dtype::F16 => " f16",
        Dtype::Bf16 => " bf16",
    }
}
