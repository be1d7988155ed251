//! The AVX-512 level: sixteen lanes are one register. Chosen at run time.

use crate::kernels::Band;
use crate::kernels::lanes::Lanes;
use crate::types::BLOCK;
use core::arch::x86_64::*;

/// The proof that this processor has the instructions of [`super::AVX512_FEATURES`].
#[derive(Clone, Copy)]
pub struct Avx512(());

impl Avx512 {
    /// Makes the token.
    ///
    /// # Safety
    /// - The processor has AVX-512 F, BW, DQ and VL and the system saves their registers.
    #[inline(always)]
    pub unsafe fn new_unchecked() -> Self {
        Avx512(())
    }
}

/// Calls intrinsics. SAFETY of all uses: a value of [`Avx512`] exists only where `new_unchecked`'s promise held, so the
/// processor has the instruction; memory is only touched through references to whole arrays.
macro_rules! with_avx512 {
    ($self:ident, $e:expr) => {{
        let Avx512(()) = $self;
        // SAFETY: the token proves AVX-512 F, BW, DQ and VL; loads and stores go through references to sixteen elements.
        unsafe { $e }
    }};
}

impl Lanes for Avx512 {
    type F = __m512;
    type U = __m512i;
    type M = __mmask16;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        with_avx512!(self, _mm512_set1_ps(x))
    }
    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::F {
        with_avx512!(self, _mm512_loadu_ps(from.as_ptr()))
    }
    #[inline(always)]
    fn load_f16(self, from: &[u16; 16]) -> Self::F {
        with_avx512!(self, _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())))
    }
    #[inline(always)]
    fn load_bf16(self, from: &[u16; 16]) -> Self::F {
        with_avx512!(
            self,
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(
                from.as_ptr().cast()
            ))))
        )
    }
    #[inline(always)]
    fn widen_f16(self, from: &[u16; BLOCK], to: &mut [f32; BLOCK]) {
        with_avx512!(self, widen_f16(self, from, to))
    }
    #[inline(always)]
    fn widen_bf16(self, from: &[u16; BLOCK], to: &mut [f32; BLOCK]) {
        with_avx512!(self, widen_bf16(self, from, to))
    }
    #[inline(always)]
    fn mask_block(self, bits: u64, block: &mut [f32; BLOCK]) {
        with_avx512!(self, mask_block(self, bits, block))
    }
    #[inline(always)]
    fn keep_band(self, band: &Band, block: usize, logits: &mut [f32; BLOCK]) {
        with_avx512!(self, keep_band(self, band, block, logits))
    }
    #[inline(always)]
    fn prefetch(self, bytes: &[u8], at: usize) {
        // Any address may be asked for.
        with_avx512!(self, _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(at).cast()))
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; 16]) {
        with_avx512!(self, _mm512_storeu_ps(to.as_mut_ptr(), x))
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        with_avx512!(self, _mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        with_avx512!(self, _mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        with_avx512!(self, _mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        with_avx512!(self, _mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        with_avx512!(self, _mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn gt(self, a: Self::F, b: Self::F) -> Self::M {
        with_avx512!(self, _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b))
    }
    #[inline(always)]
    fn ge(self, a: Self::F, b: Self::F) -> Self::M {
        with_avx512!(self, _mm512_cmp_ps_mask::<_CMP_GE_OQ>(a, b))
    }
    #[inline(always)]
    fn eq(self, a: Self::F, b: Self::F) -> Self::M {
        with_avx512!(self, _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b))
    }
    #[inline(always)]
    fn unordered(self, a: Self::F, b: Self::F) -> Self::M {
        with_avx512!(self, _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, b))
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
        bits as u16
    }
    #[inline(always)]
    fn bits(self, m: Self::M) -> u32 {
        u32::from(m)
    }
    #[inline(always)]
    fn pack(self, bits: u32, x: Self::F, to: &mut [f32; 16]) {
        with_avx512!(self, _mm512_storeu_ps(to.as_mut_ptr(), _mm512_maskz_compress_ps(bits as u16, x)))
    }
    #[inline(always)]
    fn select(self, m: Self::M, a: Self::F, b: Self::F) -> Self::F {
        with_avx512!(self, _mm512_mask_blend_ps(m, b, a))
    }

    #[inline(always)]
    fn zero(self) -> Self::U {
        with_avx512!(self, _mm512_setzero_si512())
    }
    #[inline(always)]
    fn add_u(self, a: Self::U, b: Self::U) -> Self::U {
        with_avx512!(self, _mm512_add_epi32(a, b))
    }
    #[inline(always)]
    fn add_u_where(self, m: Self::M, a: Self::U, b: Self::U) -> Self::U {
        with_avx512!(self, _mm512_mask_add_epi32(a, m, a, b))
    }
    #[inline(always)]
    fn truncate(self, x: Self::F) -> Self::U {
        with_avx512!(self, _mm512_cvttps_epi32(x))
    }
    #[inline(always)]
    fn to_float(self, x: Self::U) -> Self::F {
        with_avx512!(self, _mm512_cvtepi32_ps(x))
    }
    #[inline(always)]
    fn store_u(self, x: Self::U, to: &mut [u32; 16]) {
        with_avx512!(self, _mm512_storeu_si512(to.as_mut_ptr().cast(), x))
    }
    #[inline(always)]
    fn scale_exponent(self, p: Self::F, rounded: Self::F) -> Self::F {
        with_avx512!(
            self,
            _mm512_castsi512_ps(_mm512_add_epi32(
                _mm512_castps_si512(p),
                _mm512_slli_epi32::<23>(_mm512_castps_si512(rounded))
            ))
        )
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        with_avx512!(self, {
            let eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x));
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        })
    }
    #[inline(always)]
    fn sum_u(self, x: Self::U) -> u64 {
        with_avx512!(self, {
            let low = _mm512_cvtepu32_epi64(_mm512_castsi512_si256(x));
            let high = _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64::<1>(x));
            _mm512_reduce_add_epi64(_mm512_add_epi64(low, high)) as u64
        })
    }
    #[inline(always)]
    fn sum_selected(self, m: Self::M, numbers: &[u64; 16]) -> u64 {
        with_avx512!(self, {
            let from = numbers.as_ptr().cast::<__m512i>();
            let first = _mm512_maskz_mov_epi64(m as __mmask8, _mm512_loadu_si512(from));
            let second = _mm512_maskz_mov_epi64((m >> 8) as __mmask8, _mm512_loadu_si512(from.add(1)));
            _mm512_reduce_add_epi64(_mm512_add_epi64(first, second)) as u64
        })
    }
    #[inline(always)]
    fn join(self, high: Self::U, low: Self::U, bits: u32, to: &mut [u64; 16]) {
        with_avx512!(self, {
            let bits = _mm_cvtsi32_si128(bits as i32);
            let highs = [_mm512_castsi512_si256(high), _mm512_extracti64x4_epi64::<1>(high)];
            let lows = [_mm512_castsi512_si256(low), _mm512_extracti64x4_epi64::<1>(low)];
            let first = _mm512_sll_epi64(_mm512_cvtepu32_epi64(highs[0]), bits);
            let second = _mm512_sll_epi64(_mm512_cvtepu32_epi64(highs[1]), bits);
            let to = to.as_mut_ptr().cast::<__m512i>();
            _mm512_storeu_si512(to, _mm512_add_epi64(first, _mm512_cvtepu32_epi64(lows[0])));
            _mm512_storeu_si512(to.add(1), _mm512_add_epi64(second, _mm512_cvtepu32_epi64(lows[1])));
        })
    }
    #[inline(always)]
    fn bound(self, numbers: &mut [u64; 16]) -> u64 {
        with_avx512!(self, {
            let at = numbers.as_mut_ptr().cast::<__m512i>();
            let first = self.bound_of_eight(_mm512_loadu_si512(at));
            let second = self.bound_of_eight(_mm512_loadu_si512(at.add(1)));
            _mm512_storeu_si512(at, first);
            _mm512_storeu_si512(at.add(1), second);
            _mm512_reduce_add_epi64(_mm512_add_epi64(first, second)) as u64
        })
    }

    #[inline(always)]
    fn fold_max(self, x: [Self::F; 16]) -> Self::F {
        let p = self.fold_four(x[0], x[4], x[8], x[12]);
        let q = self.fold_four(x[1], x[5], x[9], x[13]);
        let r = self.fold_four(x[2], x[6], x[10], x[14]);
        let s = self.fold_four(x[3], x[7], x[11], x[15]);
        with_avx512!(self, {
            // Within each quarter: the four lanes of p, q, r, s fold to one each.
            let pq = _mm512_max_ps(_mm512_unpacklo_ps(p, q), _mm512_unpackhi_ps(p, q));
            let rs = _mm512_max_ps(_mm512_unpacklo_ps(r, s), _mm512_unpackhi_ps(r, s));
            let (pq, rs) = (_mm512_castps_pd(pq), _mm512_castps_pd(rs));
            _mm512_max_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(pq, rs)), _mm512_castpd_ps(_mm512_unpackhi_pd(pq, rs)))
        })
    }
}

