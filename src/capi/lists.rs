//! What can be set on a decoder beside biases and bans: end tokens, sequences of tokens, forced tokens, stop strings.
//!
//! Sequences come as one array of all their elements and one of their lengths.

use super::decoder::{argpick_decoder, enter};
use super::fault::Fault;
use super::guard::{call, slice, writable};
use super::pick::finish_number;
use super::status::argpick_status;
use crate::decoder::lists::{BAD, BIASED, BREAKERS, STOPS};
use crate::error::Error;
use core::ffi::c_void;

/// No stop string was found.
pub const ARGPICK_NO_STOP: u32 = u32::MAX;

/// The sequences of an array, as its lengths cut it.
#[derive(Clone)]
struct Cut<'a, T> {
    elements: &'a [T],
    lengths: &'a [u32],
}

impl<'a, T> Cut<'a, T> {
    /// Refuses lengths that do not add up to the elements.
    fn new(elements: &'a [T], lengths: &'a [u32], what: &'static str) -> Result<Self, Fault> {
        let total = lengths.iter().map(|&length| u64::from(length)).fold(0, u64::saturating_add);
        if total != elements.len() as u64 {
            let expected = usize::try_from(total).unwrap_or(usize::MAX);
            return Err(Fault::Core(Error::WrongLength { what, expected, actual: elements.len() }));
        }
        Ok(Cut { elements, lengths })
    }
}

impl<'a, T> Iterator for Cut<'a, T> {
    type Item = &'a [T];

    fn next(&mut self) -> Option<&'a [T]> {
        let (&length, lengths) = self.lengths.split_first()?;
        let (sequence, rest) = self.elements.split_at(length as usize);
        (self.elements, self.lengths) = (rest, lengths);
        Some(sequence)
    }
}

/// Replaces a set of sequences.
///
/// # Safety
/// As for the C functions below.
unsafe fn set_sequences(
    function: &str,
    set: usize,
    decoder: *mut argpick_decoder,
    (tokens, token_count): (*const u32, usize),
    lengths: *const u32,
    biases: Option<*const f32>,
    count: usize,
) -> argpick_status {
    call(function, || {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter(decoder, |decoder| {
                let tokens = slice(tokens, token_count, "tokens")?;
                let lengths = slice(lengths, count, "lengths")?;
                let biases = biases.map(|biases| slice(biases, count, "biases")).transpose()?;
                let bias = |i: usize| biases.map_or(0.0, |biases| biases[i]);
                let cut = Cut::new(tokens, lengths, "tokens")?;
                Ok(decoder.set_sequences(set, cut.enumerate().map(|(i, sequence)| (sequence, bias(i))))?)
            })
        }
    })
}

/// Replaces the end tokens: each ends the sequence when it is generated, unless min_tokens forbids.
///
/// A token may stand in the list more than once. A count of 0 removes all, tokens may be NULL then.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count), ARGPICK_ERR_BUSY,
/// ARGPICK_ERR_POISONED, ARGPICK_ERR_TOKEN_OUT_OF_RANGE, ARGPICK_ERR_CAPACITY_EXCEEDED (sequence_capacity). After any of
/// them the old ones stay.
///
/// # Safety
/// - decoder is a live decoder; tokens points to count ids.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_set_end_tokens(
    decoder: *mut argpick_decoder,
    tokens: *const u32,
    count: usize,
) -> argpick_status {
    call("argpick_decoder_set_end_tokens", || {
        // SAFETY: the caller's part is the same.
        unsafe { enter(decoder, |decoder| Ok(decoder.set_end_tokens(slice(tokens, count, "tokens")?)?)) }
    })
}

