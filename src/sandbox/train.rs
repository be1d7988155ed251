//! The trainer of the additive n-gram model: text file in, NumPy archive out.
//!
//! ```text
//! survey the text once: words, sentences                        (corpus)
//! vocabulary = the most frequent words; W, b = 0
//! for each epoch:
//!     rate = learning_rate (1 - 0.9 epoch / (epochs - 1))       falls to a tenth, in equal steps
//!     read the text through the shuffle buffer, one train_step for each observation that is not held out
//!     write the model beside the target and rename it
//!     measure the written model, in its element type, on the held-out sentences
//! ```
//!
//! The shuffle buffer makes the order random without holding the text: it is filled first, then every new observation takes
//! the place of a random one, which is learned; at the end of the text what is left is learned in random order. Its numbers
//! are those of one xoshiro256++ seeded with `seed`, which runs through all epochs. Nothing else is random, and no step
//! depends on the kernel level, the time or the order of a hash map: the same text, options and seed give the same file, bit
//! for bit, everywhere.

use super::corpus::{self, Lexicon, Observation, Survey};
use super::error::{Error, Result};
use super::features::{COLUMNS, FeatureSpace};
use crate::kernels::Kernels;
use crate::logits::train::{Example, TrainableHead, score, train_step};
use crate::types::{Dtype, MAX_VOCAB};
use crate::weights::{
    ArrayView, Column, ColumnMatrix, ElementType, Format, Order, PendingFile, Shape, SparseHead, write,
};
use half::f16;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::Path;

/// How to train. [`TrainOptions::default`] suits a text of a few megabytes.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOptions {
    /// Words and marks in the vocabulary, 1 to 2^22 - 1; the text must have as many different ones.
    pub vocab: usize,
    /// Columns for pairs of tokens, at least 1.
    pub d2: u32,
    /// Columns for triples of tokens, at least 1.
    pub d3: u32,
    /// Passes over the text, at least 1.
    pub epochs: u32,
    /// The learning rate of the first epoch, finite and above 0; the last one's is a tenth.
    pub learning_rate: f32,
    /// The seed of the order in which observations are learned.
    pub seed: u64,
    /// Every how many-th sentence is held out, 0 for none; not 1.
    pub hold_out: u32,
    /// Observations in the shuffle buffer (32 bytes each), 0 to learn in the order of the text.
    pub shuffle: usize,
    /// The element type of W in the file: f32 or f16. The training itself is done in f32.
    pub dtype: Dtype,
}

impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions {
            vocab: 1000,
            d2: 4096,
            d3: 4096,
            epochs: 10,
            learning_rate: 0.1,
            seed: 1,
            hold_out: 20,
            shuffle: 1 << 16,
            dtype: Dtype::F32,
        }
    }
}

/// What the trainer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The first pass: counting words.
    Counting,
    /// A pass of an epoch: learning.
    Learning,
    /// The pass after an epoch: measuring the held-out sentences.
    Measuring,
}

/// Where the trainer stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// The present epoch, from 1; 0 while counting.
    pub epoch: u32,
    /// The number of epochs.
    pub epochs: u32,
    /// Observations done in this pass; while counting, tokens.
    pub done: u64,
    /// Observations in a pass; 0 while counting, when that is not yet known.
    pub total: u64,
    /// The mean loss of this epoch so far, in nats; NaN where there is none.
    pub loss: f64,
}

/// How well a model predicts sentences that it did not learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOut {
    /// Tokens predicted.
    pub tokens: u64,
    /// e to the mean loss.
    pub perplexity: f64,
    /// The share of tokens that the greedy pick got right.
    pub accuracy: f64,
}

/// One whole epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// The learning rate.
    pub learning_rate: f32,
    /// The mean loss before each update, in nats.
    pub loss: f64,
    /// The share of tokens that the greedy pick got right before each update.
    pub accuracy: f64,
    /// The held-out sentences under the written model; `None` if there are none.
    pub held_out: Option<HeldOut>,
}

