//! Draw (b): block-envelope rejection, a draw from the whole row that evaluates hardly any exponentials.
//!
//! ```text
//! E[b] = bound on the mass of block b, from its maximum;  U = sum of E
//! every block with E[b] > U / 256: E[b] = its exact mass
//! at most 8 rounds of 32 proposals; proposal k uses number k of the generator:
//!     r = (number * U) >> 64;  b = the block in which the running sum of E passes r
//!     r - sum before b < mass of b  ->  the token there, if it is kept, is drawn; first accepted wins
//!     a round without a winner: E[b] = mass of b for the blocks it touched
//! then: draw (a) over the kept tokens, with the next number
//! ```
//! Each proposal yields token i with probability mass(i) / U, whatever was rejected before, so the draw is exact. Bounds do
//! not change inside a round, so that a GPU can make its 32 proposals at once.

use super::{Drawn, inversion, walk};
use crate::distribution::Truncation;
use crate::distribution::flip::{LayoutEdge, lesser, radius_of_selection};
use crate::kernels::{Band, Cut, total};
use crate::logits::Surface;
use crate::numeric::scale_number;
use crate::rng::StepNumbers;
use crate::types::{BLOCK, TokenId};

const ROUNDS: usize = 8;
const PROPOSALS: usize = 32;

/// Bounds (or masses) of the blocks, and their sums over 16 and 256 blocks, so that a proposal finds its block in a few steps.
pub(crate) struct Envelope<'a> {
    /// One bound per block; a multiple of 256 long, the rest 0.
    pub bounds: &'a mut [u64],
    /// One sum per 16 bounds.
    pub sums: &'a mut [u64],
    /// One sum per 256 bounds.
    pub sums_of_sums: &'a mut [u64],
}

impl Envelope<'_> {
    pub(super) fn set_sums(&mut self) {
        for (sum, bounds) in self.sums.iter_mut().zip(self.bounds.as_chunks().0) {
            *sum = total(bounds);
        }
        for (sum, sums) in self.sums_of_sums.iter_mut().zip(self.sums.chunks_exact(16)) {
            *sum = sums.iter().sum();
        }
    }

    /// Lowers a bound to the block's mass; returns by how much.
    fn tighten(&mut self, block: usize, mass: u64) -> u64 {
        let slack = self.bounds[block] - mass;
        self.bounds[block] = mass;
        self.sums[block / 16] -= slack;
        self.sums_of_sums[block / 256] -= slack;
        slack
    }

    /// The radius within which a proposal of the number `at` of `total` lands where it did: on a token, or in a block's slack.
    /// `left` is how far into the block it is.
    fn radius_of_proposal(
        &self,
        block: usize,
        (at, left, total): (u64, u64, u64),
        lane: Option<usize>,
        masses: &[u64; BLOCK],
        surface: &Surface<'_>,
    ) -> f64 {
        let (before, bound) = (at - left, self.bounds[block]);
        let after = total - before - bound;
        let upto = |lanes: usize| masses[..lanes].iter().sum::<u64>();
        let share = (at as f64 + 0.5) / total as f64;
        let is_tight = upto(BLOCK) == bound;
        let tokens = BLOCK * surface.view.blocks();
        let edge = |inside: u64, lanes: usize| {
            let left = block * BLOCK + lanes;
            let edge = LayoutEdge { before, inside, bound, is_tight, after, tokens: (left, tokens - left) };
            edge.radius(share, surface.temperature)
        };
        match lane {
            Some(lane) => lesser(edge(upto(lane), lane), edge(upto(lane + 1), lane + 1)),
            // In the slack, which lies after the block's tokens.
            None => lesser(edge(upto(BLOCK), BLOCK), edge(bound, BLOCK)),
        }
    }

    /// The block in which the running sum of the bounds passes `at`, and how far into it.
    pub(super) fn locate(&self, at: u64) -> Option<(usize, u64)> {
        let (group, left) = walk(self.sums_of_sums, at)?;
        let (within, left) = walk(&self.sums[16 * group..16 * group + 16], left)?;
        let first = 256 * group + 16 * within;
        let (block, left) = walk(&self.bounds[first..first + 16], left)?;
        Some((first + block, left))
    }
}

