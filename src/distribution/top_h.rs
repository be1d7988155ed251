//! Top-h, bounded entropy (Hugging Face `TopHLogitsWarper`): a prefix with a share of the entropy.
//!
//! Law: among the first 100 tokens, renormalised, `-p ln p` is summed in the total order; tokens stay while the sum is at
//! most `top_h` times the entropy of those 100. The first token always stays, and what is past the hundredth goes.

use super::{Room, Stages};
use crate::numeric::{natural_logarithm, rank_key_parts};
use crate::plan::TOP_H_TOKENS;

impl Stages<'_, '_, '_> {
    pub(super) fn top_h(&mut self, top_h: f32) {
        let min_keep = self.min_keep;
        self.list_first(TOP_H_TOKENS.max(min_keep.min(self.list_room())));
        let count = self.kept.listed.unwrap_or(0);
        self.sort_list(count);
        let surface = &self.kept.surface;
        let Room { work, masses, logits, .. } = &mut *self.room;
        for (to, &key) in logits.iter_mut().zip(&work[..count]) {
            *to = rank_key_parts(key).0;
        }
        let measured = count.min(TOP_H_TOKENS);
        surface.kernels.list_masses(&logits[..count], surface.scale, &mut masses[..count]);
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
        let mut kept = 0;
        for &mass in &masses[..measured] {
            sum += part(mass);
            if kept > 0 && sum > limit {
                break;
            }
            kept += 1;
        }
        let last = work[kept.max(min_keep).min(count) - 1];
        self.keep_keys(last, count);
    }

    /// Tokens that a list can hold beside what collecting them needs.
    pub(super) fn list_room(&self) -> usize {
        self.room.keys.len() / 2 - crate::types::BLOCK
    }
}
