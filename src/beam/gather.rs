//! From a beam's row to candidates: the normaliser, and the tokens that can be among the best.
//!
//! No row of log-probabilities is written. A row is read once for the maxima of its blocks and once for its normaliser;
//! then only the blocks are read that can hold one of the best candidates of all beams so far: the score of the last of
//! these, turned back into a logit of this row, is the threshold.

use super::candidates::{Best, Candidate};
use crate::constrain::adjust::first_invalid;
use crate::error::{Error, Result};
use crate::kernels::{Collected, Kernels, RowView, Scale};
use crate::numeric::{natural_logarithm, rank_key_parts};
use crate::types::{Row, TokenId};

/// A row after its first pass.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub kernels: Kernels,
    pub view: RowView<'a>,
    /// Maxima of the blocks, after adjustments.
    pub maxima: &'a [f32],
    /// Maxima of 16 blocks each.
    pub group_maxima: &'a [f32],
    /// The largest logit after adjustments.
    pub maximum: f32,
}

/// Reads a row without adjustments: checks it and finds the maxima.
pub(crate) fn see<'a>(
    kernels: Kernels,
    row: Row<'a>,
    words: Option<&'a [u32]>,
    valid: usize,
    maxima: &'a mut [f32],
    group_maxima: &'a mut [f32],
) -> Result<Seen<'a>> {
    let view = RowView { source: row.into(), words, valid, overrides: &[], band: None };
    let first = kernels.block_maxima(&view, maxima);
    if (first.has_nan || first.maximum == f32::INFINITY)
        && let Some(index) = first_invalid(&view)
    {
        return Err(Error::InvalidLogit { index, value: row.get(index as usize) });
    }
    let maximum = kernels.fold_maxima(maxima, group_maxima);
    if maximum == f32::NEG_INFINITY {
        return Err(Error::EverythingMasked);
    }
    Ok(Seen { kernels, view, maxima, group_maxima, maximum })
}

/// What log-probabilities are relative to: the largest logit, and the logarithm of the sum of weights relative to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Normaliser {
    maximum: f64,
    logarithm: f64,
    temperature: f64,
}

impl Normaliser {
    /// That of a row: its one pass of exponentials.
    pub fn of(seen: &Seen<'_>, scale: f32, temperature: f32) -> Normaliser {
        let scale = Scale { maximum: seen.maximum, scale };
        let sums = seen.kernels.sums(&seen.view, seen.maxima, scale, false);
        Normaliser {
            maximum: seen.maximum.into(),
            logarithm: natural_logarithm(sums.weight),
            temperature: temperature.into(),
        }
    }

    /// What log-probabilities differ from logits by, at temperature 1.
    pub fn shift(&self) -> f64 {
        self.maximum + self.logarithm
    }

    /// The log-probability of a logit.
    fn logprob(&self, logit: f32) -> f64 {
        (f64::from(logit) - self.maximum) / self.temperature - self.logarithm
    }

    /// A logit that no logit is below whose log-probability, added to `score`, is at least `merit`.
    fn least_logit(&self, score: f64, merit: f64) -> f32 {
        let above = self.temperature * (merit - score + self.logarithm);
        // Far more than the rounding of these few operations and of those of `logprob`.
        let sizes = merit.abs() + score.abs() + self.logarithm;
        let slack = (self.maximum.abs() + above.abs() + self.temperature * sizes) * (1.0 / (1u64 << 46) as f64);
        let least = self.maximum + above - slack;
        if least > f64::from(f32::MIN) { (least as f32).next_down() } else { f32::MIN }
    }
}

/// A beam whose row is gathered from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beam {
    pub index: u32,
    /// Its sum of log-probabilities.
    pub score: f64,
}

/// What diversity takes off: so much for each survivor of an earlier group that has the token.
#[derive(Clone, Copy)]
pub(crate) struct Diversity<'a> {
    pub penalty: f64,
    pub survivors: &'a [Candidate],
}

impl Diversity<'_> {
    fn of(&self, token: TokenId) -> f64 {
        let count = self.survivors.iter().filter(|survivor| survivor.token() == token).count();
        self.penalty * count as f64
    }
}

/// Offers all tokens of a row that can be among the best candidates.
pub(crate) fn gather(
    seen: &Seen<'_>,
    normaliser: &Normaliser,
    beam: Beam,
    diversity: &Diversity<'_>,
    keys: &mut [u64],
    best: &mut Best<'_>,
) {
    let (kernels, maxima) = (seen.kernels, seen.maxima);
    let is_diverse = diversity.penalty > 0.0 && !diversity.survivors.is_empty();
    // So many tokens of the row are candidates even if all penalised ones are lost.
    let wanted = best.limit() + if is_diverse { diversity.survivors.len() } else { 0 };
    let mut bound = f32::NEG_INFINITY;
    if 2 * wanted <= seen.group_maxima.len() {
        bound = kernels.bound_for_count(seen.group_maxima, wanted);
    }
    if bound == f32::NEG_INFINITY && wanted <= maxima.len() {
        bound = kernels.bound_for_count(maxima, wanted);
    }
    // Where the highest logits lie side by side, in a sorted row say, the blocks of one group bound them better.
    let highest = kernels.find_at_least(maxima, 0, seen.maximum).unwrap_or(0) / 16 * 16;
    if wanted <= 16 && highest + 16 <= maxima.len() {
        let close = kernels.bound_for_count(&maxima[highest..highest + 16], wanted);
        bound = if close > bound { close } else { bound };
    }
    let mut at = Collected { next_block: 0, filled: 0 };
    loop {
        let (mut threshold, mut strictly) = (bound, false);
        if let Some(last) = best.last() {
            if last.parent == beam.index && !is_diverse {
                // Equal logits that are still to come are later in the order.
                (threshold, strictly) = (last.logit(), true);
            } else {
                let least = normaliser.least_logit(beam.score, last.merit);
                threshold = if least > threshold { least } else { threshold };
            }
        }
        at = kernels.collect(&seen.view, maxima, threshold, strictly, at, keys);
        for &rank in &keys[..at.filled] {
            let (logit, token) = rank_key_parts(rank);
            let score = beam.score + normaliser.logprob(logit);
            let merit = if is_diverse { score - diversity.of(token) } else { score };
            best.offer(Candidate { merit, score, rank, parent: beam.index, finish: 0 });
        }
        at.filled = 0;
        if at.next_block >= seen.view.blocks() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_logit_above_the_threshold_is_lost() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 11
        };
        for _ in 0..200_000 {
            let mut float = || loop {
                let x = f32::from_bits((next() >> 20) as u32);
                if x.is_finite() {
                    return x;
                }
            };
            let (a, b, t) = (float(), float(), float().abs());
            let (maximum, logit) = if a > b { (a, b) } else { (b, a) };
            if t == 0.0 {
                continue;
            }
            let logarithm = (next() % 15_000) as f64 / 1000.0;
            let score = -((next() % 1_000_000) as f64) / 777.0;
            let normaliser = Normaliser { maximum: maximum.into(), logarithm, temperature: t.into() };
            let merit = score + normaliser.logprob(logit);
            let least = normaliser.least_logit(score, merit);
            assert!(least <= logit, "{least} > {logit}: maximum {maximum}, temperature {t}, score {score}");
        }
    }
}
