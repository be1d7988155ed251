//! Locally typical sampling (Meister et al. 2023): tokens whose surprise is nearest the entropy.
//!
//! Law: the distance of a token is `f32(|z - c|)`, `c` in f64 the mean of the kept logits under their
//! probabilities, which is the logit whose surprise is the entropy.
//! Distances in logits are T times those in nats, so the order is the same. Tokens stand in the order of typicality: nearer
//! first; of one distance those above c before those below, the logit nearer to c first, equal ones by lower id. Kept is the
//! smallest prefix whose integer mass reaches `round(p 2^32) / 2^32` of the whole, and at least `min_keep` tokens. Under the
//! profile huggingface all tokens of the last distance that the mass needs stay.

use super::cut::{self, above, below};
use super::{Room, Stages, distance};
use crate::kernels::{Band, Cut, distance_key};
use crate::logits::Surface;
use crate::numeric::{nucleus_target, ordered_key, rank_key_parts};
use crate::plan::Profile;
use crate::types::TokenId;
use core::cmp::Ordering;

/// The order of typicality around a centre.
#[derive(Clone, Copy)]
struct Order {
    centre: f64,
}

impl Order {
    fn is_above(self, logit: f32) -> bool {
        f64::from(logit) > self.centre
    }

    fn key(self, logit: f32) -> u32 {
        distance_key(logit, self.centre)
    }

    fn compare(self, a: (f32, TokenId), b: (f32, TokenId)) -> Ordering {
        let nearer = self.key(a.0).cmp(&self.key(b.0));
        let side = self.is_above(b.0).cmp(&self.is_above(a.0));
        let (first, second) = (ordered_key(a.0), ordered_key(b.0));
        let logit = if self.is_above(a.0) { first.cmp(&second) } else { second.cmp(&first) };
        nearer.then(side).then(logit).then(a.1.cmp(&b.1))
    }
}

impl Stages<'_, '_, '_> {
    pub(super) fn typical(&mut self, p: u64) {
        self.sums(true);
        let mean = self.statistics().mean;
        let surface = &self.kept.surface;
        let centre = f64::from(surface.scale.maximum) + surface.temperature_of_weights() * mean;
        let order = Order { centre };
        let whole_distances = self.context.plan.config.profile == Profile::HuggingFace;
        let band = match self.kept.listed {
            Some(count) => self.typical_of_list(p, count, order, whole_distances),
            None => self.typical_of_row(p, order, whole_distances),
        };
        self.keep_band(band);
    }

    /// The band of the prefix among listed tokens.
    fn typical_of_list(&mut self, p: u64, count: usize, order: Order, whole_distances: bool) -> Band {
        let min_keep = self.min_keep;
        let surface = &self.kept.surface;
        let Room { keys, work, masses, logits } = &mut *self.room;
        let work = &mut work[..count];
        work.copy_from_slice(&keys[..count]);
        work.sort_unstable_by(|&a, &b| order.compare(rank_key_parts(a), rank_key_parts(b)));
        for (to, &key) in logits.iter_mut().zip(work.iter()) {
            *to = rank_key_parts(key).0;
        }
        let total = surface.kernels.list_masses(&logits[..count], surface.scale, &mut masses[..count]);
        let target = nucleus_target(p, total);
        let (mut mass, mut kept) = (0, 0);
        while kept < count && (mass < target || kept == 0) {
            mass += masses[kept];
            kept += 1;
        }
        if whole_distances {
            while kept < count && order.key(logits[kept]) == order.key(logits[kept - 1]) {
                kept += 1;
            }
        }
        kept = kept.max(min_keep).min(count);
        let mut band = Band { last: Cut { logit: f32::INFINITY, token: 0 }, ..Band::ALL };
        let mut highest = (f32::NEG_INFINITY, 0);
        for (logit, token) in work[..kept].iter().map(|&key| rank_key_parts(key)) {
            if band.last.keeps(logit, token) {
                continue;
            }
            band.last = Cut { logit, token };
        }
        for (logit, token) in work[..kept].iter().map(|&key| rank_key_parts(key)) {
            if logit > highest.0 || logit == highest.0 && token > highest.1 {
                highest = (logit, token);
            }
        }
        if kept < count {
            band.first = Cut { logit: highest.0, token: 0 };
            band.first_until = highest.1;
        }
        band
    }

    /// The band of the prefix in the row.
    fn typical_of_row(&mut self, p: u64, order: Order, whole_distances: bool) -> Band {
        let view = self.view();
        let surface = Surface { view, ..self.kept.surface };
        let total = self.sums(true).mass;
        let target = nucleus_target(p, total).max(1);
        let of_mass = prefix(&surface, order, target, Some(total), whole_distances);
        if self.min_keep < 2 {
            return of_mass;
        }
        let of_count = prefix(&surface, order, self.min_keep as u64, None, false);
        of_mass.wider(of_count)
    }
}

