//! The float environment: kernels run in the default one (round to nearest, subnormals kept, exceptions masked) and give
//! the host's back, because hosts do set flush-to-zero, and it would change bits.

/// Runs `work` in the default float environment and restores the host's afterwards, also when `work` unwinds.
#[inline]
pub fn with_default_environment<R>(work: impl FnOnce() -> R) -> R {
    let _guard = Guard::enter();
    work()
}

struct Guard {
    // None: the host's environment is the default one.
    host: Option<Control>,
}

impl Guard {
    fn enter() -> Self {
        let host = read();
        if host == DEFAULT {
            return Guard { host: None };
        }
        write(DEFAULT);
        Guard { host: Some(host) }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(host) = self.host {
            write(host);
        }
    }
}

use register::{Control, DEFAULT, read, write};

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod register {
    pub type Control = u32;

    /// MXCSR after reset: exceptions masked, round to nearest, no flush to zero.
    pub const DEFAULT: Control = 0x1f80;

    pub fn read() -> Control {
        let mut control: Control = 0;
        // SAFETY: stmxcsr writes four bytes to a live u32; SSE is part of x86-64.
        unsafe { core::arch::asm!("stmxcsr [{}]", in(reg) &raw mut control, options(nostack, preserves_flags)) };
        control & !0x3f // the low six bits are sticky exception flags, no setting
    }

    pub fn write(control: Control) {
        // SAFETY: ldmxcsr reads four bytes from a live u32; the value is one that was read from the register, or its reset
        // value, so no reserved bit is set. No float value lives across: callers go through a guard around a call.
        unsafe { core::arch::asm!("ldmxcsr [{}]", in(reg) &raw const control, options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod register {
    pub type Control = u64;

    /// FPCR after reset: round to nearest, no flush to zero, NaN as IEEE 754 has it.
    pub const DEFAULT: Control = 0;

    pub fn read() -> Control {
        let control: Control;
        // SAFETY: FPCR can be read at every privilege level.
        unsafe { core::arch::asm!("mrs {}, fpcr", out(reg) control, options(nomem, nostack, preserves_flags)) };
        control
    }

    pub fn write(control: Control) {
        // SAFETY: FPCR can be written at every privilege level; the value was read from it or is its reset value.
        unsafe { core::arch::asm!("msr fpcr, {}", in(reg) control, options(nostack, preserves_flags)) };
    }
}

// The ABI "eabihf" passes floats in registers of the float unit, so there is one.
#[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
mod register {
    pub type Control = u32;

    /// FPSCR after reset: round to nearest, no flush to zero, NaN as IEEE 754 has it, no traps.
    pub const DEFAULT: Control = 0;

    pub fn read() -> Control {
        let control: Control;
        // SAFETY: FPSCR can be read at every privilege level.
        unsafe { core::arch::asm!("vmrs {}, fpscr", out(reg) control, options(nomem, nostack, preserves_flags)) };
        control & 0x07ff_ff00 // the rest are conditions and sticky exception flags, no setting
    }

    pub fn write(control: Control) {
        // SAFETY: FPSCR can be written at every privilege level; the value was read from it or is its reset value. It also
        // clears the conditions of the last comparison, so the flags count as changed.
        unsafe { core::arch::asm!("vmsr fpscr, {}", in(reg) control, options(nostack)) };
    }
}

// wasm and the rest have one float environment only.
#[cfg(not(any(
    all(target_arch = "x86_64", not(miri)),
    target_arch = "aarch64",
    all(target_arch = "arm", target_abi = "eabihf")
)))]
mod register {
    pub type Control = u32;

    pub const DEFAULT: Control = 0;

    pub fn read() -> Control {
        DEFAULT
    }

    pub fn write(_: Control) {}
}
