//! `argpick_replay`: a recorded run, executed again.

use super::abi::{Growing, assert_layout, size_of_given, write};
use super::decoder::{argpick_decoder, copy_on_heap};
use super::fault::Fault;
use super::guard::{Gate, call, readable, slice, writable};
use super::memory::{Block, Home, Words, end, place_on_heap};
use super::status::argpick_status;
use super::step::{argpick_dtype, mask_of, row_of};
use super::weights::{argpick_weights, enter_shared};
use crate::decoder::Decoder;
use crate::error::Error;
use crate::kernels::Kernels;
use crate::replay::{Difference, Replay};
use crate::trace::{FieldValue, StepRecord, Trace};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_void};

/// The step was recorded in the decoder, not only evaluated.
pub const ARGPICK_STEP_RECORDED: u32 = 1;
/// The columns that make the step's row are in the trace: argpick_replay_check_sparse needs only the weights.
pub const ARGPICK_STEP_COLUMNS: u32 = 2;
/// The step had a mask.
pub const ARGPICK_STEP_MASK: u32 = 4;
/// The step's mask is in the trace, so that none need be given.
pub const ARGPICK_STEP_MASK_RECORDED: u32 = 8;

/// The row is not the one that was recorded.
pub const ARGPICK_DIFFERS_ROW: u32 = 1;
/// The mask is not the one that was recorded.
pub const ARGPICK_DIFFERS_MASK: u32 = 2;
/// The answer is not the one that was recorded: see field.
pub const ARGPICK_DIFFERS_ANSWER: u32 = 4;

/// One step of a trace. Set struct_size = sizeof(argpick_step_record) before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_step_record {
    /// sizeof(argpick_step_record); the caller sets it.
    pub struct_size: u32,
    /// 1, or 0 at the end of the trace: then the rest means nothing.
    pub is_there: u32,
    /// Which step it is, from 0.
    pub step: u64,
    /// The position that its random numbers came from.
    pub position: u64,
    /// The digest of its row.
    pub row_digest: u64,
    /// The digest of its mask; 0 without one.
    pub mask_digest: u64,
    /// ARGPICK_STEP_ flags.
    pub flags: u32,
    /// ARGPICK_OK, or the status with which the step was refused.
    pub status: i32,
    /// The token picked; UINT32_MAX if it was refused.
    pub token: u32,
    /// Whether the sequence ended with it, and why: ARGPICK_FINISH_.
    pub finish: u32,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers only.
unsafe impl Growing for argpick_step_record {
    const NAME: &'static str = "step";
    const RELEASED: &'static [u32] = &[56];
    const DEFAULT: Self = argpick_step_record {
        struct_size: size_of::<Self>() as u32,
        is_there: 0,
        step: 0,
        position: 0,
        row_digest: 0,
        mask_digest: 0,
        flags: 0,
        status: 0,
        token: u32::MAX,
        finish: 0,
    };
}

assert_layout!(argpick_step_record {
    struct_size: 4,
    is_there: 4,
    step: 8,
    position: 8,
    row_digest: 8,
    mask_digest: 8,
    flags: 4,
    status: 4,
    token: 4,
    finish: 4,
});

/// What differs in a step. Set struct_size = sizeof(argpick_difference) before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_difference {
    /// sizeof(argpick_difference); the caller sets it.
    pub struct_size: u32,
    /// ARGPICK_DIFFERS_ flags; 0: row, mask and answer are those recorded, bit for bit.
    pub differs: u32,
    /// The step, from 0.
    pub step: u64,
    /// Its position, as recorded.
    pub position: u64,
    /// The digest of the row recorded; 0 unless it differs.
    pub recorded_row: u64,
    /// That of the row given.
    pub found_row: u64,
    /// The digest of the mask recorded; 0 unless it differs.
    pub recorded_mask: u64,
    /// That of the mask given.
    pub found_mask: u64,
    /// The first field of the answer that differs, for argpick_field_name; 0 for none.
    pub field: u32,
    /// 0.
    pub reserved0: u32,
    /// The field as recorded.
    pub recorded: f64,
    /// The field as it came out.
    pub found: f64,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers only.
unsafe impl Growing for argpick_difference {
    const NAME: &'static str = "difference";
    const RELEASED: &'static [u32] = &[80];
    const DEFAULT: Self = argpick_difference {
        struct_size: size_of::<Self>() as u32,
        differs: 0,
        step: 0,
        position: 0,
        recorded_row: 0,
        found_row: 0,
        recorded_mask: 0,
        found_mask: 0,
        field: 0,
        reserved0: 0,
        recorded: 0.0,
        found: 0.0,
    };
}

