//! The last error in full, in a fixed buffer: nothing is allocated when something fails.
//!
//! With `std` each thread has its own. Without it there are no threads to tell apart, so the program has one: it is
//! written under a lock that is never waited for. Who fails while another context is writing leaves no text, only its status.

use super::fault::{Fault, NO_INDEX};
use super::guard;
use super::status::{ARGPICK_OK, argpick_status};
use core::cell::UnsafeCell;
use core::ffi::c_char;
use core::fmt::{self, Write};

/// Bytes of the text, the zero at its end included.
const CAPACITY: usize = 512;

struct LastError {
    status: argpick_status,
    index: u64,
    value: f64,
    length: usize,
    text: [u8; CAPACITY],
}

impl LastError {
    const fn new() -> Self {
        LastError { status: ARGPICK_OK, index: NO_INDEX, value: f64::NAN, length: 0, text: [0; CAPACITY] }
    }

    fn set(&mut self, function: &str, about: &[u8], fault: &Fault) {
        self.status = fault.status();
        (self.index, self.value) = fault.detail();
        self.length = 0;
        // A text that is too long is cut: `write_str` never fails.
        let _ = write!(self, "{function}: ");
        for chunk in about.utf8_chunks() {
            let _ = self.write_str(chunk.valid());
            let _ = self.write_str(if chunk.invalid().is_empty() { "" } else { "\u{fffd}" });
        }
        let _ = write!(self, "{}{fault}", if about.is_empty() { "" } else { ": " });
        self.text[self.length] = 0;
    }
}

impl Write for LastError {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut end = text.len().min(CAPACITY - 1 - self.length);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.text[self.length..self.length + end].copy_from_slice(&text.as_bytes()[..end]);
        self.length += end;
        Ok(())
    }
}

#[cfg(feature = "std")]
std::thread_local! {
    static LAST: UnsafeCell<LastError> = const { UnsafeCell::new(LastError::new()) };
}

/// Runs `f` on this thread's buffer, unless it is being used.
#[cfg(feature = "std")]
fn with<R>(f: impl FnOnce(*mut LastError) -> R) -> Option<R> {
    LAST.try_with(|last| f(last.get())).ok()
}

#[cfg(not(feature = "std"))]
mod shared {
    use super::{LastError, UnsafeCell};
    use core::sync::atomic::{AtomicBool, Ordering};

    struct Shared(UnsafeCell<LastError>);
    // SAFETY: the buffer is only reached through `with`, which lets in one at a time.
    unsafe impl Sync for Shared {}

    static LAST: Shared = Shared(UnsafeCell::new(LastError::new()));
    static TAKEN: AtomicBool = AtomicBool::new(false);

    /// Runs `f` on the program's buffer, unless it is being used.
    pub(super) fn with<R>(f: impl FnOnce(*mut LastError) -> R) -> Option<R> {
        if TAKEN.swap(true, Ordering::Acquire) {
            return None;
        }
        let result = f(LAST.0.get());
        TAKEN.store(false, Ordering::Release);
        Some(result)
    }
}
#[cfg(not(feature = "std"))]
use shared::with;

/// Keeps the particulars of a fault and answers its status. `about` is text to put before it, a path say.
#[cold]
pub(super) fn record(function: &str, about: &[u8], fault: &Fault) -> argpick_status {
    // SAFETY: the pointer is to a live buffer that nothing else uses meanwhile: it is this thread's, and `set` runs no code
    // that comes back here; without threads `with` lets in one at a time.
    with(|last| unsafe { (*last).set(function, about, fault) });
    fault.status()
}

/// This thread's last error in full: which function, what, where and the bad value.
///
/// Never NULL; UTF-8 text, "" before the first error. It stands until the next call that fails on this thread; a call that
/// succeeds does not clear it. In a library built without the standard library the program has one such text, so a program
/// with several threads or interrupt handlers should go by the status and copy the text at once.
#[unsafe(no_mangle)]
pub extern "C" fn argpick_last_error() -> *const c_char {
    // SAFETY: only the address is taken, of a buffer that lives as long as its thread (or the program).
    with(|last| unsafe { (&raw const (*last).text).cast::<c_char>() }).unwrap_or(c"".as_ptr())
}

/// The particulars of this thread's last error, as numbers.
///
/// Each status says what its index and value are. Without an index it is UINT64_MAX, without a value NaN. Before the first
/// error the status is ARGPICK_OK.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT (neither becomes the last error); in a library without the standard
/// library ARGPICK_ERR_BUSY.
///
/// # Safety
/// - status, index and value point to memory that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_error_detail(
    status: *mut argpick_status,
    index: *mut u64,
    value: *mut f64,
) -> argpick_status {
    let checked = || {
        guard::writable(status, "status")?;
        guard::writable(index, "index")?;
        guard::writable(value, "value")
    };
    if let Err(fault) = checked() {
        return fault.status();
    }
    // SAFETY: as in `record`: nothing else uses the buffer meanwhile.
    let found = with(|last| unsafe { ((*last).status, (*last).index, (*last).value) });
    let Some(found) = found else { return super::status::ARGPICK_ERR_BUSY };
    // SAFETY: the pointers were checked above; that they can be written is the caller's part.
    unsafe {
        (*status, *index, *value) = found;
    }
    ARGPICK_OK
}
