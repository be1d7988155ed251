//! The sixteen-lane machine that every kernel is written for.
//!
//! A value of a type that implements [`Lanes`] is a capability: it can only be made where the processor has the
//! instructions, so kernels that take one are safe code. The trait says how sixteen lanes load, compare and compute; each
//! method is defined by the scalar implementation in `isa/scalar.rs` and must agree with it bit for bit. There is no fused
//! multiply-add, on purpose: SSE2 and wasm have none.

use super::generic::Band;
use crate::types::BLOCK;

/// Runs a block for each of the four quarters of 64 tokens. If `$apart` (a constant of the level) it is spelled out four
/// times, because a loop that the compiler does not unroll keeps the quarters in memory.
macro_rules! for_quarters {
    ($apart:expr, $quarter:ident => $body:block) => {
        if $apart {
            $crate::kernels::lanes::four_times!($quarter => $body);
        } else {
            for $quarter in 0..4 {
                $body
            }
        }
    };
}
macro_rules! four_times {
    ($quarter:ident => $body:block) => {
        $crate::kernels::lanes::four_times!($quarter => $body; 0 1 2 3)
    };
    ($quarter:ident => $body:block; $($number:literal)*) => {
        $({
            let $quarter: usize = $number;
            $body
        })*
    };
}
pub(super) use {for_quarters, four_times};

/// Sixteen lanes of f32 and u32, and masks over them.
pub trait Lanes: Copy {
    /// Sixteen f32.
    type F: Copy;
    /// Sixteen u32.
    type U: Copy;
    /// Sixteen truth values.
    type M: Copy;

    /// Whether kernels call their longer parts instead of containing them: smaller and slower.
    const SMALL: bool = false;
    /// Whether four [`Lanes::F`] and what is computed from them fit in registers.
    const QUARTERS_IN_REGISTERS: bool = true;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::F;
    /// Sixteen floats from memory.
    fn load(self, from: &[f32; 16]) -> Self::F;
    /// Sixteen binary16 numbers (their bits), widened exactly; a NaN stays a NaN.
    fn load_f16(self, from: &[u16; 16]) -> Self::F;
    /// Sixteen bfloat16 numbers (their bits), widened exactly.
    fn load_bf16(self, from: &[u16; 16]) -> Self::F;
    /// A block of binary16 numbers, widened. Never part of its caller: kernels that read any source call it.
    #[inline(never)]
    fn widen_f16(self, from: &[u16; BLOCK], to: &mut [f32; BLOCK]) {
        let ((sources, _), (targets, _)) = (from.as_chunks::<16>(), to.as_chunks_mut::<16>());
        for i in 0..4 {
            self.store(self.load_f16(&sources[i]), &mut targets[i]);
        }
    }
    /// A block of bfloat16 numbers, likewise.
    #[inline(never)]
    fn widen_bf16(self, from: &[u16; BLOCK], to: &mut [f32; BLOCK]) {
        let ((sources, _), (targets, _)) = (from.as_chunks::<16>(), to.as_chunks_mut::<16>());
        for i in 0..4 {
            self.store(self.load_bf16(&sources[i]), &mut targets[i]);
        }
    }
    /// Puts -inf where the bit of a block's token is 0. Never part of its caller, likewise.
    #[inline(never)]
    fn mask_block(self, bits: u64, block: &mut [f32; BLOCK]) {
        self.mask_whole(bits, block);
    }
    /// The same as part of its caller: what a level compiles with its instructions.
    #[inline(always)]
    fn mask_whole(self, bits: u64, block: &mut [f32; BLOCK]) {
        let masked = self.splat(f32::NEG_INFINITY);
        let (quarters, _) = block.as_chunks_mut::<16>();
        for_quarters!(Self::QUARTERS_IN_REGISTERS, i => {
            let allowed = self.mask((bits >> (16 * i)) as u32 & 0xffff);
            self.store(self.select(allowed, self.load(&quarters[i]), masked), &mut quarters[i]);
        });
    }
    /// Puts -inf in place of a block's logits outside the band. Never part of its caller, likewise.
    #[inline(never)]
    fn keep_band(self, band: &Band, block: usize, logits: &mut [f32; BLOCK]) {
        band.apply(self, block, logits);
    }
    /// Asks for the cache line `at` bytes after the beginning of `bytes`, which may lie past their end: a hint, and nothing
    /// where the level has none.
    #[inline(always)]
    fn prefetch(self, _bytes: &[u8], _at: usize) {}
    /// Writes sixteen floats.
    fn store(self, x: Self::F, to: &mut [f32; 16]);

    /// `a + b`.
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a - b`.
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b`.
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`.
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a` where `a > b`, else `b` (so `b` where either is NaN).
    fn max(self, a: Self::F, b: Self::F) -> Self::F;

