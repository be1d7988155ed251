//! `argpick_decoder`: a sequence being decoded. Its life, its history and its lists; the steps are in `step`.

use super::abi::{size_of_given, write};
use super::config::{argpick_config, config_of};
use super::fault::Fault;
use super::guard::{Gate, Pass, call, readable, slice, slice_mut, writable};
use super::memory::{Home, Words, check_memory, end};
use super::status::argpick_status;
use crate::decoder::Decoder;
use crate::error::Error;
use crate::kernels::Kernels;
use crate::plan::Config;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::NonNull;

/// A sequence being decoded: a configuration, a position, a history, biases, bans and other lists. One thread at a time: a
/// second one gets ARGPICK_ERR_BUSY.
#[repr(align(16))]
pub struct argpick_decoder {
    pub(super) gate: Gate,
    home: Home,
    inner: UnsafeCell<Decoder<Words>>,
}

const _: () = assert!(align_of::<argpick_decoder>() == super::abi::ARGPICK_MEMORY_ALIGNMENT as usize);

impl argpick_decoder {
    fn new(home: Home, inner: Decoder<Words>) -> Self {
        argpick_decoder { gate: Gate::new("decoder"), home, inner: UnsafeCell::new(inner) }
    }
}

/// Several decoders, entered at once. A panic meanwhile poisons them all.
pub(super) struct Entered<'a> {
    handles: &'a [*mut argpick_decoder],
    inside: usize,
}

impl<'a> Entered<'a> {
    /// Enters them all, or none. A handle that stands in the list twice is busy with itself.
    ///
    /// # Safety
    /// Each handle, unless NULL, is a live one.
    pub unsafe fn all(handles: &'a [*mut argpick_decoder]) -> Result<Self, Fault> {
        let mut entered = Entered { handles, inside: 0 };
        for &handle in handles {
            let pass = readable(handle, "decoders[i]").and_then(|()| {
                // SAFETY: not NULL and aligned, and a live handle by the caller's word.
                unsafe { &(*handle).gate }.exclusive()
            });
            match pass {
                Ok(pass) => pass.put_down(),
                Err(fault) => {
                    entered.leave();
                    return Err(fault);
                }
            }
            entered.inside += 1;
        }
        Ok(entered)
    }

    fn passes(&mut self, end: impl Fn(Pass<'_>)) {
        for &handle in &self.handles[..core::mem::take(&mut self.inside)] {
            // SAFETY: we are inside, so it is a live handle.
            end(Pass::taken_up(unsafe { &(*handle).gate }));
        }
    }

    /// Leaves them all.
    pub fn leave(mut self) {
        self.passes(|pass| pass.leave());
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.handles.len()
    }

    /// The decoders of these indices, which differ.
    pub fn two(&mut self, a: usize, b: usize) -> (&mut Decoder<Words>, &mut Decoder<Words>) {
        assert!(a != b && a < self.inside && b < self.inside, "{a} and {b} of {}", self.inside);
        // SAFETY: we are inside of both alone. They are not the same: nobody gets into a handle twice.
        unsafe { (&mut *(*self.handles[a]).inner.get(), &mut *(*self.handles[b]).inner.get()) }
    }

    /// The decoder of this index.
    pub fn one(&mut self, index: usize) -> &mut Decoder<Words> {
        assert!(index < self.inside, "{index} of {}", self.inside);
        // SAFETY: we are inside alone.
        unsafe { &mut *(*self.handles[index]).inner.get() }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.passes(|pass| drop(pass));
    }
}

/// Runs `body` on a decoder, alone.
///
/// # Safety
/// `decoder`, unless NULL, is a live handle.
pub(super) unsafe fn enter<R>(
    decoder: *const argpick_decoder,
    body: impl FnOnce(&mut Decoder<Words>) -> Result<R, Fault>,
) -> Result<R, Fault> {
    readable(decoder, "decoder")?;
    // SAFETY: not NULL and aligned, and a live handle by the caller's word; all of it but the gate is behind the gate.
    let handle = unsafe { &*decoder };
    let pass = handle.gate.exclusive()?;
    // SAFETY: the gate lets in one at a time.
    let result = body(unsafe { &mut *handle.inner.get() });
    pass.leave();
    result
}

/// The vocabulary, as the core counts it. A value past `usize` is past the limit, too.
fn vocab_of(vocab: u32) -> usize {
    usize::try_from(vocab).unwrap_or(usize::MAX)
}

fn words_for(config: &Config, vocab: u32) -> Result<usize, Fault> {
    Ok(Decoder::<Words>::storage_words(config, vocab_of(vocab))?)
}

/// Makes a decoder on the heap for rows of vocab logits, 1 to 2^22. It is freed by argpick_decoder_free.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_INVALID_PARAMETER (name and
/// value in argpick_last_error), ARGPICK_ERR_OUT_OF_MEMORY, ARGPICK_ERR_KERNEL_UNAVAILABLE and ARGPICK_ERR_UNKNOWN_KERNEL
/// (see argpick_kernel). Not in a library without a heap.
///
/// # Safety
/// - config points to a struct that is as long as its struct_size says; out can be written.
#[cfg(feature = "alloc")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_new(
    config: *const argpick_config,
    vocab: u32,
    out: *mut *mut argpick_decoder,
) -> argpick_status {
    call("argpick_decoder_new", || {
        writable(out, "out")?;
        // SAFETY: the caller's part is the same.
        let config = unsafe { config_of(config) }?;
        let words = words_for(&config, vocab)?;
        let kernels = Kernels::detect()?;
        let inner = Decoder::new_in(&config, vocab_of(vocab), kernels, Words::allocate(words)?)?;
        let handle = super::memory::place_on_heap(argpick_decoder::new(Home::Heap, inner))?;
        // SAFETY: not NULL and aligned; that it can be written is the caller's part.
        unsafe { out.write(handle) };
        Ok(())
    })
}

