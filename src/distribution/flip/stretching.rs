//! What a change of a logit as given becomes by what adjusts it.

use super::{greater, lesser};
use crate::constrain::Adjustments;
use crate::constrain::EndRule;
use crate::logits::Surface;
use crate::types::TokenId;

/// How much farther an adjusted logit can move than the logit as given: a repetition penalty multiplies on one side of 0 and
/// divides on the other, a length decay raises by a share of the logit; all else only adds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretching {
    /// The most; at least 1.
    most: f64,
    /// Which side of 0 it is gentle on: 1 above, -1 below, 0 if that is not known.
    gentle: f64,
}

impl Stretching {
    /// That of a step.
    pub fn new(lists: &Adjustments<'_>) -> Stretching {
        let repetition = f64::from(lists.rules.repetition());
        // `z + |z| share` moves by 1 + share above 0 and by 1 - share below.
        let raise = match lists.end_rule {
            EndRule::Raised(share) => 1.0 + if share < 0.0 { -share } else { share },
            EndRule::Free | EndRule::Masked => 1.0,
        };
        let gentle = if raise > 1.0 || lists.rules.penalises_sums() {
            0.0
        } else if repetition > 1.0 {
            1.0
        } else {
            -1.0
        };
        Stretching { most: raise * if repetition < 1.0 { 1.0 / repetition } else { repetition }, gentle }
    }

    /// How far the logit of a token may move without being stretched; 0 or less if not at all.
    fn free(&self, surface: &Surface<'_>, token: TokenId) -> f64 {
        self.gentle * f64::from(surface.view.as_given().logit(token))
    }

    /// What a radius for the adjusted row is for the row as given.
    pub fn radius(&self, surface: &Surface<'_>, adjusted: f64) -> f64 {
        if self.most == 1.0 {
            return adjusted;
        }
        let mut free = f64::INFINITY;
        for entry in surface.view.overrides.iter().filter(|entry| entry.logit > f32::NEG_INFINITY) {
            free = lesser(free, self.free(surface, entry.token));
        }
        greater(adjusted / self.most, lesser(adjusted, free))
    }

    /// The radius of the argmax, for the row as given: of each other token how far the two can move towards each other.
    pub fn radius_of_argmax(&self, surface: &Surface<'_>, argmax: TokenId, margin: f32) -> f64 {
        let margin = f64::from(margin);
        if self.most == 1.0 || margin == f64::INFINITY {
            return 0.5 * margin;
        }
        let overrides = surface.view.overrides;
        let own = overrides.binary_search_by_key(&argmax, |entry| entry.token).is_ok();
        let own_free = if own { self.free(surface, argmax) } else { f64::INFINITY };
        let pair = |gap: f64, free: f64| {
            let slope = |free: f64| if free == f64::INFINITY { 1.0 } else { self.most };
            greater(gap / (slope(own_free) + slope(free)), lesser(0.5 * gap, lesser(own_free, free)))
        };
        let mut radius = pair(margin, f64::INFINITY);
        let highest = f64::from(surface.view.logit(argmax));
        for entry in overrides.iter().filter(|entry| entry.logit > f32::NEG_INFINITY && entry.token != argmax) {
            radius = lesser(radius, pair(highest - f64::from(entry.logit), self.free(surface, entry.token)));
        }
        radius
    }
}
