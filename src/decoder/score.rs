//! How rows did on their targets: loss, rank and greedy pick of one, and the diagnosis of a batch.
//!
//! A trainer that only looks at sampled text cannot see whether its rows are flat (the draw hides what was learned) or
//! saturated (it hides what was not). The diagnosis puts greedy accuracy, top-k accuracy and the accuracy that the
//! configured sampling is expected to have beside each other, from the rows themselves, without drawing.

use super::Decoder;
use crate::error::{Error, Result};
use crate::kernels::{Cut, Kernels, RowView, Scale, Sums, with_default_environment};
use crate::numeric::{exponent_scale, natural_logarithm};
use crate::trace::metrics::{at_least_zero, entropy};
use crate::types::{BLOCK, MAX_VOCAB, Row, TokenId};

/// How a row did on a target.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowScore {
    /// -ln of the target's probability at temperature 1, in nats; +inf for a masked target.
    pub loss: f32,
    /// How many tokens stand before the target in the order of logits; 0 if it is the argmax.
    pub rank: u32,
    /// The highest logit's token, the lowest id among equals.
    pub argmax: TokenId,
    /// Entropy of the row at temperature 1, in nats.
    pub entropy: f32,
    /// Probability of the argmax at temperature 1.
    pub top1_probability: f32,
    /// Tokens that are not masked.
    pub tokens: u32,
}

/// Scores a row of logits against its target: loss from the target's probability, rank, and the greedy pick. It needs no
/// decoder and no memory; the loss is `-logprob_raw` of a decoder that picked the target, bit for bit.
///
/// # Errors
/// [`Error::InvalidLogit`], [`Error::EverythingMasked`], [`Error::TokenOutOfRange`], [`Error::InvalidParameter`] (`vocab`:
/// an empty or too long row).
pub fn score<'r>(kernels: Kernels, row: impl Into<Row<'r>>, target: TokenId) -> Result<RowScore> {
    let row = row.into();
    if row.is_empty() || row.len() > MAX_VOCAB {
        return Err(Error::InvalidParameter { name: "vocab", value: row.len() as f64 });
    }
    if target as usize >= row.len() {
        return Err(Error::TokenOutOfRange { token: target, vocab: row.len() });
    }
    with_default_environment(|| score_checked(kernels, row, target))
}

/// Tokens that are looked at together: 16 blocks, one tile of the float sums.
const TILE: usize = 16 * BLOCK;

/// Maxima that let no block of a tile be skipped.
const ANY: [f32; 16] = [f32::MAX; 16];

#[inline(never)]
fn score_checked(kernels: Kernels, row: Row<'_>, target: TokenId) -> Result<RowScore> {
    let mut maximum = f32::NEG_INFINITY;
    let mut best_tile = 0;
    let mut maxima = [0.0; 16];
    for first in (0..row.len()).step_by(TILE) {
        let found = kernels.block_maxima(&tile(row, first), &mut maxima);
        if found.has_nan || found.maximum == f32::INFINITY {
            let bad = |&i: &usize| row.get(i).is_nan() || row.get(i) == f32::INFINITY;
            let index = (first..row.len()).find(bad).unwrap_or(first);
            return Err(Error::InvalidLogit { index: index as TokenId, value: row.get(index) });
        }
        if found.maximum > maximum {
            (maximum, best_tile) = (found.maximum, first);
        }
    }
    if maximum == f32::NEG_INFINITY {
        return Err(Error::EverythingMasked);
    }
    let argmax = (best_tile..row.len()).find(|&i| row.get(i) == maximum).unwrap_or(best_tile) as TokenId;
    let scale = Scale { maximum, scale: exponent_scale(1.0) };
    let logit = row.get(target as usize);
    let mut sums = Sums::default();
    let (mut rank, mut tokens) = (0, 0);
    for first in (0..row.len()).step_by(TILE) {
        let view = tile(row, first);
        let part = kernels.sums(&view, &[], scale, false);
        sums.weight += part.weight;
        sums.weight_exponent += part.weight_exponent;
        tokens += kernels.kept_count(&view, &ANY, Cut::ALL);
        // Ahead of the target are higher logits, and equal ones up to its id: all of an earlier tile, none of a later one.
        let ahead = match (target as usize).checked_sub(first) {
            Some(within) => Cut { logit, token: within as TokenId },
            None => Cut { logit: logit.next_up(), token: TokenId::MAX },
        };
        rank += kernels.kept_count(&view, &ANY, ahead);
    }
    let distance = f64::from(logit) - f64::from(maximum);
    Ok(RowScore {
        loss: at_least_zero(natural_logarithm(sums.weight) - distance),
        rank: rank - 1,
        argmax,
        entropy: entropy(&sums),
        top1_probability: (1.0 / sums.weight) as f32,
        tokens,
    })
}

