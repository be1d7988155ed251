//! Where to look first: brackets that probably hold an answer, from block maxima and a few tokens.
//!
//! A guess decides how many tokens are looked at one by one, never what is found.

use crate::kernels::distance_key;
use crate::logits::Surface;
use crate::numeric::ordered_key;
use crate::types::{BLOCK, TokenId};

/// Bits of a distance's key below those that a guess is made in: a sixteenth of an octave.
const DISTANCE_SHIFT: u32 = 19;

/// Tokens beside the maxima that a guess looks at.
const SAMPLES: usize = 1024;

/// Bins of a nucleus per power of two of the weight: 256 bins reach down to what weighs nothing.
const BINS_PER_OCTAVE: f32 = 6.25;

/// A row in miniature: in 256 bins, each block's maximum for itself, and a few tokens for all others. Masses are shifted down
/// by eight bits, so that sums of 2^22 tokens stay in 64 bits. `None` where the row is so short that a guess costs more than
/// it saves.
fn miniature(surface: &Surface<'_>, bin_of: impl Fn(f32) -> usize) -> Option<[u64; 256]> {
    let blocks = surface.view.blocks();
    if blocks < 64 {
        return None;
    }
    let every = blocks.div_ceil(SAMPLES);
    let lowest = surface.view.band.map_or(f32::MIN, |band| band.last.logit);
    let mut bins = [0u64; 256];
    for some in 0..blocks.div_ceil(BLOCK / 2) {
        let (mut logits, mut stands_for) = ([f32::NEG_INFINITY; BLOCK], [0; BLOCK]);
        let range = some * (BLOCK / 2)..blocks.min((some + 1) * (BLOCK / 2));
        for (i, block) in range.enumerate() {
            (logits[2 * i], stands_for[2 * i]) = (surface.maxima[block], 1);
            if block % every == 0 {
                let token = block * BLOCK + block / every * 29 % BLOCK;
                if token < surface.view.valid {
                    logits[2 * i + 1] = surface.view.logit(token as TokenId);
                    stands_for[2 * i + 1] = (BLOCK as u64 - 1) * every as u64;
                }
            }
        }
        for logit in &mut logits {
            *logit = if *logit > surface.scale.maximum || *logit < lowest { f32::NEG_INFINITY } else { *logit };
        }
        let mut masses = [0; BLOCK];
        surface.kernels.list_masses(&logits, surface.scale, &mut masses);
        for ((&logit, &mass), &tokens) in logits.iter().zip(&masses).zip(&stands_for) {
            if mass != 0 {
                bins[bin_of(logit).min(255)] += (mass >> 8) * tokens;
            }
        }
    }
    Some(bins)
}

/// Distance keys from `centre` between which the mass probably reaches `target` of the `whole`.
pub(super) fn distance(surface: &Surface<'_>, centre: f64, target: u64, whole: u64) -> Option<(u32, u32)> {
    // Sixteen octaves of distances around the temperature.
    let first = (surface.temperature * (1.0 / 1024.0)).to_bits() >> DISTANCE_SHIFT;
    let bin_of = |logit: f32| (distance_key(logit, centre) >> DISTANCE_SHIFT).saturating_sub(first) as usize;
    let bins = miniature(surface, bin_of)?;
    // The same share of what was looked at.
    let share = (u128::from(target) * u128::from(bins.iter().sum::<u64>()) / u128::from(whole)) as u64;
    let mut reached = 0;
    let crossing = bins.iter().position(|&mass| {
        reached += mass;
        reached >= share
    })?;
    // A bin more on each side.
    let low = if crossing <= 1 { 0 } else { (first + crossing as u32 - 1) << DISTANCE_SHIFT };
    let high = (first + crossing as u32 + 2) << DISTANCE_SHIFT;
    (high <= f32::INFINITY.to_bits()).then_some((low, high))
}

/// Ordered keys between which the last token of the nucleus `p` (units of 2^-32) probably is.
pub(super) fn nucleus(surface: &Surface<'_>, p: u64) -> Option<(u32, u32)> {
    let scale = surface.scale;
    let bins = miniature(surface, |logit| ((scale.maximum - logit) * scale.scale * BINS_PER_OCTAVE) as usize)?;
    let sum: u64 = bins.iter().sum();
    let tail = ((u128::from((1u64 << 32).saturating_sub(p)) * u128::from(sum)) >> 32) as u64;
    // The first bin from the lightest up with which the tail is as heavy as that.
    let bin_with = |wanted: u64| {
        let mut mass = 0;
        (0..256).rev().find(|&bin| {
            mass += bins[bin];
            mass >= wanted
        })
    };
    let logit = |bin: usize| scale.maximum - bin as f32 / (scale.scale * BINS_PER_OCTAVE);
    let low = logit(bin_with(tail / 8 * 5 + 1)? + 1);
    let high = logit(bin_with(tail / 2 * 3 + 1)?);
    (low.is_finite() && high.is_finite()).then(|| (ordered_key(low), ordered_key(high) + 1))
}
