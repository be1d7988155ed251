//! From a level to its table of kernels: the only place that calls the entry points of an instruction set.
//!
//! A [`Kernels`] value can only be had for a level that this processor supports, so holding one is the proof that calling
//! its functions is sound; that is what every SAFETY note below rests on.

use super::generic::{self, *};
use crate::error::{Error, Result};
use crate::types::{BLOCK, TokenId};
#[cfg(target_arch = "x86_64")]
use core::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that kernels are compiled for. All levels give the same bits; they differ in speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// One lane after the other: the definition.
    Scalar,
    /// The target's own baseline by the `wide` crate: SSE2, NEON, simd128 or plain code.
    Portable,
    /// AVX2 and F16C, chosen at run time.
    Avx2,
    /// AVX-512 F, BW, DQ and VL, chosen at run time.
    Avx512,
}

impl Level {
    /// Every level, from the slowest to the fastest.
    pub const ALL: [Level; 4] = [Level::Scalar, Level::Portable, Level::Avx2, Level::Avx512];

    /// The name that `ARGPICK_KERNEL` and the command line use.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Scalar => "scalar",
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }

    /// The level of a name.
    pub fn from_name(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name() == name)
    }

    /// Whether this build contains the level at all.
    pub const fn is_compiled(self) -> bool {
        matches!(self, Level::Scalar | Level::Portable) || cfg!(target_arch = "x86_64")
    }

    /// Whether this processor and system can run it.
    pub fn is_available(self) -> bool {
        match self {
            Level::Scalar | Level::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => features().avx2,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => features().avx512,
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

impl core::fmt::Display for Level {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// What the processor offers, asked once: bit 2 says that it was asked, bits 0 and 1 are the answers.
#[cfg(target_arch = "x86_64")]
fn features() -> super::isa::x86::Features {
    static ASKED: AtomicU8 = AtomicU8::new(0);
    let mut known = ASKED.load(Ordering::Relaxed);
    if known == 0 {
        let found = super::isa::x86::detect();
        known = 4 | u8::from(found.avx2) | u8::from(found.avx512) << 1;
        ASKED.store(known, Ordering::Relaxed);
    }
    super::isa::x86::Features { avx2: known & 1 != 0, avx512: known & 2 != 0 }
}

/// The kernels of one level. Cheap to copy; to hold one is proof that this processor can run it.
#[derive(Clone, Copy)]
pub struct Kernels(&'static Table);

/// The list of kernels, handed to another macro. Adding a kernel touches `generic`, this list and `tests/differential.rs`.
macro_rules! for_each_kernel {
    ($apply:ident $extra:tt) => {
        $apply! {
            $extra
            block_maxima(view: &RowView<'_>, maxima: &mut [f32]) -> FirstPass;
            block_maximum(view: &RowView<'_>, overrides: &[Override], block: usize) -> f32;
            fold_maxima(values: &[f32], folded: &mut [f32]) -> f32;
            largest(values: &[f32]) -> f32;
            largest_finite(values: &[f32]) -> Option<f32>;
            find_equal(values: &[f32], wanted: f32) -> Option<usize>;
            find_at_least(maxima: &[f32], first: usize, threshold: f32) -> Option<usize>;
            count_at_least(values: &[f32], threshold: f32) -> usize;
            bound_for_count(values: &[f32], wanted: usize) -> f32;
            runner_up(view: &RowView<'_>, block: usize, token: TokenId) -> f32;
            sums(view: &RowView<'_>, maxima: &[f32], scale: Scale, masses: bool) -> Sums;
            kept_masses(view: &RowView<'_>, maxima: &[f32], scale: Scale, cut: Cut, masses: &mut [u64]) -> Kept;
            kept_and_total_mass(
                view: &RowView<'_>, maxima: &[f32], least: f32, scale: Scale, cut: Cut
            ) -> (u64, u64);
            kept_count(view: &RowView<'_>, maxima: &[f32], cut: Cut) -> u32;
            kept_bits(view: &RowView<'_>, maxima: &[f32], cut: Cut, words: &mut [u32]) -> ();
            block_masses(view: &RowView<'_>, block: usize, scale: Scale, cut: Cut, masses: &mut [u64; BLOCK]) -> u64;
            block_bounds(maxima: &[f32], scale: Scale, bounds: &mut [u64]) -> u64;
            bounds_below(maxima: &[f32], threshold: f32, bounds: &[u64]) -> u64;
            list_masses(logits: &[f32], scale: Scale, masses: &mut [u64]) -> u64;
            collect(
                view: &RowView<'_>, maxima: &[f32], threshold: f32, strictly: bool, from: Collected, keys: &mut [u64]
            ) -> Collected;
            bracket_histogram(
                view: &RowView<'_>, maxima: &[f32], scale: Option<Scale>, bracket: Bracket, bins: &mut Rings
            ) -> ();
            nucleus_histogram(
                view: &RowView<'_>, maxima: &[f32], scale: Scale, bracket: Bracket, bins: &mut Rings
            ) -> (u64, u64);
            distance_histogram(
                view: &RowView<'_>, maxima: &[f32], scale: Scale, masses: bool, wanted: bool, distances: &Distances,
                rings: &mut Rings
            ) -> u64;
            moments(view: &RowView<'_>, maximum: f32, unit: f32) -> Moments;
            nth_equal(view: &RowView<'_>, maxima: &[f32], first: usize, logit: f32, n: u64) -> Option<TokenId>;
            write_logits(row: &mut [f32], spec: &Rewrite<'_>, temperature: f32) -> ();
            write_weights(row: &mut [f32], spec: &Rewrite<'_>, scale: Scale) -> f64;
            multiply(values: &mut [f32], factor: f32) -> ();
            write_sum(sum: &ColumnSum<'_>, first: usize, output: &mut [f32]) -> ();
            add_scaled(y: &mut [f32], scale: f32, x: &[f32]) -> ();
        }
    };
}

/// The table's type, and the safe methods that call through it.
macro_rules! declare {
    ({} $($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        struct Table {
            level: Level,
            $($name: unsafe fn($($type),*) -> $result,)*
        }

        impl Kernels {
            $(
                #[doc = concat!("The kernel `", stringify!($name), "`; `kernels::generic` has its contract.")]
                #[inline]
                #[allow(clippy::too_many_arguments, reason = "mirrors the generic kernel")]
                pub fn $name(self, $($arg: $type),*) -> $result {
                    // SAFETY: this value was made by `Kernels::new`, which checked that the processor has the level.
                    unsafe { (self.0.$name)($($arg),*) }
                }
            )*
        }
    };
}
for_each_kernel!(declare {});

/// The entry points of one level: the generic kernels compiled with the level's instructions, and the table of them.
macro_rules! level {
    ({ $wrap:ident, $level:expr, $lanes:expr }
     $($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        use super::*;
        $(
            $wrap! {
                #[allow(clippy::too_many_arguments, reason = "mirrors the generic kernel")]
                unsafe fn $name($($arg: $type),*) -> $result {
                    generic::$name($lanes, $($arg),*)
                }
            }
        )*
        pub(super) static TABLE: Table = Table { level: $level, $($name,)* };
    };
}

macro_rules! baseline {
    ($($item:tt)*) => { $($item)* };
}

mod scalar {
    for_each_kernel!(level { baseline, Level::Scalar, crate::kernels::isa::scalar::Scalar });
}

mod portable {
    for_each_kernel!(level { baseline, Level::Portable, crate::kernels::isa::portable::Portable });
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use crate::kernels::isa::avx2::Avx2;

    macro_rules! with_avx2 {
        ($($item:tt)*) => { #[target_feature(enable = "avx2,f16c,popcnt,bmi1")] $($item)* };
    }

    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    fn token() -> Avx2 {
        // SAFETY: this function can only be called where AVX2 and F16C are enabled.
        unsafe { Avx2::new_unchecked() }
    }
    for_each_kernel!(level { with_avx2, Level::Avx2, token() });
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use crate::kernels::isa::avx512::Avx512;

    macro_rules! with_avx512 {
        ($($item:tt)*) => {
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,f16c,popcnt,bmi1")] $($item)*
        };
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    fn token() -> Avx512 {
        // SAFETY: this function can only be called where AVX-512 F, BW, DQ and VL are enabled.
        unsafe { Avx512::new_unchecked() }
    }
    for_each_kernel!(level { with_avx512, Level::Avx512, token() });
}

impl Kernels {
    /// The kernels of one level.
    ///
    /// # Errors
    /// [`Error::KernelUnavailable`] if this build or this processor does not have it.
    pub fn new(level: Level) -> Result<Kernels> {
        if !level.is_available() {
            return Err(Error::KernelUnavailable { level: level.name() });
        }
        Ok(Kernels(match level {
            Level::Scalar => &scalar::TABLE,
            Level::Portable => &portable::TABLE,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => &avx2::TABLE,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => &avx512::TABLE,
            #[cfg(not(target_arch = "x86_64"))]
            _ => return Err(Error::KernelUnavailable { level: level.name() }),
        }))
    }

    /// The fastest kernels of this processor, or those that the environment variable `ARGPICK_KERNEL` names (with `std`).
    /// The variable is read once, at the first call: later calls cost next to nothing and allocate nothing.
    ///
    /// # Errors
    /// [`Error::UnknownKernel`] or [`Error::KernelUnavailable`] if the variable asks for what is not there. Never silently
    /// less than was asked for.
    pub fn detect() -> Result<Kernels> {
        #[cfg(feature = "std")]
        {
            static FOUND: std::sync::OnceLock<Result<Kernels>> = std::sync::OnceLock::new();
            *FOUND.get_or_init(|| match std::env::var_os("ARGPICK_KERNEL").filter(|name| !name.is_empty()) {
                Some(name) => Kernels::new(name.to_str().and_then(Level::from_name).ok_or(Error::UnknownKernel)?),
                None => Kernels::best(),
            })
        }
        #[cfg(not(feature = "std"))]
        Kernels::best()
    }

    fn best() -> Result<Kernels> {
        let best = Level::ALL.into_iter().rev().find(|level| level.is_available()).unwrap_or(Level::Scalar);
        Kernels::new(best)
    }

    /// Probabilities of the kept tokens among themselves; 0 for the rest.
    pub fn write_probabilities(self, row: &mut [f32], spec: &Rewrite<'_>, scale: Scale) {
        let total = self.write_weights(row, spec, scale);
        self.multiply(row, (1.0 / total) as f32);
    }

    /// The level of these kernels.
    pub fn level(self) -> Level {
        self.0.level
    }
}

impl core::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Kernels").field(&self.level()).finish()
    }
}
