//! The trainer's side: how rows did on their targets.

use super::abi::{Growing, assert_layout, read, size_of_given, write};
use super::decoder::{argpick_decoder, enter};
use super::fault::Fault;
use super::guard::{call, call_row, readable, slice, slice_mut, writable};
use super::status::{ARGPICK_OK, argpick_status};
use super::step::{argpick_dtype, row_of};
use crate::decoder::score::Totals;
use crate::decoder::{Diagnosis, DiagnosisLimits, Verdict};
use crate::error::Error;
use crate::kernels::Kernels;
use crate::types::MAX_VOCAB;
use core::ffi::c_void;

/// A row is neither flat nor saturated.
pub const ARGPICK_VERDICT_HEALTHY: u32 = 0;
/// Nearly all tokens are equally likely.
pub const ARGPICK_VERDICT_FLAT: u32 = 1;
/// One token has nearly all the probability.
pub const ARGPICK_VERDICT_SATURATED: u32 = 2;

const _: () = {
    assert!(ARGPICK_VERDICT_HEALTHY == Verdict::Healthy as u32);
    assert!(ARGPICK_VERDICT_FLAT == Verdict::Flat as u32);
    assert!(ARGPICK_VERDICT_SATURATED == Verdict::Saturated as u32);
};

/// Where flat and saturated begin, and the k of top-k accuracy. Set struct_size = sizeof(argpick_diagnosis_limits).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_diagnosis_limits {
    /// sizeof(argpick_diagnosis_limits); the caller sets it.
    pub struct_size: u32,
    /// A row is flat from this fraction of the largest possible entropy, ln(tokens), on; 0 to 1. By default 0.9.
    pub flat_entropy: f32,
    /// A row is saturated from this probability of its argmax on; 0 to 1. By default 0.999.
    pub saturated_top1: f32,
    /// A target within so many tokens of the order counts as a top-k hit; at least 1. By default 5.
    pub top_k: u32,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers only.
unsafe impl Growing for argpick_diagnosis_limits {
    const NAME: &'static str = "limits";
    const RELEASED: &'static [u32] = &[16];
    const DEFAULT: Self = argpick_diagnosis_limits {
        struct_size: size_of::<Self>() as u32,
        flat_entropy: 0.9,
        saturated_top1: 0.999,
        top_k: 5,
    };
}

assert_layout!(argpick_diagnosis_limits { struct_size: 4, flat_entropy: 4, saturated_top1: 4, top_k: 4 });

/// What a batch of rows looks like to a trainer; each figure is the mean over its rows, 0 for an empty batch.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_diagnosis {
    /// sizeof(argpick_diagnosis); the caller sets it.
    pub struct_size: u32,
    /// 0.
    pub reserved0: u32,
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
    /// 0.
    pub reserved1: u32,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers only.
unsafe impl Growing for argpick_diagnosis {
    const NAME: &'static str = "diagnosis";
    const RELEASED: &'static [u32] = &[56];
    const DEFAULT: Self = argpick_diagnosis {
        struct_size: size_of::<Self>() as u32,
        reserved0: 0,
        rows: 0,
        flat: 0.0,
        saturated: 0.0,
        healthy: 0.0,
        loss: 0.0,
        entropy: 0.0,
        top1_probability: 0.0,
        greedy_accuracy: 0.0,
        top_k_accuracy: 0.0,
        expected_accuracy: 0.0,
        reserved1: 0,
    };
}

assert_layout!(argpick_diagnosis {
    struct_size: 4,
    reserved0: 4,
    rows: 8,
    flat: 4,
    saturated: 4,
    healthy: 4,
    loss: 4,
    entropy: 4,
    top1_probability: 4,
    greedy_accuracy: 4,
    top_k_accuracy: 4,
    expected_accuracy: 4,
    reserved1: 4,
});

