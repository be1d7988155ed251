//! `argpick_beam`: a beam search. Its configuration and its life; the steps are in `beam_step`.

use super::abi::{Growing, assert_layout, check_size, read, size_of_given, write};
use super::fault::Fault;
use super::guard::{Gate, call, readable, slice, writable};
use super::memory::{Home, Words, check_memory, end};
use super::status::argpick_status;
use crate::beam::{BeamConfig, BeamSearch, EarlyStopping};
use crate::error::Error;
use crate::kernels::Kernels;
use crate::plan::Profile;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::NonNull;

/// The search ends when no beam can get among the best hypotheses any more. Nothing is lost by it.
pub const ARGPICK_EARLY_STOPPING_NEVER: u32 = 0;
/// It ends when no beam would be among them if it ended at its present length.
pub const ARGPICK_EARLY_STOPPING_HEURISTIC: u32 = 1;
/// It ends when as many hypotheses have ended as there are beams.
pub const ARGPICK_EARLY_STOPPING_FULL: u32 = 2;

/// Everything that decides what a beam search does. Fill it by argpick_beam_config_init, then set what you want.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_beam_config {
    /// sizeof(argpick_beam_config), set by argpick_beam_config_init.
    pub struct_size: u32,
    /// Whose rules of scoring and ending hold: ARGPICK_PROFILE_CANON, _HUGGINGFACE or _VLLM.
    pub profile: u32,
    /// Sequences that are followed side by side, 1 to 1024.
    pub beams: u32,
    /// Groups of equal size that the beams are divided into; later ones avoid the tokens of earlier ones. 0: 1.
    pub groups: u32,
    /// What a candidate loses, when it is chosen, for each beam of an earlier group with the same token; 0 or more.
    pub diversity_penalty: f32,
    /// A hypothesis is ranked by its sum of log-probabilities divided by its length to this power, -16 to 16.
    pub length_penalty: f32,
    /// Divides the logits: finite, above 0; 1 where the profile is not canon.
    pub temperature: f32,
    /// When the search ends before max_tokens: an ARGPICK_EARLY_STOPPING_.
    pub early_stopping: u32,
    /// End tokens are masked until so many tokens are generated.
    pub min_tokens: u32,
    /// Beams that are so long are hypotheses, 1 to 2^20.
    pub max_tokens: u32,
    /// Hypotheses that are told about, up to beams. 0: beams.
    pub n_best: u32,
    /// Only ids below this take part, up to the vocabulary. 0: all.
    pub valid_vocab: u32,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers only.
unsafe impl Growing for argpick_beam_config {
    const NAME: &'static str = "beam_config";
    const RELEASED: &'static [u32] = &[48];
    const DEFAULT: Self = argpick_beam_config {
        struct_size: size_of::<Self>() as u32,
        profile: Profile::Canon as u32,
        beams: 4,
        groups: 1,
        diversity_penalty: 0.0,
        length_penalty: 0.0,
        temperature: 1.0,
        early_stopping: ARGPICK_EARLY_STOPPING_NEVER,
        min_tokens: 0,
        max_tokens: 256,
        n_best: 0,
        valid_vocab: 0,
    };
}

assert_layout!(argpick_beam_config {
    struct_size: 4,
    profile: 4,
    beams: 4,
    groups: 4,
    diversity_penalty: 4,
    length_penalty: 4,
    temperature: 4,
    early_stopping: 4,
    min_tokens: 4,
    max_tokens: 4,
    n_best: 4,
    valid_vocab: 4,
});

const _: () = {
    assert!(ARGPICK_EARLY_STOPPING_NEVER == EarlyStopping::Never as u32);
    assert!(ARGPICK_EARLY_STOPPING_HEURISTIC == EarlyStopping::Heuristic as u32);
    assert!(ARGPICK_EARLY_STOPPING_FULL == EarlyStopping::Full as u32);
};

/// Where a search stands. Set struct_size = sizeof(argpick_beam_state) before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_beam_state {
    /// sizeof(argpick_beam_state); the caller sets it.
    pub struct_size: u32,
    /// Beams that go on: so many rows the next step takes. 1 before the first step, 0 when the search is finished.
    pub live: u32,
    /// Beams that ended with the last step, after the live ones in its continuations.
    pub ended: u32,
    /// Tokens of each live beam.
    pub length: u32,
    /// Hypotheses that argpick_beam_best can tell.
    pub hypotheses: u32,
    /// Continuations that argpick_beam_step wants room for.
    pub outputs: u32,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers only.
