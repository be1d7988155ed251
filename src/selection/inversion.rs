//! Draw (a): the inverse of the cumulative mass over the kept tokens, in ascending token id.
//!
//! `r = (number * total) >> 64`; the token drawn is the first at which the running sum of masses exceeds r. All integers,
//! so no order of summation and no width of a register can be seen.

use super::envelope::Envelope;
use super::{Drawn, walk};
use crate::distribution::{Room, StepState, Target, Truncation};
use crate::numeric::{rank_key_parts, scale_number};
use crate::plan::Config;
use crate::types::{BLOCK, TokenId};

/// Draws from the `count` candidates listed in `room.keys`.
pub(crate) fn from_list(kept: &Truncation<'_>, count: usize, number: u64, room: &mut Room<'_>) -> Drawn {
    let total = list_masses(kept, count, room);
    let masses = &room.masses[..count];
    let at = walk(masses, scale_number(number, total)).map_or(0, |(at, _)| at);
    Drawn { token: rank_key_parts(room.keys[at]).1, count: Some(count as u32), mass: Some(total), shaped: None }
}

/// The masses of the listed candidates, in `room.masses`; returns their sum.
fn list_masses(kept: &Truncation<'_>, count: usize, room: &mut Room<'_>) -> u64 {
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
    Drawn { token, count: Some(found.count), mass: Some(found.mass), shaped: None }
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
    room.masses[..count].iter().for_each(|&mass| target.see(mass));
    let mut shaped_total = 0;
    for mass in &mut room.masses[..count] {
        *mass = target.shape(*mass).mass();
        shaped_total += *mass;
    }
    let at = walk(&room.masses[..count], scale_number(number, shaped_total)).map_or(0, |(at, _)| at);
    let (logit, token) = rank_key_parts(room.keys[at]);
    let shaped = target.shape_logit(logit, kept.surface.scale);
    Drawn { token, count: Some(count as u32), mass: Some(shaped_total), shaped: Some(shaped) }
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
    let mut target = Target::new(config, state, found.mass);
    for block in 0..surface.view.blocks() {
        each_kept(kept, block, &mut [0; BLOCK], |mass| target.see(*mass));
    }
    let mut total = 0;
    for block in 0..surface.view.blocks() {
        envelope.bounds[block] = shape_block(kept, &target, block, &mut [0; BLOCK]);
        total += envelope.bounds[block];
    }
    envelope.set_sums();
    let (block, left) = envelope.locate(scale_number(number, total)).unwrap_or((0, 0));
    let mut masses = [0; BLOCK];
    shape_block(kept, &target, block, &mut masses);
    let lane = walk(&masses, left).map_or(0, |(lane, _)| lane);
    let token = (block * BLOCK + lane) as TokenId;
    let shaped = target.shape_logit(surface.view.logit(token), surface.scale);
    Drawn { token, count: Some(found.count), mass: Some(total), shaped: Some(shaped) }
}

/// The new masses of the kept tokens of a block; returns their sum.
fn shape_block(kept: &Truncation<'_>, target: &Target, block: usize, masses: &mut [u64; BLOCK]) -> u64 {
    let mut sum = 0;
    each_kept(kept, block, masses, |mass| {
        *mass = target.shape(*mass).mass();
        sum += *mass;
    });
    sum
}

/// Calls `each` with the mass of every kept token of a block, those that weigh nothing included; the others are 0.
fn each_kept(kept: &Truncation<'_>, block: usize, masses: &mut [u64; BLOCK], mut each: impl FnMut(&mut u64)) {
    let surface = &kept.surface;
    if surface.maxima[block] < kept.cut.logit {
        return;
    }
    surface.kernels.block_masses(&surface.view, block, surface.scale, kept.cut, masses);
    for (lane, mass) in masses.iter_mut().enumerate() {
        let token = (block * BLOCK + lane) as TokenId;
        // A kept token may weigh nothing and still take part.
        let logit = if *mass != 0 { 0.0 } else { surface.view.logit(token) };
        if *mass != 0 || logit > f32::NEG_INFINITY && kept.cut.keeps(logit, token) {
            each(mass);
        }
    }
}
