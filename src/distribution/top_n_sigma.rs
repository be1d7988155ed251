//! Top-n-sigma (Tang et al. 2024): logits within n standard deviations of the highest.
//!
//! Law: logits from `f32(max - n sigma)` up stay, sigma the population standard deviation of the kept logits (llama.cpp's
//! choice). Temperature scales logits and sigma alike, so it has no part in it.
//!
//! Squares are f32. Where their sum leaves the range in which it is exact enough, it is taken once more in another unit, a
//! power of two.

use super::Stages;
use crate::numeric::square_root;

/// Units for logits too far apart, or too near to each other, to square.
const FAR: f32 = 1.0 / (1u128 << 80) as f32;
const NEAR: f32 = (1u128 << 90) as f32;
/// The least sum of squares that needs no other unit: 2^-60.
const LEAST: f64 = 1.0 / (1u64 << 60) as f64;

impl Stages<'_, '_, '_> {
    pub(super) fn top_n_sigma(&mut self, n: f32) {
        let mut unit = 1.0;
        let mut moments = self.moments(unit);
        if moments.squares == f64::INFINITY || moments.squares < LEAST {
            unit = if moments.squares < LEAST { NEAR } else { FAR };
            moments = self.moments(unit);
        }
        let count = f64::from(moments.count);
        let mean = moments.sum / count;
        let variance = moments.squares / count - mean * mean;
        let sigma = square_root(if variance > 0.0 { variance } else { 0.0 }) / f64::from(unit);
        self.keep_from((f64::from(self.kept.surface.scale.maximum) - f64::from(n) * sigma) as f32);
    }
}
