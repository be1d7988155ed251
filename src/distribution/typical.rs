//! Locally typical sampling (Meister et al. 2023): tokens whose surprise is nearest the entropy.
//!
//! Law: the distance of a token is `f32(|z - c|)`, `c` in f64 the mean of the kept logits under their probabilities, which is the
//! logit whose surprise is the entropy. Kept are all tokens up to the least distance within which the integer mass reaches
//! `round(p 2^32) / 2^32` of the whole; tokens of one distance stay or go together. Distances in logits are T times those in
//! nats, so the order is the same. `min_keep` counts in this order.
//!
//! Profiles: under Hugging Face's `min_keep` counts single tokens. Under llama.cpp's the mass must exceed its target, and it
//! counts single tokens too. Single tokens of one distance stand so that what is kept is a run of the total order: those above
//! the centre first, the later ones first; then those below, the earlier ones first.

use super::{Stages, cut, cut_key, distance};
use crate::kernels::{Band, Cut, distance_key};
use crate::logits::Surface;
use crate::numeric::{nucleus_target, rank_key_parts};
use crate::plan::Profile;
use crate::types::TokenId;

/// How much must be kept.
#[derive(Clone, Copy)]
struct Wanted {
    amount: u64,
    /// The whole mass if the amount is a part of it; else it is a number of tokens.
    whole: Option<u64>,
    /// Single tokens, or else all of one distance.
    single: bool,
}

impl Stages<'_, '_, '_> {
    pub(super) fn typical(&mut self, p: u64) {
        self.sums(true);
        let mean = self.statistics().mean;
        let surface = &self.kept.surface;
        let centre = f64::from(surface.scale.maximum) + f64::from(surface.temperature) * mean;
        match self.kept.listed {
            Some(count) => self.typical_of_list(p, count, centre),
            None => self.typical_of_row(p, centre),
        }
    }

    /// The mass and the number of tokens wanted of the whole `total`.
    fn wanted(&self, p: u64, total: u64) -> [Wanted; 2] {
        let plan = self.context.plan;
        let profile = plan.config.profile;
        let llama = profile == Profile::LlamaCpp;
        let more =
            if llama { ((u128::from(p) * u128::from(total)) >> 32) as u64 + 1 } else { nucleus_target(p, total) };
        let mass = if more < 1 { 1 } else { more.min(total) };
        [
            Wanted { amount: mass, whole: Some(total), single: llama },
            Wanted { amount: plan.min_keep as u64, whole: None, single: llama || profile == Profile::HuggingFace },
        ]
    }

    fn typical_of_list(&mut self, p: u64, count: usize, centre: f64) {
        let surface = &self.kept.surface;
        let room = &mut *self.room;
        for (i, (to, &key)) in room.work.iter_mut().zip(&room.keys[..count]).enumerate() {
            let logit = rank_key_parts(key).0;
            room.logits[i] = logit;
            *to = u64::from(distance_key(logit, centre)) << 32 | i as u64;
        }
        let total = surface.kernels.list_masses(&room.logits[..count], surface.scale, &mut room.masses[..count]);
        let wanted = self.wanted(p, total);
        let room = &mut *self.room;
        let (keys, masses) = (&room.keys[..count], &room.masses[..count]);
        let work = &mut room.work[..count];
        work.sort_unstable_by(|&a, &b| {
            let [first, second] = [a, b].map(|entry| keys[entry as u32 as usize]);
            let [above, other_above] = [first, second].map(|key| f64::from(rank_key_parts(key).0) >= centre);
            let in_order = if above && other_above { first.cmp(&second) } else { second.cmp(&first) };
            (a >> 32).cmp(&(b >> 32)).then(in_order)
        });
        let mut taken = 0;
        for Wanted { amount, whole, single } in wanted {
            let mut sum = 0;
            let mut n = 0;
            while n < count && sum < amount {
                sum += if whole.is_some() { masses[work[n] as u32 as usize] } else { 1 };
                n += 1;
            }
            while !single && n < count && work[n] >> 32 == work[n - 1] >> 32 {
                n += 1;
            }
            taken = taken.max(n);
        }
        if taken == count {
            return;
        }
        let (mut first, mut last) = (0, u64::MAX);
        for &entry in &work[..taken] {
            let key = keys[entry as u32 as usize];
            (first, last) = (first.max(key), last.min(key));
        }
        self.keep_keys(last, count);
        self.start_at_key(first);
    }

    /// Leaves out what stands before `first` in the list, if anything does.
    fn start_at_key(&mut self, first: u64) {
        let count = self.kept.listed.unwrap_or(0);
        if self.room.keys[..count].iter().any(|&key| key > first) {
            let (logit, token) = rank_key_parts(first);
            self.start_at(Cut { logit, token });
        }
    }

    fn typical_of_row(&mut self, p: u64, centre: f64) {
        let view = self.view();
        let surface = Surface { view, ..self.kept.surface };
        let total = self.sums(true).mass;
        let [mass, tokens] = self.wanted(p, total);
        let mut run = near_run(&surface, centre, mass);
        if tokens.amount > 1 {
            let other = near_run(&surface, centre, tokens);
            let earlier = cut_key(other.first) > cut_key(run.first);
            run.first = if earlier { other.first } else { run.first };
            run.last = if run.last.stricter(other.last) == run.last { other.last } else { run.last };
        }
        self.set_cut(run.last);
        if run.first.logit < f32::INFINITY {
            self.start_at(run.first);
        }
    }
}

/// The run of the tokens nearest to `centre` that is wanted.
fn near_run(surface: &Surface<'_>, centre: f64, wanted: Wanted) -> Band {
    let Wanted { amount, whole, single } = wanted;
    let limit = distance::distance_of(surface, centre, amount, whole);
    let near = |logit: f32| distance_key(logit, centre) <= limit;
    // The farthest logits on either side that are near enough, found among all f32: the distance grows away from the
    // centre, so bisection over ordered keys finds where it passes the limit.
    let last = Cut::at_least(cut::lowest_logit(|logit| f64::from(logit) >= centre || near(logit)));
    let maximum = surface.scale.maximum;
    let mut run = Band { last, ..Band::ALL };
    if !near(maximum) && f64::from(maximum) > centre {
        let beyond = cut::lowest_logit(|logit| f64::from(logit) > centre && !near(logit));
        let first = Cut { logit: beyond, token: TokenId::MAX };
        run.first = Cut { logit: surface.within(Band { first, last }).largest(), token: 0 };
    }
    if !single {
        return run;
    }
    // Without the tokens below the centre whose distance is the limit: is it enough?
    let nearer = |logit: f32| distance_key(logit, centre) < limit;
    let closer = Cut::at_least(cut::lowest_logit(|logit| f64::from(logit) >= centre || nearer(logit)));
    let upper = surface.within(Band { last: closer, ..run });
    let weighed = whole.is_some();
    let sum = if weighed {
        (upper.kernels).kept_and_total_mass(&upper.view, upper.maxima, f32::MIN, upper.scale, Cut::ALL).1
    } else {
        u64::from(upper.kernels.kept_count(&upper.view, upper.maxima, Cut::ALL))
    };
    if sum < amount {
        run.last = cut::first_amount(&surface.within(run), amount, weighed);
        return run;
    }
    run.last = closer;
    if sum > amount {
        // The longest prefix of what is too much goes: the token that would cross is the first that stays.
        run.first = cut::crossing_token(&upper, sum - amount + 1, weighed);
    }
    run
}