/// Ends a decoder; NULL is allowed and does nothing. The memory of one made by argpick_decoder_init is the caller's again.
///
/// A decoder that another thread is using is not freed: it leaks, and argpick_last_error says so (ARGPICK_ERR_BUSY).
///
/// # Safety
/// - decoder is NULL or a live decoder; it is not used after this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_free(decoder: *mut argpick_decoder) {
    if decoder.is_null() {
        return;
    }
    call("argpick_decoder_free", || {
        readable(decoder, "decoder")?;
        // SAFETY: a live handle by the caller's word.
        let handle = unsafe { &*decoder };
        handle.gate.last()?;
        let home = handle.home;
        // SAFETY: the gate let us in for good, so nobody else is in the handle, and the caller will not use it again.
        unsafe { end(decoder, home) };
        Ok(())
    });
}

/// The memory in bytes that argpick_decoder_init needs for this configuration and vocabulary.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_INVALID_PARAMETER.
///
/// # Safety
/// - config points to a struct that is as long as its struct_size says; size can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_size(
    config: *const argpick_config,
    vocab: u32,
    size: *mut usize,
) -> argpick_status {
    call("argpick_decoder_size", || {
        writable(size, "size")?;
        // SAFETY: the caller's part is the same.
        let words = words_for(&unsafe { config_of(config) }?, vocab)?;
        // SAFETY: not NULL and aligned; that it can be written is the caller's part.
        unsafe { size.write(bytes_for(words)) };
        Ok(())
    })
}

// The handle, then its words.
fn bytes_for(words: usize) -> usize {
    size_of::<argpick_decoder>() + words.saturating_mul(8)
}

/// Makes a decoder in memory of the caller's: no heap is used, then or later.
///
/// memory is aligned to ARGPICK_MEMORY_ALIGNMENT and has size bytes, at least what argpick_decoder_size says; what they
/// contain does not matter. It stays where it is and is the decoder's alone until argpick_decoder_free; then, or when it is
/// simply not used any more, it is the caller's again. More memory than needed leaves room for a reset.
///
/// Statuses: those of argpick_decoder_new without ARGPICK_ERR_OUT_OF_MEMORY; ARGPICK_ERR_STORAGE_TOO_SMALL (index = bytes
/// needed).
///
/// # Safety
/// - memory points to size bytes that nobody else uses; config and out as for argpick_decoder_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_init(
    memory: *mut c_void,
    size: usize,
    config: *const argpick_config,
    vocab: u32,
    out: *mut *mut argpick_decoder,
) -> argpick_status {
    call("argpick_decoder_init", || {
        writable(out, "out")?;
        // SAFETY: the caller's part is the same.
        let config = unsafe { config_of(config) }?;
        check_memory(memory, size, bytes_for(words_for(&config, vocab)?))?;
        let kernels = Kernels::detect()?;
        let handle = memory.cast::<argpick_decoder>();
        let words = (size - size_of::<argpick_decoder>()) / 8;
        // SAFETY: `check_memory` has seen that the memory is not NULL, aligned and longer than the handle; the words follow
        // it, are as many as fit, and are ours by the caller's word.
        let words = unsafe { Words::borrow_zeroed(NonNull::new_unchecked(handle.add(1).cast::<u64>()), words) };
        let inner = Decoder::new_in(&config, vocab_of(vocab), kernels, words)?;
        // SAFETY: aligned memory of that size that is ours by the caller's word; `out` was checked above.
        unsafe {
            handle.write(argpick_decoder::new(Home::Caller, inner));
            out.write(handle);
        }
        Ok(())
    })
}