/// What a training run did.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Words and marks in the text.
    pub tokens: u64,
    /// Different ones.
    pub distinct_words: usize,
    /// The share of the text's tokens that the vocabulary has.
    pub coverage: f64,
    /// Rows of W.
    pub classes: usize,
    /// Columns of W.
    pub features: usize,
    /// The held-out perplexity of the unigram model: every class as often as in the learned sentences, with one added to
    /// each count. `None` if nothing is held out.
    pub unigram_perplexity: Option<f64>,
    /// The whole epochs, in order. The file holds the model after the last one; if there is none, no file was written.
    pub epochs: Vec<Epoch>,
    /// Whether the run was stopped before its last epoch was whole.
    pub interrupted: bool,
}

/// Trains a model on `text` and writes it to `out` (a `.npz`) after every whole epoch, beside it first and renamed then. `progress` is
/// called often; when it answers `Break` the run ends, and `out` holds the last whole epoch or is untouched.
///
/// # Errors
/// Options out of range, a text that cannot be read or has too few words, an output that cannot be written: all found
/// before the first epoch. Later: a text that changes meanwhile, a learning rate that makes the weights overflow, a full
/// disk. The file of the last whole epoch stays.
pub fn train_file(
    kernels: Kernels,
    text: &Path,
    out: &Path,
    options: &TrainOptions,
    progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Report> {
    options.check()?;
    check_paths(text, out)?;
    let origin = text.display().to_string();
    let counting =
        |done| Progress { stage: Stage::Counting, epoch: 0, epochs: options.epochs, done, total: 0, loss: f64::NAN };
    let Some(survey) = corpus::survey(text, options.hold_out, |done| progress(&counting(done)))? else {
        return Ok(Report::interrupted_early());
    };
    let lexicon = survey.lexicon(&origin, options.vocab)?;
    let mut trainer = Trainer::new(kernels, text, &survey, &lexicon, options)?;
    let mut report = trainer.describe(&survey);
    for epoch in 1..=options.epochs {
        let learning_rate = options.rate(epoch);
        let Some((loss, accuracy)) = trainer.learn(epoch, learning_rate, progress)? else {
            report.interrupted = true;
            break;
        };
        let weights = trainer.encode()?;
        trainer.write(out, &weights)?;
        let held_out = trainer.measure(epoch, &weights, progress)?;
        report.epochs.push(Epoch { learning_rate, loss, accuracy, held_out });
    }
    Ok(report)
}

impl TrainOptions {
    /// Refuses options outside their ranges.
    fn check(&self) -> Result<()> {
        let refuse = |name, reason: String| Err(Error::Option { name, reason });
        if self.vocab == 0 || self.vocab >= MAX_VOCAB {
            return refuse("vocab", format!("{} is outside its range, 1 to {}", self.vocab, MAX_VOCAB - 1));
        }
        for (name, size) in [("d2", self.d2), ("d3", self.d3), ("epochs", self.epochs)] {
            if size == 0 {
                return refuse(name, "0 is outside its range, 1 and more".into());
            }
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return refuse("lr", format!("{} is outside its range, finite and above 0", self.learning_rate));
        }
        if self.hold_out == 1 {
            return refuse("hold-out", "1 would hold out every sentence; 0 holds out none".into());
        }
        if self.dtype == Dtype::Bf16 {
            return refuse("dtype", "W is written as f32 or f16, not as bf16".into());
        }
        Ok(())
    }

    /// The learning rate of an epoch, counted from 1.
    fn rate(&self, epoch: u32) -> f32 {
        let part = f64::from(epoch - 1) / f64::from(self.epochs.max(2) - 1);
        (f64::from(self.learning_rate) * (1.0 - 0.9 * part)) as f32
    }
}

/// Refuses, before any work, what is no text file and what cannot be written.
fn check_paths(text: &Path, out: &Path) -> Result<()> {
    let metadata = std::fs::metadata(text).map_err(|source| Error::file("read", text, source))?;
    if !metadata.is_file() {
        // It is read several times, so a pipe will not do.
        return Err(Error::content(text.display().to_string(), "this is not a regular file"));
    }
    if out.extension().is_none_or(|extension| extension != "npz") {
        return Err(Error::content(out.display().to_string(), "the name of the model must end in .npz"));
    }
    if let (Ok(text_path), Ok(out_path)) = (text.canonicalize(), out.canonicalize()) {
        if text_path == out_path {
            return Err(Error::content(out.display().to_string(), "the model would overwrite the text"));
        }
    }
    // Begun and dropped: it leaves nothing, and says now what writing would say after an epoch.
    PendingFile::create(out).map_err(|error| Error::content(out.display().to_string(), error.to_string()))?;
    Ok(())
}

impl Report {
    fn interrupted_early() -> Report {
        Report {
            tokens: 0,
            distinct_words: 0,
            coverage: 0.0,
            classes: 0,
            features: 0,
            unigram_perplexity: None,
            epochs: Vec::new(),
            interrupted: true,
        }
    }
}

/// The observations that wait for their turn.
struct ShuffleBuffer {
    numbers: Xoshiro256PlusPlus,
    waiting: Vec<Observation>,
    capacity: usize,
}

impl ShuffleBuffer {
    /// Takes the newest observation and gives the one whose turn it is, if the buffer is full.
    fn exchange(&mut self, newest: Observation) -> Option<Observation> {
        if self.capacity == 0 {
            return Some(newest);
        }
        if self.waiting.len() < self.capacity {
            self.waiting.push(newest);
            return None;
        }
        let slot = self.random_slot();
        Some(core::mem::replace(&mut self.waiting[slot], newest))
    }

    /// One of the observations left when the text has ended.
    fn take(&mut self) -> Option<Observation> {
        if self.waiting.is_empty() {
            return None;
        }
        let slot = self.random_slot();
        Some(self.waiting.swap_remove(slot))
    }

    /// The integer part of a random number in [0, 1) times the length.
    fn random_slot(&mut self) -> usize {
        ((u128::from(self.numbers.next_u64()) * self.waiting.len() as u128) >> 64) as usize
    }
}

/// Sums of the scores of an epoch, in the order of learning.
#[derive(Clone, Copy, Default)]
struct Tally {
    count: u64,
    loss: f64,
    correct: u64,
}

impl Tally {
    fn add(&mut self, loss: f32, correct: bool) {
        self.count += 1;
        self.loss += f64::from(loss);
        self.correct += u64::from(correct);
    }

    fn mean_loss(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.loss / self.count as f64 }
    }

    fn accuracy(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.correct as f64 / self.count as f64 }
    }
}

