//! The AVX2 level: sixteen lanes are two registers. Chosen at run time. F16C widens binary16; no FMA is used.

use crate::kernels::Band;
use crate::kernels::lanes::{Lanes, four_times};
use crate::types::BLOCK;
use core::arch::x86_64::*;

/// The proof that this processor has AVX2 and F16C.
#[derive(Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// Makes the token.
    ///
    /// # Safety
    /// - The processor has AVX2 and F16C and the system saves their registers.
    #[inline(always)]
    pub unsafe fn new_unchecked() -> Self {
        Avx2(())
    }
}

/// Calls intrinsics on the strength of the token.
macro_rules! with_avx2 {
    ($self:ident, $e:expr) => {{
        let Avx2(()) = $self;
        // SAFETY: the token proves AVX2 and F16C; loads and stores go through references to sixteen elements.
        unsafe { $e }
    }};
}

impl Lanes for Avx2 {
    type F = [__m256; 2];
    type U = [__m256i; 2];
    type M = [__m256; 2];

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        with_avx2!(self, [_mm256_set1_ps(x), _mm256_set1_ps(x)])
    }
    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::F {
        with_avx2!(self, [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))])
    }
    #[inline(always)]
    fn load_f16(self, from: &[u16; 16]) -> Self::F {
        with_avx2!(
            self,
            [
                _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().add(8).cast()))
            ]
        )
    }
    #[inline(always)]
    fn load_bf16(self, from: &[u16; 16]) -> Self::F {
        let (halves, _) = from.as_chunks::<8>();
        [self.widen_bf16(&halves[0]), self.widen_bf16(&halves[1])]
    }
    #[inline(always)]
    fn widen_f16(self, from: &[u16; BLOCK], to: &mut [f32; BLOCK]) {
        with_avx2!(self, widen_f16(self, from, to))
    }
    #[inline(always)]
    fn widen_bf16(self, from: &[u16; BLOCK], to: &mut [f32; BLOCK]) {
        with_avx2!(self, widen_bf16(self, from, to))
    }
    #[inline(always)]
    fn mask_block(self, bits: u64, block: &mut [f32; BLOCK]) {
        with_avx2!(self, mask_block(self, bits, block))
    }
    #[inline(always)]
    fn keep_band(self, band: &Band, block: usize, logits: &mut [f32; BLOCK]) {
        with_avx2!(self, keep_band(self, band, block, logits))
    }
    #[inline(always)]
    fn prefetch(self, bytes: &[u8], at: usize) {
        // Any address may be asked for.
        with_avx2!(self, _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(at).cast()))
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; 16]) {
        with_avx2!(self, {
            _mm256_storeu_ps(to.as_mut_ptr(), x[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), x[1]);
        })
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        with_avx2!(self, [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        with_avx2!(self, [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        with_avx2!(self, [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        with_avx2!(self, [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        with_avx2!(self, [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])])
    }

    #[inline(always)]
    fn gt(self, a: Self::F, b: Self::F) -> Self::M {
        with_avx2!(self, [_mm256_cmp_ps::<_CMP_GT_OQ>(a[0], b[0]), _mm256_cmp_ps::<_CMP_GT_OQ>(a[1], b[1])])
    }
    #[inline(always)]
    fn ge(self, a: Self::F, b: Self::F) -> Self::M {
        with_avx2!(self, [_mm256_cmp_ps::<_CMP_GE_OQ>(a[0], b[0]), _mm256_cmp_ps::<_CMP_GE_OQ>(a[1], b[1])])
    }
    #[inline(always)]
    fn eq(self, a: Self::F, b: Self::F) -> Self::M {
        with_avx2!(self, [_mm256_cmp_ps::<_CMP_EQ_OQ>(a[0], b[0]), _mm256_cmp_ps::<_CMP_EQ_OQ>(a[1], b[1])])
    }
    #[inline(always)]
    fn unordered(self, a: Self::F, b: Self::F) -> Self::M {
        with_avx2!(self, [_mm256_cmp_ps::<_CMP_UNORD_Q>(a[0], b[0]), _mm256_cmp_ps::<_CMP_UNORD_Q>(a[1], b[1])])
    }
    #[inline(always)]
    fn or(self, a: Self::M, b: Self::M) -> Self::M {
        with_avx2!(self, [_mm256_or_ps(a[0], b[0]), _mm256_or_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn none(self) -> Self::M {
        with_avx2!(self, [_mm256_setzero_ps(), _mm256_setzero_ps()])
    }
    #[inline(always)]
    fn mask(self, bits: u32) -> Self::M {
        [self.mask_half(bits), self.mask_half(bits >> 8)]
    }
    #[inline(always)]
    fn bits(self, m: Self::M) -> u32 {
        with_avx2!(self, _mm256_movemask_ps(m[0]) as u32 | (_mm256_movemask_ps(m[1]) as u32) << 8)
    }
    #[inline(always)]
    fn select(self, m: Self::M, a: Self::F, b: Self::F) -> Self::F {
        with_avx2!(self, [_mm256_blendv_ps(b[0], a[0], m[0]), _mm256_blendv_ps(b[1], a[1], m[1])])
    }

    #[inline(always)]
    fn zero(self) -> Self::U {
        with_avx2!(self, [_mm256_setzero_si256(), _mm256_setzero_si256()])
    }
    #[inline(always)]
    fn add_u(self, a: Self::U, b: Self::U) -> Self::U {
        with_avx2!(self, [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])])
    }
    #[inline(always)]
    fn add_u_where(self, m: Self::M, a: Self::U, b: Self::U) -> Self::U {
        with_avx2!(
            self,
            [
                _mm256_add_epi32(a[0], _mm256_and_si256(_mm256_castps_si256(m[0]), b[0])),
                _mm256_add_epi32(a[1], _mm256_and_si256(_mm256_castps_si256(m[1]), b[1]))
            ]
        )
    }
    #[inline(always)]
    fn truncate(self, x: Self::F) -> Self::U {
        with_avx2!(self, [_mm256_cvttps_epi32(x[0]), _mm256_cvttps_epi32(x[1])])
    }
    #[inline(always)]
    fn to_float(self, x: Self::U) -> Self::F {
        with_avx2!(self, [_mm256_cvtepi32_ps(x[0]), _mm256_cvtepi32_ps(x[1])])
    }
    #[inline(always)]
    fn store_u(self, x: Self::U, to: &mut [u32; 16]) {
        with_avx2!(self, {
            _mm256_storeu_si256(to.as_mut_ptr().cast(), x[0]);
            _mm256_storeu_si256(to.as_mut_ptr().add(8).cast(), x[1]);
        })
    }
    #[inline(always)]
    fn scale_exponent(self, p: Self::F, rounded: Self::F) -> Self::F {
        [self.scale_half(p[0], rounded[0]), self.scale_half(p[1], rounded[1])]
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        with_avx2!(self, {
            let eight = _mm256_add_ps(x[0], x[1]);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        })
    }
    #[inline(always)]
    fn sum_u(self, x: Self::U) -> u64 {
        with_avx2!(self, {
            let [a, b, c, d] = self.widen_u(x);
            let four = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
            self.sum_of_four(four)
        })
    }
    #[inline(always)]
    fn sum_selected(self, m: Self::M, numbers: &[u64; 16]) -> u64 {
        with_avx2!(self, {
            let from = numbers.as_ptr().cast::<__m256i>();
            let mut four = _mm256_setzero_si256();
            four_times!(i => {
                let half = _mm256_castps_si256(m[i / 2]);
                let half = if i & 1 == 0 { _mm256_castsi256_si128(half) } else { _mm256_extracti128_si256::<1>(half) };
                let selected = _mm256_and_si256(_mm256_cvtepi32_epi64(half), _mm256_loadu_si256(from.add(i)));
                four = _mm256_add_epi64(four, selected);
            });
            self.sum_of_four(four)
        })
    }
    #[inline(always)]
    fn join(self, high: Self::U, low: Self::U, bits: u32, to: &mut [u64; 16]) {
        with_avx2!(self, {
            let bits = _mm_cvtsi32_si128(bits as i32);
            let (highs, lows) = (self.widen_u(high), self.widen_u(low));
            let to = to.as_mut_ptr().cast::<__m256i>();
            four_times!(i => {
                _mm256_storeu_si256(to.add(i), _mm256_add_epi64(_mm256_sll_epi64(highs[i], bits), lows[i]));
            });
        })
    }
    #[inline(always)]
    fn bound(self, numbers: &mut [u64; 16]) -> u64 {
        with_avx2!(self, {
            let mut four = _mm256_setzero_si256();
            let at = numbers.as_mut_ptr().cast::<__m256i>();
            four_times!(i => {
                let e = _mm256_loadu_si256(at.add(i));
                let bound = _mm256_add_epi64(_mm256_add_epi64(e, _mm256_srli_epi64::<18>(e)), _mm256_set1_epi64x(64));
                let empty = _mm256_cmpeq_epi64(e, _mm256_setzero_si256());
                let bound = _mm256_andnot_si256(empty, bound);
                _mm256_storeu_si256(at.add(i), bound);
                four = _mm256_add_epi64(four, bound);
            });
            self.sum_of_four(four)
        })
    }

    #[inline(always)]
    fn fold_max(self, x: [Self::F; 16]) -> Self::F {
        [
            self.fold_eight(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]),
            self.fold_eight(x[8], x[9], x[10], x[11], x[12], x[13], x[14], x[15]),
        ]
    }
}

type Pair = [__m256; 2];

impl Avx2 {
    #[inline(always)]
    fn sum_of_four(self, four: __m256i) -> u64 {
        with_avx2!(self, {
            let two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256::<1>(four));
            _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two))) as u64
        })
    }

    /// Sixteen u32 as u64.
    #[inline(always)]
    fn widen_u(self, x: [__m256i; 2]) -> [__m256i; 4] {
        with_avx2!(
            self,
            [
                _mm256_cvtepu32_epi64(_mm256_castsi256_si128(x[0])),
                _mm256_cvtepu32_epi64(_mm256_extracti128_si256::<1>(x[0])),
                _mm256_cvtepu32_epi64(_mm256_castsi256_si128(x[1])),
                _mm256_cvtepu32_epi64(_mm256_extracti128_si256::<1>(x[1])),
            ]
        )
    }

    /// Folds eight inputs to one register whose lane i belongs to input i.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "eight registers, not eight ideas")]
    fn fold_eight(self, a: Pair, b: Pair, c: Pair, d: Pair, e: Pair, f: Pair, g: Pair, h: Pair) -> __m256 {
        let (p, q) = (self.fold_two(a, e), self.fold_two(b, f));
        let (r, s) = (self.fold_two(c, g), self.fold_two(d, h));
        with_avx2!(self, {
            let pq = _mm256_max_ps(_mm256_unpacklo_ps(p, q), _mm256_unpackhi_ps(p, q));
            let rs = _mm256_max_ps(_mm256_unpacklo_ps(r, s), _mm256_unpackhi_ps(r, s));
            let (pq, rs) = (_mm256_castps_pd(pq), _mm256_castps_pd(rs));
            _mm256_max_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(pq, rs)), _mm256_castpd_ps(_mm256_unpackhi_pd(pq, rs)))
        })
    }

    /// Folds two inputs so that each half of the result holds four lanes of one.
    #[inline(always)]
    fn fold_two(self, a: Pair, b: Pair) -> __m256 {
        with_avx2!(self, {
            let (a, b) = (_mm256_max_ps(a[0], a[1]), _mm256_max_ps(b[0], b[1]));
            _mm256_max_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b))
        })
    }

    /// Eight bfloat16 numbers, widened.
    #[inline(always)]
    fn widen_bf16(self, eight: &[u16; 8]) -> __m256 {
        with_avx2!(
            self,
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(eight.as_ptr().cast()))))
        )
    }

    /// Adds the low bits of `rounded` to the exponents of `p`.
    #[inline(always)]
    fn scale_half(self, p: __m256, rounded: __m256) -> __m256 {
        with_avx2!(
            self,
            _mm256_castsi256_ps(_mm256_add_epi32(
                _mm256_castps_si256(p),
                _mm256_slli_epi32::<23>(_mm256_castps_si256(rounded))
            ))
        )
    }

    /// The lanes whose bit is set in the low byte.
    #[inline(always)]
    fn mask_half(self, byte: u32) -> __m256 {
        with_avx2!(self, {
            let lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(byte as i32), lanes), lanes))
        })
    }
}

