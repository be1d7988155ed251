//! Digests of rows and masks: 64 bits by which a trace tells whether a step saw the same input again.
//!
//! A row's digest is over what its answer depends on: the logits that take part, widened to f32. So a row and its f32 copy
//! have one digest, and so has the sparse head, whose row is never written; what lies past `valid_vocab` or under a masked
//! bit may be anything. Word i of the input, i below `valid`, is
//!
//! ```text
//! 0xff800000 (-inf)         if token i takes no part
//! 0x7fc00000                if its logit is a NaN, whichever
//! the bits of its logit     otherwise: -0.0 and 0.0 differ on purpose, because other arithmetic made them
//! ```
//! and words from `valid` to the next multiple of 64 are 0xff800000. Of a mask, word i holds the bits of tokens 32 i and up,
//! those from `valid` on cleared, and zeros fill up 64 words. Two words make one of 64 bits, the first in its low half; word
//! j of these goes to lane j mod 8: `h <- (rotate_left(h, 23) xor word) * 0x9E3779B97F4A7C15`, lane k beginning at m(k). At
//! the end `d <- m(d xor h)` over the lanes in order, d beginning at `valid`; m is SplitMix64's step ([`mix`]).
//!
//! Every step of this is one-to-one in the word that enters, so a change of a single word always changes the digest. It is
//! no defence against somebody who wants two rows to have one digest. Whoever changes it changes the format of traces.

use crate::kernels::{Kernels, Source};
use crate::rng::mix;
use crate::types::{BLOCK, Row};

const LANES: usize = 8;
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
const MASKED: u32 = 0xff80_0000;
const NAN: u32 = 0x7fc0_0000;

/// Eight running hashes.
struct Hash([u64; LANES]);

impl Hash {
    fn new() -> Self {
        let mut lanes = [0; LANES];
        for (k, lane) in lanes.iter_mut().enumerate() {
            *lane = mix(k as u64);
        }
        Hash(lanes)
    }

    fn block(&mut self, words: &[u32; BLOCK]) {
        for sixteen in words.as_chunks::<{ 2 * LANES }>().0 {
            for (k, lane) in self.0.iter_mut().enumerate() {
                let word = u64::from(sixteen[2 * k]) | u64::from(sixteen[2 * k + 1]) << 32;
                *lane = (lane.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER);
            }
        }
    }

    fn finish(&self, valid: usize) -> u64 {
        self.0.iter().fold(valid as u64, |digest, lane| mix(digest ^ lane))
    }
}

/// The digest of a row's logits that take part: ids below `valid` that the mask allows.
pub(crate) fn row_digest(kernels: Kernels, source: &Source<'_>, mask: Option<&[u32]>, valid: usize) -> u64 {
    let mut hash = Hash::new();
    let mut words = [MASKED; BLOCK];
    for first in (0..valid).step_by(BLOCK) {
        let end = valid.min(first + BLOCK);
        if end - first < BLOCK {
            words = [MASKED; BLOCK];
        }
        read_block(kernels, source, first, &mut words[..end - first]);
        if let Some(mask) = mask {
            let allowed = |word: usize| u64::from(mask.get(word).copied().unwrap_or(0));
            let allowed = allowed(first / 32) | allowed(first / 32 + 1) << 32;
            for (i, word) in words.iter_mut().enumerate() {
                *word = if allowed >> i & 1 != 0 { *word } else { MASKED };
            }
        }
        hash.block(&words);
    }
    hash.finish(valid)
}

/// The bits of the logits from `first` on, one NaN for all.
fn read_block(kernels: Kernels, source: &Source<'_>, first: usize, words: &mut [u32]) {
    let end = first + words.len();
    match source {
        Source::Row(Row::F32(row)) => each_bits(&row[first..end], words, |logit| logit.to_bits()),
        Source::Row(Row::F16(row)) => each_bits(&row[first..end], words, |logit| widened_bits(logit.to_bits())),
        Source::Row(Row::Bf16(row)) => each_bits(&row[first..end], words, |logit| u32::from(logit.to_bits()) << 16),
        Source::Columns(sum) => {
            let mut logits = [0.0; BLOCK];
            kernels.write_sum(sum, first, &mut logits[..end - first]);
            each_bits(&logits[..end - first], words, |logit| logit.to_bits());
        }
    }
}

/// The bits of a binary16 as binary32, without a branch, so that compilers make vectors of it: the exponent is shifted to its
/// place and its bias made up for by an exact multiplication, which gives subnormal numbers their exponent, too.
fn widened_bits(half: u16) -> u32 {
    const BIAS: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = u32::from(half & 0x7fff) << 13;
    let finite = (f32::from_bits(magnitude) * BIAS).to_bits();
    let widened = if half & 0x7c00 == 0x7c00 { magnitude | 0x7f80_0000 } else { finite };
    widened | u32::from(half & 0x8000) << 16
}

fn each_bits<T: Copy>(logits: &[T], words: &mut [u32], bits: impl Fn(T) -> u32) {
    for (word, &logit) in words.iter_mut().zip(logits) {
        let bits = bits(logit);
        *word = if bits & 0x7fff_ffff > 0x7f80_0000 { NAN } else { bits };
    }
}

