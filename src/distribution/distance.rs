//! How far from a centre a row must be kept to hold a mass or a number of tokens, on the whole row.
//!
//! The answer is a key of distances, found like a cut: the tokens inside a bracket of keys are summed in 256 bins, the bin in
//! which the target is reached becomes the next bracket. The first bracket is guessed from block maxima and a few tokens, so
//! that few tokens are looked at one by one; what is nearer than the bracket is summed in vectors. A wrong guess costs another
//! round and changes nothing: masses are integers, and the answer is the same whatever brackets led to it.

use super::cut::{below, lowest_logit};
use super::guess;
use crate::kernels::{Bracket, Distances, Rings, Span, distance_key};
use crate::logits::Surface;

/// The key past that of an infinite distance.
const BEYOND: u32 = f32::INFINITY.to_bits() + 1;

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
    let guess = whole.and_then(|whole| guess::distance(surface, centre, target, whole));
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
