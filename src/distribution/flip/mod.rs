//! How far the logits may move before a step answers otherwise: the flip certificate.
//!
//! A radius r says: whatever happens to the logits, as long as each finite one moves by less than r, the answer stays. It is
//! either the smallest change that gives another answer ("exact" below: a change a little above r does), or a lower bound of
//! it, never more.
//!
//! The kept set. All filters but typical and XTC keep a prefix of the total order, and how many they keep depends on the
//! sorted logits alone, which move by no more than the logits do. So the set of m tokens stays as long as no token outside
//! passes one inside (half the gap between the last kept and the next, exact) and the count stays m: a chain of filters keeps
//! more than m only if every one of them lets number m + 1 in, and less only if some filter puts number m out. For each filter:
//!
//! | stage | number m + 1 comes in, number m goes out | |
//! |---|---|---|
//! | top-k | never: it counts (`keep_ties`: half the gap after the k-th) | exact |
//! | min-p | half the gap to the threshold | exact |
//! | top-p | the share of a prefix crosses p; the odds of a share move by e^(2r/T) | exact |
//! | epsilon, mirostat 2 | the share of one token crosses the limit | exact |
//! | eta | epsilon, or the mean of the logits moves that far; the mean's extremes under r are exact | exact for epsilon below e^-2 |
//! | top-a | `ln p - 2 ln p_max` with all against the first | exact, unless a token within 2r of the first |
//! | top-n-sigma | sigma^2 grows to sigma^2 + 2 r d + r^2 at most, shrinks by r d / sigma at most, d the mean deviation | bound |
//! | tail-free | each curvature moves by at most (e^(r/T) - 1) of its three masses | bound |
//! | top-h | each probability moves by at most e^(2r/T) | bound |
//! | mirostat 1 | the exponent of Zipf's law moves by at most 2 ln 2 r / T / (sum of t^2) | bound |
//! | typical | gap of distances against 2r and what the mean can move; masses as top-p | bound |
//! | XTC | the share of one token crosses the threshold; half the gap to the token that stays | bound, mostly exact |
//!
//! Such a filter is taken to see the same tokens; where an earlier one (other than top-k) could hand it another number of them,
//! its radius is at most that of the earlier one. So top-k, top-p, min-p in this order, alone or together, are exact; after
//! min-p a top-p is a bound. What follows a dynamic temperature has the radius 0 wherever it depends on the temperature.
//!
//! The token. Greedy: the argmax, exact. A draw over what is kept (draw a): the share of the tokens before it crosses the
//! number drawn, exact while the kept set stays. Beyond that the token need not change with the set: a bound is found from
//! prefixes on both sides of it (`token`). Block-envelope rejection (draw b): every proposal lands where it did, a bound, and
//! what it landed on stays in or out of the kept set. Both are at most the radius of the kept set after typical, XTC and a
//! dynamic temperature, and with adaptive-p, which is a bound.
//!
//! The logits are those given. Biases and penalties that subtract move with them; where a repetition penalty or a length decay
//! stretches changes (`Stretching`), radii are divided by how much: bounds then.
//!
//! Rounding: weights and masses are within 1e-6, and of each token at most one unit of mass is lost, which is all that a
//! token below 2^-40 of the first has; both are allowed for.

mod draw;
mod mean;
mod prefix;
mod stages;
mod stretching;
mod token;

use draw::radius_of_share_among;
pub(crate) use draw::{LayoutEdge, mass_before, radius_before_reshaping, radius_of_draw, radius_of_selection};
pub(super) use prefix::{radius_of_mirostat_count, radius_of_tail_free, radius_of_top_h};
pub(super) use stages::radius_of_kept;
pub(crate) use stages::{Record, Records};
pub(crate) use stretching::Stretching;
pub(crate) use token::{radius_of_membership, radius_of_token};

use crate::numeric::{natural_logarithm, square_root};

/// What rounding of weights and masses may take from ln of a ratio of masses.
const ROUNDING: f64 = 1e-5;

/// What rounding may take from a logit, relative to it.
const LOGIT_ROUNDING: f64 = 1.0 / (1 << 22) as f64;

/// The mass of some tokens, in units of 2^-40 of the largest weight: at least `mass`, and at most one unit more for each of
/// the `tokens`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub mass: f64,
    pub tokens: f64,
}

impl Part {
    pub fn new(mass: u64, tokens: usize) -> Part {
        Part { mass: mass as f64, tokens: tokens as f64 }
    }

    /// Both together.
    fn with(self, other: Part) -> Part {
        Part { mass: self.mass + other.mass, tokens: self.tokens + other.tokens }
    }

    /// Everything in `self` that is not in `part`.
    fn without(self, part: Part) -> Part {
        Part { mass: at_least_zero(self.mass - part.mass), tokens: at_least_zero(self.tokens - part.tokens) }
    }
}

fn at_least_zero(x: f64) -> f64 {
    if x > 0.0 { x } else { 0.0 }
}

/// The radius within which the share of `part` in `part` and `rest` stays below `limit`; 0 if it is there already. The worst
/// that can happen is that all of the part rise and all of the rest fall.
pub(crate) fn radius_to_reach(part: Part, rest: Part, limit: f64, temperature: f32) -> f64 {
    if limit >= 1.0 {
        return f64::INFINITY;
    }
    if limit <= 0.0 {
        return 0.0;
    }
    // (part + its units) g <= odds (rest / g - its units): a quadratic inequality of the factor g.
    let odds = limit / (1.0 - limit);
    let lost = odds * rest.tokens;
    let whole = square_root(lost * lost + 4.0 * (part.mass + part.tokens) * odds * rest.mass);
    let factor = if lost + whole > 0.0 { 2.0 * odds * rest.mass / (lost + whole) } else { f64::INFINITY };
    if factor == f64::INFINITY {
        return f64::INFINITY;
    }
    if factor <= 0.0 {
        return 0.0;
    }
    f64::from(temperature) * at_least_zero(natural_logarithm(factor) - 0.5 * ROUNDING)
}

/// The radius within which the share of `part` stays at `limit` or above.
pub(crate) fn radius_to_leave(part: Part, rest: Part, limit: f64, temperature: f32) -> f64 {
    radius_to_reach(rest, part, 1.0 - limit, temperature)
}

/// The lesser of two radii.
pub(crate) fn lesser(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

fn greater(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

fn gap(higher: f64, lower: f64) -> f64 {
    at_least_zero(higher - lower)
}

/// The largest r up to `most` for which `holds`, which holds up to some r; found in so many halvings.
fn largest(most: f64, halvings: u32, holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, most);
    for _ in 0..halvings {
        let middle = 0.5 * (low + high);
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}
