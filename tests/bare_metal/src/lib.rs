//! A program without std, without a heap and without libc that decodes rows in static memory and prints the picks.
//!
//! The lines that it prints are those of `case.rs`; `run` compares them with `expected.txt`, and `tests/bare_metal.rs`
//! compares the same lines of a build with std, so that both builds are known to agree bit for bit.
#![no_std]

mod case;

use argpick::{Kernels, Level};
use core::ffi::{c_int, c_void};
use core::fmt::Write;

unsafe extern "C" {
    /// Writes bytes to standard output; in `start.c`.
    safe fn put(bytes: *const c_void, length: usize);
    /// Ends the program; in `start.c`.
    safe fn stop(code: c_int) -> !;
}

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        put(text.as_ptr().cast(), text.len());
        Ok(())
    }
}

static mut STORAGE: [u64; case::STORAGE_WORDS] = [0; case::STORAGE_WORDS];

/// Decodes the case on every kernel level of this processor and prints the lines of each; returns the exit code.
///
/// # Safety
/// - Called once: it takes the static memory for itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn decode_case() -> c_int {
    let storage = &raw mut STORAGE;
    for level in Level::ALL {
        let Ok(kernels) = Kernels::new(level) else {
            continue;
        };
        // SAFETY: the caller calls once, nothing else names STORAGE, and the reference of the last round is gone.
        let storage = unsafe { &mut *storage };
        let _ = writeln!(Console, "level {level}");
        if let Err(error) = case::run(kernels, storage, &mut Console) {
            let _ = writeln!(Console, "failed: {error}");
            return 1;
        }
    }
    0
}

#[panic_handler]
fn panic(information: &core::panic::PanicInfo<'_>) -> ! {
    let _ = writeln!(Console, "{information}");
    stop(101)
}