// Functions of their own, compiled with the level's instructions: the proof that they may be called is the token.
#[target_feature(enable = "avx2,f16c")]
#[inline(never)]
fn widen_f16(lanes: Avx2, from: &[u16; BLOCK], to: &mut [f32; BLOCK]) {
    let ((sources, _), (targets, _)) = (from.as_chunks::<16>(), to.as_chunks_mut::<16>());
    for i in 0..4 {
        lanes.store(lanes.load_f16(&sources[i]), &mut targets[i]);
    }
}

#[target_feature(enable = "avx2,f16c")]
#[inline(never)]
fn widen_bf16(lanes: Avx2, from: &[u16; BLOCK], to: &mut [f32; BLOCK]) {
    let ((sources, _), (targets, _)) = (from.as_chunks::<16>(), to.as_chunks_mut::<16>());
    for i in 0..4 {
        lanes.store(lanes.load_bf16(&sources[i]), &mut targets[i]);
    }
}

#[target_feature(enable = "avx2,f16c")]
#[inline(never)]
fn mask_block(lanes: Avx2, bits: u64, block: &mut [f32; BLOCK]) {
    lanes.mask_whole(bits, block);
}

#[target_feature(enable = "avx2,f16c")]
#[inline(never)]
fn keep_band(lanes: Avx2, band: &Band, block: usize, logits: &mut [f32; BLOCK]) {
    band.apply(lanes, block, logits);
}
