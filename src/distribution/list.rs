//! A short candidate list.
//!
//! Candidates are rank keys: one u64 whose descending order is the total order and which holds logit and token, so
//! selection is integer selection. The list stays in ascending token order, because the draw walks it that way; a second
//! list is the one that selection may scramble.

use super::Room;
use crate::kernels::{Collected, Cut};
use crate::logits::Surface;
use crate::numeric::rank_key_parts;

/// Collects the first `k` tokens of the order (fewer if fewer take part) into `room.keys`; returns how many.
///
/// The k-th largest of the group (or block) maxima bounds the k-th logit from below, because that many different tokens
/// reach it. Only blocks whose maximum reaches the bound are read. Where many logits reach it (ties), the list is weeded
/// out whenever it is full, and from then on only higher logits can enter: equal ones come later in the order.
pub(super) fn collect_first(surface: &Surface<'_>, k: usize, room: &mut Room<'_>) -> usize {
    let groups = surface.group_maxima.len();
    let (kernels, maxima) = (surface.kernels, surface.maxima);
    let mut threshold = f32::NEG_INFINITY;
    // Where tokens were removed from the front, maxima are no tokens' logits any more.
    if surface.view.band.is_none() {
        if 2 * k <= groups {
            threshold = kernels.bound_for_count(surface.group_maxima, k);
        }
        // Where the highest logits lie side by side, in a sorted row say, maxima of groups bound them badly.
        let is_bad = threshold == f32::NEG_INFINITY || lie_together(surface, threshold);
        if is_bad && k <= maxima.len() {
            threshold = kernels.bound_for_count(maxima, k);
        }
    }
    let mut strictly = false;
    let mut at = Collected { next_block: 0, filled: 0 };
    loop {
        at = kernels.collect(&surface.view, maxima, threshold, strictly, at, room.keys);
        if at.filled > k {
            let last = nth_key(k, at.filled, room);
            at.filled = retain(last, at.filled, room.keys);
            threshold = rank_key_parts(last).0;
            strictly = true;
        }
        if at.next_block >= surface.view.blocks() {
            return at.filled;
        }
    }
}

/// Whether the blocks that reach the threshold lie side by side: four and more of sixteen, in the first groups that do.
fn lie_together(surface: &Surface<'_>, threshold: f32) -> bool {
    let (mut groups, mut blocks, mut next) = (0, 0, 0);
    while groups < 8 {
        let Some(group) = surface.kernels.find_at_least(surface.group_maxima, next, threshold) else { break };
        blocks += surface.maxima[16 * group..16 * group + 16].iter().filter(|&&maximum| maximum >= threshold).count();
        groups += 1;
        next = group + 1;
    }
    blocks >= 4 * groups
}

/// The key of number `n` (from 1) of the first `count` candidates in the order; `n <= count`.
fn nth_key(n: usize, count: usize, room: &mut Room<'_>) -> u64 {
    let work = &mut room.work[..count];
    work.copy_from_slice(&room.keys[..count]);
    *work.select_nth_unstable(count - n).1
}

/// The key of number `n` (from 1) of the list, or 0, which every key reaches, if there are fewer.
pub(super) fn nth_key_or_last(n: usize, count: usize, room: &mut Room<'_>) -> u64 {
    if n < count { nth_key(n, count, room) } else { 0 }
}

/// Keeps the keys from `last` up, in place; returns how many.
pub(super) fn retain(last: u64, count: usize, keys: &mut [u64]) -> usize {
    let mut kept = 0;
    for i in 0..count {
        let key = keys[i];
        keys[kept] = key;
        kept += usize::from(key >= last);
    }
    kept
}

/// The cut that keeps exactly the listed tokens.
pub(super) fn last_of(count: usize, room: &Room<'_>) -> Cut {
    let last = room.keys[..count].iter().copied().min().unwrap_or(u64::MAX);
    let (logit, token) = rank_key_parts(last);
    Cut { logit, token }
}
