//! The steps of a beam search, and what it found.

use super::abi::{Growing, assert_layout, size_of_given, write};
use super::beam::{argpick_beam, argpick_beam_state, enter};
use super::decoder::{Entered, argpick_decoder};
use super::fault::Fault;
use super::guard::{call, call_on_rows, readable, slice, slice_mut, writable};
use super::memory::Words;
use super::pick::{ARGPICK_FINISH_END_TOKEN, ARGPICK_FINISH_LENGTH};
use super::status::argpick_status;
use super::step::{argpick_dtype, mask_of, row_of};
use crate::beam::{BeamSearch, BeamStep, Company, Continuation, Given};
use crate::decoder::Decoder;
use crate::error::Error;
use crate::trace::Finish;
use crate::types::{Row, TokenId};
use core::ffi::c_void;
use core::mem::offset_of;

/// A beam and the token it goes on with, or ends with. The element of an array, so it never grows.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_beam_continuation {
    /// The index of the beam among the rows of the step.
    pub parent: u32,
    /// Its token.
    pub token: u32,
    /// The sum of the log-probabilities of its tokens, this one included, in nats.
    pub score: f64,
}

// An array of ours is an array of the core's.
const _: () = {
    assert!(size_of::<argpick_beam_continuation>() == 16 && size_of::<Continuation>() == 16);
    assert!(align_of::<argpick_beam_continuation>() == align_of::<Continuation>());
    assert!(offset_of!(argpick_beam_continuation, parent) == offset_of!(Continuation, parent));
    assert!(offset_of!(argpick_beam_continuation, token) == offset_of!(Continuation, token));
    assert!(offset_of!(argpick_beam_continuation, score) == offset_of!(Continuation, score));
};

const _: () = {
    assert!(ARGPICK_FINISH_LENGTH == Finish::Length as u32 && ARGPICK_FINISH_END_TOKEN == Finish::EndToken as u32);
};

/// A sequence that has ended. Set struct_size = sizeof(argpick_hypothesis) before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_hypothesis {
    /// sizeof(argpick_hypothesis); the caller sets it.
    pub struct_size: u32,
    /// Generated tokens, the end token included.
    pub length: u32,
    /// Why it ended: ARGPICK_FINISH_END_TOKEN or ARGPICK_FINISH_LENGTH.
    pub finish: u32,
    /// 0.
    pub reserved1: u32,
    /// What it is ranked by: logprob divided by the length to the power length_penalty.
    pub score: f64,
    /// The sum of the log-probabilities of its tokens, in nats.
    pub logprob: f64,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers only.
unsafe impl Growing for argpick_hypothesis {
    const NAME: &'static str = "hypothesis";
    const RELEASED: &'static [u32] = &[32];
    const DEFAULT: Self = argpick_hypothesis {
        struct_size: size_of::<Self>() as u32,
        length: 0,
        finish: 0,
        reserved1: 0,
        score: 0.0,
        logprob: 0.0,
    };
}

assert_layout!(argpick_hypothesis { struct_size: 4, length: 4, finish: 4, reserved1: 4, score: 8, logprob: 8 });

impl Company for Option<Entered<'_>> {
    type Storage = Words;

    fn count(&self) -> Option<usize> {
        self.as_ref().map(Entered::count)
    }
    fn decoder(&mut self, index: usize) -> &mut Decoder<Words> {
        self.as_mut().expect("decoders were counted").one(index)
    }
    fn two(&mut self, a: usize, b: usize) -> (&mut Decoder<Words>, &mut Decoder<Words>) {
        self.as_mut().expect("decoders were counted").two(a, b)
    }
}

/// The arguments of a step.
struct Step {
    logits: *const *const c_void,
    dtype: argpick_dtype,
    count: usize,
    rows: usize,
    masks: *const *const u32,
    mask_words: usize,
    decoders: *const *mut argpick_decoder,
    decoder_count: usize,
    next: *mut argpick_beam_continuation,
    capacity: usize,
}