unsafe impl Growing for argpick_beam_state {
    const NAME: &'static str = "beam_state";
    const RELEASED: &'static [u32] = &[24];
    const DEFAULT: Self = argpick_beam_state {
        struct_size: size_of::<Self>() as u32,
        live: 0,
        ended: 0,
        length: 0,
        hypotheses: 0,
        outputs: 0,
    };
}

assert_layout!(argpick_beam_state { struct_size: 4, live: 4, ended: 4, length: 4, hypotheses: 4, outputs: 4 });

/// A beam search under way. One thread at a time: a second one gets ARGPICK_ERR_BUSY.
#[repr(align(16))]
pub struct argpick_beam {
    gate: Gate,
    home: Home,
    inner: UnsafeCell<Inner>,
}

pub(super) struct Inner {
    pub(super) search: BeamSearch<Words>,
    /// Beams that ended with the last step.
    pub(super) ended: u32,
}

const _: () = assert!(align_of::<argpick_beam>() == super::abi::ARGPICK_MEMORY_ALIGNMENT as usize);

impl argpick_beam {
    fn new(home: Home, search: BeamSearch<Words>) -> Self {
        argpick_beam { gate: Gate::new("beam search"), home, inner: UnsafeCell::new(Inner { search, ended: 0 }) }
    }
}

/// Runs `body` on a search, alone.
///
/// # Safety
/// `beam`, unless NULL, is a live handle.
pub(super) unsafe fn enter<R>(
    beam: *const argpick_beam,
    body: impl FnOnce(&mut Inner) -> Result<R, Fault>,
) -> Result<R, Fault> {
    readable(beam, "beam")?;
    // SAFETY: not NULL and aligned, and a live handle by the caller's word; all of it but the gate is behind the gate.
    let handle = unsafe { &*beam };
    let pass = handle.gate.exclusive()?;
    // SAFETY: the gate lets in one at a time.
    let result = body(unsafe { &mut *handle.inner.get() });
    pass.leave();
    result
}

/// A configuration as C gives it.
struct Asked {
    config: *const argpick_beam_config,
    end_tokens: *const u32,
    end_count: usize,
}

impl Asked {
    /// The core's configuration. Ranges are checked where the core compiles it.
    ///
    /// # Safety
    /// `config`, unless NULL or misaligned, is as long as its `struct_size` says; `end_tokens` points to `end_count` ids
    /// that nobody writes while the configuration is used.
    unsafe fn config<'a>(&self) -> Result<BeamConfig<'a>, Fault> {
        // SAFETY: the caller's part is the same.
        let (given, end_tokens) =
            unsafe { (read(self.config)?, slice(self.end_tokens, self.end_count, "end_tokens")?) };
        let invalid = |name, value: u32| Fault::Core(Error::InvalidParameter { name, value: value.into() });
        let early_stopping = match given.early_stopping {
            ARGPICK_EARLY_STOPPING_NEVER => EarlyStopping::Never,
            ARGPICK_EARLY_STOPPING_HEURISTIC => EarlyStopping::Heuristic,
            ARGPICK_EARLY_STOPPING_FULL => EarlyStopping::Full,
            other => return Err(invalid("early_stopping", other)),
        };
        // Without `..`: a new field of the core must get its place here.
        Ok(BeamConfig {
            profile: Profile::from_number(given.profile).ok_or(invalid("profile", given.profile))?,
            beams: given.beams,
            groups: given.groups,
            diversity_penalty: given.diversity_penalty,
            length_penalty: given.length_penalty,
            early_stopping,
            temperature: given.temperature,
            min_tokens: given.min_tokens,
            max_tokens: given.max_tokens,
            n_best: given.n_best,
            valid_vocab: given.valid_vocab,
            end_tokens,
        })
    }
}

/// The vocabulary, as the core counts it. A value past `usize` is past the limit, too.
fn vocab_of(vocab: u32) -> usize {
    usize::try_from(vocab).unwrap_or(usize::MAX)
}

fn words_for(config: &BeamConfig<'_>, vocab: u32) -> Result<usize, Fault> {
    Ok(BeamSearch::<Words>::storage_words(config, vocab_of(vocab))?)
}

// The handle, then its words.
fn bytes_for(words: usize) -> usize {
    size_of::<argpick_beam>() + words.saturating_mul(8)
}