/// The model in the making.
struct Trainer<'a> {
    kernels: Kernels,
    text: &'a Path,
    lexicon: &'a Lexicon,
    space: FeatureSpace,
    d2: u32,
    d3: u32,
    hold_out: u32,
    epochs: u32,
    dtype: Dtype,
    /// Observations in the text.
    total: u64,
    /// W, column after column, and b.
    weights: Vec<f32>,
    bias: Vec<f32>,
    scratch: Vec<f32>,
    buffer: ShuffleBuffer,
}

/// How many observations go by between two calls of `progress`.
const PROGRESS_INTERVAL: u64 = 1024;

impl<'a> Trainer<'a> {
    fn new(
        kernels: Kernels,
        text: &'a Path,
        survey: &Survey,
        lexicon: &'a Lexicon,
        options: &TrainOptions,
    ) -> Result<Self> {
        let origin = text.display().to_string();
        let space = FeatureSpace::new(&origin, lexicon.in_vocab(), options.d2.into(), options.d3.into())?;
        let classes = lexicon.classes();
        let total: u64 = lexicon.counts().iter().map(|count| count.total).sum();
        let learned: u64 = lexicon.counts().iter().map(|count| count.learned).sum();
        if learned == 0 {
            let reason =
                format!("there is nothing to learn from {} tokens: every sentence is held out", survey.tokens());
            return Err(Error::content(origin, reason));
        }
        let too_large = || {
            let (features, bytes) = (space.dimension(), 4.0 * space.dimension() as f64 * classes as f64);
            let reason = format!(
                "{classes} classes by {features} columns are {:.1} GiB, more than there is",
                bytes / (1u64 << 30) as f64
            );
            Error::Option { name: "vocab, d2, d3", reason }
        };
        let elements = space.dimension().checked_mul(classes).ok_or_else(too_large)?;
        let weights = zeros(elements).ok_or_else(too_large)?;
        let (bias, scratch) = (vec![0.0; classes], vec![0.0; classes]);
        Ok(Trainer {
            kernels,
            text,
            lexicon,
            space,
            d2: options.d2,
            d3: options.d3,
            hold_out: options.hold_out,
            epochs: options.epochs,
            dtype: options.dtype,
            total,
            weights,
            bias,
            scratch,
            buffer: ShuffleBuffer {
                numbers: Xoshiro256PlusPlus::seed_from_u64(options.seed),
                waiting: Vec::new(),
                capacity: options.shuffle,
            },
        })
    }

