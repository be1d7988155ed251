//! What every call runs in: pointer checks, the panic boundary, and the gate of a handle.

use super::fault::Fault;
use super::last_error;
use super::status::{ARGPICK_OK, argpick_status};
use crate::error::Error;
use core::sync::atomic::{AtomicU32, Ordering};

/// Runs the body of a C function: a fault is kept for `argpick_last_error`, a panic becomes one.
pub(super) fn call(function: &str, body: impl FnOnce() -> Result<(), Fault>) -> argpick_status {
    call_about(function, &[], body)
}

/// The same with a text to put before the message.
pub(super) fn call_about(function: &str, about: &[u8], body: impl FnOnce() -> Result<(), Fault>) -> argpick_status {
    match catch(body) {
        Ok(()) => ARGPICK_OK,
        Err(fault) => last_error::record(function, about, &fault),
    }
}

/// Runs a body that may fail at a row, whose number it sets then: it is told before the message.
pub(super) fn call_on_rows(
    function: &str,
    body: impl FnOnce(&mut Option<usize>) -> Result<(), Fault>,
) -> argpick_status {
    let mut row = None;
    match catch(|| body(&mut row)) {
        Ok(()) => ARGPICK_OK,
        Err(fault) => match row {
            Some(row) => last_error::record(function, Place::new(row).text(), &fault),
            None => last_error::record(function, &[], &fault),
        },
    }
}

/// Runs one row of a batch: the first that fails is told about in full and kept in `first_failed`.
pub(super) fn call_row(
    function: &str,
    row: usize,
    first_failed: &mut argpick_status,
    body: impl FnOnce() -> Result<(), Fault>,
) -> argpick_status {
    match catch(body) {
        Ok(()) => ARGPICK_OK,
        Err(fault) if *first_failed == ARGPICK_OK => {
            *first_failed = last_error::record(function, Place::new(row).text(), &fault);
            *first_failed
        }
        Err(fault) => fault.status(),
    }
}

/// "row 17" without a heap.
struct Place {
    text: [u8; 24],
    length: usize,
    row: usize,
}

impl Place {
    fn new(row: usize) -> Self {
        Place { text: [0; 24], length: 0, row }
    }

    fn text(&mut self) -> &[u8] {
        use core::fmt::Write;
        let row = self.row;
        // 20 digits and "row " fit.
        let _ = write!(self, "row {row}");
        &self.text[..self.length]
    }
}

impl core::fmt::Write for Place {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.text.get_mut(self.length..self.length + text.len()).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

/// Turns a panic into a fault. What a panic may have left half-done is behind a gate, which poisons itself.
#[cfg(feature = "std")]
fn catch(body: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(Fault::Panic(payload)))
}

/// Without `std` nothing unwinds: a panic ends in the library's panic handler.
#[cfg(not(feature = "std"))]
fn catch(body: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
    body()
}

/// Refuses a pointer that is NULL or not aligned to its type.
pub(super) fn readable<T>(pointer: *const T, what: &'static str) -> Result<(), Fault> {
    if pointer.is_null() {
        return Err(Fault::Null(what));
    }
    aligned_to(pointer, align_of::<T>(), what)
}

/// The same for an output.
pub(super) fn writable<T>(pointer: *mut T, what: &'static str) -> Result<(), Fault> {
    readable(pointer.cast_const(), what)
}

/// Refuses an address that is no multiple of `alignment`.
pub(super) fn aligned_to<T>(pointer: *const T, alignment: usize, what: &'static str) -> Result<(), Fault> {
    let remainder = pointer.addr() % alignment;
    if remainder != 0 {
        return Err(Fault::Alignment { what, alignment, remainder });
    }
    Ok(())
}

/// Refuses a count that no array in memory can have.
pub(super) fn countable<T>(count: usize, what: &'static str) -> Result<(), Fault> {
    let expected = isize::MAX as usize / size_of::<T>();
    if count > expected {
        return Err(Fault::Core(Error::WrongLength { what, expected, actual: count }));
    }
    Ok(())
}

/// An array of the caller's. NULL is allowed for no elements.
///
/// # Safety
/// `pointer` points to `count` initialised elements that nobody writes for as long as the slice is used.
pub(super) unsafe fn slice<'a, T>(pointer: *const T, count: usize, what: &'static str) -> Result<&'a [T], Fault> {
    if count == 0 {
        return Ok(&[]);
    }
    countable::<T>(count, what)?;
    readable(pointer, what)?;
    // SAFETY: not NULL, aligned, and of a size that fits in memory; the rest is the caller's part.
    Ok(unsafe { core::slice::from_raw_parts(pointer, count) })
}

