//! Top-a (BlinkDL, RWKV-LM): what is at least `a` times the square of the largest probability.
//!
//! Law: tokens of probability below `a p_max^2` go; the first stays, because `a` is at most 1.

use super::Stages;
use crate::numeric::natural_logarithm;

impl Stages<'_, '_, '_> {
    pub(super) fn top_a(&mut self, a: f32) {
        // ln p_max = -ln Z.
        let ln_limit = natural_logarithm(f64::from(a)) - 2.0 * self.statistics().ln_z;
        let threshold = self.logit_of_probability(ln_limit);
        self.keep_from(threshold);
    }
}
