//! What all filters share: statistics of what is kept, and the ways in which a filter keeps less.

use super::{Room, Stages, Truncation, cut, cut_key, list};
use crate::kernels::{Band, Cut, Moments, RowView, Sums, moments_of_tokens, sums_of_tokens};
use crate::numeric::{natural_logarithm, rank_key_parts};
use crate::plan::{LIST_LIMIT, Profile};
use crate::types::{BLOCK, TokenId};

/// Normaliser and entropy of what is kept.
pub(super) struct Statistics {
    /// ln of the sum of the weights, relative to the first token kept: -ln of that token's probability.
    pub ln_z: f64,
    /// The mean of the logits divided by the temperature, relative to the first token kept; at most 0.
    pub mean: f64,
    /// Nats: `ln_z - mean`.
    pub entropy: f64,
}

/// The listed tokens with their logits, in ascending order of token.
pub(super) fn tokens<'k>(keys: &'k [u64]) -> impl Iterator<Item = (TokenId, f32)> + 'k {
    keys.iter().map(|&key| {
        let (logit, token) = rank_key_parts(key);
        (token, logit)
    })
}

impl<'a> Stages<'_, 'a, '_> {
    /// The row without what was removed.
    pub(super) fn view(&self) -> RowView<'a> {
        let band = self.kept.band();
        RowView { band: (band != Band::ALL).then_some(band), ..self.kept.surface.view }
    }

    /// Sums of what is kept, at the scale in force; the mass is there if it was asked for with `masses`.
    pub(super) fn sums(&mut self, masses: bool) -> Sums {
        if let Some(sums) = self.sums.filter(|sums| sums.mass != 0 || !masses) {
            return sums;
        }
        let surface = &self.kept.surface;
        let sums = match self.kept.listed {
            Some(count) => sums_of_tokens(tokens(&self.room.keys[..count]), surface.scale),
            None => surface.kernels.sums(&self.view(), surface.maxima, surface.scale, masses),
        };
        self.sums = Some(sums);
        sums
    }

    pub(super) fn statistics(&mut self) -> Statistics {
        let sums = self.sums(false);
        let ln_z = natural_logarithm(sums.weight);
        let mean = core::f64::consts::LN_2 * sums.weight_exponent / sums.weight;
        let entropy = ln_z - mean;
        Statistics { ln_z, mean, entropy: if entropy > 0.0 { entropy } else { 0.0 } }
    }

    /// How the kept logits are spread, in units of `1 / unit`, a power of two.
    pub(super) fn moments(&self, unit: f32) -> Moments {
        let surface = &self.kept.surface;
        match self.kept.listed {
            Some(count) => moments_of_tokens(tokens(&self.room.keys[..count]), surface.scale.maximum, unit),
            None => surface.kernels.moments(&self.view(), surface.scale.maximum, unit),
        }
    }

    /// How many tokens are kept.
    pub(super) fn count(&self) -> usize {
        let surface = &self.kept.surface;
        match self.kept.listed {
            Some(count) => count,
            None => surface.kernels.kept_count(&surface.view, surface.maxima, self.kept.cut) as usize,
        }
    }

    /// The logit of a token whose probability among the kept is `e^ln_probability`.
    pub(super) fn logit_of_probability(&mut self, ln_probability: f64) -> f32 {
        let ln_z = self.statistics().ln_z;
        let surface = &self.kept.surface;
        (f64::from(surface.scale.maximum) + f64::from(surface.temperature) * (ln_probability + ln_z)) as f32
    }

    /// Whether not even the first of the kept has the probability `e^ln_probability`, though its logit is the one of that
    /// probability in f32: where logits are so large (beyond 128) that their steps are coarser than probabilities.
    pub(super) fn is_out_of_reach(&mut self, ln_probability: f64) -> bool {
        const COARSE: f64 = 1.0 / 262_144.0;
        let ln_z = self.statistics().ln_z;
        f64::from(self.kept.surface.temperature) * (ln_probability + ln_z) > COARSE
    }

    /// Keeps the logits from `threshold` up, and at least the first `min_keep` tokens.
    pub(super) fn keep_from(&mut self, threshold: f32) {
        if threshold > self.kept.surface.scale.maximum {
            // Nothing reaches it, not even what equals the first.
            self.keep_first(self.min_keep);
        } else {
            self.keep_to(Cut::at_least(threshold));
        }
        self.threshold = Some(threshold);
    }

    /// Keeps the first `count` tokens.
    pub(super) fn keep_first(&mut self, count: usize) {
        if self.kept.listed.is_some() {
            self.list_first(count);
        } else {
            let cut = self.first_of_row(count);
            self.set_cut(cut);
        }
    }

    /// The same; under the profile huggingface what equals the last of the first `min_keep` stays, too, because its epsilon and
    /// eta compare logits with it.
    pub(super) fn keep_from_with_ties(&mut self, threshold: f32) {
        if self.context.plan.config.profile != Profile::HuggingFace {
            return self.keep_from(threshold);
        }
        let lowest = match self.kept.listed {
            _ if self.min_keep < 2 => self.kept.surface.scale.maximum,
            Some(count) if count <= self.min_keep => return,
            Some(count) => rank_key_parts(list::nth_key_or_last(self.min_keep, count, self.room)).0,
            None => self.first_of_row(self.min_keep).logit,
        };
        self.keep_from(if lowest < threshold { lowest } else { threshold });
        self.threshold = Some(threshold);
    }

    /// Keeps the tokens up to `last`, and at least the first `min_keep`.
    pub(super) fn keep_to(&mut self, last: Cut) {
        let min_keep = self.min_keep;
        match self.kept.listed {
            Some(count) => {
                let mut last = cut_key(last);
                if min_keep > 1 {
                    last = last.min(list::nth_key_or_last(min_keep, count, self.room));
                }
                self.keep_keys(last, count);
            }
            None => {
                let mut cut = last;
                if min_keep > 1 {
                    let first = self.first_of_row(min_keep);
                    // The looser of the two.
                    cut = if cut.stricter(first) == cut { first } else { cut };
                }
                self.set_cut(cut);
            }
        }
    }

    /// Keeps the listed keys from `last` up.
    pub(super) fn keep_keys(&mut self, last: u64, count: usize) {
        let left = list::retain(last, count, self.room.keys);
        self.kept.listed = Some(left);
        self.kept.cut = list::last_of(left, self.room);
        self.sums = if left == count { self.sums } else { None };
    }

    /// Keeps what `cut` keeps of the row.
    pub(super) fn set_cut(&mut self, cut: Cut) {
        let cut = self.kept.cut.stricter(cut);
        if cut != self.kept.cut {
            self.kept.cut = cut;
            self.sums = None;
        }
    }

    /// The cut after the first `count` tokens of the row as it is in force, whatever was cut before.
    pub(super) fn first_of_row(&mut self, count: usize) -> Cut {
        if count <= LIST_LIMIT && 2 * count <= self.room.keys.len() {
            let found = list::collect_first(&self.kept.surface, count, self.room);
            return list::last_of(found, self.room);
        }
        cut::first_tokens(&self.kept.surface, count as u64)
    }

    /// Lists the first `count` of the kept tokens in `Room::keys`; they are what is kept from now on. `count` is at most
    /// the list's capacity.
    pub(super) fn list_first(&mut self, count: usize) {
        match self.kept.listed {
            Some(listed) if listed <= count => {}
            Some(listed) => {
                let last = list::nth_key_or_last(count, listed, self.room);
                self.keep_keys(last, listed);
            }
            None => {
                let found = list::collect_first(&self.kept.surface, count, self.room);
                let before = self.kept.cut;
                self.sums = None;
                self.keep_keys(cut_key(before), found);
            }
        }
    }

    /// Copies the `count` listed keys to `Room::work` in the total order, best first.
    pub(super) fn sort_list(&mut self, count: usize) {
        let Room { keys, work, .. } = &mut *self.room;
        let work = &mut work[..count];
        work.copy_from_slice(&keys[..count]);
        work.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// The same, with their masses in `Room::masses`; returns the sum of these.
    pub(super) fn sort_list_with_masses(&mut self, count: usize) -> u64 {
        self.sort_list(count);
        let surface = &self.kept.surface;
        let Room { work, masses, logits, .. } = &mut *self.room;
        for (to, &key) in logits.iter_mut().zip(&work[..count]) {
            *to = rank_key_parts(key).0;
        }
        surface.kernels.list_masses(&logits[..count], surface.scale, &mut masses[..count])
    }

    /// Keeps the tokens up to number `count` (from 1) of `Room::work`, which has the first `listed` ones sorted, and at
    /// least the first `min_keep`; `before` is what was kept before they were listed.
    pub(super) fn keep_sorted(&mut self, count: usize, listed: usize, before: Truncation<'a>) {
        let least = self.min_keep;
        if least > listed && before.listed.is_none() {
            // More than the list was made for.
            let (logit, token) = rank_key_parts(self.room.work[count - 1]);
            self.kept = before;
            self.sums = None;
            self.keep_to(Cut { logit, token });
        } else {
            let last = self.room.work[count.max(least).min(listed) - 1];
            self.keep_keys(last, listed);
        }
    }

    /// Tokens that a list can hold beside what collecting them needs.
    pub(super) fn list_room(&self) -> usize {
        self.room.keys.len() / 2 - BLOCK
    }

    /// Leaves out the tokens before `first`, which is kept; from now on masses are relative to its logit.
    pub(super) fn start_at(&mut self, first: Cut) {
        if let Some(count) = self.kept.listed {
            let limit = cut_key(first);
            let mut left = 0;
            for i in 0..count {
                let key = self.room.keys[i];
                self.room.keys[left] = key;
                left += usize::from(key <= limit);
            }
            self.kept.listed = Some(left);
        }
        // Equals that an earlier filter removed stay removed.
        let before = self.kept.band();
        let first_until = if before.first.logit == first.logit { before.first_until } else { TokenId::MAX };
        self.kept.surface.view.band = Some(Band { first, first_until, ..Band::ALL });
        self.kept.surface.scale.maximum = first.logit;
        self.sums = None;
    }

    /// Keeps what lies in a band that contains at least one kept token; from now on masses are relative to the first.
    pub(super) fn keep_band(&mut self, band: Band) {
        let maximum = self.kept.surface.scale.maximum;
        let before = self.kept.band();
        match self.kept.listed {
            Some(count) => {
                let mut left = 0;
                for i in 0..count {
                    let key = self.room.keys[i];
                    let (logit, token) = rank_key_parts(key);
                    self.room.keys[left] = key;
                    left += usize::from(band.keeps(logit, token));
                }
                self.kept.listed = Some(left);
                self.kept.cut = list::last_of(left, self.room);
                self.sums = if left == count { self.sums } else { None };
            }
            None => self.set_cut(band.last),
        }
        if band.first.logit > maximum || band.first.logit == maximum && band.first_until == TokenId::MAX {
            return;
        }
        // Where an earlier edge has the same logit, the two go together.
        let token = if before.first.logit == band.first.logit { before.first.token } else { band.first.token };
        let first = Cut { token: token.max(band.first.token), ..band.first };
        let edge = Band { first, first_until: band.first_until, ..Band::ALL };
        self.kept.surface.view.band = Some(edge);
        let largest = match self.kept.listed {
            Some(count) => {
                let highest = self.room.keys[..count].iter().copied().max();
                rank_key_parts(highest.unwrap_or(0)).0
            }
            None => self.kept.surface.largest_in(Band { last: self.kept.cut, ..edge }),
        };
        if largest != self.kept.surface.scale.maximum {
            self.kept.surface.scale.maximum = largest;
            self.sums = None;
        }
    }
}
