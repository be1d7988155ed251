//! What may be drawn: truncation of the row, stage by stage, to a prefix of the total order.
//!
//! Order contract (canon): temperature → top-k → top-p → min-p. Each of these keeps a prefix of the total order (higher
//! logit first, then lower id), so what is kept is always described by its last token, the [`Cut`]. A small top-k also
//! leaves the kept tokens as a short list, and the later stages work on the list; otherwise they work on the row through
//! its block maxima. The vocabulary is never sorted.

mod cut;
mod list;
mod state;

pub(crate) use cut::first_tokens;
#[allow(unused_imports, reason = "read by the history from the next change on")]
pub(crate) use state::StepState;

use crate::kernels::{Cut, Sums};
use crate::logits::Surface;
use crate::numeric::{min_p_threshold, nucleus_target, rank_key};
use crate::plan::{LIST_LIMIT, Plan, Stage};

/// Scratch memory of the truncating stages.
pub(crate) struct Room<'a> {
    /// Rank keys of candidates, in ascending token order.
    pub keys: &'a mut [u64],
    /// A second list of the same capacity, for selection.
    pub work: &'a mut [u64],
    /// Masses of candidates, the same capacity.
    pub masses: &'a mut [u64],
    /// Logits of candidates, the same capacity.
    pub logits: &'a mut [f32],
}

/// What the stages kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Truncation {
    /// The last token kept.
    pub cut: Cut,
    /// If the kept tokens stand in `Room::keys`, how many they are.
    pub listed: Option<usize>,
}

/// Runs the plan's stages. `sums` are those of the whole adjusted row, if they are known already.
pub(crate) fn truncate(surface: &Surface<'_>, plan: &Plan, sums: Option<&Sums>, room: &mut Room<'_>) -> Truncation {
    let mut kept = Truncation { cut: Cut::ALL, listed: None };
    for stage in plan.stages() {
        kept = match stage {
            Stage::TopK { k, .. } => top_k(surface, k, kept, room),
            Stage::TopP(p) => top_p(surface, p, plan.min_keep, kept, sums, room),
            Stage::MinP(p) => {
                let threshold = min_p_threshold(surface.scale.maximum, plan.temperature, p);
                at_least(surface, threshold, plan.min_keep, kept, room)
            }
            _ => kept,
        };
    }
    kept
}

/// The first `k` of the order.
fn top_k(surface: &Surface<'_>, k: usize, before: Truncation, room: &mut Room<'_>) -> Truncation {
    if let Some(count) = before.listed {
        return list::keep_first(k, count, room);
    }
    if k <= LIST_LIMIT {
        // Nothing has been cut before, or less than k keeps: either way the first k of the row, then the earlier cut.
        let count = list::collect_first(surface, k, room);
        return list::apply_cut(before.cut, count, room);
    }
    let cut = cut::first_tokens(surface, k as u64);
    Truncation { cut: before.cut.stricter(cut), listed: None }
}

/// The smallest prefix whose mass reaches `p` (units of 2^-32) of the mass kept so far; at least `min_keep` tokens.
fn top_p(
    surface: &Surface<'_>,
    p: u64,
    min_keep: usize,
    before: Truncation,
    sums: Option<&Sums>,
    room: &mut Room<'_>,
) -> Truncation {
    if let Some(count) = before.listed {
        return list::keep_mass(surface, p, min_keep, count, room);
    }
    let cut = if before.cut == Cut::ALL {
        nucleus_cut(surface, p, sums)
    } else {
        let (total, _) = surface.kernels.kept_and_total_mass(
            &surface.view,
            surface.maxima,
            before.cut.logit,
            surface.scale,
            before.cut,
        );
        cut::first_mass(surface, nucleus_target(p, total).max(1), total)
    };
    widen(surface, cut, min_keep, before, room)
}

/// The cut of the nucleus of the whole row: the smallest prefix whose mass reaches `p` (units of 2^-32).
pub(crate) fn nucleus_cut(surface: &Surface<'_>, p: u64, sums: Option<&Sums>) -> Cut {
    let total = match sums {
        Some(sums) => sums.mass,
        None => {
            let none = Cut { logit: f32::INFINITY, token: 0 };
            surface.kernels.kept_and_total_mass(&surface.view, surface.maxima, f32::MIN, surface.scale, none).1
        }
    };
    cut::first_mass(surface, nucleus_target(p, total).max(1), total)
}

/// All logits from `threshold` up; at least `min_keep` tokens.
fn at_least(
    surface: &Surface<'_>,
    threshold: f32,
    min_keep: usize,
    before: Truncation,
    room: &mut Room<'_>,
) -> Truncation {
    // The argmax always stays, whatever rounding does to the threshold.
    let threshold = if threshold > surface.scale.maximum { surface.scale.maximum } else { threshold };
    let cut = Cut::at_least(threshold);
    match before.listed {
        Some(count) => list::keep_at_least(cut, min_keep, count, room),
        None => widen(surface, cut, min_keep, before, room),
    }
}

/// Lets a cut of the row keep at least `min_keep` tokens, if so many were kept before.
fn widen(surface: &Surface<'_>, cut: Cut, min_keep: usize, before: Truncation, room: &mut Room<'_>) -> Truncation {
    let mut cut = cut;
    if min_keep > 1 {
        let first = if min_keep <= LIST_LIMIT {
            let count = list::collect_first(surface, min_keep, room);
            list::last_of(count, room)
        } else {
            cut::first_tokens(surface, min_keep as u64)
        };
        // The looser of the two.
        if cut.stricter(first) == cut {
            cut = first;
        }
    }
    Truncation { cut: before.cut.stricter(cut), listed: None }
}

/// The rank key of a cut: kept are the keys from it up.
pub(crate) fn cut_key(cut: Cut) -> u64 {
    rank_key(cut.logit, cut.token)
}
