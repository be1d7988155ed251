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
//! The shuffle buffer makes the order random without holding the text: it is filled first, then every new observation
//! takes the place of a random one, which is learned; at the end of the text what is left is learned in random order.
//! Its numbers are those of one xoshiro256++ seeded with `seed`, which runs through all epochs. Nothing else is random,
//! and no step depends on the kernel level, the time or the order of a hash map: the same text, options and seed give
//! the same file, bit for bit, everywhere.

use super::corpus;
use super::error::{Error, Result};
use super::trainer::Trainer;
use crate::kernels::Kernels;
use crate::types::{Dtype, MAX_VOCAB};
use crate::weights::PendingFile;
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
    /// Observations in the shuffle buffer (20 bytes each), 0 to learn in the order of the text.
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
    /// The held-out perplexity of the unigram model: every class as often as in the learned sentences, with one added
    /// to each count. `None` if nothing is held out.
    pub unigram_perplexity: Option<f64>,
    /// The whole epochs, in order. The file holds the model after the last one; if there is none, no file was written.
    pub epochs: Vec<Epoch>,
    /// Whether the run was stopped before its last epoch was whole.
    pub interrupted: bool,
}

/// Trains a model on `text` and writes it to `out` (a `.npz`) after every whole epoch, beside it first and renamed
/// then. `progress` is called often; when it answers `Break` the run ends, and `out` holds the last whole epoch or is
/// untouched.
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
    // Where there is no such file yet, there is nothing to overwrite.
    if out.canonicalize().is_ok_and(|out| text.canonicalize().is_ok_and(|text| text == out)) {
        return Err(Error::content(out.display().to_string(), "the model would overwrite the text"));
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
