//! The portable level: four vectors of four lanes by the `wide` crate, which takes SSE2, NEON or simd128 from the target's
//! own baseline and plain code elsewhere.

use crate::kernels::lanes::Lanes;
use bytemuck::cast;
use core::array::from_fn;
use wide::{f32x4, i32x4, u32x4};

/// The portable machine; every processor has it.
#[derive(Clone, Copy)]
pub struct Portable;

#[inline(always)]
fn quarter<T: Copy>(from: &[T; 16], i: usize) -> [T; 4] {
    [from[4 * i], from[4 * i + 1], from[4 * i + 2], from[4 * i + 3]]
}

impl Lanes for Portable {
    type F = [f32x4; 4];
    type U = [i32x4; 4];
    type M = [f32x4; 4];

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [f32x4::splat(x); 4]
    }
    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::F {
        from_fn(|i| f32x4::new(quarter(from, i)))
    }
    // Called, not contained: as long as a kernel.
    #[inline(never)]
    fn load_f16(self, from: &[u16; 16]) -> Self::F {
        from_fn(|i| {
            let bits = u32x4::new(quarter(from, i).map(u32::from));
            let magnitude = (bits & u32x4::splat(0x7fff)) << 13u32;
            // The exponent is short by 112; multiplying mends normal and subnormal numbers alike, exactly.
            let scaled: f32x4 = cast::<u32x4, f32x4>(magnitude) * f32x4::splat(f32::from_bits(0x7780_0000));
            let special: f32x4 =
                cast::<i32x4, f32x4>(cast::<u32x4, i32x4>(magnitude).simd_gt(i32x4::splat((0x7bff << 13) | 0x1fff)));
            let exponent = special & f32x4::splat(f32::INFINITY);
            let sign: f32x4 = cast((bits & u32x4::splat(0x8000)) << 16u32);
            scaled | exponent | sign
        })
    }
    #[inline(always)]
    fn load_bf16(self, from: &[u16; 16]) -> Self::F {
        from_fn(|i| cast(u32x4::new(quarter(from, i).map(|bits| u32::from(bits) << 16))))
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; 16]) {
        *to = cast(x);
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| a[i] / b[i])
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        // One instruction on SSE2; elsewhere it may differ for NaN and for the sign of a zero, which no caller sees.
        from_fn(|i| a[i].fast_max(b[i]))
    }

    #[inline(always)]
    fn gt(self, a: Self::F, b: Self::F) -> Self::M {
        from_fn(|i| a[i].simd_gt(b[i]))
    }
    #[inline(always)]
    fn ge(self, a: Self::F, b: Self::F) -> Self::M {
        from_fn(|i| a[i].simd_ge(b[i]))
    }
    #[inline(always)]
    fn eq(self, a: Self::F, b: Self::F) -> Self::M {
        from_fn(|i| a[i].simd_eq(b[i]))
    }
    #[inline(always)]
    fn unordered(self, a: Self::F, b: Self::F) -> Self::M {
        from_fn(|i| a[i].is_nan() | b[i].is_nan())
    }
    #[inline(always)]
    fn or(self, a: Self::M, b: Self::M) -> Self::M {
        from_fn(|i| a[i] | b[i])
    }
    #[inline(always)]
    fn none(self) -> Self::M {
        [f32x4::splat(0.0); 4]
    }
    #[inline(always)]
    fn mask(self, bits: u32) -> Self::M {
        from_fn(|i| {
            let lanes = i32x4::new([1, 2, 4, 8]) << (4 * i as u32);
            cast((i32x4::splat(bits as i32) & lanes).simd_eq(lanes))
        })
    }
    #[inline(always)]
    fn bits(self, m: Self::M) -> u32 {
        m[0].to_bitmask() | m[1].to_bitmask() << 4 | m[2].to_bitmask() << 8 | m[3].to_bitmask() << 12
    }
    #[inline(always)]
    fn select(self, m: Self::M, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| m[i].bitselect(a[i], b[i]))
    }

    #[inline(always)]
    fn zero(self) -> Self::U {
        [i32x4::splat(0); 4]
    }
    #[inline(always)]
    fn add_u(self, a: Self::U, b: Self::U) -> Self::U {
        from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn truncate(self, x: Self::F) -> Self::U {
        from_fn(|i| x[i].fast_trunc_int())
    }
    #[inline(always)]
    fn to_float(self, x: Self::U) -> Self::F {
        from_fn(|i| x[i].round_float())
    }
    #[inline(always)]
    fn store_u(self, x: Self::U, to: &mut [u32; 16]) {
        *to = cast(x);
    }
    #[inline(always)]
    fn scale_exponent(self, p: Self::F, rounded: Self::F) -> Self::F {
        from_fn(|i| cast(cast::<f32x4, i32x4>(p[i]) + (cast::<f32x4, i32x4>(rounded[i]) << 23u32)))
    }

    #[inline(always)]
    fn fold_max(self, x: [Self::F; 16]) -> Self::F {
        // Fold each input to four lanes, then transpose four inputs at a time and fold their columns.
        let four: [f32x4; 16] = from_fn(|i| x[i][0].fast_max(x[i][1]).fast_max(x[i][2].fast_max(x[i][3])));
        from_fn(|i| {
            let [a, b, c, d] = f32x4::transpose([four[4 * i], four[4 * i + 1], four[4 * i + 2], four[4 * i + 3]]);
            a.fast_max(b).fast_max(c.fast_max(d))
        })
    }
}
