//! The model in the making: its epochs, its shuffle buffer, its file, its measurement. `train` conducts it.

use super::corpus::{self, Lexicon, Observation, Survey};
use super::error::{Error, Result};
use super::features::{COLUMNS, FeatureSpace};
use super::train::{HeldOut, Progress, Report, Stage, TrainOptions};
use crate::kernels::Kernels;
use crate::logits::train::{Example, TrainableHead, score, train_step};
use crate::types::Dtype;
use crate::weights::{ArrayView, Column, ColumnMatrix, ElementType, Format, Order, Shape, SparseHead, write};
use half::f16;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::Path;

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
pub(super) struct Trainer<'a> {
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
    pub(super) fn new(
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
    pub(super) fn describe(&self, survey: &Survey) -> Report {
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
    pub(super) fn learn(
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
        // Asked before the pass too, so that a short text can be stopped between its epochs.
        if progress(&report(0, &tally)).is_break() {
            return Ok(None);
        }
        let flow = corpus::observe(text, *hold_out, space, |observation| {
            seen += 1;
            if !observation.held_out
                && let Some(next) = buffer.exchange(observation)
            {
                learn_one(next, &mut tally)?;
            }
            let done = seen - buffer.waiting.len() as u64;
            Ok(if seen.is_multiple_of(PROGRESS_INTERVAL) {
                progress(&report(done, &tally))
            } else {
                ControlFlow::Continue(())
            })
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
            if left.is_multiple_of(PROGRESS_INTERVAL) && progress(&report(seen - left, &tally)).is_break() {
                return Ok(None);
            }
        }
        Ok(Some((tally.mean_loss(), tally.accuracy())))
    }

    /// W as it is written: little-endian, in the element type of the file.
    pub(super) fn encode(&self) -> Result<Cow<'_, [u8]>> {
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

    /// Writes the archive beside `out` and renames it. W comes first and column-major, so that it is used where it
    /// lies.
    pub(super) fn write(&self, out: &Path, weights: &[u8]) -> Result<()> {
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
    pub(super) fn measure(
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
            if seen.is_multiple_of(PROGRESS_INTERVAL) {
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