impl Avx512 {
    #[inline(always)]
    fn bound_of_eight(self, e: __m512i) -> __m512i {
        with_avx512!(self, {
            let bound = _mm512_add_epi64(_mm512_add_epi64(e, _mm512_srli_epi64::<18>(e)), _mm512_set1_epi64(64));
            _mm512_maskz_mov_epi64(_mm512_test_epi64_mask(e, e), bound)
        })
    }

    /// Folds four inputs so that the 128-bit quarter j of the result holds four lanes of input j.
    #[inline(always)]
    fn fold_four(self, a: __m512, b: __m512, c: __m512, d: __m512) -> __m512 {
        with_avx512!(self, {
            let ab = _mm512_max_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
            let cd = _mm512_max_ps(_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xee>(c, d));
            _mm512_max_ps(_mm512_shuffle_f32x4::<0x88>(ab, cd), _mm512_shuffle_f32x4::<0xdd>(ab, cd))
        })
    }
}

// Functions of their own, compiled with the level's instructions: the proof that they may be called is the token.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline(never)]
fn widen_f16(lanes: Avx512, from: &[u16; BLOCK], to: &mut [f32; BLOCK]) {
    let ((sources, _), (targets, _)) = (from.as_chunks::<16>(), to.as_chunks_mut::<16>());
    for i in 0..4 {
        lanes.store(lanes.load_f16(&sources[i]), &mut targets[i]);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline(never)]
fn widen_bf16(lanes: Avx512, from: &[u16; BLOCK], to: &mut [f32; BLOCK]) {
    let ((sources, _), (targets, _)) = (from.as_chunks::<16>(), to.as_chunks_mut::<16>());
    for i in 0..4 {
        lanes.store(lanes.load_bf16(&sources[i]), &mut targets[i]);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline(never)]
fn mask_block(lanes: Avx512, bits: u64, block: &mut [f32; BLOCK]) {
    lanes.mask_whole(bits, block);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline(never)]
fn keep_band(lanes: Avx512, band: &Band, block: usize, logits: &mut [f32; BLOCK]) {
    band.apply(lanes, block, logits);
}
