//! The corpus as a WebAssembly module: lines of `unit / operation cases hash` in memory, for whoever loads it.

use crate::corpus::{self, Listener, Workspace};
use argpick::{Kernels, Level};
use core::fmt::Write;

static mut WORDS: [u64; corpus::WORDS] = [0; corpus::WORDS];
static mut LINES: [u8; 1 << 17] = [0; 1 << 17];

struct Lines<'a> {
    to: &'a mut [u8],
    length: usize,
}

impl Write for Lines<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.to.get_mut(self.length..self.length + text.len()).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

impl Listener for Lines<'_> {
    fn operation(&mut self, unit: &str, operation: &str, cases: u32, hash: u64) {
        if writeln!(self, "{unit} / {operation} {cases} {hash:016x}").is_err() {
            panic!("the lines are longer than the memory for them");
        }
    }
}

/// Where the lines begin.
#[unsafe(no_mangle)]
pub extern "C" fn lines() -> *const u8 {
    (&raw const LINES).cast()
}

/// Runs the corpus on the level of a number (0 scalar, 1 portable) and returns the length of the lines.
///
/// # Safety
/// - One call at a time: it takes the static memory for itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn run(level: u32) -> usize {
    let (words, lines) = (&raw mut WORDS, &raw mut LINES);
    // SAFETY: nothing else names them, and the references of the last call are gone.
    let (words, lines) = unsafe { (&mut *words, &mut *lines) };
    let mut lines = Lines { to: lines, length: 0 };
    let Ok(kernels) = Kernels::new(if level == 0 { Level::Scalar } else { Level::Portable }) else {
        panic!("a level that is everywhere is not here");
    };
    for unit in 0..corpus::units() {
        corpus::run(unit, kernels, &mut Workspace::new(words), &mut lines);
    }
    lines.length
}

#[panic_handler]
fn panic(information: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: nothing runs any more that could use the memory.
    let lines = unsafe { &mut *(&raw mut LINES) };
    lines.fill(b' ');
    let _ = write!(Lines { to: lines, length: 0 }, "{information}");
    core::arch::wasm32::unreachable()
}