/// Replaces the stop sequences: the sequence ends when generated tokens end with one of them.
///
/// tokens holds the tokens of all sequences one after the other, token_count of them; lengths says how many belong to each
/// of the count sequences. A count of 0 removes all, the arrays may be NULL then.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count, or lengths that do not
/// add up to token_count), ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_TOKEN_OUT_OF_RANGE,
/// ARGPICK_ERR_INVALID_PARAMETER (a sequence of length 0), ARGPICK_ERR_CAPACITY_EXCEEDED (sequence_capacity). After any of
/// them the old ones stay.
///
/// # Safety
/// - decoder is a live decoder; tokens points to token_count ids, lengths to count numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_set_stops(
    decoder: *mut argpick_decoder,
    tokens: *const u32,
    token_count: usize,
    lengths: *const u32,
    count: usize,
) -> argpick_status {
    let tokens = (tokens, token_count);
    // SAFETY: the caller's part is the same.
    unsafe { set_sequences("argpick_decoder_set_stops", STOPS, decoder, tokens, lengths, None, count) }
}

/// Replaces DRY's breakers: no repetition counts across one of them, and a token that is one alone is never penalised.
///
/// The arrays are those of argpick_decoder_set_stops.
///
/// Statuses: those of argpick_decoder_set_stops.
///
/// # Safety
/// - decoder is a live decoder; tokens points to token_count ids, lengths to count numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_set_breakers(
    decoder: *mut argpick_decoder,
    tokens: *const u32,
    token_count: usize,
    lengths: *const u32,
    count: usize,
) -> argpick_status {
    let tokens = (tokens, token_count);
    // SAFETY: the caller's part is the same.
    unsafe { set_sequences("argpick_decoder_set_breakers", BREAKERS, decoder, tokens, lengths, None, count) }
}

/// Replaces the bad sequences: where the history ends with all of one but its last token, that token is masked.
///
/// The arrays are those of argpick_decoder_set_stops.
///
/// Statuses: those of argpick_decoder_set_stops.
///
/// # Safety
/// - decoder is a live decoder; tokens points to token_count ids, lengths to count numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_set_bad_sequences(
    decoder: *mut argpick_decoder,
    tokens: *const u32,
    token_count: usize,
    lengths: *const u32,
    count: usize,
) -> argpick_status {
    let tokens = (tokens, token_count);
    // SAFETY: the caller's part is the same.
    unsafe { set_sequences("argpick_decoder_set_bad_sequences", BAD, decoder, tokens, lengths, None, count) }
}

/// Replaces the biased sequences: where the history ends with all of one but its last token, the bias is added to the logit
/// of that token; several add up.
///
/// The arrays are those of argpick_decoder_set_stops, and biases has count elements.
///
/// Statuses: those of argpick_decoder_set_stops; ARGPICK_ERR_INVALID_PARAMETER also for a bias that is NaN or +inf.
///
/// # Safety
/// - decoder is a live decoder; tokens points to token_count ids, lengths and biases to count elements each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_set_sequence_bias(
    decoder: *mut argpick_decoder,
    tokens: *const u32,
    token_count: usize,
    lengths: *const u32,
    biases: *const f32,
    count: usize,
) -> argpick_status {
    let tokens = (tokens, token_count);
    // SAFETY: the caller's part is the same.
    unsafe { set_sequences("argpick_decoder_set_sequence_bias", BIASED, decoder, tokens, lengths, Some(biases), count) }
}

/// Replaces the forced tokens: tokens[i] is picked as generated token number positions[i], counted from 0.
///
/// The step is then one under a bitmask that allows this token alone: no other rule of the decoder applies, the margin is
/// +inf, the probability 1. Where the row has the token at -inf, or the caller's mask excludes it, everything is masked. A
/// count of 0 removes all, the arrays may be NULL then.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count), ARGPICK_ERR_BUSY,
/// ARGPICK_ERR_POISONED, ARGPICK_ERR_TOKEN_OUT_OF_RANGE, ARGPICK_ERR_INVALID_PARAMETER (a position that is named twice),
/// ARGPICK_ERR_CAPACITY_EXCEEDED (sequence_capacity). After any of them the old ones stay.
///
/// # Safety
/// - decoder is a live decoder; positions and tokens point to count elements each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_set_forced(
    decoder: *mut argpick_decoder,
    positions: *const u64,
    tokens: *const u32,
    count: usize,
) -> argpick_status {
    call("argpick_decoder_set_forced", || {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter(decoder, |decoder| {
                let (positions, tokens) = (slice(positions, count, "positions")?, slice(tokens, count, "tokens")?);
                Ok(decoder.set_forced_by(count, |i| (positions[i], tokens[i]))?)
            })
        }
    })
}

