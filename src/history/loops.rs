//! Whether the sequence runs in a circle: exact periods, and how much of what was said lately was said before.
//!
//! For each period p up to the longest looked for, a run is kept: how many of the newest tokens equal the one p before
//! them. A sequence whose last unit of p tokens stands r times in a row has a run of at least (r - 1) p. A new token
//! prolongs a run or ends it. Taking a token back shortens the runs it prolonged; those it ended have to be measured again,
//! which is done when they are next looked at. Only generated tokens count: a prompt ends all runs.
//!
//! Measuring costs nothing for the length of the history. Call a run long if it has 2 P tokens, P being the longest period
//! looked for. By the theorem of Fine and Wilf (1965) all long runs at one place begin together and belong to multiples of
//! the shortest long period. So each token keeps one number, how far the stretch of the long runs reaches back; a run is
//! measured up to 2 P and then read off, and its multiples are not measured at all.

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

/// The runs in their memory.
pub(crate) struct Runs<'a> {
    /// One for each period, from 1 up.
    pub runs: &'a mut [u32],
    /// Along the ring: the tokens of the stretch that the long runs make of the sequence's end, or 0.
    pub stretches: &'a mut [u32],
}

/// What measuring has found of the long runs at one place: the shortest period, and the tokens of their stretch.
type Long = Option<(usize, usize)>;

impl Runs<'_> {
    /// Takes up a generated token (`token`, the newest of `ring`) or a token of a prompt (`None`).
    pub fn push(&mut self, ring: &Ring<'_>, token: Option<TokenId>) {
        if self.runs.is_empty() {
            return;
        }
        let slot = ring.slot(ring.extent.recorded - 1);
        let Some(token) = token else {
            self.runs.fill(0);
            self.stretches[slot] = 0;
            return;
        };
        let (mut long, mut stretch) = (None, 0);
        for i in 0..self.runs.len() {
            let period = i + 1;
            let equal = period < ring.extent.held && ring.back(period) & (TOKEN | PROMPT) == token;
            let run = match (equal, self.runs[i]) {
                (false, _) => 0,
                (true, UNKNOWN) => 1 + self.measure(ring, period, 1, &mut long),
                // Far from overflow: a run longer than any ring is as good as any other.
                (true, known) => known.saturating_add(1).min(UNKNOWN - 1),
            };
            self.runs[i] = run;
            if run as usize >= self.long() {
                stretch = run.saturating_add(period as u32);
            }
        }
        self.stretches[slot] = stretch;
    }

    /// From so many tokens on a run is long.
    fn long(&self) -> usize {
        2 * self.runs.len()
    }

    /// The run of a period, from the tokens themselves, leaving out the newest `skipped`.
    fn measure(&self, ring: &Ring<'_>, period: usize, skipped: usize, long: &mut Long) -> u32 {
        if let Some((shortest, stretch)) = *long
            && period.is_multiple_of(shortest)
        {
            return (stretch - period) as u32;
        }
        let mut run = 0;
        while run < self.long()
            && skipped + run + period < ring.extent.held
            && same(ring, skipped + run, skipped + run + period)
        {
            run += 1;
        }
        if run == self.long() {
            let kept = self.stretches[ring.slot(ring.extent.recorded - 1 - skipped as u64)] as usize;
            let stretch = kept.max(run + period);
            *long = Some((period, stretch));
            run = stretch - period;
        }
        run as u32
    }

    /// The loop at the end if `token` were generated next; of the last `capacity` tokens then. The most repeats decide, then
    /// the longest stretch, then the smaller period.
    pub fn ahead(&mut self, ring: &Ring<'_>, capacity: usize, token: TokenId) -> Loop {
        let (mut best, mut longest) = (Loop::default(), 0);
        let mut long = None;
        for i in 0..self.runs.len() {
            let period = i + 1;
            if period > ring.extent.held || ring.back(period - 1) & (TOKEN | PROMPT) != token {
                continue;
            }
            if self.runs[i] == UNKNOWN {
                self.runs[i] = self.measure(ring, period, 0, &mut long);
            }
            let run = (self.runs[i] as usize + 1).min(capacity - period);
            let repeats = (1 + run / period) as u32;
            if run >= period && (repeats, run + period) > (best.repeats, longest) {
                (best, longest) = (Loop { period: period as u32, repeats }, run + period);
            }
        }
        best
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

/// Whether two tokens are generated ones and equal.
fn same(ring: &Ring<'_>, first: usize, second: usize) -> bool {
    let (first, second) = (ring.back(first), ring.back(second));
    (first ^ second) & TOKEN == 0 && (first | second) & PROMPT == 0
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