/// Fills a configuration: four beams, up to 256 tokens, nothing else.
///
/// struct_size is sizeof(argpick_beam_config) as the caller's header has it; a smaller size of an earlier release works.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE.
///
/// # Safety
/// - config points to struct_size bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_beam_config_init(
    config: *mut argpick_beam_config,
    struct_size: u32,
) -> argpick_status {
    call("argpick_beam_config_init", || {
        writable(config, "config")?;
        check_size::<argpick_beam_config>(struct_size)?;
        // SAFETY: not NULL, aligned and of a released size; that so many bytes can be written is the caller's part.
        unsafe { write(config, struct_size, &argpick_beam_config::DEFAULT) };
        Ok(())
    })
}

/// Makes a beam search on the heap for rows of vocab logits, 1 to 2^22. It is freed by argpick_beam_free.
///
/// end_tokens are the tokens that end a beam: up to 64, each once; none: NULL and 0. They are copied.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_RESERVED,
/// ARGPICK_ERR_INVALID_PARAMETER (name and value in argpick_last_error), ARGPICK_ERR_NOT_IN_PROFILE,
/// ARGPICK_ERR_TOKEN_OUT_OF_RANGE, ARGPICK_ERR_DUPLICATE_TOKEN and ARGPICK_ERR_CAPACITY_EXCEEDED (end tokens),
/// ARGPICK_ERR_OUT_OF_MEMORY, ARGPICK_ERR_KERNEL_UNAVAILABLE and ARGPICK_ERR_UNKNOWN_KERNEL (see argpick_kernel). Not in a
/// library without a heap.
///
/// # Safety
/// - config points to a struct that is as long as its struct_size says; end_tokens points to end_count ids; out can be
///   written.
#[cfg(feature = "alloc")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_beam_new(
    config: *const argpick_beam_config,
    vocab: u32,
    end_tokens: *const u32,
    end_count: usize,
    out: *mut *mut argpick_beam,
) -> argpick_status {
    call("argpick_beam_new", || {
        writable(out, "out")?;
        // SAFETY: the caller's part is the same.
        let config = unsafe { Asked { config, end_tokens, end_count }.config() }?;
        let words = words_for(&config, vocab)?;
        let kernels = Kernels::detect()?;
        let search = BeamSearch::new_in(&config, vocab_of(vocab), kernels, Words::allocate(words)?)?;
        let handle = super::memory::place_on_heap(argpick_beam::new(Home::Heap, search))?;
        // SAFETY: not NULL and aligned; that it can be written is the caller's part.
        unsafe { out.write(handle) };
        Ok(())
    })
}

/// Ends a beam search; NULL is allowed and does nothing. The memory of one made by argpick_beam_init is the caller's again.
///
/// A search that another thread is using is not freed: it leaks, and argpick_last_error says so (ARGPICK_ERR_BUSY).
///
/// # Safety
/// - beam is NULL or a live search; it is not used after this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_beam_free(beam: *mut argpick_beam) {
    if beam.is_null() {
        return;
    }
    call("argpick_beam_free", || {
        readable(beam, "beam")?;
        // SAFETY: a live handle by the caller's word.
        let handle = unsafe { &*beam };
        handle.gate.last()?;
        let home = handle.home;
        // SAFETY: the gate let us in for good, so nobody else is in the handle, and the caller will not use it again.
        unsafe { end(beam, home) };
        Ok(())
    });
}

/// The memory in bytes that argpick_beam_init needs for this configuration, vocabulary and number of end tokens.
///
/// Statuses: those of argpick_beam_new about its arguments.
///
/// # Safety
/// - config points to a struct that is as long as its struct_size says; end_tokens points to end_count ids; size can be
///   written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_beam_size(
    config: *const argpick_beam_config,
    vocab: u32,
    end_tokens: *const u32,
    end_count: usize,
    size: *mut usize,
) -> argpick_status {
    call("argpick_beam_size", || {
        writable(size, "size")?;
        // SAFETY: the caller's part is the same.
        let words = words_for(&unsafe { Asked { config, end_tokens, end_count }.config() }?, vocab)?;
        // SAFETY: not NULL and aligned; that it can be written is the caller's part.
        unsafe { size.write(bytes_for(words)) };
        Ok(())
    })
}