impl From<Diagnosis> for argpick_diagnosis {
    fn from(diagnosis: Diagnosis) -> Self {
        // Without `..`: a new figure of the core must get its place here.
        let Diagnosis {
            rows,
            flat,
            saturated,
            healthy,
            loss,
            entropy,
            top1_probability,
            greedy_accuracy,
            top_k_accuracy,
            expected_accuracy,
        } = diagnosis;
        argpick_diagnosis {
            rows,
            flat,
            saturated,
            healthy,
            loss,
            entropy,
            top1_probability,
            greedy_accuracy,
            top_k_accuracy,
            expected_accuracy,
            ..argpick_diagnosis::DEFAULT
        }
    }
}

/// The score of one row.
///
/// # Safety
/// As for `argpick_score`.
unsafe fn score_row(
    kernels: Kernels,
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    target: u32,
) -> Result<crate::RowScore, Fault> {
    if count == 0 || count > MAX_VOCAB {
        return Err(Fault::Core(Error::InvalidParameter { name: "vocab", value: count as f64 }));
    }
    // SAFETY: the caller's part is the same.
    Ok(crate::score(kernels, unsafe { row_of(logits, dtype, count, count) }?, target)?)
}

/// Scores a row of count logits, 1 to 2^22, against its target, without a decoder and without a draw.
///
/// loss is -ln of the target's probability at temperature 1, in nats (+inf for a target at -inf); rank is how many tokens
/// stand before the target in the order of logits; argmax is the greedy pick.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_INVALID_PARAMETER (dtype, or count as "vocab"),
/// ARGPICK_ERR_TOKEN_OUT_OF_RANGE, ARGPICK_ERR_INVALID_LOGIT, ARGPICK_ERR_EVERYTHING_MASKED, and those of the kernels (see
/// argpick_kernel). Nothing is written then.
///
/// # Safety
/// - logits has count elements; loss, rank and argmax can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_score(
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    target: u32,
    loss: *mut f32,
    rank: *mut u32,
    argmax: *mut u32,
) -> argpick_status {
    call("argpick_score", || {
        readable(logits.cast::<u8>(), "logits")?;
        writable(loss, "loss")?;
        writable(rank, "rank")?;
        writable(argmax, "argmax")?;
        // SAFETY: the caller's part is the same; the outputs were checked.
        unsafe {
            let score = score_row(Kernels::detect()?, logits, dtype, count, target)?;
            loss.write(score.loss);
            rank.write(score.rank);
            argmax.write(score.argmax);
        }
        Ok(())
    })
}

/// Scores rows rows, each against its target; a row that fails leaves the others alone.
///
/// Row i is logits[i] (count elements of type dtype), scored against targets[i] into losses[i], ranks[i], argmaxes[i] and
/// statuses[i]. rows 0 does nothing, the arrays may be NULL then.
///
/// Returns ARGPICK_OK if all rows succeeded, else the status of the first that did not, which is also the one that
/// argpick_last_error tells about. statuses is written whenever the arrays themselves are usable; the results of a row that
/// failed are not.
///
/// Statuses: those of argpick_score, also per row; ARGPICK_ERR_WRONG_LENGTH (an impossible number of rows).
///
/// # Safety
/// - logits, targets, losses, ranks, argmaxes and statuses have rows elements; each row has count elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_score_batch(
    rows: usize,
    logits: *const *const c_void,
    dtype: argpick_dtype,
    count: usize,
    targets: *const u32,
    losses: *mut f32,
    ranks: *mut u32,
    argmaxes: *mut u32,
    statuses: *mut argpick_status,
) -> argpick_status {
    const NAME: &str = "argpick_score_batch";
    let mut first_failed = ARGPICK_OK;
    let called = call(NAME, || {
        // SAFETY: the caller's part is the same.
        unsafe {
            let (logits, targets) = (slice(logits, rows, "logits")?, slice(targets, rows, "targets")?);
            let (losses, ranks) = (slice_mut(losses, rows, "losses")?, slice_mut(ranks, rows, "ranks")?);
            let argmaxes = slice_mut(argmaxes, rows, "argmaxes")?;
            let statuses = slice_mut(statuses, rows, "statuses")?;
            let kernels = Kernels::detect()?;
            for i in 0..rows {
                statuses[i] = call_row(NAME, i, &mut first_failed, || {
                    let score = score_row(kernels, logits[i], dtype, count, targets[i])?;
                    (losses[i], ranks[i], argmaxes[i]) = (score.loss, score.rank, score.argmax);
                    Ok(())
                });
            }
        }
        Ok(())
    });
    if called == ARGPICK_OK { first_failed } else { called }
}

