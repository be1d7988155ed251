//! Epsilon cutoff (Hewitt et al. 2022): what is at least this likely.
//!
//! Law: tokens of probability below epsilon among what reached the filter go; the first stays. The threshold is one f32
//! logit, `f32(max + T (ln epsilon + ln Z))`.

use super::Stages;
use crate::numeric::natural_logarithm;

impl Stages<'_, '_, '_> {
    pub(super) fn epsilon(&mut self, epsilon: f32) {
        let threshold = self.logit_of_probability(natural_logarithm(f64::from(epsilon)));
        self.keep_from_with_ties(threshold);
    }
}