fn tile(row: Row<'_>, first: usize) -> RowView<'_> {
    let end = row.len().min(first + TILE);
    let part = match row {
        Row::F32(row) => Row::F32(&row[first..end]),
        Row::F16(row) => Row::F16(&row[first..end]),
        Row::Bf16(row) => Row::Bf16(&row[first..end]),
    };
    RowView { source: part.into(), words: None, valid: end - first, overrides: &[], band: None }
}

/// What a row looks like to someone who wants to know whether a model learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Verdict {
    /// Neither of the others.
    #[default]
    Healthy = 0,
    /// Nearly all tokens are equally likely.
    Flat = 1,
    /// One token has nearly all the probability.
    Saturated = 2,
}

/// Where flat and saturated begin, and the k of top-k accuracy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiagnosisLimits {
    /// A row is flat from this fraction of the largest possible entropy, ln(tokens), on; 0 to 1.
    pub flat_entropy: f32,
    /// A row is saturated from this probability of its argmax on; 0 to 1.
    pub saturated_top1: f32,
    /// A target within so many tokens of the order counts as a top-k hit; at least 1.
    pub top_k: u32,
}

impl Default for DiagnosisLimits {
    /// Flat from 0.9 of ln(tokens), saturated from 0.999, top 5.
    fn default() -> Self {
        DiagnosisLimits { flat_entropy: 0.9, saturated_top1: 0.999, top_k: 5 }
    }
}

impl DiagnosisLimits {
    pub(crate) fn check(&self) -> Result<()> {
        for (name, value) in [("flat_entropy", self.flat_entropy), ("saturated_top1", self.saturated_top1)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::InvalidParameter { name, value: value.into() });
            }
        }
        if self.top_k == 0 {
            return Err(Error::InvalidParameter { name: "top_k", value: 0.0 });
        }
        Ok(())
    }
}

/// One row of a diagnosis.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowDiagnosis {
    /// The row as given, at temperature 1.
    pub score: RowScore,
    /// The probability with which the decoder, as configured, picks the target.
    pub expected_accuracy: f32,
    /// What the row looks like.
    pub verdict: Verdict,
}

/// A batch of rows, each figure the mean over its rows; 0 for an empty batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Diagnosis {
    /// Rows looked at.
    pub rows: u64,
    /// Fraction of flat rows.
    pub flat: f32,
    /// Fraction of saturated rows.
    pub saturated: f32,
    /// Fraction of the rest.
    pub healthy: f32,
    /// Mean loss, in nats.
    pub loss: f32,
    /// Mean entropy at temperature 1, in nats.
    pub entropy: f32,
    /// Mean probability of the argmax at temperature 1.
    pub top1_probability: f32,
    /// Fraction of rows whose argmax is the target.
    pub greedy_accuracy: f32,
    /// Fraction of rows whose target is among the first k.
    pub top_k_accuracy: f32,
    /// The accuracy that draws as configured would have on average.
    pub expected_accuracy: f32,
}