/// Tells a trainer what a batch of rows looks like: flat, saturated or healthy, and four ways of being right.
///
/// Row i is logits[i] (count elements of type dtype, the decoder's vocabulary) with target targets[i]. loss, entropy, top-1
/// probability and rank are of the row as given, at temperature 1; expected_accuracy is the probability with which the
/// decoder, as configured, picks the target, so a trainer sees what sampling hides. Nothing is drawn and nothing recorded.
/// limits NULL: the defaults. verdicts gets an ARGPICK_VERDICT_ for each row; NULL if it is not wanted.
///
/// Statuses: those of argpick_decode and argpick_score, for the first row that has one (argpick_last_error names it);
/// ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_INVALID_PARAMETER (limits). diagnosis is not written then; verdicts of earlier rows are.
///
/// # Safety
/// - decoder is a live decoder; logits and targets have rows elements, and so has verdicts unless it is NULL; each row has
///   count elements; limits and diagnosis are as long as their struct_size says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_diagnose(
    decoder: *mut argpick_decoder,
    rows: usize,
    logits: *const *const c_void,
    dtype: argpick_dtype,
    count: usize,
    targets: *const u32,
    limits: *const argpick_diagnosis_limits,
    verdicts: *mut u32,
    diagnosis: *mut argpick_diagnosis,
) -> argpick_status {
    const NAME: &str = "argpick_diagnose";
    // A row's own failure has been recorded, with its number, when the call as a whole ends well.
    let mut first_failed = ARGPICK_OK;
    let called = call(NAME, || {
        readable(decoder, "decoder")?;
        // SAFETY: the caller's part is the same.
        unsafe {
            let size = size_of_given(diagnosis)?;
            let limits = if limits.is_null() { argpick_diagnosis_limits::DEFAULT } else { read(limits)? };
            let argpick_diagnosis_limits { flat_entropy, saturated_top1, top_k, .. } = limits;
            let limits = DiagnosisLimits { flat_entropy, saturated_top1, top_k };
            limits.check()?;
            let (logits, targets) = (slice(logits, rows, "logits")?, slice(targets, rows, "targets")?);
            let verdicts = if verdicts.is_null() { &mut [] } else { slice_mut(verdicts, rows, "verdicts")? };
            let mut totals = Totals::default();
            for i in 0..rows {
                call_row(NAME, i, &mut first_failed, || {
                    let found = enter(decoder, |decoder| {
                        let row = row_of(logits[i], dtype, count, decoder.vocab())?;
                        Ok(decoder.diagnose_row(row, targets[i], &limits)?)
                    })?;
                    totals.add(&found, &limits);
                    if let Some(verdict) = verdicts.get_mut(i) {
                        *verdict = found.verdict as u32;
                    }
                    Ok(())
                });
                if first_failed != ARGPICK_OK {
                    return Ok(());
                }
            }
            write(diagnosis, size, &totals.means().into());
        }
        Ok(())
    });
    if called == ARGPICK_OK { first_failed } else { called }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_limits_are_the_cores() {
        let argpick_diagnosis_limits { flat_entropy, saturated_top1, top_k, .. } = argpick_diagnosis_limits::DEFAULT;
        assert_eq!(DiagnosisLimits { flat_entropy, saturated_top1, top_k }, DiagnosisLimits::default());
    }
}
