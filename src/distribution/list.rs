//! A short candidate list.
//!
//! Candidates are rank keys: one u64 whose descending order is the total order and which holds logit and token, so
//! selection is integer selection. The list stays in ascending token order, because the draw walks it that way; a second
//! list is the one that selection may scramble.

use super::Room;
use crate::kernels::{Collected, Cut};
use crate::logits::Surface;
use crate::numeric::rank_key_parts;
use crate::types::BLOCK;

/// Collects the first `k` tokens of the order (fewer if fewer take part) into `room.keys`; returns how many.
///
/// The k-th largest of the group (or block) maxima bounds the k-th logit from below, because that many different tokens
/// reach it. Only blocks whose maximum reaches the bound are read. Where too many logits reach it, the list is weeded out
/// whenever it is full, and from then on only higher logits can enter: equal ones come later in the order. Where most of the
/// tokens that are read enter (the highest logits lie side by side, in a sorted row say) a better bound is looked for, once.
pub(super) fn collect_first(surface: &Surface<'_>, k: usize, room: &mut Room<'_>) -> usize {
    let groups = surface.group_maxima.len();
    let (kernels, maxima) = (surface.kernels, surface.maxima);
    let mut threshold = f32::NEG_INFINITY;
    // Where tokens were removed from the front, maxima are no tokens' logits any more.
    if surface.view.band.is_none() {
        if 2 * k <= groups {
            threshold = kernels.bound_for_count(surface.group_maxima, k);
        }
        if threshold == f32::NEG_INFINITY && k <= maxima.len() {
            threshold = kernels.bound_for_count(maxima, k);
        }
    }
    let (mut strictly, mut has_searched) = (false, false);
    let mut at = START;
    loop {
        let before = at;
        at = kernels.collect(&surface.view, maxima, threshold, strictly, at, room.keys);
        // Under a bound that everything reaches nothing is told about where the highest logits lie.
        let may_search = !has_searched && threshold > f32::MIN && at.next_block < surface.view.blocks();
        let searches = may_search && is_dense(before, at, room.keys);
        threshold = weed(k, threshold, &mut strictly, &mut at, room);
        if searches {
            has_searched = true;
            if let Some((found, bound)) = collect_from_better_bound(surface, k, threshold, room) {
                (at, threshold, strictly) = (found, bound, false);
                threshold = weed(k, threshold, &mut strictly, &mut at, room);
            }
        }
        if at.next_block >= surface.view.blocks() {
            return at.filled;
        }
    }
}

const START: Collected = Collected { next_block: 0, filled: 0 };

/// Leaves the first `k` tokens in the list; returns the threshold for those to come.
fn weed(k: usize, threshold: f32, strictly: &mut bool, at: &mut Collected, room: &mut Room<'_>) -> f32 {
    if at.filled <= k {
        return threshold;
    }
    let last = nth_key(k, at.filled, room);
    at.filled = retain(last, at.filled, room.keys);
    *strictly = true;
    rank_key_parts(last).0
}

/// Whether half and more of the tokens between the first that was collected and the last that was read were collected.
fn is_dense(before: Collected, after: Collected, keys: &[u64]) -> bool {
    let collected = after.filled - before.filled;
    let first = keys[before.filled..after.filled].first().map_or(0, |&key| rank_key_parts(key).1 as usize);
    2 * collected >= (after.next_block * BLOCK).saturating_sub(first)
}

/// Collects from the start with a bound above `threshold`, if one is found: what the maxima of fewer than `k` blocks reach, if
/// `k` tokens do. As many blocks as a sorted row has them in are tried first, in the group with the highest logit and then
/// anywhere, then twice as many and so on: few more than `k` tokens reach what is found.
fn collect_from_better_bound(
    surface: &Surface<'_>,
    k: usize,
    threshold: f32,
    room: &mut Room<'_>,
) -> Option<(Collected, f32)> {
    let (kernels, maxima, view) = (surface.kernels, surface.maxima, &surface.view);
    let highest = kernels.find_at_least(maxima, 0, surface.scale.maximum)? / 16 * 16;
    let mut is_first = true;
    for maxima_of_some in [&maxima[highest..highest + 16], maxima] {
        let mut blocks = k.div_ceil(BLOCK) + 1;
        while blocks < k && blocks <= maxima_of_some.len() {
            let bound = kernels.bound_for_count(maxima_of_some, blocks);
            if bound <= threshold {
                break;
            }
            // The other list, because the first one is what there is if nothing is found.
            let found = kernels.collect(view, maxima, bound, false, START, room.work);
            if found.filled >= k {
                room.keys[..found.filled].copy_from_slice(&room.work[..found.filled]);
                return Some((found, bound));
            }
            // If the k-th logit stands in many places there is no better bound than itself.
            if is_first && kernels.collect(view, maxima, threshold, true, START, room.work).filled < k {
                return None;
            }
            is_first = false;
            blocks *= 2;
        }
    }
    None
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
