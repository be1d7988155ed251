//! The portable level: four vectors of four lanes by the `wide` crate, which takes SSE2, NEON or simd128 from the target's
//! own baseline and plain code elsewhere.

use crate::kernels::lanes::Lanes;
use bytemuck::cast;
use wide::{f32x4, i32x4, u32x4};

/// The portable machine; every processor has it.
#[derive(Clone, Copy)]
pub struct Portable;

/// Four 16-bit numbers as u32.
#[inline(always)]
fn wide_quarter(from: &[u16; 16], i: usize) -> u32x4 {
    u32x4::new([u32::from(from[i]), u32::from(from[i + 1]), u32::from(from[i + 2]), u32::from(from[i + 3])])
}

#[inline(always)]
fn splat_u(x: u32) -> u32x4 {
    u32x4::new([x, x, x, x])
}

/// Four binary16 numbers, widened.
#[inline(always)]
fn half_quarter(from: &[u16; 16], i: usize) -> f32x4 {
    let bits = wide_quarter(from, i);
    let magnitude = (bits & splat_u(0x7fff)) << 13u32;
    // The exponent is short by 112; multiplying mends normal and subnormal numbers alike, exactly.
    let scaled: f32x4 = cast::<u32x4, f32x4>(magnitude) * cast::<u32x4, f32x4>(splat_u(0x7780_0000));
    let largest = cast::<u32x4, i32x4>(splat_u((0x7bff << 13) | 0x1fff));
    let special: f32x4 = cast(cast::<u32x4, i32x4>(magnitude).simd_gt(largest));
    let exponent = special & cast::<u32x4, f32x4>(splat_u(0x7f80_0000));
    let sign: f32x4 = cast((bits & splat_u(0x8000)) << 16u32);
    scaled | exponent | sign
}

/// Four bfloat16 numbers, widened.
#[inline(always)]
fn brain_quarter(from: &[u16; 16], i: usize) -> f32x4 {
    cast(wide_quarter(from, i) << 16u32)
}

