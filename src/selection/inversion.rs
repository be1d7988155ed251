//! Draw (a): the inverse of the cumulative mass over the kept tokens, in ascending token id.
//!
//! `r = (number * total) >> 64`; the token drawn is the first at which the running sum of masses exceeds r. All integers,
//! so no order of summation and no width of a register can be seen.

use super::envelope::Envelope;
use super::{Drawn, walk};
use crate::distribution::flip::{Part, mass_before, radius_before_reshaping, radius_of_draw};
use crate::distribution::{Room, StepState, Target, Truncation};
use crate::numeric::{rank_key_parts, scale_number};
use crate::plan::Config;
use crate::types::{BLOCK, TokenId};

/// Draws from the `count` candidates listed in `room.keys`.
pub(crate) fn from_list(kept: &Truncation<'_>, count: usize, number: u64, room: &mut Room<'_>) -> Drawn {
    let total = list_masses(kept, count, room);
    let masses = &room.masses[..count];
    let at = walk(masses, scale_number(number, total)).map_or(0, |(at, _)| at);
    Drawn {
        token: rank_key_parts(room.keys[at]).1,
        count: Some(count as u32),
        mass: Some(total),
        shaped: None,
        radius: f64::INFINITY,
    }
}

/// The masses of the listed candidates, in `room.masses`; returns their sum.
pub(crate) fn list_masses(kept: &Truncation<'_>, count: usize, room: &mut Room<'_>) -> u64 {
    let Room { keys, masses, logits, .. } = room;
    for (to, &key) in logits.iter_mut().zip(&keys[..count]) {
        *to = rank_key_parts(key).0;
    }
    kept.surface.kernels.list_masses(&logits[..count], kept.surface.scale, &mut masses[..count])
}

/// Draws from the tokens of the row that are kept. The masses of the blocks take the place of their bounds.
pub(crate) fn from_row(kept: &Truncation<'_>, number: u64, envelope: &mut Envelope<'_>) -> Drawn {
    let Truncation { ref surface, cut, .. } = *kept;
    let (kernels, view, scale) = (surface.kernels, &surface.view, surface.scale);
    let found = kernels.kept_masses(view, surface.maxima, scale, cut, envelope.bounds);
    envelope.set_sums();
    let (block, left) = envelope.locate(scale_number(number, found.mass)).unwrap_or((0, 0));
    let mut masses = [0; BLOCK];
    kernels.block_masses(view, block, scale, cut, &mut masses);
    let lane = walk(&masses, left).map_or(0, |(lane, _)| lane);
    let token = (block * BLOCK + lane) as TokenId;
    Drawn { token, count: Some(found.count), mass: Some(found.mass), shaped: None, radius: f64::INFINITY }
}

/// Draws from the listed candidates, reshaped around a target probability.
pub(crate) fn from_shaped_list(
    kept: &Truncation<'_>,
    count: usize,
    (config, state): (&Config, &StepState),
    number: u64,
    room: &mut Room<'_>,
) -> Drawn {
    let total = list_masses(kept, count, room);
    let mut target = Target::new(config, state, total);
    room.masses[..count].iter().for_each(|&mass| target.look_at(mass));
    let mut shaped_total = 0;
    for mass in &mut room.masses[..count] {
        *mass = target.shape(*mass).mass();
        shaped_total += *mass;
    }
    let at = walk(&room.masses[..count], scale_number(number, shaped_total)).map_or(0, |(at, _)| at);
    let (logit, token) = rank_key_parts(room.keys[at]);
    let shaped = target.shape_logit(logit, kept.surface.scale);
    Drawn { token, count: Some(count as u32), mass: Some(shaped_total), shaped: Some(shaped), radius: f64::INFINITY }
}

/// The same from the row: each kept token is reshaped one by one, so it costs much more than the other draws.
pub(crate) fn from_shaped_row(
    kept: &Truncation<'_>,
    (config, state): (&Config, &StepState),
    number: u64,
    envelope: &mut Envelope<'_>,
) -> Drawn {
    let surface = &kept.surface;
    let found = surface.kernels.kept_masses(&surface.view, surface.maxima, surface.scale, kept.cut, envelope.bounds);
    let target = target_of_row(kept, (config, state), found.mass);
    let mut total = 0;
    for block in 0..surface.view.blocks() {
        let mut masses = [0; BLOCK];
        envelope.bounds[block] = shaped_block(kept, &target, block, &mut masses);
        total += envelope.bounds[block];
    }
    envelope.set_sums();
    let (block, left) = envelope.locate(scale_number(number, total)).unwrap_or((0, 0));
    let mut masses = [0; BLOCK];
    shaped_block(kept, &target, block, &mut masses);
    let lane = walk(&masses, left).map_or(0, |(lane, _)| lane);
    let token = (block * BLOCK + lane) as TokenId;
    let shaped = target.shape_logit(surface.view.logit(token), surface.scale);
    Drawn { token, count: Some(found.count), mass: Some(total), shaped: Some(shaped), radius: f64::INFINITY }
}