    /// `a > b`.
    fn gt(self, a: Self::F, b: Self::F) -> Self::M;
    /// `a >= b`.
    fn ge(self, a: Self::F, b: Self::F) -> Self::M;
    /// `a == b`.
    fn eq(self, a: Self::F, b: Self::F) -> Self::M;
    /// Whether either is NaN.
    fn unordered(self, a: Self::F, b: Self::F) -> Self::M;
    /// Either mask.
    fn or(self, a: Self::M, b: Self::M) -> Self::M;
    /// No lane.
    fn none(self) -> Self::M;
    /// The lanes whose bit is set in the low 16 bits; bit i is lane i.
    fn mask(self, bits: u32) -> Self::M;
    /// The mask as bits.
    fn bits(self, m: Self::M) -> u32;
    /// Writes the lanes whose bit is set side by side, the lowest first; what is written after them is not defined.
    #[inline(always)]
    fn pack(self, bits: u32, x: Self::F, to: &mut [f32; 16]) {
        let mut values = [0.0; 16];
        self.store(x, &mut values);
        let (mut rest, mut count) = (bits & 0xffff, 0);
        while rest != 0 {
            to[count] = values[rest.trailing_zeros() as usize];
            count += 1;
            rest &= rest - 1;
        }
    }
    /// `a` where the mask holds, else `b`.
    fn select(self, m: Self::M, a: Self::F, b: Self::F) -> Self::F;

    /// All lanes 0.
    fn zero(self) -> Self::U;
    /// `a + b`, wrapping.
    fn add_u(self, a: Self::U, b: Self::U) -> Self::U;
    /// `a + b`, wrapping, where the mask holds, else `a`.
    fn add_u_where(self, m: Self::M, a: Self::U, b: Self::U) -> Self::U;
    /// Truncation of floats in [0, 2^31).
    fn truncate(self, x: Self::F) -> Self::U;
    /// Integers below 2^31 as floats (rounded to nearest).
    fn to_float(self, x: Self::U) -> Self::F;
    /// Writes sixteen integers.
    fn store_u(self, x: Self::U, to: &mut [u32; 16]);
    /// Adds the low bits of `rounded` (an f32 with [`crate::numeric::ROUND_MAGIC`] added) to the exponent of `p`.
    fn scale_exponent(self, p: Self::F, rounded: Self::F) -> Self::F;

    /// Lane i of the result is the largest lane of `x[i]` (by [`Lanes::max`]; without NaN the order is irrelevant, and the
    /// sign of a zero is not defined).
    fn fold_max(self, x: [Self::F; 16]) -> Self::F;

    /// The sum of the lanes by one fixed tree: lane i with i + 8, then i + 4, i + 2, i + 1.
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        let mut a = [0.0; 16];
        self.store(x, &mut a);
        fold_sum(a)
    }

    /// The sum of the lanes as u64.
    #[inline(always)]
    fn sum_u(self, x: Self::U) -> u64 {
        let mut a = [0; 16];
        self.store_u(x, &mut a);
        let mut sum = 0;
        for lane in a {
            sum += u64::from(lane);
        }
        sum
    }

    /// The sum of the numbers whose lane is set.
    #[inline(always)]
    fn sum_selected(self, m: Self::M, numbers: &[u64; 16]) -> u64 {
        let bits = self.bits(m);
        let mut sum = 0;
        for (i, &number) in numbers.iter().enumerate() {
            sum += if bits >> i & 1 != 0 { number } else { 0 };
        }
        sum
    }

    /// `high * 2^bits + low` of each lane as u64, `bits` at most 31.
    #[inline(always)]
    fn join(self, high: Self::U, low: Self::U, bits: u32, to: &mut [u64; 16]) {
        let (mut highs, mut lows) = ([0; 16], [0; 16]);
        self.store_u(high, &mut highs);
        self.store_u(low, &mut lows);
        for (to, (high, low)) in to.iter_mut().zip(highs.into_iter().zip(lows)) {
            *to = (u64::from(high) << bits) + u64::from(low);
        }
    }

    /// Replaces each number by its bound, `e + e / 2^18 + 64`, or 0 where it is 0; returns their sum.
    #[inline(always)]
    fn bound(self, numbers: &mut [u64; 16]) -> u64 {
        let mut sum = 0;
        for number in numbers {
            *number = if *number == 0 { 0 } else { *number + (*number >> 18) + 64 };
            sum += *number;
        }
        sum
    }
}

/// The sum of sixteen lanes by the one fixed tree.
#[inline(always)]
pub fn fold_sum(lanes: [f32; 16]) -> f32 {
    let mut a = lanes;
    let mut width = 8;
    while width > 0 {
        for i in 0..width {
            a[i] += a[i + width];
        }
        width /= 2;
    }
    a[0]
}

/// An element of a row of logits: how sixteen of them become sixteen f32.
pub trait Element: Copy {
    /// Negative infinity, the masked logit.
    const MASKED: Self;
    /// Sixteen elements, widened exactly.
    fn load<L: Lanes>(lanes: L, from: &[Self; 16]) -> L::F;
}

impl Element for f32 {
    const MASKED: Self = f32::NEG_INFINITY;
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, from: &[Self; 16]) -> L::F {
        lanes.load(from)
    }
}

impl Element for half::f16 {
    const MASKED: Self = half::f16::NEG_INFINITY;
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, from: &[Self; 16]) -> L::F {
        lanes.load_f16(bytemuck::cast_ref(from))
    }
}

impl Element for half::bf16 {
    const MASKED: Self = half::bf16::NEG_INFINITY;
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, from: &[Self; 16]) -> L::F {
        lanes.load_bf16(bytemuck::cast_ref(from))
    }
}
