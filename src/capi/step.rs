//! The steps: from a row of logits to a token, to a processed row, to probabilities.

use super::abi::{size_of_given, write};
use super::decoder::{argpick_decoder, enter};
use super::fault::Fault;
use super::guard::{call, readable, slice, slice_mut};
use super::pick::argpick_pick;
use super::status::argpick_status;
use crate::error::Error;
use crate::trace::Pick;
use crate::types::Row;
use core::ffi::c_void;
use half::{bf16, f16};

/// The element type of a row: ARGPICK_F32, ARGPICK_F16 or ARGPICK_BF16.
pub type argpick_dtype = u32;
/// IEEE 754 binary32.
pub const ARGPICK_F32: argpick_dtype = 0;
/// IEEE 754 binary16, widened exactly.
pub const ARGPICK_F16: argpick_dtype = 1;
/// bfloat16, the upper half of a binary32, widened exactly.
pub const ARGPICK_BF16: argpick_dtype = 2;

/// A row of the caller's; its length is compared before it is touched.
///
/// # Safety
/// `logits`, unless NULL or misaligned, points to `count` elements that nobody writes while the row is used.
pub(super) unsafe fn row_of<'a>(
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    vocab: usize,
) -> Result<Row<'a>, Fault> {
    if logits.is_null() {
        return Err(Fault::Null("logits"));
    }
    if count != vocab {
        return Err(Fault::Core(Error::WrongLength { what: "row", expected: vocab, actual: count }));
    }
    // SAFETY: as many elements as the caller says.
    unsafe {
        Ok(match dtype {
            ARGPICK_F32 => Row::F32(slice(logits.cast::<f32>(), count, "logits")?),
            ARGPICK_F16 => Row::F16(slice(logits.cast::<f16>(), count, "logits")?),
            ARGPICK_BF16 => Row::Bf16(slice(logits.cast::<bf16>(), count, "logits")?),
            other => return Err(Fault::Core(Error::InvalidParameter { name: "dtype", value: other.into() })),
        })
    }
}

/// The caller's mask, cut to the words that the vocabulary needs. NULL without words is no mask.
///
/// # Safety
/// `mask` points to `words` words that nobody writes while the mask is used.
pub(super) unsafe fn mask_of<'a>(mask: *const u32, words: usize, vocab: usize) -> Result<Option<&'a [u32]>, Fault> {
    if mask.is_null() && words == 0 {
        return Ok(None);
    }
    // No words but a place for them: an empty mask, which allows nothing.
    readable(mask, "mask")?;
    // SAFETY: not NULL, and as many words as the caller says.
    unsafe { slice(mask, words.min(vocab.div_ceil(32)), "mask").map(Some) }
}

/// Runs a step that ends in a pick, and writes it out.
///
/// # Safety
/// As for the C functions below.
unsafe fn pick_with(
    function: &str,
    decoder: *mut argpick_decoder,
    pick: *mut argpick_pick,
    step: impl FnOnce(&mut crate::Decoder<super::memory::Words>) -> Result<Pick, Fault>,
) -> argpick_status {
    call(function, || {
        // SAFETY: the caller's part is the same. The size is checked before anything is recorded.
        unsafe {
            readable(decoder, "decoder")?;
            let size = size_of_given(pick)?;
            let picked = enter(decoder, step)?;
            write(pick, size, &picked.into());
        }
        Ok(())
    })
}

/// Picks a token from a row of logits and records it. The row is not modified.
///
/// logits has count elements of type dtype, aligned to it; count is the decoder's vocabulary. -inf masks a token; NaN and
/// +inf are errors, unless they stand where valid_vocab or the mask excludes them. mask has mask_words 32-bit words: bit
/// t & 31 of word t >> 5 says whether token t is allowed; tokens past its end are not. NULL and 0: no mask. Row and mask are
/// borrowed for the call. No memory is allocated and no system call is made.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE (pick->struct_size), ARGPICK_ERR_BUSY,
/// ARGPICK_ERR_POISONED, ARGPICK_ERR_WRONG_LENGTH, ARGPICK_ERR_INVALID_PARAMETER (dtype), ARGPICK_ERR_INVALID_LOGIT (the
/// lowest such token and its logit), ARGPICK_ERR_EVERYTHING_MASKED, ARGPICK_ERR_FINISHED. After any of them the decoder and
/// pick are as they were: the next token is that of a decoder which never saw the call.
///
/// # Safety
/// - decoder is a live decoder; logits and mask have as many elements as said; pick->struct_size bytes can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decode(
    decoder: *mut argpick_decoder,
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    pick: *mut argpick_pick,
) -> argpick_status {
    // SAFETY: the caller's part is the same.
    unsafe {
        pick_with("argpick_decode", decoder, pick, |decoder| {
            let vocab = decoder.vocab();
            let row = row_of(logits, dtype, count, vocab)?;
            Ok(decoder.decode(row, mask_of(mask, mask_words, vocab)?)?)
        })
    }
}

