//! `argpick_trace`: a recorded run. What a host does to a decoder through these functions is done and written down; the steps are
//! in `trace_step`.

use super::config::{argpick_config, config_of};
use super::decoder::{argpick_decoder, enter, with_room};
use super::fault::Fault;
use super::guard::{Gate, call, readable, slice, writable};
use super::lists::stop_number;
use super::memory::{Block, Home, Words, end, place_on_heap};
use super::status::argpick_status;
use crate::decoder::Decoder;
use crate::error::Error;
use crate::replay::{Recorder, TraceParts};
use crate::trace::TraceSink;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_void};

/// Record the numbers of each pick that the metrics asked for.
pub const ARGPICK_TRACE_NUMBERS: u32 = 1;
/// Record the masks themselves, each when it changes, so that a replay need not be given them.
pub const ARGPICK_TRACE_MASKS: u32 = 2;
/// Record the columns of sparse steps, so that a replay needs only the weights.
pub const ARGPICK_TRACE_COLUMNS: u32 = 4;
/// Record everything.
pub const ARGPICK_TRACE_ALL: u32 = 7;

/// Takes bytes of a trace, in order; answers 0, or another number if it cannot, and then the trace ends there.
pub type argpick_trace_sink =
    Option<unsafe extern "C" fn(context: *mut c_void, bytes: *const c_void, size: usize) -> i32>;

/// A run of one decoder, being recorded. One thread at a time: a second one gets ARGPICK_ERR_BUSY.
pub struct argpick_trace {
    gate: Gate,
    inner: UnsafeCell<State>,
}

pub(super) struct State {
    /// Until the trace has ended.
    pub(super) recorder: Option<Recorder<Sink>>,
    /// The whole trace, after its end, where no sink took it.
    bytes: Vec<u8>,
}

/// Where the bytes go.
pub(super) enum Sink {
    Memory(Vec<u8>),
    Host { sink: unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> i32, context: *mut c_void },
}

impl TraceSink for Sink {
    fn put(&mut self, bytes: &[u8]) -> crate::Result<()> {
        match self {
            Sink::Memory(memory) => memory.put(bytes),
            Sink::Host { sink, context } => {
                // SAFETY: the host's function with the host's context, as it promised to argpick_trace_new.
                match unsafe { sink(*context, bytes.as_ptr().cast(), bytes.len()) } {
                    0 => Ok(()),
                    code => Err(Error::File { operation: "write", code }),
                }
            }
        }
    }
}

/// Runs `body` on a trace, alone.
///
/// # Safety
/// `trace`, unless NULL, is a live handle.
pub(super) unsafe fn enter_trace<R>(
    trace: *mut argpick_trace,
    body: impl FnOnce(&mut State) -> Result<R, Fault>,
) -> Result<R, Fault> {
    readable(trace.cast_const(), "trace")?;
    // SAFETY: not NULL and aligned, and a live handle by the caller's word; all of it but the gate is behind the gate.
    let handle = unsafe { &*trace };
    let pass = handle.gate.exclusive()?;
    // SAFETY: the gate lets in one at a time.
    let result = body(unsafe { &mut *handle.inner.get() });
    pass.leave();
    result
}

/// Runs `body` on the recorder of a trace and on a decoder.
///
/// # Safety
/// Both are live handles, unless NULL.
pub(super) unsafe fn enter_both<R>(
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    body: impl FnOnce(&mut Recorder<Sink>, &mut Decoder<Words>) -> Result<R, Fault>,
) -> Result<R, Fault> {
    // SAFETY: the caller's part is the same.
    unsafe {
        enter_trace(trace, |state| {
            let recorder = state.recorder.as_mut().ok_or(Fault::Ended("trace"))?;
            enter(decoder, |decoder| body(recorder, decoder))
        })
    }
}

/// Writes the decoder's whole state.
fn record_state(recorder: &mut Recorder<Sink>, decoder: &mut Decoder<Words>) -> Result<(), Fault> {
    let mut buffer = Block::<u8>::allocate(decoder.saved_size())?;
    Ok(recorder.state(decoder, buffer.as_mut())?)
}