/// Makes a beam search in memory of the caller's: no heap is used, then or later.
///
/// memory is aligned to ARGPICK_MEMORY_ALIGNMENT and has size bytes, at least what argpick_beam_size says; what they contain
/// does not matter. It stays where it is and is the search's alone until argpick_beam_free; then, or when it is simply not
/// used any more, it is the caller's again. More memory than needed leaves room for a reset.
///
/// Statuses: those of argpick_beam_new without ARGPICK_ERR_OUT_OF_MEMORY; ARGPICK_ERR_STORAGE_TOO_SMALL (index = bytes
/// needed).
///
/// # Safety
/// - memory points to size bytes that nobody else uses; config, end_tokens and out as for argpick_beam_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_beam_init(
    memory: *mut c_void,
    size: usize,
    config: *const argpick_beam_config,
    vocab: u32,
    end_tokens: *const u32,
    end_count: usize,
    out: *mut *mut argpick_beam,
) -> argpick_status {
    call("argpick_beam_init", || {
        writable(out, "out")?;
        // SAFETY: the caller's part is the same.
        let config = unsafe { Asked { config, end_tokens, end_count }.config() }?;
        check_memory(memory, size, bytes_for(words_for(&config, vocab)?))?;
        let kernels = Kernels::detect()?;
        let handle = memory.cast::<argpick_beam>();
        let words = (size - size_of::<argpick_beam>()) / 8;
        // SAFETY: `check_memory` has seen that the memory is not NULL, aligned and longer than the handle; the words follow
        // it, are as many as fit, and are ours by the caller's word.
        let words = unsafe { Words::borrow_zeroed(NonNull::new_unchecked(handle.add(1).cast::<u64>()), words) };
        let search = BeamSearch::new_in(&config, vocab_of(vocab), kernels, words)?;
        // SAFETY: aligned memory of that size that is ours by the caller's word; `out` was checked above.
        unsafe {
            handle.write(argpick_beam::new(Home::Caller, search));
            out.write(handle);
        }
        Ok(())
    })
}

/// Starts a search anew.
///
/// config NULL: the configuration and the end tokens stay, end_tokens is not looked at. Otherwise both are in force from now
/// on; the vocabulary stays. A search on the heap gets more memory if it needs it; one in memory of the caller's must have
/// been given enough.
///
/// Statuses: those of argpick_beam_new about its arguments; ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED,
/// ARGPICK_ERR_OUT_OF_MEMORY, ARGPICK_ERR_STORAGE_TOO_SMALL (index = bytes needed). After any of them nothing has changed.
///
/// # Safety
/// - beam is a live search; config is NULL or points to a struct that is as long as its struct_size says; end_tokens points
///   to end_count ids.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_beam_reset(
    beam: *mut argpick_beam,
    config: *const argpick_beam_config,
    end_tokens: *const u32,
    end_count: usize,
) -> argpick_status {
    call("argpick_beam_reset", || {
        let config = match config.is_null() {
            true => None,
            // SAFETY: the caller's part is the same.
            false => Some(unsafe { Asked { config, end_tokens, end_count }.config() }?),
        };
        // SAFETY: the caller's part is the same.
        unsafe {
            enter(beam, |inner| {
                reset_with_room(&mut inner.search, config.as_ref())?;
                inner.ended = 0;
                Ok(())
            })
        }
    })
}

/// Resets a search; if that needs more memory than it has, one on the heap gets it.
fn reset_with_room(search: &mut BeamSearch<Words>, config: Option<&BeamConfig<'_>>) -> Result<(), Fault> {
    match (search.reset(config), config) {
        (Err(Error::StorageTooSmall { expected, actual }), Some(_config)) => {
            #[cfg(feature = "alloc")]
            if search.storage().is_on_heap() {
                // The larger one is made beside the old one, so that nothing has changed if this fails.
                *search = BeamSearch::new_in(_config, search.vocab(), search.kernels(), Words::allocate(expected)?)?;
                return Ok(());
            }
            Err(Fault::MemoryTooSmall { needed: bytes_for(expected), given: bytes_for(actual) })
        }
        (other, _) => Ok(other?),
    }
}

impl Inner {
    pub(super) fn state(&self) -> argpick_beam_state {
        let search = &self.search;
        argpick_beam_state {
            struct_size: size_of::<argpick_beam_state>() as u32,
            live: search.live() as u32,
            ended: self.ended,
            length: search.length(),
            hypotheses: search.hypotheses() as u32,
            outputs: search.outputs() as u32,
        }
    }
}

/// Tells where a search stands.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE (state->struct_size), ARGPICK_ERR_BUSY,
/// ARGPICK_ERR_POISONED.
///
/// # Safety
/// - beam is a live search; state->struct_size bytes can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_beam_inspect(
    beam: *const argpick_beam,
    state: *mut argpick_beam_state,
) -> argpick_status {
    call("argpick_beam_inspect", || {
        // SAFETY: the caller's part is the same.
        unsafe {
            readable(beam, "beam")?;
            let size = size_of_given(state)?;
            write(state, size, &enter(beam, |inner| Ok(inner.state()))?);
        }
        Ok(())
    })
}