impl<S: AsRef<[u64]> + AsMut<[u64]>> Decoder<S> {
    /// Diagnoses rows against their targets; `results` gets one entry per row. Nothing is drawn and nothing recorded.
    ///
    /// # Errors
    /// [`Error::WrongLength`] if the slices do not match or a row is not as long as the vocabulary;
    /// [`Error::InvalidParameter`] (limits), and those of [`score`] and [`Decoder::evaluate`] for the first row that has
    /// one. `results` holds the rows before it then.
    pub fn diagnose(
        &mut self,
        rows: &[Row<'_>],
        targets: &[TokenId],
        limits: &DiagnosisLimits,
        results: &mut [RowDiagnosis],
    ) -> Result<Diagnosis> {
        for (what, actual) in [("targets", targets.len()), ("results", results.len())] {
            if actual != rows.len() {
                return Err(Error::WrongLength { what, expected: rows.len(), actual });
            }
        }
        limits.check()?;
        let mut totals = Totals::default();
        for ((&row, &target), result) in rows.iter().zip(targets).zip(results.iter_mut()) {
            *result = self.diagnose_row(row, target, limits)?;
            totals.add(result, limits);
        }
        Ok(totals.means())
    }

    pub(crate) fn diagnose_row(
        &mut self,
        row: Row<'_>,
        target: TokenId,
        limits: &DiagnosisLimits,
    ) -> Result<RowDiagnosis> {
        let expected_accuracy = self.probability_of(row, None, target)?;
        let score = score(self.kernels(), row, target)?;
        let verdict = with_default_environment(|| verdict(&score, limits));
        Ok(RowDiagnosis { score, expected_accuracy, verdict })
    }
}

#[inline(never)]
fn verdict(score: &RowScore, limits: &DiagnosisLimits) -> Verdict {
    let largest = natural_logarithm(f64::from(score.tokens));
    if score.top1_probability >= limits.saturated_top1 {
        Verdict::Saturated
    } else if f64::from(score.entropy) >= f64::from(limits.flat_entropy) * largest {
        Verdict::Flat
    } else {
        Verdict::Healthy
    }
}

/// Sums over diagnosed rows, in their order, for hosts that cannot list them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    rows: u64,
    flat: u64,
    saturated: u64,
    greedy: u64,
    top_k: u64,
    loss: f64,
    entropy: f64,
    top1_probability: f64,
    expected_accuracy: f64,
}

impl Totals {
    pub(crate) fn add(&mut self, row: &RowDiagnosis, limits: &DiagnosisLimits) {
        with_default_environment(|| self.add_in_default_environment(row, limits));
    }

    #[inline(never)]
    fn add_in_default_environment(&mut self, row: &RowDiagnosis, limits: &DiagnosisLimits) {
        self.rows += 1;
        self.flat += u64::from(row.verdict == Verdict::Flat);
        self.saturated += u64::from(row.verdict == Verdict::Saturated);
        self.greedy += u64::from(row.score.rank == 0);
        self.top_k += u64::from(row.score.rank < limits.top_k);
        self.loss += f64::from(row.score.loss);
        self.entropy += f64::from(row.score.entropy);
        self.top1_probability += f64::from(row.score.top1_probability);
        self.expected_accuracy += f64::from(row.expected_accuracy);
    }

    pub(crate) fn means(&self) -> Diagnosis {
        with_default_environment(|| self.means_in_default_environment())
    }

    #[inline(never)]
    fn means_in_default_environment(&self) -> Diagnosis {
        let mean = |sum: f64| if self.rows == 0 { 0.0 } else { (sum / self.rows as f64) as f32 };
        let fraction = |count: u64| mean(count as f64);
        Diagnosis {
            rows: self.rows,
            flat: fraction(self.flat),
            saturated: fraction(self.saturated),
            healthy: fraction(self.rows - self.flat - self.saturated),
            loss: mean(self.loss),
            entropy: mean(self.entropy),
            top1_probability: mean(self.top1_probability),
            greedy_accuracy: fraction(self.greedy),
            top_k_accuracy: fraction(self.top_k),
            expected_accuracy: mean(self.expected_accuracy),
        }
    }
}
