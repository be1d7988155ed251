//! A decoder as bytes, to go on elsewhere or later.

use super::decoder::{argpick_decoder, enter, with_room};
use super::guard::{call, readable, slice, slice_mut, writable};
use super::status::argpick_status;
use core::ffi::c_void;

/// Tells how many bytes argpick_decoder_save would write now.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
///
/// # Safety
/// - decoder is a live decoder; size can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_saved_size(decoder: *mut argpick_decoder, size: *mut usize) -> argpick_status {
    call("argpick_decoder_saved_size", || {
        readable(decoder, "decoder")?;
        writable(size, "size")?;
        // SAFETY: the caller's part is the same; the output was checked.
        unsafe { size.write(enter(decoder, |decoder| Ok(decoder.saved_size()))?) };
        Ok(())
    })
}

/// Writes the decoder's state to bytes: configuration, position, history, biases, bans and all other lists.
///
/// size is the room there is, at least what argpick_decoder_saved_size says; written is how many bytes it took. The bytes
/// are the same on every processor and may be kept for as long as ARGPICK_NUMERICS_VERSION stays.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_WRONG_LENGTH
/// (index = bytes needed). Nothing is written then.
///
/// # Safety
/// - decoder is a live decoder; bytes points to size bytes that can be written; written can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_save(
    decoder: *mut argpick_decoder,
    bytes: *mut c_void,
    size: usize,
    written: *mut usize,
) -> argpick_status {
    call("argpick_decoder_save", || {
        readable(decoder, "decoder")?;
        writable(bytes.cast::<u8>(), "bytes")?;
        writable(written, "written")?;
        // SAFETY: the caller's part is the same; the outputs were checked.
        unsafe {
            written.write(enter(decoder, |decoder| {
                // More room than needed is not touched, whatever its size is said to be.
                let room = size.min(decoder.saved_size());
                Ok(decoder.save(slice_mut(bytes.cast::<u8>(), room, "bytes")?)?)
            })?);
        }
        Ok(())
    })
}

/// Takes over a state that argpick_decoder_save wrote, its configuration included; the vocabulary must be the same.
///
/// The next tokens are those that the saved decoder would have picked. The bytes are not trusted: every number in them is
/// checked. A decoder on the heap gets more memory if it needs it; one in memory of the caller's must have been given enough.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible size), ARGPICK_ERR_BUSY,
/// ARGPICK_ERR_POISONED, ARGPICK_ERR_BAD_STATE, ARGPICK_ERR_INVALID_PARAMETER, ARGPICK_ERR_OUT_OF_MEMORY,
/// ARGPICK_ERR_STORAGE_TOO_SMALL (index = bytes needed). After any of them nothing has changed.
///
/// # Safety
/// - decoder is a live decoder; bytes points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_load(
    decoder: *mut argpick_decoder,
    bytes: *const c_void,
    size: usize,
) -> argpick_status {
    call("argpick_decoder_load", || {
        readable(decoder, "decoder")?;
        readable(bytes.cast::<u8>(), "bytes")?;
        // SAFETY: the caller's part is the same.
        unsafe {
            let bytes = slice(bytes.cast::<u8>(), size, "bytes")?;
            enter(decoder, |decoder| with_room(decoder, |decoder| decoder.load(bytes)))
        }
    })
}
