//! The scalar level: sixteen lanes one after the other. It is the definition that every other level must equal. Nobody waits
//! for it, so each operation is a function that kernels call: written into them it was the largest level.

use crate::kernels::lanes::Lanes;
use core::array::from_fn;
use half::{bf16, f16};

/// The scalar machine; every processor has it.
#[derive(Clone, Copy)]
pub struct Scalar;

impl Lanes for Scalar {
    type F = [f32; 16];
    type U = [u32; 16];
    type M = u32;
    const QUARTERS_IN_REGISTERS: bool = false;
    const SMALL: bool = true;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; 16]
    }
    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::F {
        *from
    }
    #[inline(never)]
    fn load_f16(self, from: &[u16; 16]) -> Self::F {
        from_fn(|i| f16::from_bits(from[i]).to_f32_const())
    }
    #[inline(never)]
    fn load_bf16(self, from: &[u16; 16]) -> Self::F {
        from_fn(|i| bf16::from_bits(from[i]).to_f32_const())
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; 16]) {
        *to = x;
    }

    #[inline(never)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| a[i] + b[i])
    }
    #[inline(never)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| a[i] - b[i])
    }
    #[inline(never)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| a[i] * b[i])
    }
    #[inline(never)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| a[i] / b[i])
    }
    #[inline(never)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(never)]
    fn gt(self, a: Self::F, b: Self::F) -> Self::M {
        collect(|i| a[i] > b[i])
    }
    #[inline(never)]
    fn ge(self, a: Self::F, b: Self::F) -> Self::M {
        collect(|i| a[i] >= b[i])
    }
    #[inline(never)]
    fn eq(self, a: Self::F, b: Self::F) -> Self::M {
        collect(|i| a[i] == b[i])
    }
    #[inline(never)]
    fn unordered(self, a: Self::F, b: Self::F) -> Self::M {
        collect(|i| a[i].is_nan() || b[i].is_nan())
    }
    #[inline(always)]
    fn or(self, a: Self::M, b: Self::M) -> Self::M {
        a | b
    }
    #[inline(always)]
    fn none(self) -> Self::M {
        0
    }
    #[inline(always)]
    fn mask(self, bits: u32) -> Self::M {
        bits & 0xffff
    }
    #[inline(always)]
    fn bits(self, m: Self::M) -> u32 {
        m
    }
    #[inline(never)]
    fn select(self, m: Self::M, a: Self::F, b: Self::F) -> Self::F {
        from_fn(|i| if m >> i & 1 != 0 { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn zero(self) -> Self::U {
        [0; 16]
    }
    #[inline(never)]
    fn add_u(self, a: Self::U, b: Self::U) -> Self::U {
        from_fn(|i| a[i].wrapping_add(b[i]))
    }
    #[inline(never)]
    fn add_u_where(self, m: Self::M, a: Self::U, b: Self::U) -> Self::U {
        from_fn(|i| if m >> i & 1 != 0 { a[i].wrapping_add(b[i]) } else { a[i] })
    }
    #[inline(never)]
    fn truncate(self, x: Self::F) -> Self::U {
        from_fn(|i| x[i] as i32 as u32)
    }
    #[inline(never)]
    fn to_float(self, x: Self::U) -> Self::F {
        from_fn(|i| x[i] as i32 as f32)
    }
    #[inline(always)]
    fn store_u(self, x: Self::U, to: &mut [u32; 16]) {
        *to = x;
    }
    #[inline(never)]
    fn scale_exponent(self, p: Self::F, rounded: Self::F) -> Self::F {
        from_fn(|i| f32::from_bits(p[i].to_bits().wrapping_add(rounded[i].to_bits() << 23)))
    }

    #[inline(never)]
    fn fold_max(self, x: [Self::F; 16]) -> Self::F {
        from_fn(|i| x[i].iter().fold(f32::NEG_INFINITY, |largest, &lane| if lane > largest { lane } else { largest }))
    }
}

#[inline(always)]
fn collect(test: impl Fn(usize) -> bool) -> u32 {
    (0..16).fold(0, |bits, i| bits | u32::from(test(i)) << i)
}
