//! What an x86-64 processor offers, asked of the processor itself, so that it works without an operating system's help.

use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

/// The levels beyond SSE2 that processor and system support.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// AVX2 and F16C, with the 256-bit registers saved by the system.
    pub avx2: bool,
    /// AVX-512 F, BW, DQ and VL as well, with the 512-bit and mask registers saved.
    pub avx512: bool,
}

/// Asks the processor (CPUID) and what the system saves (XCR0).
pub fn detect() -> Features {
    let bit = |register: u32, at: u32| register >> at & 1 != 0;
    let highest = __cpuid(0).eax;
    if highest < 7 {
        return Features::default();
    }
    let basic = __cpuid(1).ecx;
    let (osxsave, avx, f16c) = (bit(basic, 27), bit(basic, 28), bit(basic, 29));
    if !(osxsave && avx && f16c) {
        return Features::default();
    }
    // SAFETY: bit 27 of leaf 1 (OSXSAVE) says that XGETBV can be executed, checked three lines up.
    let saved = unsafe { saved_registers() };
    let extended = __cpuid_count(7, 0).ebx;
    let avx2 = saved & 0x6 == 0x6 && bit(extended, 5);
    let avx512_bits = [16, 17, 30, 31]; // F, DQ, BW, VL
    let avx512 = avx2 && saved & 0xe6 == 0xe6 && avx512_bits.iter().all(|&at| bit(extended, at));
    Features { avx2, avx512 }
}

/// The register sets the system saves.
///
/// # Safety
/// - The processor has XSAVE and the system has enabled it (OSXSAVE).
#[target_feature(enable = "xsave")]
unsafe fn saved_registers() -> u64 {
    // SAFETY: the caller has seen OSXSAVE.
    unsafe { _xgetbv(0) }
}
