//! Locally typical sampling (Meister et al. 2023): tokens whose surprise is nearest the entropy.
//!
//! Law: the distance of a token is `f32(|z - c|)`, `c = max + T (ln Z - H)` in f64: the logit whose surprise is the entropy.
//! Kept are all tokens up to the least distance within which the integer mass reaches `round(p 2^32) / 2^32` of the whole;
//! tokens of one distance stay or go together. Distances in logits are T times those in nats, so the order is the same.
//! `min_keep` counts in this order.

use super::{Stages, cut};
use crate::kernels::{Band, Cut, distance_key};
use crate::logits::Surface;
use crate::numeric::{nucleus_target, rank_key_parts};
use crate::types::TokenId;

impl Stages<'_, '_, '_> {
    pub(super) fn typical(&mut self, p: u64) {
        let statistics = self.statistics();
        let surface = &self.kept.surface;
        let centre =
            f64::from(surface.scale.maximum) + f64::from(surface.temperature) * (statistics.ln_z - statistics.entropy);
        let min_keep = self.context.plan.min_keep as u64;
        let limit = match self.kept.listed {
            Some(count) => self.farthest_of_list(p, count, centre),
            None => {
                let view = self.view();
                let surface = Surface { view, ..*surface };
                let (total, _) = (surface.kernels).kept_and_total_mass(
                    &view,
                    surface.maxima,
                    self.kept.cut.logit,
                    surface.scale,
                    Cut::ALL,
                );
                let near = cut::distance_of_mass(&surface, centre, nucleus_target(p, total).max(1), true);
                if min_keep > 1 { near.max(cut::distance_of_mass(&surface, centre, min_keep, false)) } else { near }
            }
        };
        self.keep_near(centre, limit);
    }

    /// The distance key up to which listed tokens stay.
    fn farthest_of_list(&mut self, p: u64, count: usize, centre: f64) -> u32 {
        let surface = &self.kept.surface;
        let room = &mut *self.room;
        // Distance above token order, so that sorting brings the nearest first; the index finds the mass again.
        for (i, (to, &key)) in room.work.iter_mut().zip(&room.keys[..count]).enumerate() {
            let logit = rank_key_parts(key).0;
            room.logits[i] = logit;
            *to = u64::from(distance_key(logit, centre)) << 32 | i as u64;
        }
        let total = surface.kernels.list_masses(&room.logits[..count], surface.scale, &mut room.masses[..count]);
        let target = nucleus_target(p, total);
        let work = &mut room.work[..count];
        work.sort_unstable();
        let mut mass = 0;
        for (i, &entry) in work.iter().enumerate() {
            mass += room.masses[entry as u32 as usize];
            if mass >= target && i + 1 >= self.context.plan.min_keep {
                return (entry >> 32) as u32;
            }
        }
        u32::MAX
    }

    /// Keeps the tokens whose distance key is at most `limit`.
    fn keep_near(&mut self, centre: f64, limit: u32) {
        let near = |logit: f32| distance_key(logit, centre) <= limit;
        if let Some(count) = self.kept.listed {
            let mut left = 0;
            for i in 0..count {
                let key = self.room.keys[i];
                self.room.keys[left] = key;
                left += usize::from(near(rank_key_parts(key).0));
            }
            if left == count {
                return;
            }
            self.kept.listed = Some(left);
            let keys = &self.room.keys[..left];
            let part = |key: u64| {
                let (logit, token) = rank_key_parts(key);
                Cut { logit, token }
            };
            let first = part(keys.iter().copied().max().unwrap_or(0));
            self.kept.cut = part(keys.iter().copied().min().unwrap_or(0));
            self.sums = None;
            if first.logit < self.kept.surface.scale.maximum {
                self.start_at(Cut { token: 0, ..first });
            }
            return;
        }
        // The farthest logits on either side that are near enough, found among all f32: the distance grows away from the
        // centre, so bisection over ordered keys finds where it passes the limit.
        let low = cut::lowest_logit(|logit| f64::from(logit) >= centre || near(logit));
        self.set_cut(Cut::at_least(low));
        let maximum = self.kept.surface.scale.maximum;
        if near(maximum) || f64::from(maximum) <= centre {
            return;
        }
        let beyond = cut::lowest_logit(|logit| f64::from(logit) > centre && !near(logit));
        let surface = &self.kept.surface;
        let band = Band { first: Cut { logit: beyond, token: TokenId::MAX }, last: self.kept.cut };
        let first = surface.largest_in(band);
        self.start_at(Cut { logit: first, token: 0 });
    }
}
