//! Steps of an `argpick_trace`: done and written down.

use super::abi::{size_of_given, write};
use super::decoder::argpick_decoder;
use super::fault::Fault;
use super::guard::{call, readable, slice};
use super::logits::values_of;
use super::memory::Words;
use super::pick::argpick_pick;
use super::status::argpick_status;
use super::step::{argpick_dtype, mask_of, row_of};
use super::trace::{Sink, argpick_trace, enter_both, enter_trace};
use super::weights::{argpick_weights, enter_shared};
use crate::decoder::Decoder;
use crate::replay::Recorder;
use crate::trace::Pick;
use crate::weights::SparseHead;
use core::ffi::c_void;

/// The arguments of a step on a row.
struct RowStep {
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    pick: *mut argpick_pick,
}

type OnRow = fn(&mut Recorder<Sink>, &mut Decoder<Words>, crate::Row<'_>, Option<&[u32]>) -> crate::Result<Pick>;

impl RowStep {
    /// # Safety
    /// As for `argpick_trace_decode`.
    unsafe fn run(self, function: &str, step: OnRow) -> argpick_status {
        call(function, || {
            // SAFETY: the caller's part is the same. The size is checked before anything is recorded.
            unsafe {
                readable(self.trace.cast_const(), "trace")?;
                readable(self.decoder.cast_const(), "decoder")?;
                let size = size_of_given(self.pick)?;
                let picked = enter_both(self.trace, self.decoder, |recorder, decoder| {
                    let vocab = decoder.vocab();
                    let row = row_of(self.logits, self.dtype, self.count, vocab)?;
                    Ok(step(recorder, decoder, row, mask_of(self.mask, self.mask_words, vocab)?)?)
                })?;
                write(self.pick, size, &picked.into());
            }
            Ok(())
        })
    }
}

/// argpick_decode, recorded: the pick, and digests of the row and the mask.
///
/// Statuses: those of argpick_decode; ARGPICK_ERR_FINISHED also if the trace has ended. A row that is refused is recorded,
/// too.
///
/// # Safety
/// - trace is a live trace; the rest as for argpick_decode.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_decode(
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    pick: *mut argpick_pick,
) -> argpick_status {
    let step = RowStep { trace, decoder, logits, dtype, count, mask, mask_words, pick };
    // SAFETY: the caller's part is the same.
    unsafe { step.run("argpick_trace_decode", |recorder, decoder, row, mask| recorder.decode(decoder, row, mask)) }
}

/// argpick_evaluate, recorded.
///
/// Statuses: those of argpick_evaluate; ARGPICK_ERR_FINISHED also if the trace has ended.
///
/// # Safety
/// - trace is a live trace; the rest as for argpick_evaluate.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_evaluate(
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    pick: *mut argpick_pick,
) -> argpick_status {
    let step = RowStep { trace, decoder, logits, dtype, count, mask, mask_words, pick };
    // SAFETY: the caller's part is the same.
    unsafe { step.run("argpick_trace_evaluate", |recorder, decoder, row, mask| recorder.evaluate(decoder, row, mask)) }
}

/// The arguments of a step on a sparse head.
struct SparseStep {
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    weights: *const argpick_weights,
    columns: *const u32,
    values: *const f32,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    pick: *mut argpick_pick,
}

type OnHead = fn(
    &mut Recorder<Sink>,
    &mut Decoder<Words>,
    &SparseHead<'_>,
    &[u32],
    Option<&[f32]>,
    Option<&[u32]>,
) -> crate::Result<Pick>;

impl SparseStep {
    /// # Safety
    /// As for `argpick_trace_decode_sparse`.
    unsafe fn run(self, function: &str, step: OnHead) -> argpick_status {
        call(function, || {
            // SAFETY: the caller's part is the same. The size is checked before anything is recorded.
            unsafe {
                readable(self.trace.cast_const(), "trace")?;
                readable(self.decoder.cast_const(), "decoder")?;
                readable(self.weights, "weights")?;
                let size = size_of_given(self.pick)?;
                let picked = enter_both(self.trace, self.decoder, |recorder, decoder| {
                    enter_shared(self.weights, |store| {
                        let head = store.head()?;
                        let columns = slice(self.columns, self.count, "columns")?;
                        let values = values_of(self.values, self.count)?;
                        let mask = mask_of(self.mask, self.mask_words, decoder.vocab())?;
                        Ok(step(recorder, decoder, &head, columns, values, mask)?)
                    })
                })?;
                write(self.pick, size, &picked.into());
            }
            Ok(())
        })
    }
}

/// argpick_decode_sparse, recorded. For its digest the row is computed once more.
///
/// Statuses: those of argpick_decode_sparse; ARGPICK_ERR_FINISHED also if the trace has ended.
///
/// # Safety
/// - trace is a live trace; the rest as for argpick_decode_sparse.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_decode_sparse(
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    weights: *const argpick_weights,
    columns: *const u32,
    values: *const f32,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    pick: *mut argpick_pick,
) -> argpick_status {
    let step = SparseStep { trace, decoder, weights, columns, values, count, mask, mask_words, pick };
    // SAFETY: the caller's part is the same.
    unsafe { step.run("argpick_trace_decode_sparse", Recorder::decode_sparse) }
}

/// argpick_evaluate_sparse, recorded. For its digest the row is computed once more.
///
/// Statuses: those of argpick_evaluate_sparse; ARGPICK_ERR_FINISHED also if the trace has ended.
///
/// # Safety
/// - trace is a live trace; the rest as for argpick_evaluate_sparse.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_evaluate_sparse(
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    weights: *const argpick_weights,
    columns: *const u32,
    values: *const f32,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    pick: *mut argpick_pick,
) -> argpick_status {
    let step = SparseStep { trace, decoder, weights, columns, values, count, mask, mask_words, pick };
    // SAFETY: the caller's part is the same.
    unsafe { step.run("argpick_trace_evaluate_sparse", Recorder::evaluate_sparse) }
}

/// Says that the next step's row is the one that argpick_logits makes of these columns: for hosts that write the row, so that
/// a replay needs only the weights. Nothing is written where ARGPICK_TRACE_COLUMNS was not asked for.
///
/// values may be NULL: all are 1 then.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count), ARGPICK_ERR_BUSY,
/// ARGPICK_ERR_POISONED, ARGPICK_ERR_FINISHED (the trace has ended).
///
/// # Safety
/// - trace is a live trace; columns and, unless NULL, values point to count elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_columns(
    trace: *mut argpick_trace,
    columns: *const u32,
    values: *const f32,
    count: usize,
) -> argpick_status {
    call("argpick_trace_columns", || {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter_trace(trace, |state| {
                let recorder = state.recorder.as_mut().ok_or(Fault::Ended("trace"))?;
                recorder.columns(slice(columns, count, "columns")?, values_of(values, count)?);
                Ok(())
            })
        }
    })
}
