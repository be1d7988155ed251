//! Online training of the sparse head: one step of stochastic gradient descent on the softmax cross-entropy.
//!
//! ```text
//! z = b + sum_j a_j W[:, c_j]          in the order of the columns, as `project` adds them
//! p = softmax(z)                       temperature 1, the weights of numeric.rs
//! loss = -ln p(target) = ln(sum_i e^(z_i - z_max)) + z_max - z_target
//! g = p - onehot(target)
//! b += -lr g;   W[:, c_j] += -(lr a_j) g        for each j in order, product and sum rounded one by one
//! ```
//!
//! The loss comes from the target's logit and the normaliser, so it stays finite where p(target) itself has vanished.
//! The gradient has no such detour: a token more than 40 powers of two below the best has p = 0 exactly.
//!
//! A column that occurs twice in an example counts twice: in the logits, and in the update, which is applied once for
//! each occurrence. Every operation is one IEEE addition, multiplication or division in a fixed order, so the trained
//! weights have the same bits on every kernel level.
//!
//! A step is all or nothing: if a logit or an update leaves the finite numbers, nothing is changed. Finite logits mean that
//! every weight which took part is finite, and no step of a reasonable length leads out of the finite numbers from there; only
//! a step beyond 2^100 is first computed without being stored.
//!
//! The update goes tile by tile through all columns, from the last tile to the first: what was read last is still in a cache.

use crate::error::{Error, Result};
use crate::kernels::{Band, COLUMN_TILE, ColumnSum, ColumnType, Kernels, Rewrite, Scale, with_default_environment};
use crate::logits::project;
use crate::numeric::{exponent_scale, natural_logarithm};
use crate::types::TokenId;
use crate::weights::SparseHead;

/// Steps that cannot lead out of the finite numbers: a slope is at most 1 and a little, and half a unit in the last place of
/// the largest f32 is 2^103, so a finite weight plus a step times a slope is finite.
const SAFE_STEP: f32 = (1u128 << 100) as f32;

/// A sparse head that can be trained: f32, in the caller's memory.
#[derive(Debug)]
pub struct TrainableHead<'a> {
    /// W of shape (vocab, features), columns contiguous: column c is `weights[c * vocab..][..vocab]`.
    pub weights: &'a mut [f32],
    /// b, one entry per token; its length is the vocabulary.
    pub bias: &'a mut [f32],
}

/// One training example: a sparse input and the token that followed it.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// The columns of W that are active, each below the number of columns.
    pub columns: &'a [u32],
    /// The input's value a_j for each column, finite; `None` means 1 everywhere.
    pub values: Option<&'a [f32]>,
    /// The token to learn.
    pub target: TokenId,
}

/// How a head did on one example, before any update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// -ln p(target), in nats, at temperature 1.
    pub loss: f32,
    /// The token a greedy decoder picks: the highest logit, the lowest id on ties.
    pub argmax: TokenId,
    /// Whether that is the target.
    pub correct: bool,
}

/// Learns from one example and tells how the head did on it before the update.
///
/// `learning_rate` is finite and above 0. `scratch` has one element per token; after a step it holds the gradient with
/// respect to the logits, p - onehot(target), after an error nothing of use.
///
/// # Errors
/// [`Error::WrongLength`] (`weights` is no multiple of the bias, `values` or `scratch` does not match),
/// [`Error::TokenOutOfRange`], [`Error::ColumnOutOfRange`], [`Error::InvalidParameter`] (`learning_rate`, `values`),
/// [`Error::InvalidLogit`] (a logit is NaN or infinite) and [`Error::UpdateOverflow`]. The head is unchanged by them all.
pub fn train_step(
    kernels: Kernels,
    head: TrainableHead<'_>,
    example: &Example<'_>,
    learning_rate: f32,
    scratch: &mut [f32],
) -> Result<Score> {
    with_default_environment(|| step_in_default_environment(kernels, head, example, learning_rate, scratch))
}

#[inline(never)]
fn step_in_default_environment(
    kernels: Kernels,
    head: TrainableHead<'_>,
    example: &Example<'_>,
    learning_rate: f32,
    scratch: &mut [f32],
) -> Result<Score> {
    let TrainableHead { weights, bias } = head;
    let vocab = bias.len();
    if !(learning_rate > 0.0 && learning_rate.is_finite()) {
        return Err(Error::InvalidParameter { name: "learning_rate", value: f64::from(learning_rate) });
    }
    check_example(example, vocab, scratch.len())?;
    if weights.len() % vocab != 0 {
        let expected = weights.len() / vocab * vocab;
        return Err(Error::WrongLength { what: "weights", expected, actual: weights.len() });
    }
    let features = weights.len() / vocab;
    if let Some(&column) = example.columns.iter().find(|&&column| column as usize >= features) {
        return Err(Error::ColumnOutOfRange { column, columns: features });
    }

    sum_columns(kernels, weights, bias, example, scratch);
    let (score, reciprocal) = weigh_logits(kernels, scratch, example.target)?;
    let gradient = scratch;
    let step_of = |j: usize| -(learning_rate * value_of(example, j));
    let longest = (0..example.columns.len()).map(|j| step_of(j).abs()).fold(learning_rate, f32::max);
    let is_safe = longest <= SAFE_STEP;
    if !is_safe {
        kernels.multiply(gradient, reciprocal);
        gradient[example.target as usize] -= 1.0;
        check_update(bias, gradient, -learning_rate, None)?;
        for (j, &column) in example.columns.iter().enumerate() {
            if example.columns[..j].contains(&column) {
                continue;
            }
            check_column(example, j, &weights[column as usize * vocab..][..vocab], gradient, learning_rate)?;
        }
    }
    for first in (0..vocab).step_by(COLUMN_TILE).rev() {
        let rows = COLUMN_TILE.min(vocab - first);
        let gradient = &mut gradient[first..first + rows];
        if is_safe {
            kernels.multiply(gradient, reciprocal);
            if let Some(slope) = (example.target as usize).checked_sub(first).and_then(|at| gradient.get_mut(at)) {
                *slope -= 1.0;
            }
        }
        kernels.add_scaled(&mut bias[first..first + rows], -learning_rate, gradient);
        for (j, &column) in example.columns.iter().enumerate() {
            kernels.add_scaled(&mut weights[column as usize * vocab + first..][..rows], step_of(j), gradient);
        }
    }
    Ok(score)
}