assert_layout!(argpick_difference {
    struct_size: 4,
    differs: 4,
    step: 8,
    position: 8,
    recorded_row: 8,
    found_row: 8,
    recorded_mask: 8,
    found_mask: 8,
    field: 4,
    reserved0: 4,
    recorded: 8,
    found: 8,
});

/// Fields by their numbers, from 1. New ones come at the end.
const FIELDS: [&CStr; 21] = [
    c"status",
    c"position",
    c"token",
    c"argmax",
    c"finish",
    c"rank",
    c"kept",
    c"loop_period",
    c"loop_repeats",
    c"margin",
    c"temperature",
    c"top1_probability",
    c"entropy",
    c"logprob_raw",
    c"logprob",
    c"cumulative_logprob",
    c"kept_mass",
    c"loop_score",
    c"flip_argmax",
    c"flip_kept",
    c"flip_token",
];

/// The name of a field of argpick_difference; an empty text for 0 and for numbers that no field has.
///
/// Never NULL; static text, nothing to free.
#[unsafe(no_mangle)]
pub extern "C" fn argpick_field_name(field: u32) -> *const c_char {
    let name = (field as usize).checked_sub(1).and_then(|index| FIELDS.get(index));
    name.map_or(c"".as_ptr(), |name| name.as_ptr())
}

type Player = Replay<'static, Words, Block<u32>>;

/// A trace being executed again. One thread at a time: a second one gets ARGPICK_ERR_BUSY.
pub struct argpick_replay {
    gate: Gate,
    inner: UnsafeCell<Player>,
}

/// Runs `body` on a replay, alone.
///
/// # Safety
/// `replay`, unless NULL, is a live handle.
unsafe fn enter_replay<R>(
    replay: *mut argpick_replay,
    body: impl FnOnce(&mut Player) -> Result<R, Fault>,
) -> Result<R, Fault> {
    readable(replay.cast_const(), "replay")?;
    // SAFETY: not NULL and aligned, and a live handle by the caller's word; all of it but the gate is behind the gate.
    let handle = unsafe { &*replay };
    let pass = handle.gate.exclusive()?;
    // SAFETY: the gate lets in one at a time.
    let result = body(unsafe { &mut *handle.inner.get() });
    pass.leave();
    result
}

/// Begins to execute a trace, whose size bytes are checked as a whole and believed in nothing.
///
/// The bytes stay where they are, unchanged, until argpick_replay_free. steps, unless NULL, tells how many steps there are, and
/// is_complete, unless NULL, whether the trace has its end (1): one that was cut off is executed up to there.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible size),
/// ARGPICK_ERR_FILE_MALFORMED (no trace, or a damaged one, or one of another format, release or numerics),
/// ARGPICK_ERR_INVALID_PARAMETER, ARGPICK_ERR_NOT_IN_PROFILE, ARGPICK_ERR_OUT_OF_MEMORY, ARGPICK_ERR_KERNEL_UNAVAILABLE and
/// ARGPICK_ERR_UNKNOWN_KERNEL (see argpick_kernel). Not in a library without a heap.
///
/// # Safety
/// - bytes points to size bytes that nobody changes until the replay is freed; steps and is_complete, unless NULL, and out
///   can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_replay_new(
    bytes: *const c_void,
    size: usize,
    steps: *mut u64,
    is_complete: *mut u32,
    out: *mut *mut argpick_replay,
) -> argpick_status {
    call("argpick_replay_new", || {
        readable(bytes.cast::<u8>(), "bytes")?;
        writable(out, "out")?;
        if !steps.is_null() {
            writable(steps, "steps")?;
        }
        if !is_complete.is_null() {
            writable(is_complete, "is_complete")?;
        }
        // SAFETY: the caller's part is the same; they stay until the handle is freed.
        let trace = Trace::open(unsafe { slice::<'static, u8>(bytes.cast(), size, "bytes") }?)?;
        let kernels = Kernels::detect()?;
        let words = Decoder::<Words>::storage_words(trace.config(), trace.vocab())?;
        let lists = Block::<u32>::allocate(Player::list_words(&trace))?;
        let (count, complete) = (trace.steps(), u32::from(trace.is_complete()));
        let inner = Replay::new_in(trace, kernels, Words::allocate(words)?, lists)?;
        let handle = place_on_heap(argpick_replay { gate: Gate::new("replay"), inner: UnsafeCell::new(inner) })?;
        // SAFETY: not NULL and aligned, or NULL and left alone; that they can be written is the caller's part.
        unsafe {
            if !steps.is_null() {
                steps.write(count);
            }
            if !is_complete.is_null() {
                is_complete.write(complete);
            }
            out.write(handle);
        }
        Ok(())
    })
}

/// Ends a replay; NULL is allowed and does nothing.
///
/// # Safety
/// - replay is NULL or a live replay; it is not used after this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_replay_free(replay: *mut argpick_replay) {
    if replay.is_null() {
        return;
    }
    call("argpick_replay_free", || {
        readable(replay, "replay")?;
        // SAFETY: a live handle by the caller's word.
        unsafe { &*replay }.gate.last()?;
        // SAFETY: the gate let us in for good, so nobody else is in the handle, and the caller will not use it again.
        unsafe { end(replay, Home::Heap) };
        Ok(())
    });
}

/// Tells the length of the rows that the trace's steps take.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
///
/// # Safety
/// - replay is a live replay; vocab can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_replay_vocab(replay: *mut argpick_replay, vocab: *mut u32) -> argpick_status {
    call("argpick_replay_vocab", || {
        readable(replay.cast_const(), "replay")?;
        writable(vocab, "vocab")?;
        // SAFETY: the caller's part is the same; the output was checked above. A vocabulary is at most 2^22.
        unsafe { vocab.write(enter_replay(replay, |replay| Ok(replay.decoder().vocab() as u32))?) };
        Ok(())
    })
}