/// Begins a trace of a decoder as it is now: its whole state stands at the beginning.
///
/// From here on the host does what it does to the decoder through the functions below, each of which does the same as the
/// decoder's own and then writes it down. A sink that fails does not disturb the run: the trace ends there, and
/// argpick_trace_finish says so.
///
/// parts are ARGPICK_TRACE_ flags. sink gets the bytes as they come, with context; NULL keeps them in memory, until
/// argpick_trace_finish hands them out. It is called inside of the functions below and must not use the trace or the decoder.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_RESERVED (parts),
/// ARGPICK_ERR_OUT_OF_MEMORY. Not in a library without a heap.
///
/// # Safety
/// - decoder is a live decoder; sink, unless NULL, can be called with context until the trace is freed; out can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_new(
    decoder: *mut argpick_decoder,
    parts: u32,
    sink: argpick_trace_sink,
    context: *mut c_void,
    out: *mut *mut argpick_trace,
) -> argpick_status {
    call("argpick_trace_new", || {
        readable(decoder.cast_const(), "decoder")?;
        writable(out, "out")?;
        if parts & !ARGPICK_TRACE_ALL != 0 {
            return Err(Fault::Reserved { what: "parts", value: parts });
        }
        let has = |flag: u32| parts & flag != 0;
        let parts = TraceParts {
            numbers: has(ARGPICK_TRACE_NUMBERS),
            masks: has(ARGPICK_TRACE_MASKS),
            columns: has(ARGPICK_TRACE_COLUMNS),
        };
        let sink = sink.map_or(Sink::Memory(Vec::new()), |sink| Sink::Host { sink, context });
        // SAFETY: the caller's part is the same.
        let recorder = unsafe {
            enter(decoder, |decoder| {
                let mut recorder = Recorder::new(sink, decoder, parts);
                record_state(&mut recorder, decoder)?;
                Ok(recorder)
            })
        }?;
        let state = State { recorder: Some(recorder), bytes: Vec::new() };
        let handle = place_on_heap(argpick_trace { gate: Gate::new("trace"), inner: UnsafeCell::new(state) })?;
        // SAFETY: not NULL and aligned; that it can be written is the caller's part.
        unsafe { out.write(handle) };
        Ok(())
    })
}

/// Ends a handle; NULL is allowed and does nothing. The bytes that argpick_trace_finish handed out go with it.
///
/// # Safety
/// - trace is NULL or a live trace; neither it nor its bytes are used after this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_free(trace: *mut argpick_trace) {
    if trace.is_null() {
        return;
    }
    call("argpick_trace_free", || {
        readable(trace, "trace")?;
        // SAFETY: a live handle by the caller's word.
        unsafe { &*trace }.gate.last()?;
        // SAFETY: the gate let us in for good, so nobody else is in the handle, and the caller will not use it again.
        unsafe { end(trace, Home::Heap) };
        Ok(())
    });
}

/// Ends the trace: its last record, with the checksum. Nothing can be recorded after it.
///
/// bytes and size are the whole trace, which stays where it is until argpick_trace_free; NULL and 0 where a sink took it.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_FINISHED (it has
/// ended before), ARGPICK_ERR_FILE (value = what the sink answered), ARGPICK_ERR_CAPACITY_EXCEEDED (no memory for more).
///
/// # Safety
/// - trace is a live trace; bytes and size can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_finish(
    trace: *mut argpick_trace,
    bytes: *mut *const c_void,
    size: *mut usize,
) -> argpick_status {
    call("argpick_trace_finish", || {
        readable(trace.cast_const(), "trace")?;
        writable(bytes, "bytes")?;
        writable(size, "size")?;
        // SAFETY: the caller's part is the same; the outputs were checked.
        unsafe {
            let (at, length) =
                enter_trace(trace, |state| match state.recorder.take().ok_or(Fault::Ended("trace"))?.finish()? {
                    Sink::Host { .. } => Ok((core::ptr::null(), 0)),
                    Sink::Memory(memory) => {
                        state.bytes = memory;
                        Ok((state.bytes.as_ptr(), state.bytes.len()))
                    }
                })?;
            bytes.write(at.cast());
            size.write(length);
        }
        Ok(())
    })
}

/// Writes the decoder's whole state into the trace: after anything that was done to it without the trace.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_FINISHED (the trace
/// has ended), ARGPICK_ERR_OUT_OF_MEMORY.
///
/// # Safety
/// - trace and decoder are live handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_state(
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
) -> argpick_status {
    // SAFETY: the caller's part is the same.
    call("argpick_trace_state", || unsafe { enter_both(trace, decoder, record_state) })
}

/// Writes a remark of size bytes in UTF-8 for whoever reads the trace; it means nothing to a replay.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_WRONG_LENGTH (an impossible size), ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED,
/// ARGPICK_ERR_FINISHED (the trace has ended), ARGPICK_ERR_TEXT.
///
/// # Safety
/// - trace is a live trace; text points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_note(
    trace: *mut argpick_trace,
    text: *const c_char,
    size: usize,
) -> argpick_status {
    call("argpick_trace_note", || {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter_trace(trace, |state| {
                let recorder = state.recorder.as_mut().ok_or(Fault::Ended("trace"))?;
                let text = core::str::from_utf8(slice(text.cast::<u8>(), size, "text")?);
                recorder.note(text.map_err(|error| Fault::Text { what: "text", offset: error.valid_up_to() })?);
                Ok(())
            })
        }
    })
}