/// The digest of a mask's bits for the ids below `valid`; no mask is the one that allows everything.
pub(crate) fn mask_digest(mask: Option<&[u32]>, valid: usize) -> u64 {
    let mut hash = Hash::new();
    let count = valid.div_ceil(32);
    for first in (0..count).step_by(BLOCK) {
        let mut words = [0; BLOCK];
        for (word, i) in words.iter_mut().zip(first..count) {
            *word = match mask {
                Some(mask) => mask.get(i).copied().unwrap_or(0),
                None => u32::MAX,
            };
            if valid - 32 * i < 32 {
                *word &= (1 << (valid - 32 * i)) - 1;
            }
        }
        hash.block(&words);
    }
    hash.finish(valid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use half::{bf16, f16};

    fn digest(row: Row<'_>, mask: Option<&[u32]>, valid: usize) -> u64 {
        row_digest(Kernels::new(Level::Scalar).unwrap(), &row.into(), mask, valid)
    }

    /// The definition, word by word.
    fn defined(words: &[u32], filler: u32, valid: usize) -> u64 {
        let mut words = words.to_vec();
        words.resize(words.len().next_multiple_of(64), filler);
        let mut lanes: Vec<u64> = (0..8).map(mix).collect();
        for (j, pair) in words.chunks(2).enumerate() {
            let word = (pair[1] as u64) << 32 | pair[0] as u64;
            lanes[j % 8] = (lanes[j % 8].rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        let mut digest = valid as u64;
        for lane in lanes {
            digest = mix(digest ^ lane);
        }
        digest
    }

    #[test]
    fn the_digest_is_as_defined_and_sees_every_single_change() {
        for length in [1, 2, 63, 64, 65, 130, 300] {
            let row: Vec<f32> = (0..length).map(|i| (i * 37 % 91) as f32 - 40.5).collect();
            let bits: Vec<u32> = row.iter().map(|logit| logit.to_bits()).collect();
            let whole = digest((&row[..]).into(), None, length);
            assert_eq!(whole, defined(&bits, MASKED, length), "length {length}");
            for i in 0..length {
                let mut changed = row.clone();
                changed[i] = f32::from_bits(changed[i].to_bits() + 1);
                assert_ne!(digest((&changed[..]).into(), None, length), whole, "length {length}, token {i}");
            }
        }
    }

    #[test]
    fn what_takes_no_part_does_not_count_and_zeros_have_signs() {
        let mut row = vec![1.0f32; 100];
        let mask = [!(1u32 << 5), u32::MAX, u32::MAX];
        let before = digest((&row[..]).into(), Some(&mask), 90);
        (row[5], row[90], row[99]) = (f32::NAN, f32::INFINITY, -3.0);
        assert_eq!(digest((&row[..]).into(), Some(&mask), 90), before);
        row[5] = f32::NEG_INFINITY;
        assert_eq!(digest((&row[..]).into(), None, 90), before, "masked is -inf");
        row[7] = 0.0;
        let positive = digest((&row[..]).into(), None, 90);
        row[7] = -0.0;
        assert_ne!(digest((&row[..]).into(), None, 90), positive);
        let nan = |bits| {
            let mut row = row.clone();
            row[8] = f32::from_bits(bits);
            digest((&row[..]).into(), None, 90)
        };
        assert_eq!(nan(0x7fc0_0000), nan(0xffab_cdef));
    }

    #[test]
    fn every_half_is_widened_as_it_should_be() {
        for bits in 0..=u16::MAX {
            let half = f16::from_bits(bits);
            if half.is_nan() {
                assert!(f32::from_bits(widened_bits(bits)).is_nan());
            } else {
                assert_eq!(widened_bits(bits), half.to_f32().to_bits(), "{bits:#x}");
            }
        }
    }

    #[test]
    fn half_rows_have_the_digest_of_their_f32_copies() {
        let f16s: Vec<f16> = (0..200).map(|i| f16::from_f32(i as f32 / 7.0 - 9.0)).collect();
        let bf16s: Vec<bf16> = (0..200).map(|i| bf16::from_f32(i as f32 / 7.0 - 9.0)).collect();
        let copy: Vec<f32> = f16s.iter().map(|logit| logit.to_f32()).collect();
        assert_eq!(digest((&f16s[..]).into(), None, 200), digest((&copy).into(), None, 200));
        let copy: Vec<f32> = bf16s.iter().map(|logit| logit.to_f32()).collect();
        assert_eq!(digest((&bf16s[..]).into(), None, 200), digest((&copy).into(), None, 200));
    }

    #[test]
    fn masks_are_told_apart_by_the_bits_that_count() {
        let mut mask = vec![0xdead_beef_u32; 5];
        let whole = mask_digest(Some(&mask), 130);
        let words = [0xdead_beef, 0xdead_beef, 0xdead_beef, 0xdead_beef, 0xdead_beef & 3];
        assert_eq!(whole, defined(&words, 0, 130));
        mask[4] |= 4;
        assert_eq!(mask_digest(Some(&mask), 130), whole, "past the last id");
        mask[4] ^= 1;
        assert_ne!(mask_digest(Some(&mask), 130), whole);
        assert_eq!(mask_digest(None, 130), mask_digest(Some(&[u32::MAX; 5]), 130));
        assert_eq!(mask_digest(Some(&[7]), 130), mask_digest(Some(&[7, 0, 0, 0, 0]), 130));
    }
}
