//! Finding the last kept token on the whole row, for prefixes too long for a list.
//!
//! The key of the last token is found from its high bits down: the logits inside a bracket of ordered keys are summed in
//! 256 bins, the bin in which the target is reached becomes the next bracket. A 32-bit key needs at most four rounds,
//! whatever the range of the logits; equal logits are then told apart by id. Masses are integers, so the bin boundaries
//! cannot be seen in the result, and nothing is sorted.

use super::guess;
use crate::kernels::{Bracket, Cut, Rings};
use crate::logits::Surface;
use crate::numeric::{key_to_logit, natural_logarithm, nucleus_target, ordered_key};

/// The cut that keeps the first `count` tokens; all if there are fewer.
pub(crate) fn first_tokens(surface: &Surface<'_>, count: u64) -> Cut {
    let mut low = ordered_key(f32::MIN);
    // So many different tokens reach the maximum of so many blocks; where tokens were removed from the front, maxima are no
    // tokens' logits any more.
    if surface.view.band.is_none() && count <= surface.maxima.len() as u64 {
        let bound = surface.kernels.bound_for_count(surface.maxima, count as usize);
        if bound > f32::NEG_INFINITY {
            low = ordered_key(bound);
        }
    }
    search(surface, count, false, low)
}

/// The token that is number `n` (from 1) of the order; there are at least as many.
pub(super) fn nth_token(surface: &Surface<'_>, n: u64) -> Cut {
    let cut = first_tokens(surface, n);
    if cut.token != u32::MAX {
        return cut;
    }
    // All of its logit are among the first n: it is the last of them.
    let kernels = surface.kernels;
    let higher = u64::from(kernels.kept_count(&surface.view, surface.maxima, Cut::at_least(above(cut.logit))));
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
        let bracket = bracket(low, high);
        let mut bins = Rings::EMPTY;
        surface.kernels.bracket_histogram(&surface.view, surface.maxima, None, bracket, &mut bins);
        let mut bin = 255;
        while bin > 0 && bins.sums[bin] < left {
            left -= bins.sums[bin];
            bin -= 1;
        }
        if bins.nearest[bin] == bins.farthest[bin] {
            return key_to_logit(bins.nearest[bin]);
        }
        (low, high) = bin_of(bracket, bin);
    }
    key_to_logit(low)
}

/// The next higher logit; +inf after the largest finite one.
pub(super) fn above(logit: f32) -> f32 {
    key_to_logit(ordered_key(logit) + 1)
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

/// Keys from `low` up to, not including, `high` in as many of 256 bins as it takes.
fn bracket(low: u32, high: u32) -> Bracket {
    Bracket { low, high, shift: (32 - (high - 1 - low).leading_zeros()).saturating_sub(8) }
}

/// The keys of one bin.
fn bin_of(bracket: Bracket, bin: usize) -> (u32, u32) {
    let low = bracket.low + ((bin as u32) << bracket.shift);
    (low, bracket.high.min(low + (1 << bracket.shift)))
}

fn search(surface: &Surface<'_>, target: u64, weighed: bool, first_low: u32) -> Cut {
    let whole = ordered_key(f32::MIN);
    let scale = weighed.then_some(surface.scale);
    let (mut low, mut high) = (first_low, ordered_key(surface.scale.maximum) + 1);
    // What the keys from `high` up sum to; always below the target.
    let mut above = 0;
    loop {
        let mut bins = Rings::EMPTY;
        let bracket = bracket(low, high);
        surface.kernels.bracket_histogram(&surface.view, surface.maxima, scale, bracket, &mut bins);
        match reached(&bins, target, &mut above) {
            Some(bin) if bins.nearest[bin] == bins.farthest[bin] => {
                let logit = key_to_logit(bins.nearest[bin]);
                return among_equals(surface, logit, target - above, bins.sums[bin], weighed);
            }
            Some(bin) => (low, high) = bin_of(bracket, bin),
            None if low > whole => {
                (low, high, above) = (whole, ordered_key(surface.scale.maximum) + 1, 0);
            }
            None => return Cut::ALL,
        }
    }
}

/// The bin in which the sum from the highest key down reaches the target. `above` is what is above the bins, and becomes what is
/// above that bin, or above the keys below all of them.
fn reached(bins: &Rings, target: u64, above: &mut u64) -> Option<usize> {
    for (bin, &sum) in bins.sums.iter().enumerate().rev() {
        if *above + sum >= target {
            return Some(bin);
        }
        *above += sum;
    }
    None
}

/// The last token of the nucleus `p` (units of 2^-32) of the row: of the smallest prefix whose mass reaches it.
///
/// One pass sums the masses and a few only compare. The first bracket is guessed; a wrong guess costs more passes and changes
/// nothing.
pub(crate) fn nucleus(surface: &Surface<'_>, p: u64) -> Cut {
    let (kernels, view, maxima, scale) = (surface.kernels, &surface.view, surface.maxima, surface.scale);
    let (lowest, beyond) = (ordered_key(f32::MIN), ordered_key(scale.maximum) + 1);
    let (low, high) = guess::nucleus(surface, p).unwrap_or((lowest, beyond));
    let mut low = low.clamp(lowest, beyond - 1);
    let mut high = high.clamp(low + 1, beyond);
    let mut bins = Rings::EMPTY;
    let (mut above, total) = kernels.nucleus_histogram(view, maxima, scale, bracket(low, high), &mut bins);
    let target = nucleus_target(p, total).max(1);
    let mut stride = high - low;
    loop {
        if above >= target {
            // The keys of the bracket are below the answer.
            (low, high) = (high, high.saturating_add(stride).min(beyond));
            stride = stride.saturating_mul(2);
            bins = Rings::EMPTY;
            kernels.bracket_histogram(view, maxima, Some(scale), bracket(low, high), &mut bins);
            above -= bins.sums.iter().sum::<u64>();
            continue;
        }
        let now = bracket(low, high);
        match reached(&bins, target, &mut above) {
            Some(bin) if bins.nearest[bin] == bins.farthest[bin] => {
                let logit = key_to_logit(bins.nearest[bin]);
                return among_equals(surface, logit, target - above, bins.sums[bin], true);
            }
            Some(bin) => (low, high) = bin_of(now, bin),
            None if low == lowest => return Cut::ALL,
            None => {
                (low, high) = (low.saturating_sub(stride).max(lowest), low);
                stride = stride.saturating_mul(2);
            }
        }
        bins = Rings::EMPTY;
        kernels.bracket_histogram(view, maxima, Some(scale), bracket(low, high), &mut bins);
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