/// Which tokens may be drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Filter {
    /// Those in a run of the order.
    Band(Band),
    /// A nucleus whose cut is not known: the mass before a proposed token decides.
    Nucleus {
        /// Its probability, in units of 2^-32.
        p: u64,
        /// The mass of the row, if it is known.
        whole: Option<u64>,
    },
}

/// What was proposed on the way to the token drawn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Proposed {
    /// Of the tokens that the filter refused the first in the order.
    pub refused: Option<Cut>,
    /// Whether the token was drawn from all that is kept in the end.
    pub ended_in_kept: bool,
}

impl Proposed {
    fn refuse(&mut self, token: Cut) {
        if self.refused.is_none_or(|first| first.keeps(token.logit, token.token)) {
            self.refused = Some(token);
        }
    }
}

/// Draws a token that passes the filter, with probability proportional to its mass; `kept` is the filter as the stages left
/// it, or the whole row where a nucleus was left to the draw. `find_cut` finds the cut of that nucleus,
/// which reaches the logit it is given; most draws do without.
pub(crate) fn draw(
    surface: &Surface<'_>,
    kept: &Truncation<'_>,
    filter: Filter,
    numbers: &mut StepNumbers,
    envelope: &mut Envelope<'_>,
    find_cut: impl Fn(&Surface<'_>, f32) -> Cut,
    proposed: Option<&mut Proposed>,
) -> Drawn {
    let Surface { kernels, view, maxima, scale, .. } = *surface;
    let bounds = kernels.block_bounds(maxima, scale, envelope.bounds);
    envelope.bounds[maxima.len()..].fill(0);
    envelope.set_sums();
    let mut total = bounds;
    let mut masses = [0; BLOCK];
    let mut radius = f64::INFINITY;
    let certify = proposed.is_some();
    let mut unasked = Proposed::default();
    let proposed = proposed.unwrap_or(&mut unasked);
    if certify {
        let tokens = BLOCK * maxima.len();
        for &bound in &envelope.bounds[..view.blocks()] {
            radius = lesser(radius, radius_of_selection(bound, bounds, tokens, surface.temperature));
        }
    }
    for group in 0..envelope.sums.len() {
        // A group whose sum is not above the limit holds no bound above it.
        if envelope.sums[group] <= bounds / 256 {
            continue;
        }
        for block in 16 * group..16 * group + 16 {
            if envelope.bounds[block] > bounds / 256 {
                let mass = kernels.block_masses(&view, block, scale, Cut::ALL, &mut masses);
                total -= envelope.tighten(block, mass);
            }
        }
    }
    let mut filter = filter;
    for _ in 0..ROUNDS {
        let mut touched = [(0, 0); PROPOSALS];
        for slot in &mut touched {
            let at = scale_number(numbers.next_number(), total);
            let (block, left) = envelope.locate(at).unwrap_or((0, 0));
            let mass = kernels.block_masses(&view, block, scale, Cut::ALL, &mut masses);
            let lane = walk(&masses, left).map(|(lane, _)| lane);
            if certify {
                radius = lesser(radius, envelope.radius_of_proposal(block, (at, left, total), lane, &masses, surface));
            }
            if let Some(lane) = lane {
                let token = (block * BLOCK + lane) as TokenId;
                let logit = view.logit(token);
                if let Filter::Nucleus { p, whole } = filter {
                    let upto = Cut { logit, token };
                    let found = cut_before(surface, (p, whole), upto, masses[lane], envelope, total, &find_cut);
                    let Some(last) = found else {
                        return Drawn { token, count: None, mass: None, shaped: None, radius };
                    };
                    // From the next proposal on the cut itself is cheaper than the masses before.
                    filter = Filter::Band(Band { last, ..Band::ALL });
                } else if matches!(filter, Filter::Band(band) if band.keeps(logit, token)) {
                    return Drawn { token, count: None, mass: None, shaped: None, radius };
                }
                proposed.refuse(Cut { logit, token });
            }
            *slot = (block, mass);
        }
        for (block, mass) in touched {
            // A block that was touched twice is tight already and loses nothing.
            total -= envelope.tighten(block, mass);
        }
    }
    // Draw (a) over what is kept, which its own surface describes; a nucleus keeps the row's.
    proposed.ended_in_kept = true;
    let cut = match filter {
        Filter::Band(band) => band.last,
        Filter::Nucleus { .. } => find_cut(surface, f32::MIN),
    };
    let found = Truncation { cut, ..*kept };
    let number = numbers.next_number();
    let drawn = inversion::from_row(&found, number, envelope);
    Drawn { radius: if certify { lesser(radius, inversion::radius(&found, number, &drawn)) } else { radius }, ..drawn }
}

/// The cut of the nucleus if the token that ends `upto`, of mass `own`, does not lie in it; `None` if it does, which is if the
/// mass before it is below `p` (units of 2^-32) of the whole.
///
/// Blocks whose bounds sum to next to nothing are left out of both masses at first; their bounds bracket what they can
/// add. Where the bracket does not decide, they are summed as well, so the answer is always that of the exact masses.
fn cut_before(
    surface: &Surface<'_>,
    (p, whole): (u64, Option<u64>),
    upto: Cut,
    own: u64,
    envelope: &Envelope<'_>,
    bounds: u64,
    find_cut: impl Fn(&Surface<'_>, f32) -> Cut,
) -> Option<Cut> {
    let Surface { kernels, view, maxima, scale, .. } = *surface;
    if upto.logit == scale.maximum && upto.token == surface.argmax() {
        return None; // nothing is before it
    }
    let below = |before: u64, whole: u64| (u128::from(before) << 32) < u128::from(p) * u128::from(whole);
    if let Some(whole) = whole {
        let (kept, _) = kernels.kept_and_total_mass(&view, maxima, upto.logit, scale, upto);
        return if below(kept - own, whole) { None } else { Some(find_cut(surface, upto.logit)) };
    }
    // A pass over most blocks costs what the pass over all of them costs that also finds the cut.
    let few = kernels.count_at_least(maxima, f32::MIN) / 4;
    // What stands before the token lies in blocks whose maximum reaches it: few, for most tokens drawn. The other blocks
    // weigh at least their largest token, a 64th of their bound but for its slack.
    if kernels.count_at_least(maxima, upto.logit) <= few {
        let (kept, loaded) = kernels.kept_and_total_mass(&view, maxima, upto.logit, scale, upto);
        let mut others = 0;
        for (&bound, &maximum) in envelope.bounds.iter().zip(maxima) {
            others += if maximum < upto.logit { (bound >> 6).saturating_sub((bound >> 24) + 2) } else { 0 };
        }
        if below(kept - own, loaded + others) {
            return None;
        }
    }
    for exponent in [-8.0, -12.0, -16.0, -20.0, -24.0, -28.0] {
        let least = scale.maximum + exponent / scale.scale;
        let rest = kernels.bounds_below(maxima, least, envelope.bounds);
        if rest > bounds >> 6 {
            continue;
        }
        if kernels.count_at_least(maxima, least) > few {
            break;
        }
        let (kept, whole) = kernels.kept_and_total_mass(&view, maxima, least, scale, upto);
        // If the token's own block was left out, its mass is in the rest.
        let before = if maxima[upto.token as usize / BLOCK] >= least { kept - own } else { kept };
        if below(before + rest, whole) {
            return None;
        }
        if !below(before, whole + rest) {
            break;
        }
    }
    let cut = find_cut(surface, f32::MIN);
    if cut.keeps(upto.logit, upto.token) { None } else { Some(cut) }
}