/// Makes a copy of the decoder as the trace has left it so far: its configuration, position, history and lists can be asked of
/// that one, and it can go on alone from there. argpick_decoder_free frees it.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_OUT_OF_MEMORY.
///
/// # Safety
/// - replay is a live replay; out can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_replay_decoder(
    replay: *mut argpick_replay,
    out: *mut *mut argpick_decoder,
) -> argpick_status {
    call("argpick_replay_decoder", || {
        readable(replay.cast_const(), "replay")?;
        writable(out, "out")?;
        // SAFETY: the caller's part is the same; the output was checked above.
        unsafe { out.write(enter_replay(replay, |replay| copy_on_heap(replay.decoder()))?) };
        Ok(())
    })
}

/// Does what the host did before the next step and tells about that step. Until it is checked, it is the same one.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED,
/// ARGPICK_ERR_OUT_OF_MEMORY, and those of the decoder's functions where the trace holds what no host could have done.
///
/// # Safety
/// - replay is a live replay; step->struct_size bytes can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_replay_next(
    replay: *mut argpick_replay,
    step: *mut argpick_step_record,
) -> argpick_status {
    call("argpick_replay_next", || {
        readable(replay.cast_const(), "replay")?;
        // SAFETY: the caller's part is the same.
        unsafe {
            let size = size_of_given(step)?;
            let found = enter_replay(replay, |replay| {
                loop {
                    match replay.advance() {
                        Err(Error::StorageTooSmall { expected, .. }) => replay.move_to(Words::allocate(expected)?)?,
                        answer => break Ok(answer?.map(|step| record_of(&step, replay.steps()))),
                    }
                }
            })?;
            write(step, size, &found.unwrap_or(argpick_step_record::DEFAULT));
        }
        Ok(())
    })
}

fn record_of(step: &StepRecord, number: u64) -> argpick_step_record {
    let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
    argpick_step_record {
        struct_size: size_of::<argpick_step_record>() as u32,
        is_there: 1,
        step: number,
        position: step.position,
        row_digest: step.row,
        mask_digest: step.mask.unwrap_or(0),
        flags: flag(step.is_recorded, ARGPICK_STEP_RECORDED)
            | flag(step.has_columns, ARGPICK_STEP_COLUMNS)
            | flag(step.mask.is_some(), ARGPICK_STEP_MASK)
            | flag(step.has_mask, ARGPICK_STEP_MASK_RECORDED),
        status: step.outcome.err().unwrap_or(0),
        token: step.outcome.map_or(u32::MAX, |pick| pick.token),
        finish: step.outcome.map_or(0, |pick| pick.finish as u32),
    }
}