/// Makes a second decoder on the heap in the same state: configuration, position, history, biases, bans and all other lists.
///
/// From then on the two have nothing in common. With the same seed, stream and position both pick the same tokens from the
/// same rows; argpick_decoder_reset or argpick_decoder_seek parts them.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_OUT_OF_MEMORY.
/// Not in a library without a heap.
///
/// # Safety
/// - decoder is a live decoder; out can be written.
#[cfg(feature = "alloc")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_clone(
    decoder: *const argpick_decoder,
    out: *mut *mut argpick_decoder,
) -> argpick_status {
    call("argpick_decoder_clone", || {
        writable(out, "out")?;
        // SAFETY: the caller's part is the same.
        let handle = unsafe { enter(decoder, |decoder| copy_on_heap(decoder)) }?;
        // SAFETY: not NULL and aligned; that it can be written is the caller's part.
        unsafe { out.write(handle) };
        Ok(())
    })
}

/// Starts a new sequence: history, text and position are cleared; biases, bans and all other lists stay.
///
/// config NULL: the configuration stays. Otherwise config is in force from now on; the vocabulary stays. A decoder on the
/// heap gets more memory if it needs it; one in memory of the caller's must have been given enough.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_STRUCT_SIZE,
/// ARGPICK_ERR_INVALID_PARAMETER, ARGPICK_ERR_CAPACITY_EXCEEDED (no room for what is set),
/// ARGPICK_ERR_OUT_OF_MEMORY, ARGPICK_ERR_STORAGE_TOO_SMALL (index = bytes needed). After any of them nothing has changed.
///
/// # Safety
/// - decoder is a live decoder; config is NULL or points to a struct that is as long as its struct_size says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_reset(
    decoder: *mut argpick_decoder,
    config: *const argpick_config,
) -> argpick_status {
    call("argpick_decoder_reset", || {
        let config = match config.is_null() {
            true => None,
            // SAFETY: the caller's part is the same.
            false => Some(unsafe { config_of(config) }?),
        };
        // SAFETY: the caller's part is the same.
        unsafe { enter(decoder, |decoder| with_room(decoder, |decoder| decoder.reset(config.as_ref()))) }
    })
}

/// A handle on the heap with a copy of a decoder.
#[cfg(feature = "alloc")]
pub(super) fn copy_on_heap(decoder: &Decoder<Words>) -> Result<*mut argpick_decoder, Fault> {
    let words = Decoder::<Words>::storage_words(decoder.config(), decoder.vocab())?;
    let copy = decoder.copy_in(Words::allocate(words)?)?;
    super::memory::place_on_heap(argpick_decoder::new(Home::Heap, copy))
}

/// Changes a decoder; if that needs more memory than it has, one on the heap gets it.
pub(super) fn with_room(
    decoder: &mut Decoder<Words>,
    change: impl Fn(&mut Decoder<Words>) -> crate::Result<()>,
) -> Result<(), Fault> {
    match change(decoder) {
        Err(Error::StorageTooSmall { expected, actual }) => {
            #[cfg(feature = "alloc")]
            if decoder.storage().is_on_heap() {
                // The larger one is made beside the old one, so that nothing has changed if this fails.
                let mut larger = decoder.copy_in(Words::allocate(expected)?)?;
                change(&mut larger)?;
                *decoder = larger;
                return Ok(());
            }
            Err(Fault::MemoryTooSmall { needed: bytes_for(expected), given: bytes_for(actual) })
        }
        other => Ok(other?),
    }
}

