//! Float environments that hosts set and that would change bits: the library must neither notice nor change them.

/// A float environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// As programs start.
    Default,
    /// Results that are subnormal become zero, and so do subnormal operands.
    Flush,
    /// The same, and results are rounded down.
    FlushAndDown,
}

impl Environment {
    /// The environment of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "default" => Some(Environment::Default),
            "flush" => Some(Environment::Flush),
            "flush-and-down" => Some(Environment::FlushAndDown),
            _ => None,
        }
    }

    /// Sets it for this thread. False where the target has no other than the default one.
    ///
    /// # Safety
    /// - The caller computes with no float itself until the default environment is set again: the compiler relies on it.
    pub unsafe fn set(self) -> bool {
        // SAFETY: a value of `control`, by the caller's leave.
        unsafe { register::write(register::control(self)) };
        self.is_set()
    }

    /// Whether it is in force.
    pub fn is_set(self) -> bool {
        register::read() == Some(register::control(self))
    }
}

#[cfg(target_arch = "x86_64")]
mod register {
    use super::Environment;

    pub fn control(environment: Environment) -> u32 {
        match environment {
            Environment::Default => 0x1f80,
            Environment::Flush => 0x1f80 | 0x8040,
            Environment::FlushAndDown => 0x1f80 | 0x8040 | 0x2000,
        }
    }

    pub fn read() -> Option<u32> {
        let mut control = 0u32;
        // SAFETY: stmxcsr writes four bytes to a live u32.
        unsafe { core::arch::asm!("stmxcsr [{}]", in(reg) &raw mut control, options(nostack, preserves_flags)) };
        Some(control & !0x3f)
    }

    /// # Safety
    /// - `control` has no reserved bit; the caller knows what it does to floats.
    pub unsafe fn write(control: u32) {
        // SAFETY: ldmxcsr reads four bytes of a live u32.
        unsafe { core::arch::asm!("ldmxcsr [{}]", in(reg) &raw const control, options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod register {
    use super::Environment;

    pub fn control(environment: Environment) -> u64 {
        match environment {
            Environment::Default => 0,
            Environment::Flush => 1 << 24,
            Environment::FlushAndDown => 1 << 24 | 2 << 22,
        }
    }

    pub fn read() -> Option<u64> {
        let control;
        // SAFETY: FPCR can be read at every privilege level.
        unsafe { core::arch::asm!("mrs {}, fpcr", out(reg) control, options(nomem, nostack, preserves_flags)) };
        Some(control)
    }

    /// # Safety
    /// - The caller knows what it does to floats.
    pub unsafe fn write(control: u64) {
        // SAFETY: FPCR can be written at every privilege level.
        unsafe { core::arch::asm!("msr fpcr, {}", in(reg) control, options(nostack, preserves_flags)) };
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod register {
    use super::Environment;

    pub fn control(_: Environment) -> u32 {
        0
    }

    pub fn read() -> Option<u32> {
        None
    }

    /// # Safety
    /// - None here.
    pub unsafe fn write(_: u32) {}
}