    /// The report before the first epoch.
    fn describe(&self, survey: &Survey) -> Report {
        let counts = self.lexicon.counts();
        let known: u64 = counts[..counts.len() - 1].iter().map(|count| count.total).sum();
        let learned: u64 = counts.iter().map(|count| count.learned).sum();
        let held_out = self.total - learned;
        let denominator = (learned + counts.len() as u64) as f64;
        let loss: f64 = counts
            .iter()
            .map(|count| (count.total - count.learned) as f64 * (denominator / (count.learned + 1) as f64).ln())
            .sum();
        Report {
            tokens: survey.tokens(),
            distinct_words: survey.distinct_words(),
            coverage: known as f64 / survey.tokens() as f64,
            classes: counts.len(),
            features: self.space.dimension(),
            unigram_perplexity: (held_out > 0).then(|| (loss / held_out as f64).exp()),
            epochs: Vec::new(),
            interrupted: false,
        }
    }

    /// One epoch: the mean loss and the accuracy, or `None` if it was stopped.
    fn learn(
        &mut self,
        epoch: u32,
        learning_rate: f32,
        progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Option<(f64, f64)>> {
        let Trainer { kernels, text, space, hold_out, weights, bias, scratch, buffer, .. } = self;
        let (mut tally, mut seen) = (Tally::default(), 0u64);
        let report = |done, tally: &Tally| Progress {
            stage: Stage::Learning,
            epoch,
            epochs: self.epochs,
            done,
            total: self.total,
            loss: tally.mean_loss(),
        };
        let mut learn_one = |observation: Observation, tally: &mut Tally| -> Result<()> {
            let columns = space.columns(observation.recent);
            let example = Example { columns: &columns, values: None, target: observation.target };
            let head = TrainableHead { weights, bias };
            let score = train_step(*kernels, head, &example, learning_rate, scratch).map_err(|error| {
                let reason = format!("epoch {epoch} failed: {error}; try a lower learning rate than {learning_rate}");
                Error::content("training", reason)
            })?;
            tally.add(score.loss, score.correct);
            Ok(())
        };
        let flow = corpus::observe(text, *hold_out, space, |observation| {
            seen += 1;
            if !observation.held_out {
                if let Some(next) = buffer.exchange(observation) {
                    learn_one(next, &mut tally)?;
                }
            }
            let done = seen - buffer.waiting.len() as u64;
            Ok(if seen % PROGRESS_INTERVAL == 0 { progress(&report(done, &tally)) } else { ControlFlow::Continue(()) })
        })?;
        if flow.is_break() {
            return Ok(None);
        }
        if seen != self.total {
            let reason = format!("the text has changed: {seen} known tokens in epoch {epoch}, {} before", self.total);
            return Err(Error::content(text.display().to_string(), reason));
        }
        while let Some(next) = buffer.take() {
            learn_one(next, &mut tally)?;
            let left = buffer.waiting.len() as u64;
            if left % PROGRESS_INTERVAL == 0 && progress(&report(seen - left, &tally)).is_break() {
                return Ok(None);
            }
        }
        Ok(Some((tally.mean_loss(), tally.accuracy())))
    }

    /// W as it is written: little-endian, in the element type of the file.
    fn encode(&self) -> Result<Cow<'_, [u8]>> {
        match self.dtype {
            Dtype::F32 if cfg!(target_endian = "little") => Ok(Cow::Borrowed(bytemuck::cast_slice(&self.weights))),
            Dtype::F32 => Ok(Cow::Owned(self.weights.iter().flat_map(|weight| weight.to_le_bytes()).collect())),
            _ => {
                let mut bytes = Vec::with_capacity(self.weights.len() * 2);
                for (position, &weight) in self.weights.iter().enumerate() {
                    let half = f16::from_f32(weight);
                    if !half.is_finite() {
                        let (column, class) = (position / self.bias.len(), position % self.bias.len());
                        let reason = format!("{weight} in column {column}, class {class} is beyond f16; use f32");
                        return Err(Error::Option { name: "dtype", reason });
                    }
                    bytes.extend_from_slice(&half.to_le_bytes());
                }
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// Writes the archive beside `out` and renames it. W comes first and column-major, so that it is used where it lies.
    fn write(&self, out: &Path, weights: &[u8]) -> Result<()> {
        let classes = self.bias.len();
        let integers = |values: &mut dyn Iterator<Item = usize>| -> Vec<u8> {
            values.flat_map(|value| (value as i64).to_le_bytes()).collect()
        };
        let (input_type, inputs) = write::unicode(self.space.words());
        let (output_type, outputs) = write::unicode(&self.lexicon.out_vocab());
        let class_words = integers(&mut (0..classes));
        let (d2, d3) = (integers(&mut [self.d2 as usize].into_iter()), integers(&mut [self.d3 as usize].into_iter()));
        let arrays: [(&str, ElementType, &[usize], &[u8]); 7] = [
            ("W", self.element(), &[classes, self.space.dimension()], weights),
            ("b", ElementType::F32, &[classes], &self.bias_bytes()),
            ("classes", ElementType::I64, &[classes], &class_words),
            ("in_vocab", input_type, &[self.space.words().len()], &inputs),
            ("out_vocab", output_type, &[classes], &outputs),
            ("d2", ElementType::I64, &[], &d2),
            ("d3", ElementType::I64, &[], &d3),
        ];
        let refuse = |error: crate::Error| Error::content(out.display().to_string(), error.to_string());
        let mut views = Vec::with_capacity(arrays.len());
        for (name, element, dimensions, bytes) in arrays {
            let shape = Shape::new(dimensions).ok_or_else(|| Error::content(name, "its shape is too large"))?;
            let order = if name == "W" { Order::ColumnMajor } else { Order::RowMajor };
            views.push(ArrayView::new(name, element, shape, order, bytes).map_err(refuse)?);
        }
        write::save(out, Format::Npz, &views).map_err(refuse)
    }

    /// The element type of W in the file.
    fn element(&self) -> ElementType {
        if self.dtype == Dtype::F16 { ElementType::F16 } else { ElementType::F32 }
    }

    /// b as it is written.
    fn bias_bytes(&self) -> Vec<u8> {
        self.bias.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    /// Measures the model as written on the held-out sentences.
    fn measure(
        &self,
        epoch: u32,
        weights: &[u8],
        progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Option<HeldOut>> {
        if self.hold_out == 0 {
            return Ok(None);
        }
        let bias = self.bias_bytes();
        let matrix = ColumnMatrix::new(weights, self.element(), self.bias.len(), self.space.dimension())?;
        let head = SparseHead::new(matrix, Column { bytes: &bias, element: ElementType::F32 })?;
        let mut scratch = vec![0.0; self.bias.len()];
        let (mut tally, mut seen) = (Tally::default(), 0u64);
        let _ = corpus::observe(self.text, self.hold_out, &self.space, |observation| {
            seen += 1;
            if observation.held_out {
                let columns: [u32; COLUMNS] = self.space.columns(observation.recent);
                let example = Example { columns: &columns, values: None, target: observation.target };
                let score = score(self.kernels, &head, &example, &mut scratch)?;
                tally.add(score.loss, score.correct);
            }
            if seen % PROGRESS_INTERVAL == 0 {
                // The epoch is written: whoever wants to stop is asked again when the next one begins.
                let (epochs, total, loss) = (self.epochs, self.total, tally.mean_loss());
                let _ = progress(&Progress { stage: Stage::Measuring, epoch, epochs, done: seen, total, loss });
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((tally.count > 0).then(|| HeldOut {
            tokens: tally.count,
            perplexity: tally.mean_loss().exp(),
            accuracy: tally.accuracy(),
        }))
    }
}

/// Zeros, or `None` if there is no room for them.
fn zeros(length: usize) -> Option<Vec<f32>> {
    let mut vector = Vec::new();
    vector.try_reserve_exact(length).ok()?;
    vector.resize(length, 0.0);
    Some(vector)
}