/// argpick_decoder_push_bytes, recorded, so that a replay finds the same stop strings.
///
/// Statuses: those of argpick_decoder_push_bytes; ARGPICK_ERR_FINISHED if the trace has ended.
///
/// # Safety
/// - trace and decoder are live handles; bytes points to size bytes; stop and held_back can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_push_bytes(
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    bytes: *const c_void,
    size: usize,
    stop: *mut u32,
    held_back: *mut usize,
) -> argpick_status {
    call("argpick_trace_push_bytes", || {
        writable(stop, "stop")?;
        writable(held_back, "held_back")?;
        // SAFETY: the caller's part is the same; the outputs were checked.
        unsafe {
            let found = enter_both(trace, decoder, |recorder, decoder| {
                Ok(recorder.push_bytes(decoder, slice(bytes.cast::<u8>(), size, "bytes")?))
            })?;
            stop.write(stop_number(found.stop));
            held_back.write(found.held_back);
        }
        Ok(())
    })
}

/// argpick_decoder_prompt, recorded.
///
/// Statuses: those of argpick_decoder_prompt; ARGPICK_ERR_FINISHED if the trace has ended.
///
/// # Safety
/// - trace and decoder are live handles; tokens points to count ids.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_prompt(
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    tokens: *const u32,
    count: usize,
) -> argpick_status {
    call("argpick_trace_prompt", || {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter_both(trace, decoder, |recorder, decoder| {
                Ok(recorder.prompt(decoder, slice(tokens, count, "tokens")?)?)
            })
        }
    })
}

/// argpick_decoder_accept, recorded.
///
/// Statuses: those of argpick_decoder_accept; ARGPICK_ERR_FINISHED also if the trace has ended.
///
/// # Safety
/// - trace and decoder are live handles; tokens points to count ids.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_accept(
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    tokens: *const u32,
    count: usize,
) -> argpick_status {
    call("argpick_trace_accept", || {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter_both(trace, decoder, |recorder, decoder| {
                Ok(recorder.accept(decoder, slice(tokens, count, "tokens")?)?)
            })
        }
    })
}

/// argpick_decoder_undo, recorded.
///
/// Statuses: those of argpick_decoder_undo; ARGPICK_ERR_FINISHED if the trace has ended.
///
/// # Safety
/// - trace and decoder are live handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_undo(
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    count: usize,
) -> argpick_status {
    call("argpick_trace_undo", || {
        // SAFETY: the caller's part is the same.
        unsafe { enter_both(trace, decoder, |recorder, decoder| Ok(recorder.undo(decoder, count)?)) }
    })
}

/// argpick_decoder_seek, recorded.
///
/// Statuses: those of argpick_decoder_seek; ARGPICK_ERR_FINISHED if the trace has ended.
///
/// # Safety
/// - trace and decoder are live handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_seek(
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    position: u64,
) -> argpick_status {
    call("argpick_trace_seek", || {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter_both(trace, decoder, |recorder, decoder| {
                recorder.seek(decoder, position);
                Ok(())
            })
        }
    })
}

/// argpick_decoder_reset, recorded.
///
/// Statuses: those of argpick_decoder_reset; ARGPICK_ERR_FINISHED if the trace has ended.
///
/// # Safety
/// - trace and decoder are live handles; config is NULL or points to a struct that is as long as its struct_size says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_reset(
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    config: *const argpick_config,
) -> argpick_status {
    call("argpick_trace_reset", || {
        let config = match config.is_null() {
            true => None,
            // SAFETY: the caller's part is the same.
            false => Some(unsafe { config_of(config) }?),
        };
        // SAFETY: the caller's part is the same.
        unsafe {
            enter_both(trace, decoder, |recorder, decoder| {
                with_room(decoder, |decoder| decoder.reset(config.as_ref()))?;
                recorder.was_reset(config.as_ref());
                Ok(())
            })
        }
    })
}

/// argpick_decoder_set_bias, recorded.
///
/// Statuses: those of argpick_decoder_set_bias; ARGPICK_ERR_FINISHED if the trace has ended.
///
/// # Safety
/// - trace and decoder are live handles; tokens and biases point to count elements each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_set_bias(
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    tokens: *const u32,
    biases: *const f32,
    count: usize,
) -> argpick_status {
    call("argpick_trace_set_bias", || {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter_both(trace, decoder, |recorder, decoder| {
                let (tokens, biases) = (slice(tokens, count, "tokens")?, slice(biases, count, "biases")?);
                Ok(recorder.set_bias_by(decoder, count, |i| (tokens[i], biases[i]))?)
            })
        }
    })
}

/// argpick_decoder_set_bans, recorded.
///
/// Statuses: those of argpick_decoder_set_bans; ARGPICK_ERR_FINISHED if the trace has ended.
///
/// # Safety
/// - trace and decoder are live handles; tokens points to count ids.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_trace_set_bans(
    trace: *mut argpick_trace,
    decoder: *mut argpick_decoder,
    tokens: *const u32,
    count: usize,
) -> argpick_status {
    call("argpick_trace_set_bans", || {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter_both(trace, decoder, |recorder, decoder| {
                Ok(recorder.set_bans(decoder, slice(tokens, count, "tokens")?)?)
            })
        }
    })
}