impl Step {
    /// # Safety
    /// As for `argpick_beam_step`.
    unsafe fn run(&self, search: &mut BeamSearch<Words>, failed_row: &mut Option<usize>) -> Result<BeamStep, Fault> {
        let vocab = search.vocab();
        if search.is_finished() {
            return Err(Fault::Core(Error::Finished));
        }
        if self.rows != search.live() {
            let (expected, actual) = (search.live(), self.rows);
            return Err(Fault::Core(Error::WrongLength { what: "rows", expected, actual }));
        }
        // SAFETY: the caller's part is the same; longer outputs than a step may write are not touched past that.
        let (logits, masks, next) = unsafe {
            let masks = if self.masks.is_null() { None } else { Some(slice(self.masks, self.rows, "masks")?) };
            let capacity = self.capacity.min(search.outputs());
            (
                slice(self.logits, self.rows, "logits")?,
                masks,
                slice_mut(self.next.cast::<Continuation>(), capacity, "next")?,
            )
        };
        // SAFETY: the caller's part is the same.
        let row_at = |i: usize| unsafe { row_of(logits[i], self.dtype, self.count, vocab) };
        let mask_at = |i: usize| match masks.map(|masks| masks[i]) {
            // SAFETY: the caller's part is the same.
            Some(mask) if !mask.is_null() => unsafe { mask_of(mask, self.mask_words, vocab) },
            _ => Ok(None),
        };
        for i in 0..self.rows {
            if let Err(fault) = row_at(i).map(|_| ()).and_then(|()| mask_at(i).map(|_| ())) {
                *failed_row = Some(i);
                return Err(fault);
            }
        }
        let row_at = |i: usize| row_at(i).unwrap_or(Row::F32(&[]));
        let mask_at = |i: usize| mask_at(i).unwrap_or(Some(&[]));
        let given = Given { count: self.rows, row_at: &row_at, mask_at: &mask_at };
        let mut company = match self.decoder_count {
            0 => None,
            // SAFETY: the caller's part is the same.
            _ => Some(unsafe { Entered::all(slice(self.decoders, self.decoder_count, "decoders")?) }?),
        };
        let result = search.step_beside(&mut company, &given, next);
        if let Some(entered) = company {
            entered.leave();
        }
        *failed_row = search.failed_row();
        Ok(result?)
    }
}

/// Takes a row of logits for each live beam and chooses how the search goes on.
///
/// Row i is logits[i] (count elements of type dtype, count the search's vocabulary), under masks[i] (mask_words words; NULL:
/// no mask); rows is the number of live beams, 1 at the first step. masks may be NULL: no row has one. Rows and masks are as
/// for argpick_decode, but a row with nothing left only gives up its beam, unless that is so for all.
///
/// decoder_count is 0 (decoders may be NULL then), or the number of the configuration's beams: one decoder for each, of equal
/// capacities. Row i is then adjusted as decoders[i] would adjust it (biases, bans, windows, penalties; neither truncated nor
/// divided by its temperature), and what ends its sequence ends the beam. Afterwards decoders[i] has the state of the decoder
/// of beam i's parent and has accepted its token.
///
/// next has capacity elements, at least state.outputs. First come the beams that go on, state->live of them: beam i of the
/// next step continues beam next[i].parent of this one with next[i].token. Then come those that ended, state->ended of them.
/// No memory is allocated and no system call is made.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE (state->struct_size), ARGPICK_ERR_BUSY (also a
/// decoder that stands in the list twice), ARGPICK_ERR_POISONED, ARGPICK_ERR_WRONG_LENGTH, ARGPICK_ERR_INVALID_PARAMETER
/// (dtype; decoders that differ), ARGPICK_ERR_NOT_IN_PROFILE (penalties), ARGPICK_ERR_INVALID_LOGIT (the row is in
/// argpick_last_error), ARGPICK_ERR_EVERYTHING_MASKED (no beam has a token left), ARGPICK_ERR_FINISHED. After any of them the
/// search, the decoders and the outputs are as they were.
///
/// # Safety
/// - beam is a live search; logits has rows elements, and so has masks unless it is NULL; decoders points to decoder_count
///   live decoders; next has capacity elements and state->struct_size bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_beam_step(
    beam: *mut argpick_beam,
    logits: *const *const c_void,
    dtype: argpick_dtype,
    count: usize,
    rows: usize,
    masks: *const *const u32,
    mask_words: usize,
    decoders: *const *mut argpick_decoder,
    decoder_count: usize,
    next: *mut argpick_beam_continuation,
    capacity: usize,
    state: *mut argpick_beam_state,
) -> argpick_status {
    let step = Step { logits, dtype, count, rows, masks, mask_words, decoders, decoder_count, next, capacity };
    call_on_rows("argpick_beam_step", |failed_row| {
        // SAFETY: the caller's part is the same. The size is checked before anything is changed.
        unsafe {
            readable(beam, "beam")?;
            let size = size_of_given(state)?;
            let told = enter(beam, |inner| {
                inner.ended = step.run(&mut inner.search, failed_row)?.ended as u32;
                Ok(inner.state())
            })?;
            write(state, size, &told);
        }
        Ok(())
    })
}

