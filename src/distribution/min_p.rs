//! Min-p (Nguyen et al. 2024): what is at least `min_p` times as likely as the likeliest token kept.
//!
//! Law: logits from `f32(max + T ln min_p)` up stay; ties have no part in it.

use super::Stages;
use crate::numeric::min_p_threshold;

impl Stages<'_, '_, '_> {
    pub(super) fn min_p(&mut self, min_p: f32) {
        let surface = &self.kept.surface;
        self.keep_from(min_p_threshold(surface.scale.maximum, surface.temperature, min_p));
    }
}
