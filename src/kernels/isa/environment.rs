//! The float environment: kernels run in the default one (round to nearest, subnormals kept, exceptions masked) and give
//! the host's back, because hosts do set flush-to-zero, and it would change bits.

/// Runs `work` in the default float environment and restores the host's afterwards, also when `work` unwinds.
#[inline]
pub fn with_default_environment<R>(work: impl FnOnce() -> R) -> R {
    let _guard = Guard::enter();
    work()
}

struct Guard {
    #[cfg(any(all(target_arch = "x86_64", not(miri)), target_arch = "aarch64"))]
    host: Option<Control>,
}

#[cfg(target_arch = "x86_64")]
type Control = u32;
#[cfg(target_arch = "aarch64")]
type Control = u64;

/// MXCSR after reset: exceptions masked, round to nearest, no flush to zero.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const DEFAULT: Control = 0x1f80;
#[cfg(target_arch = "aarch64")]
const DEFAULT: Control = 0;

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn read() -> Control {
    let mut control: Control = 0;
    // SAFETY: stmxcsr writes four bytes to a live u32; SSE is part of x86-64.
    unsafe { core::arch::asm!("stmxcsr [{}]", in(reg) &raw mut control, options(nostack, preserves_flags)) };
    control & !0x3f // the low six bits are sticky exception flags, no setting
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn write(control: Control) {
    // SAFETY: ldmxcsr reads four bytes from a live u32; the value is one that was read from the register, or its reset
    // value, so no reserved bit is set. No float value lives across: callers go through a guard around a call.
    unsafe { core::arch::asm!("ldmxcsr [{}]", in(reg) &raw const control, options(nostack, preserves_flags)) };
}

#[cfg(target_arch = "aarch64")]
fn read() -> Control {
    let control: Control;
    // SAFETY: FPCR can be read at every privilege level.
    unsafe { core::arch::asm!("mrs {}, fpcr", out(reg) control, options(nomem, nostack, preserves_flags)) };
    control
}

#[cfg(target_arch = "aarch64")]
fn write(control: Control) {
    // SAFETY: FPCR can be written at every privilege level; the value was read from it or is its reset value.
    unsafe { core::arch::asm!("msr fpcr, {}", in(reg) control, options(nostack, preserves_flags)) };
}

#[cfg(any(all(target_arch = "x86_64", not(miri)), target_arch = "aarch64"))]
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

#[cfg(any(all(target_arch = "x86_64", not(miri)), target_arch = "aarch64"))]
impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(host) = self.host {
            write(host);
        }
    }
}

#[cfg(not(any(all(target_arch = "x86_64", not(miri)), target_arch = "aarch64")))]
impl Guard {
    // wasm and the rest have one float environment only.
    fn enter() -> Self {
        Guard {}
    }
}