/// Writes the tokens of a live beam: as many as state.length says.
///
/// tokens may be NULL if capacity and length are 0. score is the sum of the log-probabilities.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_INVALID_PARAMETER
/// (there is no such beam), ARGPICK_ERR_WRONG_LENGTH (index = the capacity needed).
///
/// # Safety
/// - beam is a live search; tokens has capacity elements that can be written, and so can score.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_beam_tokens(
    beam: *const argpick_beam,
    index: u32,
    tokens: *mut u32,
    capacity: usize,
    score: *mut f64,
) -> argpick_status {
    call("argpick_beam_tokens", || {
        readable(beam, "beam")?;
        writable(score, "score")?;
        let index = index as usize;
        // SAFETY: the caller's part is the same; the output was checked.
        unsafe {
            let found = enter(beam, |inner| {
                let search = &inner.search;
                let absent = Error::InvalidParameter { name: "beam", value: index as f64 };
                let found = search.beam_score(index).ok_or(absent)?;
                let tokens: &mut [TokenId] = slice_mut(tokens, capacity.min(search.length() as usize), "tokens")?;
                search.beam_tokens(index, tokens)?;
                Ok(found)
            })?;
            score.write(found);
        }
        Ok(())
    })
}

/// Tells the hypothesis of a rank, 0 the best, and writes its tokens, hypothesis->length of them.
///
/// At any time: before the search is finished it is the best so far. With capacity 0 only hypothesis is written, and tokens
/// may be NULL.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE (hypothesis->struct_size), ARGPICK_ERR_BUSY,
/// ARGPICK_ERR_POISONED, ARGPICK_ERR_INVALID_PARAMETER (there are not so many), ARGPICK_ERR_WRONG_LENGTH (index = the
/// capacity needed).
///
/// # Safety
/// - beam is a live search; tokens has capacity elements and hypothesis->struct_size bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_beam_best(
    beam: *const argpick_beam,
    rank: u32,
    tokens: *mut u32,
    capacity: usize,
    hypothesis: *mut argpick_hypothesis,
) -> argpick_status {
    call("argpick_beam_best", || {
        // SAFETY: the caller's part is the same. The size is checked before anything is written.
        unsafe {
            readable(beam, "beam")?;
            let size = size_of_given(hypothesis)?;
            let told = enter(beam, |inner| {
                let absent = Error::InvalidParameter { name: "rank", value: rank.into() };
                let told = inner.search.hypothesis(rank as usize).ok_or(absent)?;
                if capacity > 0 {
                    let tokens: &mut [TokenId] = slice_mut(tokens, capacity.min(told.length as usize), "tokens")?;
                    inner.search.hypothesis_tokens(rank as usize, tokens)?;
                }
                Ok(told)
            })?;
            let told = argpick_hypothesis {
                struct_size: size,
                length: told.length,
                finish: told.finish as u32,
                reserved1: 0,
                score: told.score,
                logprob: told.logprob,
            };
            write(hypothesis, size, &told);
        }
        Ok(())
    })
}