/// Records tokens of the prompt: they enter the history but are not counted as generated. A sequence that had ended by an
/// end token, a stop or a loop goes on after them.
///
/// All of them or none; a count of 0 does nothing, tokens may be NULL then.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count), ARGPICK_ERR_BUSY,
/// ARGPICK_ERR_POISONED, ARGPICK_ERR_TOKEN_OUT_OF_RANGE.
///
/// # Safety
/// - decoder is a live decoder; tokens points to count ids.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_prompt(
    decoder: *mut argpick_decoder,
    tokens: *const u32,
    count: usize,
) -> argpick_status {
    call("argpick_decoder_prompt", || {
        // SAFETY: the caller's part is the same.
        unsafe { enter(decoder, |decoder| Ok(decoder.prompt(slice(tokens, count, "tokens")?)?)) }
    })
}

/// Records tokens as generated, as if they had been picked here. For hosts that pick for themselves.
///
/// All of them or none; a count of 0 does nothing, tokens may be NULL then.
///
/// What mirostat and adaptive-p have learnt stays as it was, and the running sum of log-probabilities is NaN from then on.
///
/// Statuses: those of argpick_decoder_prompt, and ARGPICK_ERR_FINISHED if the sequence has ended, if they are more than
/// max_tokens leaves, or if an end token or a stop sequence ends it before the last of them.
///
/// # Safety
/// - decoder is a live decoder; tokens points to count ids.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_accept(
    decoder: *mut argpick_decoder,
    tokens: *const u32,
    count: usize,
) -> argpick_status {
    call("argpick_decoder_accept", || {
        // SAFETY: the caller's part is the same.
        unsafe { enter(decoder, |decoder| Ok(decoder.accept(slice(tokens, count, "tokens")?)?)) }
    })
}

/// Takes back the last count generated tokens, as if they had not been recorded; a sequence that had ended goes on.
///
/// Tokens generated before the last token of a prompt stay. At least the last 1,024 others can be taken back (or
/// history_capacity, if that is less), and more as long as the history has not been filled that far.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_UNDO_TOO_FAR
/// (index = tokens that can be undone).
///
/// # Safety
/// - decoder is a live decoder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_undo(decoder: *mut argpick_decoder, count: usize) -> argpick_status {
    call("argpick_decoder_undo", || {
        // SAFETY: the caller's part is the same.
        unsafe { enter(decoder, |decoder| Ok(decoder.undo(count)?)) }
    })
}

/// Sets the position that the next draw takes its random numbers from; the history stays. So any step can be replayed alone.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
///
/// # Safety
/// - decoder is a live decoder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_seek(decoder: *mut argpick_decoder, position: u64) -> argpick_status {
    call("argpick_decoder_seek", || {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter(decoder, |decoder| {
                decoder.seek(position);
                Ok(())
            })
        }
    })
}

/// Tells the position: generated tokens recorded, the prompt excluded, unless it was set by argpick_decoder_seek.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
///
/// # Safety
/// - decoder is a live decoder; position can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_position(
    decoder: *const argpick_decoder,
    position: *mut u64,
) -> argpick_status {
    call("argpick_decoder_position", || {
        writable(position, "position")?;
        // SAFETY: the caller's part is the same; the output was checked above.
        unsafe { position.write(enter(decoder, |decoder| Ok(decoder.position()))?) };
        Ok(())
    })
}

/// Tells mirostat's mu for the next step, in bits: version 2 keeps the tokens whose surprise is at most that much.
///
/// It starts at 2 mirostat_tau, each decoded token moves it, and argpick_decoder_undo brings it back. NaN if mirostat is off
/// or the mode greedy.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
///
/// # Safety
/// - decoder is a live decoder; mu can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_mirostat_mu(decoder: *const argpick_decoder, mu: *mut f32) -> argpick_status {
    call("argpick_decoder_mirostat_mu", || {
        writable(mu, "mu")?;
        // SAFETY: the caller's part is the same; the output was checked above.
        unsafe { mu.write(enter(decoder, |decoder| Ok(decoder.mirostat_mu()))?) };
        Ok(())
    })
}

/// Tells the probability that adaptive-p prefers in the next step, 0 to 1: adaptive_target, moved away from the mean of what
/// was picked.
///
/// Each decoded token moves it, and argpick_decoder_undo brings it back. NaN if adaptive-p is off: a negative
/// adaptive_target, mirostat, greedy mode.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
///
/// # Safety
/// - decoder is a live decoder; target can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_adaptive_target(
    decoder: *const argpick_decoder,
    target: *mut f32,
) -> argpick_status {
    call("argpick_decoder_adaptive_target", || {
        writable(target, "target")?;
        // SAFETY: the caller's part is the same; the output was checked above.
        unsafe { target.write(enter(decoder, |decoder| Ok(decoder.adaptive_target()))?) };
        Ok(())
    })
}

