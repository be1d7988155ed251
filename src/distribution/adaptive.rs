//! Adaptive-p (llama.cpp): prefers tokens whose probability is near a target that follows what was picked.
//!
//! Law: with p a token's probability among what the filters kept (a ratio of integer masses), `d = |p - t| / 0.3` and the new
//! logit `-10 d^2 / (1 + d)`; the draw is from their softmax. The target of a step is `t = 2 target - mean`, held in 0 to 1,
//! mean being the decayed mean of the probabilities of earlier picks: `sum <- p + decay sum`, `weight <- 1 + decay weight`.
//! New masses are relative to the kept token nearest to the target.

use super::StepState;
use crate::kernels::Scale;
use crate::numeric::{LOG2_E, MASS_BITS, natural_logarithm, weight, weight_to_mass};
use crate::plan::Config;

const WIDTH: f64 = 0.3;
const SHARPNESS: f64 = 10.0;

/// The target of a step, and what the probabilities and the new logits are relative to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    probability: f64,
    total: u64,
    /// The least distance of a kept token, in units of the width.
    nearest: f64,
}

/// One token's part of the reshaped distribution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shaped {
    /// Its probability before.
    pub probability: f64,
    /// Its new logit, relative to the kept token nearest to the target: at most 0, at least -27.
    pub logit: f64,
}

impl Shaped {
    /// The integer mass of the new logit.
    pub fn mass(&self) -> u64 {
        weight_to_mass(weight((self.logit * LOG2_E) as f32))
    }

    /// The natural logarithm of its probability among tokens of the mass `among`.
    pub fn logprob(&self, among: u64) -> f64 {
        self.logit - natural_logarithm(among as f64 / (1u64 << MASS_BITS) as f64)
    }
}

/// The new logit at a distance from the target.
fn logit_at(distance: f64) -> f64 {
    -SHARPNESS * distance * distance / (1.0 + distance)
}

impl Target {
    /// The target after the picks so far, for kept tokens of the mass `total`. [`Target::see`] must have seen all of them
    /// before one is reshaped.
    pub fn new(config: &Config, state: &StepState, total: u64) -> Target {
        let target = f64::from(config.adaptive_target);
        let mean = f64::from(state.adaptive_sum) / f64::from(state.adaptive_weight);
        let moved = 2.0 * target - mean;
        let probability = match moved {
            above if above > 1.0 => 1.0,
            within if within > 0.0 => within,
            _ => 0.0,
        };
        Target { probability, total, nearest: f64::INFINITY }
    }

    fn probability_and_distance(&self, mass: u64) -> (f64, f64) {
        let probability = mass as f64 / self.total as f64;
        let difference = probability - self.probability;
        (probability, if difference < 0.0 { -difference } else { difference } / WIDTH)
    }

    /// Notes a kept token of this mass.
    pub fn see(&mut self, mass: u64) {
        let (_, distance) = self.probability_and_distance(mass);
        self.nearest = if distance < self.nearest { distance } else { self.nearest };
    }

    /// The new form of a kept token of this mass.
    pub fn shape(&self, mass: u64) -> Shaped {
        let (probability, distance) = self.probability_and_distance(mass);
        Shaped { probability, logit: logit_at(distance) - logit_at(self.nearest) }
    }

    /// The same from the token's logit.
    pub fn shape_logit(&self, logit: f32, scale: Scale) -> Shaped {
        self.shape(scale.mass(logit))
    }
}

/// The state after a pick of this probability.
pub(crate) fn update_adaptive(config: &Config, state: &mut StepState, probability: f64) {
    let decay = f64::from(config.adaptive_decay);
    state.adaptive_sum = (probability + decay * f64::from(state.adaptive_sum)) as f32;
    state.adaptive_weight = (1.0 + decay * f64::from(state.adaptive_weight)) as f32;
}
