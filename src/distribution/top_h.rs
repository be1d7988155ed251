//! Top-h, bounded entropy (Hugging Face `TopHLogitsWarper`): a prefix with a share of the entropy.
//!
//! Law: among the first 100 tokens, renormalised, `-p ln p` is summed in the total order; tokens stay while the sum is at
//! most `top_h` times the entropy of those 100. The first token always stays, alone if it has all the mass, and what is
//! past the hundredth goes.

use super::Stages;
use super::flip::radius_of_top_h;
use crate::numeric::natural_logarithm;
use crate::plan::TOP_H_TOKENS;

impl Stages<'_, '_, '_> {
    pub(super) fn top_h(&mut self, top_h: f32) {
        let before = self.kept;
        self.list_first(TOP_H_TOKENS.max(self.min_keep.min(self.list_room())));
        let count = self.kept.listed.unwrap_or(0);
        self.sort_list_with_masses(count);
        let masses = &self.room.masses[..count];
        let measured = count.min(TOP_H_TOKENS);
        let total = masses[..measured].iter().sum::<u64>() as f64;
        let part = |mass: u64| {
            let p = mass as f64 / total;
            if mass == 0 { 0.0 } else { -p * natural_logarithm(p) }
        };
        let mut whole = 0.0;
        for &mass in &masses[..measured] {
            whole += part(mass);
        }
        let limit = f64::from(top_h) * whole;
        let mut sum = 0.0;
        // Where only the first weighs anything, it stays alone: shares of nothing say nothing.
        let measured = if whole > 0.0 { measured } else { 1 };
        let mut kept = 0;
        for &mass in &masses[..measured] {
            sum += part(mass);
            if kept > 0 && sum > limit {
                break;
            }
            kept += 1;
        }
        if self.certifies {
            self.own_radius =
                radius_of_top_h(&masses[..count.min(TOP_H_TOKENS)], kept, top_h, self.kept.surface.temperature);
        }
        self.keep_sorted(kept, count, before);
    }
}
