//! Temperature where it is a stage of its own, and the one that follows the entropy (koboldcpp's and llama.cpp's dynamic
//! temperature).
//!
//! Law of the dynamic one: `T = low + (high - low) (H / ln n)^exponent`, H the entropy in nats of the n tokens kept, at the
//! temperature in force before it; rounded to f32 once, and at least 2^-10. One token alone leaves the configured one.

use super::Stages;
use crate::numeric::{exponent_scale, natural_logarithm, power};

/// The least dynamic temperature: logits divided by it stay finite up to 3e35.
pub(super) const LEAST: f32 = 1.0 / 1024.0;

impl Stages<'_, '_, '_> {
    pub(super) fn set_temperature(&mut self, temperature: f32) {
        let surface = &mut self.kept.surface;
        if surface.temperature == temperature {
            return;
        }
        surface.temperature = temperature;
        surface.scale.scale = exponent_scale(temperature);
        self.sums = None;
    }

    pub(super) fn dynamic_temperature(&mut self, low: f32, high: f32, exponent: f32) {
        let count = self.count();
        let mut temperature = self.context.plan.temperature;
        if count > 1 {
            let ratio = self.statistics().entropy / natural_logarithm(count as f64);
            let share = power(if ratio < 1.0 { ratio } else { 1.0 }, f64::from(exponent));
            temperature = (f64::from(low) + (f64::from(high) - f64::from(low)) * share) as f32;
        }
        self.set_temperature(if temperature > LEAST { temperature } else { LEAST });
    }
}
