//! How far from a centre a row must be kept to hold a mass or a number of tokens, on the whole row.
//!
//! The answer is a key of distances, found like a cut: the tokens inside a bracket of keys are summed in 256 bins, the bin in
//! which the target is reached becomes the next bracket. The first bracket is guessed from block maxima and a few tokens, so
//! that few tokens are looked at one by one; what is nearer than the bracket is summed in vectors. A wrong guess costs another
//! round and changes nothing: masses are integers, and the answer is the same whatever brackets led to it.

use super::cut::{below, lowest_logit};
use crate::kernels::{Bracket, Distances, Rings, Span, distance_key};
use crate::logits::Surface;
use crate::types::{BLOCK, TokenId};

/// The key past that of an infinite distance.
const BEYOND: u32 = f32::INFINITY.to_bits() + 1;

/// Bits of a key below those that a guess is made in: a sixteenth of an octave.
const GUESS_SHIFT: u32 = 19;

/// Tokens beside the maxima that a guess looks at.
const SAMPLES: usize = 1024;

/// The logits whose distance from `centre` has a key below `limit`.
fn span(centre: f64, limit: u32) -> Span {
    let near = |logit: f32| distance_key(logit, centre) < limit;
    let low = lowest_logit(|logit| f64::from(logit) >= centre || near(logit));
    let high = below(lowest_logit(|logit| f64::from(logit) > centre && !near(logit)));
    if near(low) && near(high) { Span { low, high } } else { Span::NONE }
}

/// The least distance key from `centre` within which the mass of the row, which is `whole`, reaches `target`; without a `whole`
/// the number of tokens does, and what the nearer tokens sum to. The largest key if it never does.
pub(super) fn distance_of(surface: &Surface<'_>, centre: f64, target: u64, whole: Option<u64>) -> (u32, u64) {
    let guess = whole.and_then(|whole| guess(surface, centre, target, whole));
    let (mut low, mut high) = guess.unwrap_or((0, BEYOND));
    let weighed = whole.is_some();
    // What is nearer than `low`, once it is known.
    let mut before = None;
    // How far a bracket is moved that turns out to lie beside the answer.
    let mut stride = high - low;
    loop {
        let shift = (32 - (high - 1 - low).leading_zeros()).saturating_sub(8);
        let bracket = Bracket { low, high, shift };
        let distances = Distances { centre, bracket, nearer: span(centre, low), near: span(centre, high) };
        let mut rings = Rings::EMPTY;
        let (kernels, view, scale) = (surface.kernels, &surface.view, surface.scale);
        let wanted = before.is_none();
        let nearer = kernels.distance_histogram(view, surface.maxima, scale, weighed, wanted, &distances, &mut rings);
        let mut sum = before.unwrap_or(nearer);
        if sum >= target {
            (low, high) = (low.saturating_sub(stride), low);
            before = if low == 0 { Some(0) } else { None };
            stride = stride.saturating_mul(2);
            continue;
        }
        let mut reached = None;
        for (bin, &mass) in rings.sums.iter().enumerate() {
            if sum + mass >= target {
                reached = Some(bin);
                break;
            }
            sum += mass;
        }
        before = Some(sum);
        match reached {
            Some(bin) if rings.nearest[bin] == rings.farthest[bin] => return (rings.nearest[bin], sum),
            Some(bin) => {
                low += (bin as u32) << shift;
                high = high.min(low + (1 << shift));
            }
            None if high == BEYOND => return (u32::MAX, sum),
            None => {
                (low, high) = (high, high.saturating_add(stride).min(BEYOND));
                stride = stride.saturating_mul(2);
            }
        }
    }
}

/// A bracket that probably holds the answer: each block stands for its maximum, and a few tokens for all others.
fn guess(surface: &Surface<'_>, centre: f64, target: u64, whole: u64) -> Option<(u32, u32)> {
    let blocks = surface.view.blocks();
    if blocks < 64 {
        return None;
    }
    let every = blocks.div_ceil(SAMPLES);
    let lowest = surface.view.band.map_or(f32::MIN, |band| band.last.logit);
    // Sixteen octaves of distances around the temperature.
    let first = (surface.temperature * (1.0 / 1024.0)).to_bits() >> GUESS_SHIFT;
    let mut bins = [0u64; 256];
    let mut sum = 0;
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
                // 2^-8 of a mass is enough, and sums of 2^22 tokens stay in 64 bits.
                let mass = (mass >> 8) * tokens;
                let bin = (distance_key(logit, centre) >> GUESS_SHIFT).saturating_sub(first).min(255);
                bins[bin as usize] += mass;
                sum += mass;
            }
        }
    }
    // The same share of what was looked at.
    let share = (u128::from(target) * u128::from(sum) / u128::from(whole)) as u64;
    let mut reached = 0;
    let crossing = bins.iter().position(|&mass| {
        reached += mass;
        reached >= share
    })?;
    // A bin more on each side.
    let low = if crossing <= 1 { 0 } else { (first + crossing as u32 - 1) << GUESS_SHIFT };
    let high = (first + crossing as u32 + 2) << GUESS_SHIFT;
    (high < BEYOND).then_some((low, high))
}
