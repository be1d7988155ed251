//! The distribution of an opened row as integer masses: what the filters keep, and their total.

use crate::decoder::step::{Opened, settle};
use crate::distribution::{StepState, Target, Truncation};
use crate::numeric::rank_key_parts;
use crate::selection::{Drawn, inversion};
use crate::trace::Pick;
use crate::types::{BLOCK, TokenId};

/// What the filters keep of a row, measured once.
pub(super) struct Measured<'a> {
    kept: Truncation<'a>,
    /// Where the distribution is reshaped around a target.
    target: Option<Target>,
    total: u64,
    count: u32,
}

/// Truncates an opened row and sums up what is kept. The masses of a short list, or of the blocks, stay in the row's
/// scratch memory.
pub(super) fn measure<'a>(opened: &mut Opened<'a>) -> Measured<'a> {
    let kept = opened.truncate();
    let (surface, plan) = (&kept.surface, opened.plan);
    let (mut total, count) = match kept.listed {
        Some(count) => (inversion::list_masses(&kept, count, &mut opened.room), count as u32),
        None => {
            let bounds = &mut *opened.envelope.bounds;
            let found = surface.kernels.kept_masses(&surface.view, surface.maxima, surface.scale, kept.cut, bounds);
            (found.mass, found.count)
        }
    };
    let target = plan.adaptive.then(|| {
        let learnt = (&plan.config, &opened.state);
        let Some(count) = kept.listed else { return inversion::target_of_row(&kept, learnt, total) };
        let mut target = Target::new(learnt.0, learnt.1, total);
        opened.room.masses[..count].iter().for_each(|&mass| target.look_at(mass));
        target
    });
    if let Some(target) = &target {
        total = 0;
        match kept.listed {
            Some(count) => {
                for mass in &mut opened.room.masses[..count] {
                    *mass = target.shape(*mass).mass();
                    total += *mass;
                }
            }
            None => {
                for block in 0..surface.view.blocks() {
                    let mass = inversion::shaped_block(&kept, target, block, &mut [0; BLOCK]);
                    opened.envelope.bounds[block] = mass;
                    total += mass;
                }
            }
        }
    }
    Measured { kept, target, total, count }
}

/// A measured row, to be looked at.
pub(super) struct Masses<'o, 'a> {
    opened: &'o Opened<'a>,
    measured: Measured<'a>,
}

impl<'o, 'a> Masses<'o, 'a> {
    /// The masses of the row that was measured.
    pub fn new(opened: &'o Opened<'a>, measured: Measured<'a>) -> Self {
        Masses { opened, measured }
    }

    /// The mass of all that is kept.
    pub fn total(&self) -> u64 {
        self.measured.total
    }

    /// The listed tokens in ascending order, with their masses.
    fn list(&self) -> Option<(&[u64], &[u64])> {
        let room = &self.opened.room;
        self.measured.kept.listed.map(|count| (&room.keys[..count], &room.masses[..count]))
    }

    /// The mass of one token; 0 if it is not kept.
    pub fn mass(&self, token: TokenId) -> u64 {
        if let Some((keys, masses)) = self.list() {
            return keys.binary_search_by_key(&token, |&key| rank_key_parts(key).1).map_or(0, |at| masses[at]);
        }
        let Measured { kept, target, .. } = &self.measured;
        let logit = kept.surface.view.logit(token);
        if logit == f32::NEG_INFINITY || !kept.cut.keeps(logit, token) {
            return 0;
        }
        match target {
            Some(target) => target.shape_logit(logit, kept.surface.scale).mass(),
            None => kept.surface.scale.mass(logit),
        }
    }

    /// The masses of a block in token order; returns whether there are any. Past the row there are none.
    pub fn block(&self, block: usize, masses: &mut [u64; BLOCK]) -> bool {
        if let Some((keys, listed)) = self.list() {
            masses.fill(0);
            let first = keys.partition_point(|&key| (rank_key_parts(key).1 as usize) < block * BLOCK);
            let mut found = false;
            for (&key, &mass) in keys[first..].iter().zip(&listed[first..]) {
                let token = rank_key_parts(key).1 as usize;
                if token / BLOCK != block {
                    break;
                }
                masses[token % BLOCK] = mass;
                found = true;
            }
            return found;
        }
        let Measured { kept, target, .. } = &self.measured;
        if self.opened.envelope.bounds.get(block).is_none_or(|&mass| mass == 0) {
            masses.fill(0);
            return false;
        }
        let surface = &kept.surface;
        match target {
            Some(target) => inversion::shaped_block(kept, target, block, masses),
            None => surface.kernels.block_masses(&surface.view, block, surface.scale, kept.cut, masses),
        };
        true
    }

    /// The number of blocks if the kept tokens are those of the row, not of a list.
    pub fn blocks(&self) -> Option<usize> {
        self.measured.kept.listed.is_none().then(|| self.measured.kept.surface.view.blocks())
    }

    /// Calls `each` for the tokens that weigh anything, in ascending order, until it answers false.
    pub fn each(&self, mut each: impl FnMut(TokenId, u64) -> bool) {
        if let Some((keys, masses)) = self.list() {
            for (&key, &mass) in keys.iter().zip(masses) {
                if mass != 0 && !each(rank_key_parts(key).1, mass) {
                    return;
                }
            }
            return;
        }
        let mut masses = [0; BLOCK];
        for block in 0..self.measured.kept.surface.view.blocks() {
            if !self.block(block, &mut masses) {
                continue;
            }
            for (lane, &mass) in masses.iter().enumerate() {
                if mass != 0 && !each((block * BLOCK + lane) as TokenId, mass) {
                    return;
                }
            }
        }
    }

    /// The token at which the running sum of the masses, in ascending order and without those of `removed` (each once),
    /// passes `at`, which is below their sum.
    pub fn token_at(&self, at: u64, removed: &[TokenId]) -> TokenId {
        let (mut left, mut skipped) = (at, 0);
        if self.measured.kept.listed.is_none() {
            // Whole blocks first: the sums are known.
            let bounds = &self.opened.envelope.bounds[..self.measured.kept.surface.view.blocks()];
            for (block, &mass) in bounds.iter().enumerate() {
                let inside = removed.iter().filter(|&&token| token as usize / BLOCK == block);
                let mass = mass - inside.map(|&token| self.mass(token)).sum::<u64>();
                if left < mass {
                    skipped = block;
                    break;
                }
                left -= mass;
            }
            let mut masses = [0; BLOCK];
            self.block(skipped, &mut masses);
            for (lane, &mass) in masses.iter().enumerate() {
                let token = (skipped * BLOCK + lane) as TokenId;
                let mass = if removed.contains(&token) { 0 } else { mass };
                if left < mass {
                    return token;
                }
                left -= mass;
            }
            debug_assert!(false, "{at} is past the sum");
        }
        let mut found = 0;
        self.each(|token, mass| {
            let mass = if removed.contains(&token) { 0 } else { mass };
            found = token;
            let here = left < mass;
            left = left.saturating_sub(mass);
            !here
        });
        found
    }

    /// The pick of a kept token, as if it had been drawn from the row, and the state after it.
    pub fn settle(&self, token: TokenId) -> (Pick, StepState) {
        let Measured { kept, target, total, count } = &self.measured;
        let shaped =
            target.as_ref().map(|target| target.shape_logit(kept.surface.view.logit(token), kept.surface.scale));
        // How far the logits may move before the draft falls, or another token is drawn, is not told: no change is claimed.
        let drawn = Drawn { token, count: Some(*count), mass: Some(*total), shaped, radius: 0.0 };
        settle(self.opened, kept, &drawn)
    }
}
