//! Which kernels are in use.

use super::guard::call;
use crate::kernels::{Kernels, Level};
use core::ffi::{CStr, c_char};

/// The kernel level in use: "scalar", "portable", "avx2", "avx512", ...
///
/// It is the fastest that this processor has, or the one that the environment variable ARGPICK_KERNEL names. All levels
/// give the same bits. Where that variable asks for what is not there the answer is "" and argpick_last_error says why;
/// argpick_decoder_new fails then, too. Never NULL; static text.
#[unsafe(no_mangle)]
pub extern "C" fn argpick_kernel() -> *const c_char {
    let mut name = c"";
    call("argpick_kernel", || {
        name = name_of(Kernels::detect()?.level());
        Ok(())
    });
    name.as_ptr()
}

fn name_of(level: Level) -> &'static CStr {
    match level {
        Level::Scalar => c"scalar",
        Level::Portable => c"portable",
        Level::Avx2 => c"avx2",
        Level::Avx512 => c"avx512",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_cores() {
        assert!(Level::ALL.iter().all(|level| name_of(*level).to_str() == Ok(level.name())));
    }
}
