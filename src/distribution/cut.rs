//! Finding the last kept token on the whole row, for prefixes too long for a list.
//!
//! The key of the last token is found from its high bits down: the logits inside a bracket of ordered keys are summed in
//! 256 bins, the bin in which the target is reached becomes the next bracket. A 32-bit key needs at most four rounds,
//! whatever the range of the logits; equal logits are then told apart by id. Masses are integers, so the bin boundaries
//! cannot be seen in the result, and nothing is sorted.

use crate::kernels::{Bracket, Cut};
use crate::logits::Surface;
use crate::numeric::{key_to_logit, natural_logarithm, ordered_key};

/// The cut that keeps the first `count` tokens; all if there are fewer.
pub(crate) fn first_tokens(surface: &Surface<'_>, count: u64) -> Cut {
    search(surface, count, false, ordered_key(f32::MIN))
}

/// The token that is number `n` (from 1) of the order; there are at least as many.
pub(super) fn nth_token(surface: &Surface<'_>, n: u64) -> Cut {
    let cut = first_tokens(surface, n);
    if cut.token != u32::MAX {
        return cut;
    }
    // All of its logit are among the first n: it is the last of them.
    let kernels = surface.kernels;
    let above = Cut::at_least(key_to_logit(ordered_key(cut.logit) + 1));
    let higher = u64::from(kernels.kept_count(&surface.view, surface.maxima, above));
    let token = kernels.nth_equal(&surface.view, surface.maxima, 0, cut.logit, n - 1 - higher).unwrap_or(u32::MAX);
    Cut { logit: cut.logit, token }
}

/// The lowest finite logit for which `holds`, which holds from some logit up; +inf if it never does.
pub(super) fn lowest_logit(holds: impl Fn(f32) -> bool) -> f32 {
    let (mut low, mut high) = (ordered_key(f32::MIN), ordered_key(f32::INFINITY));
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(key_to_logit(middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    key_to_logit(low)
}

/// The logit of token number `n` (from 1) of the order among those from the logit `from` up to, not including, `until`; there
/// are at least as many. Only these are looked at one by one.
pub(super) fn nth_logit_between(surface: &Surface<'_>, (from, until): (f32, f32), n: u64) -> f32 {
    let (mut low, mut high) = (ordered_key(from), ordered_key(until));
    let mut left = n;
    while high - low > 1 {
        let shift = (32 - (high - 1 - low).leading_zeros()).saturating_sub(8);
        let mut bins = [0; 256];
        surface.kernels.bracket_histogram(&surface.view, surface.maxima, None, Bracket { low, high, shift }, &mut bins);
        let mut bin = 255;
        while bin > 0 && bins[bin] < left {
            left -= bins[bin];
            bin -= 1;
        }
        low += (bin as u32) << shift;
        high = high.min(low + (1 << shift));
    }
    key_to_logit(low)
}

/// The next lower logit. Zero has one key of its own and none beside it.
pub(super) fn below(logit: f32) -> f32 {
    key_to_logit(ordered_key(logit) - if logit == 0.0 { 2 } else { 1 })
}

/// The cut that keeps the smallest prefix whose mass is at least `target` (1 to `total`), the mass of the whole row.
pub(super) fn first_mass(surface: &Surface<'_>, target: u64, total: u64, least: f32) -> Cut {
    // Tokens so light that all of them together could not fill up `total - target` need not be looked at: the prefix
    // reaches its target before them. The search falls back to the whole row if rounding ever made this too tight.
    let spare = (total - target) as f64 / surface.view.valid as f64;
    let lightest = spare / (1u64 << crate::numeric::MASS_BITS) as f64;
    let mut low = ordered_key(least);
    if lightest > 0.0 {
        let logit = f64::from(surface.scale.maximum) + natural_logarithm(lightest) * f64::from(surface.temperature);
        if logit > f64::from(f32::MIN) && logit < f64::from(surface.scale.maximum) {
            low = low.max(ordered_key(logit as f32));
        }
    }
    search(surface, target, true, low)
}

fn search(surface: &Surface<'_>, target: u64, weighed: bool, first_low: u32) -> Cut {
    let whole = ordered_key(f32::MIN);
    let scale = weighed.then_some(surface.scale);
    let (mut low, mut high) = (first_low, ordered_key(surface.scale.maximum) + 1);
    // What the keys from `high` up sum to; always below the target.
    let mut above = 0;
    loop {
        let shift = (32 - (high - 1 - low).leading_zeros()).saturating_sub(8);
        let mut bins = [0; 256];
        let bracket = Bracket { low, high, shift };
        surface.kernels.bracket_histogram(&surface.view, surface.maxima, scale, bracket, &mut bins);
        let mut reached = None;
        for (bin, &sum) in bins.iter().enumerate().rev() {
            if above + sum >= target {
                reached = Some((bin as u32, sum));
                break;
            }
            above += sum;
        }
        match reached {
            Some((bin, sum)) if shift == 0 => {
                let logit = key_to_logit(low + bin);
                return among_equals(surface, logit, target - above, sum, weighed);
            }
            Some((bin, _)) => {
                low += bin << shift;
                high = high.min(low + (1 << shift));
            }
            None if low > whole => {
                (low, high, above) = (whole, ordered_key(surface.scale.maximum) + 1, 0);
            }
            None => return Cut::ALL,
        }
    }
}

/// The cut among tokens of one logit, which sum to `sum`: the first of them that together reach `missing`.
fn among_equals(surface: &Surface<'_>, logit: f32, missing: u64, sum: u64, weighed: bool) -> Cut {
    let each = if weighed { surface.scale.mass(logit) } else { 1 };
    let tokens = missing.div_ceil(each);
    if tokens * each >= sum {
        return Cut { logit, token: u32::MAX };
    }
    let token = surface.kernels.nth_equal(&surface.view, surface.maxima, 0, logit, tokens - 1).unwrap_or(u32::MAX);
    Cut { logit, token }
}