impl Lanes for Portable {
    type F = [f32x4; 4];
    type U = [i32x4; 4];
    type M = [f32x4; 4];
    const QUARTERS_IN_REGISTERS: bool = false;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // Spelled out: small builds make a loop of a repeated element.
        let x = f32x4::new([x, x, x, x]);
        [x, x, x, x]
    }
    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::F {
        cast(*from)
    }
    // Called, not contained: as long as a kernel.
    #[inline(never)]
    fn load_f16(self, from: &[u16; 16]) -> Self::F {
        [half_quarter(from, 0), half_quarter(from, 4), half_quarter(from, 8), half_quarter(from, 12)]
    }
    #[inline(always)]
    fn load_bf16(self, from: &[u16; 16]) -> Self::F {
        [brain_quarter(from, 0), brain_quarter(from, 4), brain_quarter(from, 8), brain_quarter(from, 12)]
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; 16]) {
        *to = cast(x);
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        [a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]]
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        [a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]]
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        [a[0] / b[0], a[1] / b[1], a[2] / b[2], a[3] / b[3]]
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        // One instruction on SSE2; elsewhere it may differ for NaN and for the sign of a zero, which no caller sees.
        [a[0].fast_max(b[0]), a[1].fast_max(b[1]), a[2].fast_max(b[2]), a[3].fast_max(b[3])]
    }

    #[inline(always)]
    fn gt(self, a: Self::F, b: Self::F) -> Self::M {
        [a[0].simd_gt(b[0]), a[1].simd_gt(b[1]), a[2].simd_gt(b[2]), a[3].simd_gt(b[3])]
    }
    #[inline(always)]
    fn ge(self, a: Self::F, b: Self::F) -> Self::M {
        [a[0].simd_ge(b[0]), a[1].simd_ge(b[1]), a[2].simd_ge(b[2]), a[3].simd_ge(b[3])]
    }
    #[inline(always)]
    fn eq(self, a: Self::F, b: Self::F) -> Self::M {
        [a[0].simd_eq(b[0]), a[1].simd_eq(b[1]), a[2].simd_eq(b[2]), a[3].simd_eq(b[3])]
    }
    #[inline(always)]
    fn unordered(self, a: Self::F, b: Self::F) -> Self::M {
        [
            a[0].is_nan() | b[0].is_nan(),
            a[1].is_nan() | b[1].is_nan(),
            a[2].is_nan() | b[2].is_nan(),
            a[3].is_nan() | b[3].is_nan(),
        ]
    }
    #[inline(always)]
    fn or(self, a: Self::M, b: Self::M) -> Self::M {
        [a[0] | b[0], a[1] | b[1], a[2] | b[2], a[3] | b[3]]
    }
    #[inline(always)]
    fn none(self) -> Self::M {
        self.splat(0.0)
    }
    #[inline(always)]
    fn mask(self, bits: u32) -> Self::M {
        [mask_quarter(bits, 0), mask_quarter(bits, 4), mask_quarter(bits, 8), mask_quarter(bits, 12)]
    }
    #[inline(always)]
    fn bits(self, m: Self::M) -> u32 {
        m[0].to_bitmask() | m[1].to_bitmask() << 4 | m[2].to_bitmask() << 8 | m[3].to_bitmask() << 12
    }
    #[inline(always)]
    fn select(self, m: Self::M, a: Self::F, b: Self::F) -> Self::F {
        [m[0].bitselect(a[0], b[0]), m[1].bitselect(a[1], b[1]), m[2].bitselect(a[2], b[2]), m[3].bitselect(a[3], b[3])]
    }

    #[inline(always)]
    fn zero(self) -> Self::U {
        [i32x4::new([0, 0, 0, 0]), i32x4::new([0, 0, 0, 0]), i32x4::new([0, 0, 0, 0]), i32x4::new([0, 0, 0, 0])]
    }
    #[inline(always)]
    fn add_u(self, a: Self::U, b: Self::U) -> Self::U {
        [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
    }
    #[inline(always)]
    fn add_u_where(self, m: Self::M, a: Self::U, b: Self::U) -> Self::U {
        let m: [i32x4; 4] = cast(m);
        [a[0] + (m[0] & b[0]), a[1] + (m[1] & b[1]), a[2] + (m[2] & b[2]), a[3] + (m[3] & b[3])]
    }
    #[inline(always)]
    fn truncate(self, x: Self::F) -> Self::U {
        [x[0].fast_trunc_int(), x[1].fast_trunc_int(), x[2].fast_trunc_int(), x[3].fast_trunc_int()]
    }
    #[inline(always)]
    fn to_float(self, x: Self::U) -> Self::F {
        [x[0].round_float(), x[1].round_float(), x[2].round_float(), x[3].round_float()]
    }
    #[inline(always)]
    fn store_u(self, x: Self::U, to: &mut [u32; 16]) {
        *to = cast(x);
    }
    #[inline(always)]
    fn scale_exponent(self, p: Self::F, rounded: Self::F) -> Self::F {
        [
            cast(cast::<f32x4, i32x4>(p[0]) + (cast::<f32x4, i32x4>(rounded[0]) << 23u32)),
            cast(cast::<f32x4, i32x4>(p[1]) + (cast::<f32x4, i32x4>(rounded[1]) << 23u32)),
            cast(cast::<f32x4, i32x4>(p[2]) + (cast::<f32x4, i32x4>(rounded[2]) << 23u32)),
            cast(cast::<f32x4, i32x4>(p[3]) + (cast::<f32x4, i32x4>(rounded[3]) << 23u32)),
        ]
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        let four = (x[0] + x[2]) + (x[1] + x[3]);
        let [a, b, c, d] = four.to_array();
        (a + c) + (b + d)
    }

    #[inline(always)]
    fn fold_max(self, x: [Self::F; 16]) -> Self::F {
        // Transpose four inputs at a time and fold their columns.
        [
            fold(x[0], x[1], x[2], x[3]),
            fold(x[4], x[5], x[6], x[7]),
            fold(x[8], x[9], x[10], x[11]),
            fold(x[12], x[13], x[14], x[15]),
        ]
    }
}

/// The largest lanes of four inputs.
#[inline(always)]
fn fold(a: [f32x4; 4], b: [f32x4; 4], c: [f32x4; 4], d: [f32x4; 4]) -> f32x4 {
    let [a, b, c, d] = f32x4::transpose([fold_quarters(a), fold_quarters(b), fold_quarters(c), fold_quarters(d)]);
    a.fast_max(b).fast_max(c.fast_max(d))
}

#[inline(always)]
fn fold_quarters(x: [f32x4; 4]) -> f32x4 {
    x[0].fast_max(x[1]).fast_max(x[2].fast_max(x[3]))
}

/// Four lanes of a mask: lane i holds where bit `first + i` is set.
#[inline(always)]
fn mask_quarter(bits: u32, first: u32) -> f32x4 {
    let lanes = i32x4::new([1, 2, 4, 8]) << first;
    cast((i32x4::splat(bits as i32) & lanes).simd_eq(lanes))
}
