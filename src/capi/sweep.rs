//! Many configurations on one row.

use super::abi::{size_of_given, write};
use super::config::{argpick_config, config_of};
use super::decoder::{argpick_decoder, enter};
use super::fault::Fault;
use super::guard::{call, call_row, slice, slice_mut, writable};
use super::pick::argpick_pick;
use super::status::{ARGPICK_OK, argpick_status};
use super::step::{argpick_dtype, mask_of, row_of};
use crate::decoder::sweep_words_for;
use crate::error::Error;
use core::ffi::c_void;

/// How many 64-bit words of memory argpick_sweep needs for these configurations and rows of vocab logits.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_RESERVED,
/// ARGPICK_ERR_INVALID_PARAMETER, ARGPICK_ERR_NOT_IN_PROFILE: those of the first configuration that has one.
///
/// # Safety
/// - configs has count elements, each a configuration as long as its struct_size says; words points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_sweep_words(
    configs: *const *const argpick_config,
    count: usize,
    vocab: u32,
    words: *mut usize,
) -> argpick_status {
    call("argpick_sweep_words", || {
        writable(words, "words")?;
        // SAFETY: the caller's part is the same.
        unsafe {
            let configs = slice(configs, count, "configs")?;
            let mut needed = 0;
            for &config in configs {
                needed = needed.max(sweep_words_for(&config_of(config)?, vocab as usize)?);
            }
            words.write(needed);
        }
        Ok(())
    })
}

/// Picks a token for each of count configurations from one row, without recording any. The row is read, checked and adjusted
/// once; each pick is that of a decoder with that configuration in the same state.
///
/// The configurations may differ from the decoder's own in everything that comes after penalties, biases and masks: seed,
/// stream, mode, temperature, filters, mirostat and adaptive-p (both in their first state), metrics. memory has memory_words
/// words, at least what argpick_sweep_words says; NULL for none. picks is an array of structs of one size: set struct_size in
/// each. kept, unless NULL, takes a bitmask of the tokens each configuration keeps: (vocab + 31) / 32 words each, bit t & 31
/// of word t >> 5. count 0 only checks the row.
///
/// Returns ARGPICK_OK if all configurations succeeded, else the status of the first that did not; statuses has them all. The
/// pick of one that failed is not written. A row that fails leaves statuses as they were.
///
/// Statuses: those of argpick_evaluate for the row; per configuration ARGPICK_ERR_INVALID_PARAMETER (invalid, or it differs in
/// what comes before; the name is in argpick_last_error), ARGPICK_ERR_NOT_IN_PROFILE, ARGPICK_ERR_STORAGE_TOO_SMALL (words).
///
/// # Safety
/// - configs, picks and statuses have count elements, memory has memory_words, kept is NULL or has count times the words above;
///   the row and the mask are as for argpick_evaluate. None of the outputs overlaps another.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_sweep(
    decoder: *mut argpick_decoder,
    configs: *const *const argpick_config,
    count: usize,
    logits: *const c_void,
    dtype: argpick_dtype,
    row_count: usize,
    mask: *const u32,
    mask_words: usize,
    memory: *mut u64,
    memory_words: usize,
    picks: *mut argpick_pick,
    statuses: *mut argpick_status,
    kept: *mut u32,
) -> argpick_status {
    const NAME: &str = "argpick_sweep";
    let mut first_failed = ARGPICK_OK;
    let called = call(NAME, || {
        // SAFETY: the caller's part is the same.
        unsafe {
            let configs = slice(configs, count, "configs")?;
            for &config in configs {
                config_of(config)?;
            }
            let statuses = slice_mut(statuses, count, "statuses")?;
            let memory = slice_mut(memory, memory_words, "memory")?;
            let size = if count == 0 { 0 } else { size_of_given(picks)? };
            for i in 1..count {
                let given = size_of_given(picks.byte_add(i * size as usize))?;
                if given != size {
                    return Err(Fault::StructSize { what: "picks[i]", given, known: size });
                }
            }
            enter(decoder, |decoder| {
                let vocab = decoder.vocab();
                let row = row_of(logits, dtype, row_count, vocab)?;
                let mask = mask_of(mask, mask_words, vocab)?;
                let kept = match kept.is_null() {
                    true => &mut [],
                    false => slice_mut(kept, count.saturating_mul(vocab.div_ceil(32)), "kept")?,
                };
                let config_at = |i: usize| match config_of(configs[i]) {
                    Ok(config) => Ok(config),
                    // Looked at before: it can only have changed meanwhile.
                    Err(_) => Err(Error::BadState { what: "a configuration changed during the call" }),
                };
                Ok(decoder.sweep_by(row, mask, count, config_at, memory, kept, |i, result| {
                    statuses[i] = call_row(NAME, i, &mut first_failed, || {
                        write(picks.byte_add(i * size as usize), size, &result?.into());
                        Ok(())
                    });
                })?)
            })
        }
    });
    if called == ARGPICK_OK { first_failed } else { called }
}
