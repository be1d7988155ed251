//! Whether the sequence runs in a circle: exact periods, and how much of what was said lately was said before.
//!
//! For each period p up to the longest looked for, a run is kept: how many of the newest tokens equal the one p before
//! them. A sequence whose last unit of p tokens stands r times in a row has a run of at least (r - 1) p. A new token
//! prolongs a run or ends it. Taking a token back shortens the runs it prolonged; those it ended have to be measured again,
//! which is done when they are next looked at. Only generated tokens count: a prompt ends all runs.

use super::grams::Grams;
use super::ring::{PROMPT, RECURRENT, Ring, TOKEN};
use crate::types::TokenId;

/// The length of the n-grams whose return makes a sequence recurrent.
pub(crate) const SCORE_GRAM: usize = 4;
/// How many of the newest n-grams the score looks at.
pub(crate) const SCORE_WINDOW: usize = 64;

/// A run that has to be measured.
const UNKNOWN: u32 = u32::MAX;

/// What the end of a sequence looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Loop {
    /// Tokens of the unit that repeats; 0 if nothing stands twice in a row.
    pub period: u32,
    /// How many times it stands in a row at the end; 0 without a period.
    pub repeats: u32,
}

/// Takes up a generated token (`token`, the newest of `ring`) or a token of a prompt (`None`).
pub(crate) fn push(runs: &mut [u32], ring: &Ring<'_>, token: Option<TokenId>) {
    let Some(token) = token else {
        runs.fill(0);
        return;
    };
    for (i, run) in runs.iter_mut().enumerate() {
        let period = i + 1;
        let equal = period < ring.extent.held && ring.back(period) & (TOKEN | PROMPT) == token;
        *run = match (equal, *run) {
            (false, _) => 0,
            (true, UNKNOWN) => 1 + measure(ring, period, 1),
            // Far from overflow: a run longer than any ring is as good as any other.
            (true, known) => known.saturating_add(1).min(UNKNOWN - 1),
        };
    }
}

/// Takes back the newest token, which was a generated one.
pub(crate) fn pop(runs: &mut [u32]) {
    for run in runs {
        *run = match *run {
            0 | UNKNOWN => UNKNOWN,
            known => known - 1,
        };
    }
}

/// The run of a period, from the tokens themselves, leaving out the newest `skipped`.
fn measure(ring: &Ring<'_>, period: usize, skipped: usize) -> u32 {
    let mut run = 0;
    while skipped + run + period < ring.extent.held && same(ring, skipped + run, skipped + run + period) {
        run += 1;
    }
    run as u32
}

/// Whether two tokens are generated ones and equal.
fn same(ring: &Ring<'_>, first: usize, second: usize) -> bool {
    let (first, second) = (ring.back(first), ring.back(second));
    (first ^ second) & TOKEN == 0 && (first | second) & PROMPT == 0
}

/// The loop at the end if `token` were generated next; of the last `capacity` tokens then. The most repeats decide, then
/// the longest stretch, then the smaller period.
pub(crate) fn ahead(runs: &mut [u32], ring: &Ring<'_>, capacity: usize, token: TokenId) -> Loop {
    let (mut best, mut longest) = (Loop::default(), 0);
    for (i, run) in runs.iter_mut().enumerate() {
        let period = i + 1;
        if period > ring.extent.held || ring.back(period - 1) & (TOKEN | PROMPT) != token {
            continue;
        }
        if *run == UNKNOWN {
            *run = measure(ring, period, 0);
        }
        let run = (*run as usize + 1).min(capacity - period);
        let repeats = (1 + run / period) as u32;
        if run >= period && (repeats, run + period) > (best.repeats, longest) {
            (best, longest) = (Loop { period: period as u32, repeats }, run + period);
        }
    }
    best
}

/// Whether the n-gram that `token` would complete stands in the last `capacity` tokens; `None` if the run of generated
/// tokens is too short for one. With it the hash of the n-gram.
pub(crate) fn recurs(grams: &Grams<'_>, ring: &Ring<'_>, capacity: usize, hash: u64, token: TokenId) -> Option<bool> {
    let before = SCORE_GRAM - 1;
    if ring.extent.run < before {
        return None;
    }
    // One of the places in the window will be the new token's.
    let reach = ring.seen(capacity - 1);
    let found = grams.chain(ring, hash, reach).any(|back| {
        back + SCORE_GRAM <= reach
            && ring.back(back) & (TOKEN | PROMPT) == token
            && (0..before).all(|i| same(ring, i, back + 1 + i))
    });
    Some(found)
}

/// The share of recurrent tokens among the newest n-grams that the last `capacity` tokens hold, the next token's included
/// if `next` says whether it recurs.
pub(crate) fn score(ring: &Ring<'_>, capacity: usize, next: Option<bool>) -> f32 {
    let own = usize::from(next.is_some());
    let most = SCORE_WINDOW.min((capacity + 1).saturating_sub(SCORE_GRAM));
    let held = ring.extent.run.saturating_sub(SCORE_GRAM - 1).min(most.saturating_sub(own));
    let before = (0..held).filter(|&back| ring.back(back) & RECURRENT != 0).count();
    let (all, recurrent) = (held + own, before + usize::from(next == Some(true)));
    if all == 0 { 0.0 } else { recurrent as f32 / all as f32 }
}
