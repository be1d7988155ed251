//! Eta cutoff (Hewitt et al. 2022): an epsilon cutoff that falls with the entropy.
//!
//! Law: tokens of probability below `min(epsilon, sqrt(epsilon) exp(-H))` go, H the entropy in nats of what reached the
//! filter; the first stays.

use super::Stages;
use crate::numeric::natural_logarithm;

impl Stages<'_, '_, '_> {
    pub(super) fn eta(&mut self, epsilon: f32) {
        let ln_epsilon = natural_logarithm(f64::from(epsilon));
        let falling = 0.5 * ln_epsilon - self.statistics().entropy;
        let threshold = self.logit_of_probability(if falling < ln_epsilon { falling } else { ln_epsilon });
        self.keep_from_with_ties(threshold);
    }
}
