//! Radii of the draws.

use super::{Part, ROUNDING, at_least_zero, largest, lesser, radius_to_leave, radius_to_reach};
use crate::kernels::Cut;
use crate::logits::Surface;
use crate::numeric::{exponential, natural_logarithm};
use crate::types::BLOCK;

/// Units of mass that a token may have and not show, with what a bound of its block adds.
const HIDDEN: f64 = 2.0;

/// A token's place in the cumulative masses of a draw (a): what stands before it, what stands up to it, and what is drawn
/// from. The radius within which the same number (of 2^64) finds the same token among the same tokens.
pub(crate) fn radius_of_draw(before: Part, upto: Part, whole: Part, number: u64, temperature: f32) -> f64 {
    radius_of_share_among((before, whole.without(before)), (upto, whole.without(upto)), number, temperature)
}

/// The radius within which the number lies past the first of the first two parts, and within the first of the other two.
pub(super) fn radius_of_share_among(passed: (Part, Part), upto: (Part, Part), number: u64, temperature: f32) -> f64 {
    let at = number as f64 / 18_446_744_073_709_551_616.0;
    let nothing = |part: Part| part.tokens == 0.0;
    let first = if nothing(passed.0) { f64::INFINITY } else { radius_to_reach(passed.0, passed.1, at, temperature) };
    let last = if nothing(upto.1) { f64::INFINITY } else { radius_to_leave(upto.0, upto.1, at, temperature) };
    lesser(first, last)
}

/// The mass of the kept tokens of lower id than `token`.
pub(crate) fn mass_before(surface: &Surface<'_>, cut: Cut, token: u32) -> u64 {
    let mut masses = [0; BLOCK];
    let mut sum = 0;
    for block in 0..=token as usize / BLOCK {
        if surface.maxima[block] < cut.logit {
            continue;
        }
        surface.kernels.block_masses(&surface.view, block, surface.scale, cut, &mut masses);
        let lanes = (token as usize - block * BLOCK).min(BLOCK);
        sum += masses[..lanes].iter().sum::<u64>();
    }
    sum
}

/// A boundary in the layout of draw (b).
#[derive(Clone, Copy)]
pub(crate) struct LayoutEdge {
    /// Bounds of the blocks before.
    pub before: u64,
    /// Mass inside the block before the boundary.
    pub inside: u64,
    /// The block's bound.
    pub bound: u64,
    /// Whether that is its exact mass.
    pub is_tight: bool,
    /// Bounds of the blocks after.
    pub after: u64,
    /// Tokens on both sides of the boundary.
    pub tokens: (usize, usize),
}

impl LayoutEdge {
    /// The radius within which the boundary stays on its side of the share `at` of the whole layout.
    pub fn radius(&self, at: f64, temperature: f32) -> f64 {
        let LayoutEdge { before, inside, bound, is_tight, after, tokens } = *self;
        // The ends of the layout; the slack of the last block has no token and still lies before the end.
        if tokens.0 == 0 || tokens.1 == 0 && inside == bound {
            return f64::INFINITY;
        }
        let is_below = (before + inside) as f64 <= at * (before + bound + after) as f64;
        let [before, inside, bound, after] = [before, inside, bound, after].map(|mass| mass as f64);
        let hidden = (HIDDEN * tokens.0 as f64, HIDDEN * tokens.1 as f64);
        // The worst that factors between 1 / g and g can do to the two sides of the boundary.
        let holds = |x: f64| {
            let g = exponential(x);
            if is_below {
                let within = if is_tight { (bound - inside) / g } else { bound / g - inside * g };
                let left = (before + inside + hidden.0) * g;
                let right = at_least_zero(after / g + at_least_zero(within) - hidden.1);
                left <= at * (left + right)
            } else {
                let within = if is_tight { (bound - inside) * g } else { bound * g - inside / g };
                let left = at_least_zero((before + inside) / g - hidden.0);
                let right = after * g + within + hidden.1 * g;
                left > at * (left + right)
            }
        };
        f64::from(temperature) * at_least_zero(largest(64.0, 60, holds) - ROUNDING)
    }
}

/// The radius within which a block's bound stays on its side of 1/256 of the sum of the bounds of all these tokens.
pub(crate) fn radius_of_selection(bound: u64, bounds: u64, tokens: usize, temperature: f32) -> f64 {
    let hidden = |tokens: usize| HIDDEN * tokens as f64;
    let part = Part { mass: bound as f64, tokens: hidden(BLOCK) };
    let rest = Part { mass: (bounds - bound) as f64, tokens: hidden(tokens) };
    let share = 1.0 / 256.0;
    if bound > bounds / 256 {
        radius_to_leave(part, rest, share, temperature)
    } else {
        radius_to_reach(part, rest, share, temperature)
    }
}

/// What a radius for the reshaped logits of adaptive-p is for the logits before: a new logit moves by at most 10 / 0.3 times
/// its probability's change, which is at most `largest_probability (e^(2r/T) - 1)`.
pub(crate) fn radius_before_reshaping(reshaped: f64, largest_probability: f64, temperature: f32) -> f64 {
    0.5 * f64::from(temperature) * natural_logarithm(1.0 + reshaped * 0.3 / (10.0 * largest_probability))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number in the slack of the last block stays there until the masses before it have grown.
    #[test]
    fn the_slack_of_the_last_block_is_no_end_of_the_layout() {
        let edge = |inside, is_tight| LayoutEdge {
            before: 900 << 40,
            inside,
            bound: 100 << 40,
            is_tight,
            after: 0,
            tokens: (64_000, 0),
        };
        let (slack, end) = (edge(40 << 40, false), edge(100 << 40, false));
        // 94 % of the layout: past the tokens, which end at or below 940 / 1000 g^2.
        let radius = slack.radius(0.96, 1.0);
        assert!(radius > 0.0 && radius < 0.5, "{radius}");
        let g = radius.exp();
        let (left, right) = (940.0 * g, 100.0 / g - 40.0 * g);
        assert!(left <= 0.96 * (left + right), "{left} {right}");
        // A number on a token before the slack: the boundary may come down to it.
        let radius = slack.radius(0.93, 1.0);
        assert!(radius > 0.0 && radius < 0.5, "{radius}");
        assert_eq!((end.radius(0.96, 1.0), edge(100 << 40, true).radius(0.96, 1.0)), (f64::INFINITY, f64::INFINITY));
    }
}