/// An array of the caller's that is written. NULL is allowed for no elements.
///
/// # Safety
/// `pointer` points to `count` initialised elements that nobody else uses for as long as the slice is used.
pub(super) unsafe fn slice_mut<'a, T>(pointer: *mut T, count: usize, what: &'static str) -> Result<&'a mut [T], Fault> {
    if count == 0 {
        return Ok(&mut []);
    }
    countable::<T>(count, what)?;
    writable(pointer, what)?;
    // SAFETY: not NULL, aligned, and of a size that fits in memory; the rest is the caller's part.
    Ok(unsafe { core::slice::from_raw_parts_mut(pointer, count) })
}

const EXCLUSIVE: u32 = u32::MAX;
const POISONED: u32 = u32::MAX - 1;

/// The gate of a handle: one call that may change it, or any number that do not.
pub(super) struct Gate {
    // 0: nobody; up to POISONED - 1: so many sharing it; POISONED; EXCLUSIVE.
    state: AtomicU32,
    kind: &'static str,
}

impl Gate {
    /// An open gate of a handle of this kind.
    pub const fn new(kind: &'static str) -> Self {
        Gate { state: AtomicU32::new(0), kind }
    }

    /// Lets in one call that may change the handle, or says who is there.
    pub fn exclusive(&self) -> Result<Pass<'_>, Fault> {
        match self.state.compare_exchange(0, EXCLUSIVE, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(Pass { gate: self, exclusive: true }),
            Err(POISONED) => Err(Fault::Poisoned(self.kind)),
            Err(_) => Err(Fault::Busy(self.kind)),
        }
    }

    /// Lets in a call that only reads.
    pub fn shared(&self) -> Result<Pass<'_>, Fault> {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            match state {
                POISONED => return Err(Fault::Poisoned(self.kind)),
                // One below the poison is left free, so that counting never arrives there.
                EXCLUSIVE | 0xffff_fffd => return Err(Fault::Busy(self.kind)),
                _ => {}
            }
            match self.state.compare_exchange_weak(state, state + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Ok(Pass { gate: self, exclusive: false }),
                Err(found) => state = found,
            }
        }
    }

    /// Lets in the one that frees the handle: nobody else may be there, poison does not matter.
    pub fn last(&self) -> Result<(), Fault> {
        match self.exclusive() {
            Ok(pass) => {
                core::mem::forget(pass);
                Ok(())
            }
            Err(Fault::Poisoned(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

/// Being inside a handle. Dropped by a panic it poisons the handle; `leave` is the ordinary way out.
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    exclusive: bool,
}

impl<'a> Pass<'a> {
    /// Stays inside without a pass to keep; `taken_up` gives it back.
    pub fn put_down(self) {
        core::mem::forget(self);
    }

    /// The pass of a call that is inside alone and has put it down.
    pub fn taken_up(gate: &'a Gate) -> Pass<'a> {
        debug_assert!(gate.state.load(Ordering::Relaxed) == EXCLUSIVE, "nobody is inside alone");
        Pass { gate, exclusive: true }
    }

    /// Opens the gate again.
    pub fn leave(self) {
        let state = &self.gate.state;
        if self.exclusive {
            state.store(0, Ordering::Release);
        } else {
            // Somebody sharing the handle may have poisoned it meanwhile; poison stays.
            let _ = state
                .fetch_update(Ordering::Release, Ordering::Relaxed, |count| (count != POISONED).then(|| count - 1));
        }
        core::mem::forget(self);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.state.store(POISONED, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_in_one_writer_or_many_readers_and_a_panic_shuts_it() {
        let gate = Gate::new("thing");
        let writer = gate.exclusive().ok().unwrap();
        assert!(matches!(gate.exclusive(), Err(Fault::Busy("thing"))));
        assert!(matches!(gate.shared(), Err(Fault::Busy("thing"))));
        writer.leave();
        let (one, two) = (gate.shared().ok().unwrap(), gate.shared().ok().unwrap());
        assert!(matches!(gate.exclusive(), Err(Fault::Busy(_))));
        assert!(gate.last().is_err());
        one.leave();
        drop(two);
        assert!(matches!(gate.shared(), Err(Fault::Poisoned(_))));
        assert!(gate.last().is_ok());
    }

    #[test]
    fn a_panic_is_a_fault_and_its_text_is_kept() {
        let status = call("function", || panic!("reason {}", 7));
        assert_eq!(status, super::super::status::ARGPICK_ERR_PANIC);
        // SAFETY: the text ends with a zero and nothing fails meanwhile.
        let text = unsafe { core::ffi::CStr::from_ptr(last_error::argpick_last_error()) };
        assert_eq!(text.to_str(), Ok("function: the library broke: reason 7"));
    }
}