/// Replaces the stop strings, which argpick_decoder_push_bytes looks for; the text begins anew.
///
/// bytes holds the bytes of all strings one after the other, byte_count of them; lengths says how many belong to each of
/// the count strings. A count of 0 removes all, the arrays may be NULL then.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count, or lengths that do not
/// add up to byte_count), ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_INVALID_PARAMETER (a string of length 0),
/// ARGPICK_ERR_CAPACITY_EXCEEDED (sequence_capacity). After any of them the old ones stay.
///
/// # Safety
/// - decoder is a live decoder; bytes points to byte_count bytes, lengths to count numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_set_stop_strings(
    decoder: *mut argpick_decoder,
    bytes: *const c_void,
    byte_count: usize,
    lengths: *const u32,
    count: usize,
) -> argpick_status {
    call("argpick_decoder_set_stop_strings", || {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter(decoder, |decoder| {
                let bytes = slice(bytes.cast::<u8>(), byte_count, "bytes")?;
                let lengths = slice(lengths, count, "lengths")?;
                Ok(decoder.set_stop_strings_by(Cut::new(bytes, lengths, "bytes")?)?)
            })
        }
    })
}

/// The number of the stop string that was found. There are at most 2^16 of them.
pub(super) fn stop_number(stop: Option<usize>) -> u32 {
    stop.map_or(ARGPICK_NO_STOP, |stop| stop as u32)
}

/// Hands over the bytes of the last generated token, for the stop strings; in pieces if need be.
///
/// stop: the number of the stop string that the text contains, or ARGPICK_NO_STOP. held_back: how many bytes at the end of
/// the text are not to be shown; with a stop all from its beginning on, else those that may yet become one. A stop string
/// ends the sequence, but none does that is complete before min_tokens tokens are generated. The text begins with the first
/// token generated after a prompt. A size of 0 only asks, bytes may be NULL then.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible size), ARGPICK_ERR_BUSY,
/// ARGPICK_ERR_POISONED.
///
/// # Safety
/// - decoder is a live decoder; bytes points to size bytes; stop and held_back can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_push_bytes(
    decoder: *mut argpick_decoder,
    bytes: *const c_void,
    size: usize,
    stop: *mut u32,
    held_back: *mut usize,
) -> argpick_status {
    call("argpick_decoder_push_bytes", || {
        writable(stop, "stop")?;
        writable(held_back, "held_back")?;
        // SAFETY: the caller's part is the same; the outputs were checked.
        unsafe {
            let found = enter(decoder, |decoder| Ok(decoder.push_bytes(slice(bytes.cast::<u8>(), size, "bytes")?)))?;
            stop.write(stop_number(found.stop));
            held_back.write(found.held_back);
        }
        Ok(())
    })
}

/// Tells why the sequence has ended, as far as tokens and bytes were recorded: ARGPICK_FINISH_NONE if it goes on.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
///
/// # Safety
/// - decoder is a live decoder; finish can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_finish(decoder: *const argpick_decoder, finish: *mut u32) -> argpick_status {
    call("argpick_decoder_finish", || {
        writable(finish, "finish")?;
        // SAFETY: the caller's part is the same; the output was checked above.
        unsafe { finish.write(finish_number(enter(decoder, |decoder| Ok(decoder.finish()))?)) };
        Ok(())
    })
}
