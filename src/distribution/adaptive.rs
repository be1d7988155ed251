//! Adaptive-p (llama.cpp): prefers tokens whose probability is near a target that follows what was picked.
//!
//! Law: with p a token's probability among what the filters kept (a ratio of integer masses), `d = |p - t| / 0.3` and the new
//! logit `-10 d^2 / (1 + d)`, less that of the nearest token; the draw is from their softmax. The target of a step is
//! `t = 2 target - mean`, held in 0 to 1, mean being the decayed mean of the probabilities of earlier picks: `sum <- p + decay sum`, `weight <- 1 + decay weight`.

use super::StepState;
use crate::kernels::Scale;
use crate::numeric::{LOG2_E, MASS_BITS, natural_logarithm, weight, weight_to_mass};
use crate::plan::Config;

const WIDTH: f64 = 0.3;
const SHARPNESS: f64 = 10.0;

/// The target of a step, and what the probabilities are relative to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    probability: f64,
    total: u64,
    /// The distance of the kept token nearest to the target: its new logit is 0.
    nearest: f64,
}

/// One token's part of the reshaped distribution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shaped {
    /// Its probability before.
    pub probability: f64,
    /// Its new logit, at most 0, and at least -27.
    pub logit: f64,
}

impl Shaped {
    /// The integer mass of the new logit, relative to a token that meets the target.
    pub fn mass(&self) -> u64 {
        weight_to_mass(weight((self.logit * LOG2_E) as f32))
    }

    /// The natural logarithm of its probability among tokens of the mass `among`.
    pub fn logprob(&self, among: u64) -> f64 {
        self.logit - natural_logarithm(among as f64 / (1u64 << MASS_BITS) as f64)
    }
}

impl Target {
    /// The target after the picks so far, for kept tokens of the mass `total`. Each of them must be shown to
    /// [`Target::look_at`] before any is reshaped.
    pub fn new(config: &Config, state: &StepState, total: u64) -> Target {
        Target { probability: target_probability(config, state), total, nearest: f64::INFINITY }
    }

    fn distance(&self, probability: f64) -> f64 {
        let difference = probability - self.probability;
        (if difference < 0.0 { -difference } else { difference }) / WIDTH
    }

    /// Takes note of a kept token of this mass.
    pub fn look_at(&mut self, mass: u64) {
        let distance = self.distance(mass as f64 / self.total as f64);
        if distance < self.nearest {
            self.nearest = distance;
        }
    }

    /// The new form of a kept token of this mass.
    pub fn shape(&self, mass: u64) -> Shaped {
        let probability = mass as f64 / self.total as f64;
        let bent = |distance: f64| SHARPNESS * distance * distance / (1.0 + distance);
        Shaped { probability, logit: bent(self.nearest) - bent(self.distance(probability)) }
    }

    /// The same from the token's logit.
    pub fn shape_logit(&self, logit: f32, scale: Scale) -> Shaped {
        self.shape(scale.mass(logit))
    }
}

/// The probability that the next step prefers.
pub(crate) fn target_probability(config: &Config, state: &StepState) -> f64 {
    let target = f64::from(config.adaptive_target);
    let mean = f64::from(state.adaptive_sum) / f64::from(state.adaptive_weight);
    let moved = 2.0 * target - mean;
    if moved > 1.0 {
        1.0
    } else if moved > 0.0 {
        moved
    } else {
        0.0
    }
}

/// The state after a pick of this probability.
pub(crate) fn update_adaptive(config: &Config, state: &mut StepState, probability: f64) {
    let decay = f64::from(config.adaptive_decay);
    state.adaptive_sum = (probability + decay * f64::from(state.adaptive_sum)) as f32;
    state.adaptive_weight = (1.0 + decay * f64::from(state.adaptive_weight)) as f32;
}