/// Writes the logits of an example.
fn sum_columns(kernels: Kernels, weights: &[f32], bias: &[f32], example: &Example<'_>, logits: &mut [f32]) {
    let vocab = bias.len();
    if cfg!(target_endian = "little") {
        let sum = ColumnSum {
            kernels,
            weights: bytemuck::cast_slice(weights),
            kind: ColumnType::F32,
            bias: bytemuck::cast_slice(bias),
            bias_kind: ColumnType::F32,
            rows: vocab,
            columns: example.columns,
            values: example.values,
        };
        return kernels.write_sum(&sum, 0, logits);
    }
    // Weights of a file are little-endian, these are the processor's own.
    logits.copy_from_slice(bias);
    for (j, &column) in example.columns.iter().enumerate() {
        kernels.add_scaled(logits, value_of(example, j), &weights[column as usize * vocab..][..vocab]);
    }
}

/// Tells how a head of any element type does on one example, for held-out text. `scratch` has one element per token;
/// after the call it holds the probabilities.
///
/// # Errors
/// As [`train_step`], but for those of the update.
pub fn score(kernels: Kernels, head: &SparseHead<'_>, example: &Example<'_>, scratch: &mut [f32]) -> Result<Score> {
    check_example(example, head.weights.rows(), scratch.len())?;
    project(kernels, head, example.columns, example.values, scratch)?;
    with_default_environment(|| {
        let (score, reciprocal) = weigh_logits(kernels, scratch, example.target)?;
        kernels.multiply(scratch, reciprocal);
        Ok(score)
    })
}

fn value_of(example: &Example<'_>, j: usize) -> f32 {
    example.values.map_or(1.0, |values| values[j])
}

fn check_example(example: &Example<'_>, vocab: usize, scratch: usize) -> Result<()> {
    if example.target as usize >= vocab {
        return Err(Error::TokenOutOfRange { token: example.target, vocab });
    }
    if scratch != vocab {
        return Err(Error::WrongLength { what: "scratch", expected: vocab, actual: scratch });
    }
    if let Some(values) = example.values {
        if values.len() != example.columns.len() {
            return Err(Error::WrongLength { what: "values", expected: example.columns.len(), actual: values.len() });
        }
        if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
            return Err(Error::InvalidParameter { name: "values", value: f64::from(value) });
        }
    }
    Ok(())
}

/// Turns logits into weights in place and scores the target; multiplied by the number that comes with the score they are
/// probabilities.
#[inline(never)]
fn weigh_logits(kernels: Kernels, row: &mut [f32], target: TokenId) -> Result<(Score, f32)> {
    let Some(maximum) = kernels.largest_finite(row) else {
        let index = row.iter().position(|logit| !logit.is_finite()).unwrap_or(0);
        return Err(Error::InvalidLogit { index: index as TokenId, value: row[index] });
    };
    let argmax = kernels.find_equal(row, maximum).unwrap_or(0) as TokenId;
    let distance = f64::from(maximum) - f64::from(row[target as usize]);
    let spec = Rewrite { words: None, valid: row.len(), overrides: &[], maxima: &[], kept: Band::ALL };
    let total = kernels.write_weights(row, &spec, Scale { maximum, scale: exponent_scale(1.0) });
    // The weight of the argmax is 1, so its probability is the reciprocal of the normaliser.
    let reciprocal = (1.0 / total) as f32;
    let loss = (distance - natural_logarithm(f64::from(reciprocal))) as f32;
    Ok((Score { loss, argmax, correct: argmax == target }, reciprocal))
}

/// The check of one column with all its occurrences in the example, the first of which is `first`.
fn check_column(
    example: &Example<'_>,
    first: usize,
    column: &[f32],
    gradient: &[f32],
    learning_rate: f32,
) -> Result<()> {
    let index = example.columns[first];
    let scale = |j: usize| -(learning_rate * value_of(example, j));
    if !example.columns[first + 1..].contains(&index) {
        return check_update(column, gradient, scale(first), Some(index));
    }
    for (token, (&weight, &slope)) in (0..).zip(column.iter().zip(gradient)) {
        let mut updated = weight;
        for (j, _) in example.columns.iter().enumerate().filter(|&(_, &other)| other == index) {
            updated += scale(j) * slope;
        }
        if !updated.is_finite() {
            return Err(Error::UpdateOverflow { column: Some(index), token });
        }
    }
    Ok(())
}

/// Refuses an update that would leave the finite numbers. It computes what [`Kernels::add_scaled`] will compute.
fn check_update(weights: &[f32], gradient: &[f32], scale: f32, column: Option<u32>) -> Result<()> {
    let updated = |(&weight, &slope): (&f32, &f32)| weight + scale * slope;
    let all_finite = weights.iter().zip(gradient).fold(true, |finite, pair| finite & updated(pair).is_finite());
    if all_finite {
        return Ok(());
    }
    let token = weights.iter().zip(gradient).position(|pair| !updated(pair).is_finite()).unwrap_or(0);
    Err(Error::UpdateOverflow { column, token: token as TokenId })
}