/// Tells the length of the rows that the decoder takes.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
///
/// # Safety
/// - decoder is a live decoder; vocab can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_vocab(decoder: *const argpick_decoder, vocab: *mut u32) -> argpick_status {
    call("argpick_decoder_vocab", || {
        writable(vocab, "vocab")?;
        // SAFETY: the caller's part is the same; the output was checked above. A vocabulary is at most 2^22.
        unsafe { vocab.write(enter(decoder, |decoder| Ok(decoder.vocab() as u32))?) };
        Ok(())
    })
}

/// Tells the configuration in force, after argpick_decoder_reset and argpick_decoder_load that one. A config of an older release
/// gets the fields it has.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
///
/// # Safety
/// - decoder is a live decoder; config->struct_size bytes can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_config(
    decoder: *const argpick_decoder,
    config: *mut argpick_config,
) -> argpick_status {
    call("argpick_decoder_config", || {
        // SAFETY: the caller's part is the same; so many bytes can be written as the size says, which was checked.
        unsafe {
            let size = size_of_given(config)?;
            let told = enter(decoder, |decoder| Ok(argpick_config::from(decoder.config())))?;
            write(config, size, &told);
        }
        Ok(())
    })
}

/// Tells the tokens that the history holds, oldest first, those of the prompt among them, as far as there is room.
///
/// held is how many it holds, which may be more than capacity; at most history_capacity: past that the oldest leave it. With a
/// capacity of 0 tokens may be NULL.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible capacity), ARGPICK_ERR_BUSY,
/// ARGPICK_ERR_POISONED.
///
/// # Safety
/// - decoder is a live decoder; capacity ids can be written at tokens; held can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_history(
    decoder: *mut argpick_decoder,
    tokens: *mut u32,
    capacity: usize,
    held: *mut usize,
) -> argpick_status {
    call("argpick_decoder_history", || {
        readable(decoder.cast_const(), "decoder")?;
        writable(held, "held")?;
        // SAFETY: the caller's part is the same; the output was checked above.
        unsafe {
            let tokens = slice_mut(tokens, capacity, "tokens")?;
            held.write(enter(decoder, |decoder| Ok(decoder.history(tokens)))?);
        }
        Ok(())
    })
}

/// Replaces the biases: biases[i] is added to the logit of tokens[i], before temperature. A bias of -inf bans.
///
/// Each token stands once; the order does not matter. A count of 0 removes all biases, the arrays may be NULL then.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count), ARGPICK_ERR_BUSY,
/// ARGPICK_ERR_POISONED, ARGPICK_ERR_TOKEN_OUT_OF_RANGE, ARGPICK_ERR_DUPLICATE_TOKEN, ARGPICK_ERR_INVALID_PARAMETER (a bias
/// that is NaN or +inf), ARGPICK_ERR_CAPACITY_EXCEEDED (adjustment_capacity). After any of them the old biases stay.
///
/// # Safety
/// - decoder is a live decoder; tokens and biases point to count elements each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_set_bias(
    decoder: *mut argpick_decoder,
    tokens: *const u32,
    biases: *const f32,
    count: usize,
) -> argpick_status {
    call("argpick_decoder_set_bias", || {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter(decoder, |decoder| {
                let (tokens, biases) = (slice(tokens, count, "tokens")?, slice(biases, count, "biases")?);
                Ok(decoder.set_bias_by(count, |i| (tokens[i], biases[i]))?)
            })
        }
    })
}

/// Replaces the bans: these tokens are masked. A token may stand in the list more than once.
///
/// A count of 0 removes all bans, tokens may be NULL then.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count), ARGPICK_ERR_BUSY,
/// ARGPICK_ERR_POISONED, ARGPICK_ERR_TOKEN_OUT_OF_RANGE, ARGPICK_ERR_CAPACITY_EXCEEDED (adjustment_capacity). After any of
/// them the old bans stay.
///
/// # Safety
/// - decoder is a live decoder; tokens points to count ids.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_decoder_set_bans(
    decoder: *mut argpick_decoder,
    tokens: *const u32,
    count: usize,
) -> argpick_status {
    call("argpick_decoder_set_bans", || {
        // SAFETY: the caller's part is the same.
        unsafe { enter(decoder, |decoder| Ok(decoder.set_bans(slice(tokens, count, "tokens")?)?)) }
    })
}
