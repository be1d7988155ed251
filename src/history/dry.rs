//! DRY ("don't repeat yourself", koboldcpp pull request 982, llama.cpp): how long a repetition each token would prolong.
//!
//! The end of the history occurred before, followed by t: n(t) is the longest such end. It lies in the window whole, and
//! begins after the last breaker. The places are those of the last token (a chain of the ring); the length at each is read
//! off the tokens. Where a history repeats itself so much that this takes long, all lengths come from one pass of the
//! Z-algorithm over the reversed window (Gusfield 1997), so a step costs at most O(window).

use super::edits::{EditKind, Edits};
use super::grams::Grams;
use super::ring::{Ring, TOKEN};
use crate::numeric::{dry_exponent_limit, whole_power};

/// What a decoder looks for, and what it costs a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    /// Tokens of the window, at most those held.
    pub window: usize,
    /// Repetitions shorter than this are free.
    pub allowed: usize,
    /// No repetition counts for longer: the distance to the last breaker.
    pub longest: usize,
    pub multiplier: f32,
    pub base: f32,
    /// The largest exponent of the base.
    pub exponent_limit: u32,
}

impl Search {
    pub fn new(window: usize, longest: usize, allowed: u32, multiplier: f32, base: f32) -> Self {
        let exponent_limit = dry_exponent_limit(base);
        Search { window, allowed: allowed as usize, longest, multiplier, base, exponent_limit }
    }

    /// What is subtracted for a repetition of n tokens: `multiplier * base^(n - allowed)`, in f64, rounded once.
    fn penalty(&self, n: usize) -> f32 {
        let exponent = u32::try_from(n - self.allowed).unwrap_or(u32::MAX).min(self.exponent_limit);
        (f64::from(self.multiplier) * whole_power(f64::from(self.base), exponent)) as f32
    }

    /// Beyond this length the penalty does not grow any more.
    fn depth(&self) -> usize {
        if self.base == 1.0 { self.allowed } else { self.allowed.saturating_add(self.exponent_limit as usize) }
    }
}

/// Comparisons per token of the window before the Z-algorithm takes over.
const PATIENCE: usize = 4;

/// Adds an entry for each place where the end of the history, at least `allowed` tokens of it, occurred before. A token may
/// have several; the largest counts.
pub(crate) fn repetitions(
    ring: &Ring<'_>,
    grams: &Grams<'_>,
    hash: u64,
    search: &Search,
    lengths: &mut [u32],
    edits: &mut Edits<'_>,
) {
    let Search { window, allowed, .. } = *search;
    let longest = search.longest.min(search.depth());
    if window <= allowed || longest < allowed {
        return;
    }
    if allowed == 0 {
        // The empty end occurs everywhere.
        return repetitions_by_z(ring, search, longest, lengths, edits);
    }
    let (begun, last) = (edits.count(), ring.token_back(0));
    let mut patience = PATIENCE * window;
    for back in grams.chain(ring, hash, window) {
        if back == 0 || ring.token_back(back) != last {
            continue;
        }
        let most = longest.min(window - back);
        let mut n = 1;
        while n < most && (ring.back(n) ^ ring.back(back + n)) & TOKEN == 0 {
            n += 1;
        }
        if n > patience {
            edits.truncate(begun);
            return repetitions_by_z(ring, search, longest, lengths, edits);
        }
        patience -= n;
        if n >= allowed {
            edits.push(ring.token_back(back - 1), EditKind::Subtract, 0, search.penalty(n));
        }
    }
}

/// The same for every place at once.
fn repetitions_by_z(ring: &Ring<'_>, search: &Search, longest: usize, lengths: &mut [u32], edits: &mut Edits<'_>) {
    let window = search.window;
    // lengths[k]: how many tokens before and at k back equal those before and at 0 back.
    let (mut left, mut right) = (0, 0);
    for k in 1..window {
        let mut n = if k < right { (lengths[k - left] as usize).min(right - k) } else { 0 };
        while k + n < window && (ring.back(n) ^ ring.back(k + n)) & TOKEN == 0 {
            n += 1;
        }
        if k + n > right {
            (left, right) = (k, k + n);
        }
        lengths[k] = n as u32;
        let n = n.min(longest);
        if n >= search.allowed {
            edits.push(ring.token_back(k - 1), EditKind::Subtract, 0, search.penalty(n));
        }
    }
}

/// Where the last breaker is, as each token of the ring knows it: tokens from its start to here, and tokens after its end.
pub(crate) const NO_BREAKER: u64 = u64::MAX;

/// What a new token makes of the last breaker: `shortest` is the length of the shortest breaker that ends with it. The
/// breaker that begins last counts, of those that begin together the longest (llama.cpp).
pub(crate) fn next_breaker(before: u64, shortest: Option<usize>) -> u64 {
    let (mut start, mut after) = ((before >> 32) as u32, before as u32);
    (start, after) = (start.saturating_add(1), after.saturating_add(1));
    if let Some(length) = shortest
        && length as u64 <= u64::from(start)
    {
        (start, after) = (length as u32, 0);
    }
    u64::from(start) << 32 | u64::from(after)
}

/// How long a repetition may be for a breaker as [`next_breaker`] has it, in a window.
pub(crate) fn limit(breaker: u64, window: usize) -> usize {
    let (start, after) = ((breaker >> 32) as usize, breaker as u32 as usize);
    if start > window { window } else { after.min(window) }
}
