//! Truncation of a short candidate list.
//!
//! Candidates are rank keys: one u64 whose descending order is the total order and which holds logit and token, so
//! selection is integer selection. The list stays in ascending token order, because the draw walks it that way; a second
//! list is the one that selection may scramble.

use super::{Room, Truncation, cut_key};
use crate::kernels::{Collected, Cut};
use crate::logits::Surface;
use crate::numeric::{nucleus_target, rank_key_parts};

/// Collects the first `k` tokens of the order (fewer if fewer take part) into `room.keys`; returns how many.
///
/// The k-th largest of the group (or block) maxima bounds the k-th logit from below, because that many different tokens
/// reach it. Only blocks whose maximum reaches the bound are read. Where many logits reach it (ties), the list is weeded
/// out whenever it is full, and from then on only higher logits can enter: equal ones come later in the order.
pub(super) fn collect_first(surface: &Surface<'_>, k: usize, room: &mut Room<'_>) -> usize {
    let groups = surface.group_maxima.len();
    let (kernels, maxima) = (surface.kernels, surface.maxima);
    let mut threshold = f32::NEG_INFINITY;
    if 2 * k <= groups {
        threshold = kernels.bound_for_count(surface.group_maxima, k);
    }
    if threshold == f32::NEG_INFINITY && k <= maxima.len() {
        threshold = kernels.bound_for_count(maxima, k);
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

/// The key of number `n` (from 1) of the first `count` candidates in the order; `n <= count`.
fn nth_key(n: usize, count: usize, room: &mut Room<'_>) -> u64 {
    let work = &mut room.work[..count];
    work.copy_from_slice(&room.keys[..count]);
    *work.select_nth_unstable(count - n).1
}

/// Keeps the keys from `last` up, in place; returns how many.
fn retain(last: u64, count: usize, keys: &mut [u64]) -> usize {
    let mut kept = 0;
    for i in 0..count {
        let key = keys[i];
        keys[kept] = key;
        kept += usize::from(key >= last);
    }
    kept
}

fn truncated(last: u64, count: usize, room: &mut Room<'_>) -> Truncation {
    let count = retain(last, count, room.keys);
    Truncation { cut: last_of(count, room), listed: Some(count) }
}

/// The cut that keeps exactly the listed tokens.
pub(super) fn last_of(count: usize, room: &Room<'_>) -> Cut {
    let last = room.keys[..count].iter().copied().min().unwrap_or(u64::MAX);
    let (logit, token) = rank_key_parts(last);
    Cut { logit, token }
}

/// Applies an earlier cut to the list.
pub(super) fn apply_cut(cut: Cut, count: usize, room: &mut Room<'_>) -> Truncation {
    truncated(cut_key(cut), count, room)
}

/// The first `k` of the list.
pub(super) fn keep_first(k: usize, count: usize, room: &mut Room<'_>) -> Truncation {
    let last = if k < count { nth_key(k, count, room) } else { 0 };
    truncated(last, count, room)
}

/// The smallest prefix of the list whose mass reaches `p` (units of 2^-32) of the list's mass; at least `min_keep`.
pub(super) fn keep_mass(
    surface: &Surface<'_>,
    p: u64,
    min_keep: usize,
    count: usize,
    room: &mut Room<'_>,
) -> Truncation {
    let Room { keys, work, masses, logits, .. } = room;
    let work = &mut work[..count];
    work.copy_from_slice(&keys[..count]);
    work.sort_unstable_by(|a, b| b.cmp(a));
    for (to, &key) in logits.iter_mut().zip(work.iter()) {
        *to = rank_key_parts(key).0;
    }
    let total = surface.kernels.list_masses(&logits[..count], surface.scale, &mut masses[..count]);
    let target = nucleus_target(p, total);
    let mut mass = 0;
    let mut last = count - 1;
    for (i, &m) in masses[..count].iter().enumerate() {
        mass += m;
        if mass >= target && i + 1 >= min_keep {
            last = i;
            break;
        }
    }
    let last = work[last];
    truncated(last, count, room)
}

/// The listed tokens that a cut keeps; at least `min_keep`.
pub(super) fn keep_at_least(cut: Cut, min_keep: usize, count: usize, room: &mut Room<'_>) -> Truncation {
    let mut last = cut_key(cut);
    if min_keep > 1 {
        let first = if min_keep < count { nth_key(min_keep, count, room) } else { 0 };
        last = last.min(first);
    }
    truncated(last, count, room)
}