/// Picks a token as argpick_decode would and does not record it: the next call sees the same state.
///
/// finish is ARGPICK_FINISH_NONE: it says what was recorded.
///
/// Statuses: those of argpick_decode.
///
/// # Safety
/// - As for argpick_decode.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_evaluate(
    decoder: *mut argpick_decoder,
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    pick: *mut argpick_pick,
) -> argpick_status {
    // SAFETY: the caller's part is the same.
    unsafe {
        pick_with("argpick_evaluate", decoder, pick, |decoder| {
            let vocab = decoder.vocab();
            let row = row_of(logits, dtype, count, vocab)?;
            Ok(decoder.evaluate(row, mask_of(mask, mask_words, vocab)?)?)
        })
    }
}

/// Runs an in-place step on a row of the caller's.
///
/// # Safety
/// As for the C functions below.
unsafe fn rewrite_with(
    function: &str,
    decoder: *mut argpick_decoder,
    logits: *mut f32,
    count: usize,
    step: impl FnOnce(&mut crate::Decoder<super::memory::Words>, &mut [f32]) -> Result<(), Fault>,
) -> argpick_status {
    call(function, || {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter(decoder, |decoder| {
                // The length is compared before the row is touched.
                row_of(logits.cast_const().cast(), ARGPICK_F32, count, decoder.vocab())?;
                step(decoder, slice_mut(logits, count, "logits")?)
            })
        }
    })
}

/// Rewrites a row in place for hosts that pick for themselves: the logits that are drawn from.
///
/// Removed tokens become -inf, kept ones their adjusted logit divided by the temperature, so that the softmax of the result
/// is the distribution drawn from. In greedy mode only the argmax stays. Nothing is recorded: see argpick_decoder_accept.
///
/// Statuses: those of argpick_decode but ARGPICK_ERR_STRUCT_SIZE; ARGPICK_ERR_INVALID_LOGIT also if the division overflows.
/// After any of them the row is as it was.
///
/// # Safety
/// - decoder is a live decoder; logits has count elements that can be written; mask has mask_words words, outside of logits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_process(
    decoder: *mut argpick_decoder,
    logits: *mut f32,
    count: usize,
    mask: *const u32,
    mask_words: usize,
) -> argpick_status {
    // SAFETY: the caller's part is the same.
    unsafe {
        rewrite_with("argpick_process", decoder, logits, count, |decoder, row| {
            let mask = mask_of(mask, mask_words, count)?;
            Ok(decoder.process(row, mask)?)
        })
    }
}

/// Rewrites a row in place as the probabilities that are drawn from; removed tokens become 0. Nothing is recorded.
///
/// The same as argpick_process and then argpick_softmax at temperature 1, in one fused call.
///
/// Statuses: those of argpick_process. After any of them the row is as it was.
///
/// # Safety
/// - As for argpick_process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_probabilities(
    decoder: *mut argpick_decoder,
    logits: *mut f32,
    count: usize,
    mask: *const u32,
    mask_words: usize,
) -> argpick_status {
    // SAFETY: the caller's part is the same.
    unsafe {
        rewrite_with("argpick_probabilities", decoder, logits, count, |decoder, row| {
            let mask = mask_of(mask, mask_words, count)?;
            Ok(decoder.probabilities(row, mask)?)
        })
    }
}

/// Turns a row of count logits, 1 to 2^22, into probabilities in place, at a temperature above 0. -inf becomes 0.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_INVALID_PARAMETER (temperature, or count as "vocab"),
/// ARGPICK_ERR_INVALID_LOGIT, ARGPICK_ERR_EVERYTHING_MASKED, and those of the kernels (see argpick_kernel). After any of
/// them the row is as it was.
///
/// # Safety
/// - row has count elements that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_softmax(row: *mut f32, count: usize, temperature: f32) -> argpick_status {
    call("argpick_softmax", || {
        super::guard::writable(row, "row")?;
        if count > crate::MAX_VOCAB {
            return Err(Fault::Core(Error::InvalidParameter { name: "vocab", value: count as f64 }));
        }
        // SAFETY: the caller's part is the same.
        Ok(crate::softmax(unsafe { slice_mut(row, count, "row") }?, temperature)?)
    })
}