impl From<Difference> for argpick_difference {
    fn from(difference: Difference) -> Self {
        // Without `..`: a new part must get its place here.
        let Difference { step, position, row, mask, field } = difference;
        let mut found = argpick_difference { step, position, ..argpick_difference::DEFAULT };
        if let Some(row) = row {
            found.differs |= ARGPICK_DIFFERS_ROW;
            (found.recorded_row, found.found_row) = (row.recorded, row.found);
        }
        if let Some(mask) = mask {
            found.differs |= ARGPICK_DIFFERS_MASK;
            (found.recorded_mask, found.found_mask) = (mask.recorded, mask.found);
        }
        if let Some(field) = field {
            let number = |value: FieldValue| match value {
                FieldValue::Count(count) => count as f64,
                FieldValue::Float(value) => value.into(),
            };
            let index = FIELDS.iter().position(|name| name.to_bytes() == field.name.as_bytes());
            found.differs |= ARGPICK_DIFFERS_ANSWER;
            found.field = index.map_or(0, |index| index as u32 + 1);
            (found.recorded, found.found) = (number(field.recorded), number(field.found));
        }
        found
    }
}

/// Runs the step that argpick_replay_next told about on its row, and tells what differs from the trace.
///
/// The mask may be left out (NULL and 0) where the trace has it, or where the step had none. After a difference the decoder is
/// where the step has left it now, so that what follows may differ, too.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED,
/// ARGPICK_ERR_WRONG_LENGTH, ARGPICK_ERR_INVALID_PARAMETER (dtype), ARGPICK_ERR_FINISHED (no step is due). A row that is
/// refused is an answer, which is compared, too.
///
/// # Safety
/// - replay is a live replay; logits and mask have as many elements as said; difference->struct_size bytes can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_replay_check(
    replay: *mut argpick_replay,
    logits: *const c_void,
    dtype: argpick_dtype,
    count: usize,
    mask: *const u32,
    mask_words: usize,
    difference: *mut argpick_difference,
) -> argpick_status {
    call("argpick_replay_check", || {
        readable(replay.cast_const(), "replay")?;
        // SAFETY: the caller's part is the same.
        unsafe {
            let size = size_of_given(difference)?;
            let found = enter_replay(replay, |replay| {
                let (step, decoder) = (replay.steps(), replay.decoder());
                let (position, vocab) = (decoder.position(), decoder.vocab());
                let row = row_of(logits, dtype, count, vocab)?;
                let found = replay.check(row, mask_of(mask, mask_words, vocab)?)?;
                Ok(found.map_or(argpick_difference { step, position, ..argpick_difference::DEFAULT }, Into::into))
            })?;
            write(difference, size, &found);
        }
        Ok(())
    })
}

/// The same with the row that weights make of the columns in the trace.
///
/// Statuses: those of argpick_replay_check; ARGPICK_ERR_WRONG_LENGTH also if the trace has no columns for this step;
/// ARGPICK_ERR_COLUMN_OUT_OF_RANGE, ARGPICK_ERR_INVALID_PARAMETER (values).
///
/// # Safety
/// - replay and weights are live handles; mask has mask_words words; difference->struct_size bytes can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_replay_check_sparse(
    replay: *mut argpick_replay,
    weights: *const argpick_weights,
    mask: *const u32,
    mask_words: usize,
    difference: *mut argpick_difference,
) -> argpick_status {
    call("argpick_replay_check_sparse", || {
        readable(replay.cast_const(), "replay")?;
        readable(weights, "weights")?;
        // SAFETY: the caller's part is the same.
        unsafe {
            let size = size_of_given(difference)?;
            let found = enter_replay(replay, |replay| {
                let (step, decoder) = (replay.steps(), replay.decoder());
                let (position, vocab) = (decoder.position(), decoder.vocab());
                let mask = mask_of(mask, mask_words, vocab)?;
                let found = enter_shared(weights, |store| Ok(replay.check_sparse(&store.head()?, mask)?))?;
                Ok(found.map_or(argpick_difference { step, position, ..argpick_difference::DEFAULT }, Into::into))
            })?;
            write(difference, size, &found);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::field_names;

    #[test]
    fn every_field_has_a_number() {
        for name in field_names().into_iter().chain(["status", "position"]) {
            assert!(FIELDS.iter().any(|known| known.to_bytes() == name.as_bytes()), "{name}");
        }
        assert_eq!(field_names().len() + 2, FIELDS.len());
    }
}
