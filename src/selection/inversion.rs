//! Draw (a): the inverse of the cumulative mass over the kept tokens, in ascending token id.
//!
//! `r = (number * total) >> 64`; the token drawn is the first at which the running sum of masses exceeds r. All integers,
//! so no order of summation and no width of a register can be seen.

use super::envelope::Envelope;
use super::{Drawn, walk};
use crate::distribution::Room;
use crate::kernels::Cut;
use crate::logits::Surface;
use crate::numeric::{rank_key_parts, scale_number};
use crate::types::{BLOCK, TokenId};

/// Draws from the `count` candidates listed in `room.keys`.
pub(crate) fn from_list(surface: &Surface<'_>, count: usize, number: u64, room: &mut Room<'_>) -> Drawn {
    let Room { keys, masses, logits, .. } = room;
    for (to, &key) in logits.iter_mut().zip(&keys[..count]) {
        *to = rank_key_parts(key).0;
    }
    let masses = &mut masses[..count];
    let total = surface.kernels.list_masses(&logits[..count], surface.scale, masses);
    let at = walk(masses, scale_number(number, total)).map_or(0, |(at, _)| at);
    Drawn { token: rank_key_parts(keys[at]).1, count: Some(count as u32), mass: Some(total) }
}

/// Draws from the tokens of the row that `cut` keeps. The masses of the blocks take the place of their bounds.
pub(crate) fn from_row(surface: &Surface<'_>, cut: Cut, number: u64, envelope: &mut Envelope<'_>) -> Drawn {
    let Surface { kernels, view, maxima, scale, .. } = *surface;
    let kept = kernels.kept_masses(&view, maxima, scale, cut, envelope.bounds);
    envelope.set_sums();
    let (block, left) = envelope.locate(scale_number(number, kept.mass)).unwrap_or((0, 0));
    let mut masses = [0; BLOCK];
    kernels.block_masses(&view, block, scale, cut, &mut masses);
    let lane = walk(&masses, left).map_or(0, |(lane, _)| lane);
    Drawn { token: (block * BLOCK + lane) as TokenId, count: Some(kept.count), mass: Some(kept.mass) }
}
