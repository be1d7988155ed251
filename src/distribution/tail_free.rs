//! Tail-free sampling (Phénix and Egan 2019): cuts where the sorted probabilities stop to bend.
//!
//! Law: of the first 4,096 tokens kept, in the total order with integer masses q, the curvatures
//! `|(q_i - q_(i+1)) - (q_(i+1) - q_(i+2))|` are summed from the front; a token stays as long as the sum before it is at
//! most z times the whole. So the first always stays, and the last of the 4,096 always goes. Where nothing bends, or fewer
//! than three tokens are left, all of them stay. (text-generation-webui's shift by one; the share is an integer comparison.)

use super::Stages;
use super::flip::radius_of_tail_free;
use crate::numeric::fixed_probability;
use crate::plan::LIST_LIMIT;

impl Stages<'_, '_, '_> {
    pub(super) fn tail_free(&mut self, z: f32) {
        let before = self.kept;
        self.list_first(LIST_LIMIT.min(self.list_room()));
        let count = self.kept.listed.unwrap_or(0);
        if count < 3 {
            self.own_radius = f64::INFINITY;
            return;
        }
        self.sort_list_with_masses(count);
        let masses = &self.room.masses[..count];
        // Sorted, so each slope is at least 0 but for the last bits of a rounded polynomial.
        let curvature = |q: &[u64]| {
            let (first, second) = (q[0] as i64 - q[1] as i64, q[1] as i64 - q[2] as i64);
            first.abs_diff(second)
        };
        let whole: u64 = masses.windows(3).map(curvature).sum();
        if whole == 0 {
            // All that was looked at stays, and what `min_keep` asks for beyond.
            return self.keep_sorted(count, count, before);
        }
        let limit = u128::from(fixed_probability(z)) * u128::from(whole);
        let mut sum = 0;
        let mut kept = 1;
        for q in masses.windows(3) {
            sum += curvature(q);
            if u128::from(sum) << 32 > limit {
                break;
            }
            kept += 1;
        }
        if self.certifies {
            self.own_radius = radius_of_tail_free(masses, kept, z, self.kept.surface.temperature);
        }
        self.keep_sorted(kept, count, before);
    }
}