/// The target of a step for the kept tokens of the row, of the mass `total`.
pub(crate) fn target_of_row(kept: &Truncation<'_>, (config, state): (&Config, &StepState), total: u64) -> Target {
    let mut target = Target::new(config, state, total);
    let surface = &kept.surface;
    for block in 0..surface.view.blocks() {
        if surface.maxima[block] < kept.cut.logit {
            continue;
        }
        let first = block * BLOCK;
        for token in first..(first + BLOCK).min(surface.view.valid) {
            let logit = surface.view.logit(token as TokenId);
            if logit > f32::NEG_INFINITY && kept.cut.keeps(logit, token as TokenId) {
                target.look_at(surface.scale.mass(logit));
            }
        }
    }
    target
}

/// The new masses of the kept tokens of a block; returns their sum.
pub(crate) fn shaped_block(kept: &Truncation<'_>, target: &Target, block: usize, masses: &mut [u64; BLOCK]) -> u64 {
    let surface = &kept.surface;
    if surface.maxima[block] < kept.cut.logit {
        return 0;
    }
    surface.kernels.block_masses(&surface.view, block, surface.scale, kept.cut, masses);
    let mut sum = 0;
    for (lane, mass) in masses.iter_mut().enumerate() {
        let token = (block * BLOCK + lane) as TokenId;
        // A kept token may weigh nothing and still take part.
        let logit = if *mass != 0 { 0.0 } else { surface.view.logit(token) };
        let is_kept = *mass != 0 || logit > f32::NEG_INFINITY && kept.cut.keeps(logit, token);
        *mass = if is_kept { target.shape(*mass).mass() } else { 0 };
        sum += *mass;
    }
    sum
}

/// How many tokens are kept, and how many of them can stand before this one and up to it.
fn tokens_around(kept: &Truncation<'_>, count: Option<u32>, token: TokenId) -> (usize, usize, usize) {
    let surface = &kept.surface;
    let count = count.unwrap_or_else(|| surface.kernels.kept_count(&surface.view, surface.maxima, kept.cut)) as usize;
    let mut before = 0;
    for block in 0..=token as usize / BLOCK {
        if surface.maxima[block] < kept.cut.logit {
            continue;
        }
        for token in block * BLOCK..(token as usize).min((block + 1) * BLOCK) {
            let logit = surface.view.logit(token as TokenId);
            before += usize::from(logit > f32::NEG_INFINITY && kept.cut.keeps(logit, token as TokenId));
        }
    }
    (before, before + 1, count)
}

/// The radius within which `number` draws the same of the kept tokens.
pub(crate) fn radius(kept: &Truncation<'_>, number: u64, drawn: &Drawn) -> f64 {
    let (Some(total), None) = (drawn.mass, drawn.shaped) else { return 0.0 };
    let surface = &kept.surface;
    let before = mass_before(surface, kept.cut, drawn.token);
    let own = surface.scale.mass(surface.view.logit(drawn.token));
    let (tokens_before, tokens_upto, tokens) = tokens_around(kept, drawn.count, drawn.token);
    let (before, upto) = (Part::new(before, tokens_before), Part::new(before + own, tokens_upto));
    radius_of_draw(before, upto, Part::new(total, tokens), number, surface.temperature)
}

/// The same where the distribution was reshaped around a target.
pub(crate) fn shaped_radius(
    kept: &Truncation<'_>,
    config: &Config,
    state: &StepState,
    number: u64,
    drawn: &Drawn,
) -> f64 {
    let (Some(total), Some(shaped)) = (drawn.mass, drawn.shaped) else { return 0.0 };
    let surface = &kept.surface;
    let (kernels, view) = (surface.kernels, &surface.view);
    let whole = kernels.kept_and_total_mass(view, surface.maxima, kept.cut.logit, surface.scale, kept.cut).0;
    let target = target_of_row(kept, (config, state), whole);
    let mut before = 0;
    for block in 0..=drawn.token as usize / BLOCK {
        let mut masses = [0; BLOCK];
        shaped_block(kept, &target, block, &mut masses);
        let lanes = (drawn.token as usize - block * BLOCK).min(BLOCK);
        before += masses[..lanes].iter().sum::<u64>();
    }
    let (tokens_before, tokens_upto, tokens) = tokens_around(kept, drawn.count, drawn.token);
    let (before, upto) = (Part::new(before, tokens_before), Part::new(before + shaped.mass(), tokens_upto));
    let reshaped = radius_of_draw(before, upto, Part::new(total, tokens), number, 1.0);
    let largest = surface.scale.mass(surface.scale.maximum) as f64 / whole as f64;
    radius_before_reshaping(reshaped, largest, surface.temperature)
}
