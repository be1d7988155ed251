//! From columns of weights to a row of logits, to a token, to a training step.

use super::abi::{size_of_given, write};
use super::decoder::{argpick_decoder, enter};
use super::fault::Fault;
use super::guard::{call, readable, slice, slice_mut, writable};
use super::pick::argpick_pick;
use super::status::argpick_status;
use super::step::mask_of;
use super::weights::{argpick_weights, enter_alone, enter_shared};
use crate::error::Error;
use crate::logits::project;
use crate::logits::train::{Example, TrainableHead, train_step};
use crate::trace::Pick;
use crate::weights::SparseHead;

/// Values of the columns; NULL means 1 for each.
///
/// # Safety
/// `values`, unless NULL, points to `count` floats that nobody writes while they are used.
pub(super) unsafe fn values_of<'a>(values: *const f32, count: usize) -> Result<Option<&'a [f32]>, Fault> {
    if values.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL; the caller's part is the same.
    unsafe { slice(values, count, "values").map(Some) }
}

fn wrong_vocab(what: &'static str, expected: usize, actual: usize) -> Result<(), Fault> {
    if expected != actual {
        return Err(Fault::Core(Error::WrongLength { what, expected, actual }));
    }
    Ok(())
}

/// Computes a row of logits: logits = b + sum_j values[j] * W[:, columns[j]], one column after the other.
///
/// values NULL: 1 for each. A column may stand more than once and is added each time; a count of 0 gives b. vocab is the
/// number of logits and must be that of the weights. The result has the same bits on every processor.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_WRONG_LENGTH,
/// ARGPICK_ERR_COLUMN_OUT_OF_RANGE, ARGPICK_ERR_INVALID_PARAMETER (a value that is NaN or infinite). Nothing is written then.
///
/// # Safety
/// - weights is a live handle; columns and values point to count elements; logits has vocab elements, none of them in the
///   weights' own arrays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_logits(
    weights: *const argpick_weights,
    columns: *const u32,
    values: *const f32,
    count: usize,
    logits: *mut f32,
    vocab: usize,
) -> argpick_status {
    call("argpick_logits", || {
        // SAFETY: the caller's part is the same; the length is compared before the row is touched.
        unsafe {
            enter_shared(weights, |store| {
                let head = store.head()?;
                writable(logits, "logits")?;
                wrong_vocab("logits", head.vocab(), vocab)?;
                let (columns, values) = (slice(columns, count, "columns")?, values_of(values, count)?);
                Ok(project(store.kernels, &head, columns, values, slice_mut(logits, vocab, "logits")?)?)
            })
        }
    })
}

/// Head and pick in one: a step on the row that argpick_logits would compute, which is not written. values NULL: 1 for each.
///
/// The pick is that of argpick_decode on the written row, bit for bit.
///
/// Statuses: those of argpick_decode and of argpick_logits; ARGPICK_ERR_WRONG_LENGTH if the decoder and the weights have not
/// the same vocabulary. After any of them the decoder and pick are as they were.
///
/// # Safety
/// - decoder and weights are live handles; columns and values point to count elements, mask to mask_words;
///   pick->struct_size bytes can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decode_sparse(
    decoder: *mut argpick_decoder,
    weights: *const argpick_weights,
    columns: *const u32,
    values: *const f32,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    pick: *mut argpick_pick,
) -> argpick_status {
    let sparse = Sparse { decoder, weights, columns, values, count, mask, mask_words, pick };
    // SAFETY: the caller's part is the same.
    unsafe {
        sparse.run("argpick_decode_sparse", |decoder, head, columns, values, mask| {
            decoder.decode_sparse(head, columns, values, mask)
        })
    }
}

/// Picks a token as argpick_decode_sparse would and does not record it: the next call sees the same state. values NULL: 1 for
/// each.
///
/// Statuses: those of argpick_decode_sparse.
///
/// # Safety
/// - As for argpick_decode_sparse.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_evaluate_sparse(
    decoder: *mut argpick_decoder,
    weights: *const argpick_weights,
    columns: *const u32,
    values: *const f32,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    pick: *mut argpick_pick,
) -> argpick_status {
    let sparse = Sparse { decoder, weights, columns, values, count, mask, mask_words, pick };
    // SAFETY: the caller's part is the same.
    unsafe {
        sparse.run("argpick_evaluate_sparse", |decoder, head, columns, values, mask| {
            decoder.evaluate_sparse(head, columns, values, mask)
        })
    }
}