/// The band of the smallest prefix whose mass reaches `target` of the `whole`; without a whole, whose number of tokens does.
fn prefix(surface: &Surface<'_>, order: Order, target: u64, whole: Option<u64>, whole_distances: bool) -> Band {
    let (kernels, weighed) = (surface.kernels, whole.is_some());
    let (distance, nearer) = distance::distance_of(surface, order.centre, target, whole);
    if distance == u32::MAX {
        return Band::ALL;
    }
    // The runs of logits on both sides that are exactly so far, between the nearer and the farther ones.
    let lower_from = cut::lowest_logit(|z| order.is_above(z) || order.key(z) <= distance);
    let lower_until = cut::lowest_logit(|z| order.is_above(z) || order.key(z) < distance);
    let upper_from = cut::lowest_logit(|z| order.is_above(z) && order.key(z) >= distance);
    let upper_until = cut::lowest_logit(|z| order.is_above(z) && order.key(z) > distance);
    let from_logit = |logit: f32| u64::from(kernels.kept_count(&surface.view, surface.maxima, Cut::at_least(logit)));
    let each = |logit: f32| if weighed { surface.scale.mass(logit) } else { 1 };
    let mut missing = target - nearer;
    let mut band =
        Band { first: Cut { logit: below(upper_from), token: 0 }, last: Cut::at_least(lower_until), ..Band::ALL };
    if whole_distances {
        band.first.logit = below(upper_until);
        band.last = Cut::at_least(lower_from);
        return band;
    }
    // Above the centre the lower logits are nearer.
    let mut from = upper_from;
    loop {
        let (higher, count) = (from_logit(upper_until), from_logit(from));
        if count <= higher {
            break;
        }
        let logit = cut::nth_logit_between(surface, (from, upper_until), count - higher);
        let equal = count - from_logit(above(logit));
        band.first = Cut { logit, token: 0 };
        if each(logit) * equal >= missing {
            let token = kernels.nth_equal(&surface.view, surface.maxima, 0, logit, missing.div_ceil(each(logit)) - 1);
            band.first_until = token.unwrap_or(TokenId::MAX);
            return band;
        }
        missing -= each(logit) * equal;
        from = above(logit);
    }
    // Below it the higher ones.
    let (mut count, all) = (from_logit(lower_until), from_logit(lower_from));
    let mut until = lower_until;
    loop {
        if count >= all {
            band.last = Cut::at_least(lower_from);
            return band;
        }
        let logit = cut::nth_logit_between(surface, (lower_from, until), 1);
        let equal = from_logit(logit) - count;
        if each(logit) * equal >= missing {
            let token = kernels.nth_equal(&surface.view, surface.maxima, 0, logit, missing.div_ceil(each(logit)) - 1);
            band.last = Cut { logit, token: token.unwrap_or(TokenId::MAX) };
            return band;
        }
        missing -= each(logit) * equal;
        count += equal;
        until = logit;
    }
}
