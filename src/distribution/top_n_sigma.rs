//! Top-n-sigma (Tang et al. 2024): logits within n standard deviations of the highest.
//!
//! Law: logits from `f32(max - n sigma)` up stay, sigma the population standard deviation of the kept logits (llama.cpp's
//! choice). Temperature scales logits and sigma alike, so it has no part in it. Logits so far apart that their squares leave
//! the range of f32 are all kept.

use super::Stages;
use crate::numeric::square_root;

impl Stages<'_, '_, '_> {
    pub(super) fn top_n_sigma(&mut self, n: f32) {
        let moments = self.moments();
        let count = f64::from(moments.count);
        let mean = moments.sum / count;
        let variance = moments.squares / count - mean * mean;
        if variance.is_nan() || variance == f64::INFINITY {
            return;
        }
        let sigma = square_root(if variance > 0.0 { variance } else { 0.0 });
        self.keep_from((f64::from(self.kept.surface.scale.maximum) - f64::from(n) * sigma) as f32);
    }
}