/// The arguments of a sparse step.
struct Sparse {
    decoder: *mut argpick_decoder,
    weights: *const argpick_weights,
    columns: *const u32,
    values: *const f32,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    pick: *mut argpick_pick,
}

type Inner = crate::Decoder<super::memory::Words>;
type SparseStep = fn(&mut Inner, &SparseHead<'_>, &[u32], Option<&[f32]>, Option<&[u32]>) -> crate::Result<Pick>;

impl Sparse {
    /// # Safety
    /// As for `argpick_decode_sparse`.
    unsafe fn run(self, function: &str, step: SparseStep) -> argpick_status {
        call(function, || {
            readable(self.decoder, "decoder")?;
            // SAFETY: the caller's part is the same. The size is checked before anything is recorded.
            unsafe {
                readable(self.weights, "weights")?;
                let size = size_of_given(self.pick)?;
                let picked = enter(self.decoder, |decoder| {
                    enter_shared(self.weights, |store| {
                        let head = store.head()?;
                        wrong_vocab("row", decoder.vocab(), head.vocab())?;
                        let columns = slice(self.columns, self.count, "columns")?;
                        let values = values_of(self.values, self.count)?;
                        let mask = mask_of(self.mask, self.mask_words, decoder.vocab())?;
                        Ok(step(decoder, &head, columns, values, mask)?)
                    })
                })?;
                write(self.pick, size, &picked.into());
            }
            Ok(())
        })
    }
}

/// One step of online training: softmax cross-entropy against a target by stochastic gradient descent.
///
/// With z the row that argpick_logits computes, p its softmax at temperature 1 and g = p - onehot(target):
/// b -= learning_rate * g and W[:, columns[j]] -= learning_rate * values[j] * g. values NULL: 1 for each. learning_rate is
/// finite and above 0. gradient is memory to work in, vocab floats outside of the weights; afterwards it holds g, the
/// gradient with respect to the logits, for whoever wants to go on from there to the columns' values. loss is -ln p(target)
/// in nats and argmax the highest logit, both before the update.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_READ_ONLY,
/// ARGPICK_ERR_WRONG_LENGTH (vocab), ARGPICK_ERR_TOKEN_OUT_OF_RANGE, ARGPICK_ERR_COLUMN_OUT_OF_RANGE,
/// ARGPICK_ERR_INVALID_PARAMETER (learning_rate, values), ARGPICK_ERR_INVALID_LOGIT, ARGPICK_ERR_UPDATE_OVERFLOW. After any
/// of them the weights, loss and argmax are as they were; gradient may hold anything.
///
/// # Safety
/// - weights is a live handle; columns and values point to count elements; gradient has vocab elements; loss and argmax can
///   be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_train_step(
    weights: *mut argpick_weights,
    columns: *const u32,
    values: *const f32,
    count: usize,
    target: u32,
    learning_rate: f32,
    gradient: *mut f32,
    vocab: usize,
    loss: *mut f32,
    argmax: *mut u32,
) -> argpick_status {
    call("argpick_train_step", || {
        writable(gradient, "gradient")?;
        writable(loss, "loss")?;
        writable(argmax, "argmax")?;
        // SAFETY: the caller's part is the same; the length is compared before the gradient is touched.
        unsafe {
            let score = enter_alone(weights, |store| {
                let kernels = store.kernels;
                let (weights, bias) = store.trainable()?;
                wrong_vocab("gradient", bias.len(), vocab)?;
                let (columns, values) = (slice(columns, count, "columns")?, values_of(values, count)?);
                let example = Example { columns, values, target };
                let gradient = slice_mut(gradient, vocab, "gradient")?;
                Ok(train_step(kernels, TrainableHead { weights, bias }, &example, learning_rate, gradient)?)
            })?;
            loss.write(score.loss);
            argmax.write(score.argmax);
        }
        Ok(())
    })
}
