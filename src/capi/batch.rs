//! Many rows in one call, with a status for each.

use super::abi::{size_of_given, write};
use super::decoder::{argpick_decoder, enter};
use super::fault::Fault;
use super::guard::{call, call_row, slice, slice_mut};
use super::pick::argpick_pick;
use super::status::{ARGPICK_OK, argpick_status};
use super::step::{argpick_dtype, mask_of, row_of};
use crate::error::Error;
use core::ffi::c_void;

/// Decodes rows rows, one decoder each; a row that fails leaves the others alone.
///
/// Row i is logits[i] (count elements of type dtype), decoded by decoders[i] under masks[i] (mask_words words; NULL: no
/// mask) into picks[i] and statuses[i]. masks may be NULL: no row has one. picks is an array of structs of one size: set
/// struct_size in each. The rows are decoded in order; a result does not depend on its place, nor on how a batch is split.
/// rows 0 does nothing, the arrays may be NULL then.
///
/// Returns ARGPICK_OK if all rows succeeded, else the status of the first that did not, which is also the one that
/// argpick_last_error tells about. statuses is written whenever the arrays themselves are usable; the pick of a row that
/// failed is not.
///
/// Statuses: those of argpick_decode, also per row; ARGPICK_ERR_WRONG_LENGTH (an impossible number of rows).
///
/// # Safety
/// - decoders, logits, picks and statuses have rows elements, and so has masks unless it is NULL; what they point to is as for
///   argpick_decode.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decode_batch(
    decoders: *const *mut argpick_decoder,
    rows: usize,
    logits: *const *const c_void,
    dtype: argpick_dtype,
    count: usize,
    masks: *const *const u32,
    mask_words: usize,
    picks: *mut argpick_pick,
    statuses: *mut argpick_status,
) -> argpick_status {
    const NAME: &str = "argpick_decode_batch";
    let mut first_failed = ARGPICK_OK;
    let called = call(NAME, || {
        if rows == 0 {
            return Ok(());
        }
        // SAFETY: the caller's part is the same.
        unsafe {
            let decoders = slice(decoders, rows, "decoders")?;
            let logits = slice(logits, rows, "logits")?;
            let masks = if masks.is_null() { None } else { Some(slice(masks, rows, "masks")?) };
            let size = size_of_given(picks)?;
            let Some(_) = rows.checked_mul(size as usize).filter(|&bytes| bytes <= isize::MAX as usize) else {
                return Err(Fault::Core(Error::WrongLength { what: "picks", expected: 0, actual: rows }));
            };
            let statuses = slice_mut(statuses, rows, "statuses")?;
            for i in 0..rows {
                let pick = picks.byte_add(i * size as usize);
                // A panic poisons its own decoder and is the status of its own row.
                statuses[i] = call_row(NAME, i, &mut first_failed, || {
                    let given = size_of_given(pick)?;
                    if given != size {
                        return Err(Fault::StructSize { what: "picks[i]", given, known: size });
                    }
                    let picked = enter(decoders[i], |decoder| {
                        let vocab = decoder.vocab();
                        let row = row_of(logits[i], dtype, count, vocab)?;
                        let mask = match masks.map(|masks| masks[i]) {
                            Some(mask) if !mask.is_null() => mask_of(mask, mask_words, vocab)?,
                            _ => None,
                        };
                        Ok(decoder.decode(row, mask)?)
                    })?;
                    write(pick, size, &picked.into());
                    Ok(())
                });
            }
        }
        Ok(())
    });
    if called == ARGPICK_OK { first_failed } else { called }
}
