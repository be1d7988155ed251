//! Questions about a row that no token is picked for.

use super::decoder::{argpick_decoder, enter};
use super::fault::Fault;
use super::guard::{call, readable, slice_mut, writable};
use super::memory::Words;
use super::status::argpick_status;
use super::step::{argpick_dtype, mask_of, row_of};
use crate::decoder::{Candidate, Decoder};
use crate::types::Row;
use core::ffi::c_void;
use core::mem::offset_of;

/// A token of a row. The element of an array, so it never grows.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_candidate {
    /// The token.
    pub token: u32,
    /// Its logit after biases and masks, before temperature.
    pub logit: f32,
    /// ln of its probability at the configured temperature.
    pub logprob: f32,
}

// An array of ours is an array of the core's.
const _: () = {
    assert!(size_of::<argpick_candidate>() == 12 && size_of::<Candidate>() == 12);
    assert!(align_of::<argpick_candidate>() == align_of::<Candidate>());
    assert!(offset_of!(argpick_candidate, token) == offset_of!(Candidate, token));
    assert!(offset_of!(argpick_candidate, logit) == offset_of!(Candidate, logit));
    assert!(offset_of!(argpick_candidate, logprob) == offset_of!(Candidate, logprob));
};

/// A question that is answered by a list.
type Fill = fn(&mut Decoder<Words>, Row<'_>, Option<&[u32]>, &mut [Candidate]) -> crate::Result<usize>;

/// A row as the functions here take it.
struct Asked {
    decoder: *mut argpick_decoder,
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    mask: *const u32,
    mask_words: usize,
}

impl Asked {
    /// # Safety
    /// As for `argpick_decode`.
    unsafe fn run<R>(
        &self,
        answer: impl FnOnce(&mut Decoder<Words>, Row<'_>, Option<&[u32]>) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter(self.decoder, |decoder| {
                let vocab = decoder.vocab();
                let row = row_of(self.logits, self.dtype, self.count, vocab)?;
                let mask = mask_of(self.mask, self.mask_words, vocab)?;
                answer(decoder, row, mask)
            })
        }
    }

    /// Fills a list of candidates.
    ///
    /// # Safety
    /// As for `argpick_top`.
    unsafe fn list(
        &self,
        list: *mut argpick_candidate,
        capacity: usize,
        found: *mut usize,
        fill: Fill,
    ) -> Result<(), Fault> {
        readable(self.decoder, "decoder")?;
        writable(found, "found")?;
        // SAFETY: the caller's part is the same; a longer list than the vocabulary is not touched past that.
        unsafe {
            let total = self.run(|decoder, row, mask| {
                let list = slice_mut(list.cast::<Candidate>(), capacity.min(decoder.vocab()), "candidates")?;
                Ok(fill(decoder, row, mask, list)?)
            })?;
            found.write(total);
        }
        Ok(())
    }
}

/// Lists the best tokens of a row: the first capacity of the order, after biases and masks and before truncation.
///
/// Highest logit first, lower id first among equals; logprob is among all tokens that take part. found is how many were
/// written: less than capacity where fewer take part. Row and mask are as for argpick_decode; nothing is recorded. Costs a
/// pass of exponentials.
///
/// Statuses: those of argpick_decode but ARGPICK_ERR_STRUCT_SIZE. Nothing is written then.
///
/// # Safety
/// - decoder is a live decoder; logits and mask have as many elements as said; candidates has capacity elements that can be
///   written; found can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_top(
    decoder: *mut argpick_decoder,
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    candidates: *mut argpick_candidate,
    capacity: usize,
    found: *mut usize,
) -> argpick_status {
    let asked = Asked { decoder, logits, dtype, count, mask, mask_words };
    call("argpick_top", || {
        // SAFETY: the caller's part is the same.
        unsafe { asked.list(candidates, capacity, found, |decoder, row, mask, list| decoder.top(row, mask, list)) }
    })
}

/// The same of the row as given, at temperature 1: without penalties, biases and bans.
///
/// Statuses: those of argpick_top. Nothing is written then.
///
/// # Safety
/// - As for argpick_top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_top_raw(
    decoder: *mut argpick_decoder,
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    candidates: *mut argpick_candidate,
    capacity: usize,
    found: *mut usize,
) -> argpick_status {
    let asked = Asked { decoder, logits, dtype, count, mask, mask_words };
    call("argpick_top_raw", || {
        // SAFETY: the caller's part is the same.
        unsafe { asked.list(candidates, capacity, found, |decoder, row, mask, list| decoder.top_raw(row, mask, list)) }
    })
}

/// Lists the tokens that the filters keep, in ascending order of id, as far as there is room.
///
/// logprob is among the kept tokens. found is how many are kept, which may be more than capacity: then capacity were
/// written. With capacity 0, candidates may be NULL: the kept tokens are counted. Otherwise as argpick_top.
///
/// Statuses: those of argpick_top. Nothing is written then.
///
/// # Safety
/// - As for argpick_top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_kept(
    decoder: *mut argpick_decoder,
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    candidates: *mut argpick_candidate,
    capacity: usize,
    found: *mut usize,
) -> argpick_status {
    let asked = Asked { decoder, logits, dtype, count, mask, mask_words };
    call("argpick_kept", || {
        // SAFETY: the caller's part is the same.
        unsafe { asked.list(candidates, capacity, found, |decoder, row, mask, list| decoder.kept(row, mask, list)) }
    })
}

/// Tells the probability with which token is picked from this row as configured: 0 if a filter removes it.
///
/// In greedy mode 1 or 0. Row and mask are as for argpick_decode; nothing is recorded.
///
/// Statuses: those of argpick_top, and ARGPICK_ERR_TOKEN_OUT_OF_RANGE. Nothing is written then.
///
/// # Safety
/// - As for argpick_decode; probability can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_probability_of(
    decoder: *mut argpick_decoder,
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    token: u32,
    probability: *mut f32,
) -> argpick_status {
    let asked = Asked { decoder, logits, dtype, count, mask, mask_words };
    call("argpick_probability_of", || {
        readable(decoder, "decoder")?;
        writable(probability, "probability")?;
        // SAFETY: the caller's part is the same; the output was checked.
        unsafe {
            probability.write(asked.run(|decoder, row, mask| Ok(decoder.probability_of(row, mask, token)?))?);
        }
        Ok(())
    })
}
