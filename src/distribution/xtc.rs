//! XTC, "exclude top choices" (p-e-w 2024): now and then, all likely tokens but the least likely of them go.
//!
//! Law: with probability `xtc_probability` (the step's first number of purpose 1: `number >> 32 < round(p 2^32)`), if at
//! least two tokens have a probability of `xtc_threshold` or more among what reached the filter, all of these but the last
//! in the order are removed; unless fewer than `min_keep` tokens would be left. (llama.cpp's rule.)

use super::{Stages, cut, cut_key, list};
use crate::kernels::Cut;
use crate::numeric::{natural_logarithm, rank_key_parts};
use crate::rng::{Purpose, StepNumbers};

impl Stages<'_, '_, '_> {
    pub(super) fn xtc(&mut self, probability: u64, threshold: f32) {
        let config = &self.context.plan.config;
        let mut numbers = StepNumbers::new(config.seed, config.stream, self.context.position, Purpose::Xtc);
        if numbers.next_number() >> 32 >= probability {
            return;
        }
        let (lowest, is_reached) = if threshold > 0.0 {
            let ln_threshold = natural_logarithm(f64::from(threshold));
            (self.logit_of_probability(ln_threshold), !self.is_out_of_reach(ln_threshold))
        } else {
            (f32::NEG_INFINITY, true)
        };
        self.threshold = Some(lowest);
        let likely = self.kept.cut.stricter(Cut::at_least(lowest));
        let (surface, kept) = (&self.kept.surface, self.count());
        let count = match self.kept.listed {
            Some(listed) => self.room.keys[..listed].iter().filter(|&&key| key >= cut_key(likely)).count(),
            None => surface.kernels.kept_count(&surface.view, surface.maxima, likely) as usize,
        };
        if count < 2 || !is_reached || kept - (count - 1) < self.min_keep {
            return;
        }
        let first = match self.kept.listed {
            Some(listed) => {
                let (logit, token) = rank_key_parts(list::nth_key_or_last(count, listed, self.room));
                if count < listed { Cut { logit, token } } else { self.kept.cut }
            }
            None => cut::nth_token(surface, count as u64),
        };
        self.start_at(first);
    }
}
