//! Weights and masses: the exponential pass, the masses of what is kept, bounds of blocks.
//!
//! A weight is 2^t by the polynomial of `numeric`; a mass is the weight in units of 2^-40, truncated. Integer masses are
//! summed in two halves of 20 bits, because every machine has 32-bit lanes: `high = trunc(w 2^20)` and
//! `low = trunc((w 2^20 - high) 2^20)` are exact, so `high 2^20 + low` is the truncated product.

use super::block::{Blocks, RowView};
use super::maxima::find_at_least;
use crate::kernels::lanes::{Lanes, fold_sum, for_quarters};
use crate::numeric::{EXP2_COEFFICIENTS, EXPONENT_FLOOR, ROUND_MAGIC, WEIGHT_CUTOFF, exponent, weight, weight_to_mass};
use crate::types::{BLOCK, TokenId};

/// How logits become exponents: `t = (logit - maximum) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The largest logit that takes part; finite.
    pub maximum: f32,
    /// `log2(e) / temperature`, as `numeric::exponent_scale` gives it.
    pub scale: f32,
}

impl Scale {
    /// The mass of one logit.
    pub fn mass(&self, logit: f32) -> u64 {
        weight_to_mass(weight(exponent(logit, self.maximum, self.scale)))
    }

    /// Whether a block with this maximum weighs nothing.
    #[inline(always)]
    pub(super) fn is_negligible(&self, maximum: f32) -> bool {
        (maximum - self.maximum) * self.scale < WEIGHT_CUTOFF
    }
}

/// The last token of a prefix of the total order: kept are all higher logits, and equal ones up to this id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// The lowest logit kept; finite.
    pub logit: f32,
    /// The highest id kept among tokens of that logit.
    pub token: TokenId,
}

impl Cut {
    /// Keeps every token whose logit is above -inf.
    pub const ALL: Cut = Cut { logit: f32::MIN, token: TokenId::MAX };

    /// Keeps all logits from `logit` up; below the finite range it keeps all.
    pub fn at_least(logit: f32) -> Cut {
        Cut { logit: if logit > f32::MIN { logit } else { f32::MIN }, token: TokenId::MAX }
    }

    /// Whether a token of this logit is kept.
    #[inline(always)]
    pub fn keeps(&self, logit: f32, token: TokenId) -> bool {
        logit > self.logit || logit == self.logit && token <= self.token
    }

    /// The stricter of two cuts.
    pub fn stricter(self, other: Cut) -> Cut {
        if self.keeps(other.logit, other.token) { other } else { self }
    }

    /// The lanes of sixteen tokens from `first` that stand before this one.
    #[inline(always)]
    pub(super) fn lanes_before<L: Lanes>(&self, lanes: L, logits: L::F, first: usize) -> L::M {
        let threshold = lanes.splat(self.logit);
        let token = self.token as usize;
        if first >= token {
            lanes.gt(logits, threshold)
        } else if first + 15 < token {
            lanes.ge(logits, threshold)
        } else {
            let equal = lanes.bits(lanes.eq(logits, threshold)) & ((1 << (token - first)) - 1);
            lanes.or(lanes.gt(logits, threshold), lanes.mask(equal))
        }
    }

    /// The lanes of sixteen tokens from `first` that are kept.
    #[inline(always)]
    pub(super) fn lanes<L: Lanes>(&self, lanes: L, logits: L::F, first: usize) -> L::M {
        if L::SMALL { self.lanes_apart(lanes, logits, first) } else { self.lanes_inline(lanes, logits, first) }
    }

    #[inline(never)]
    fn lanes_apart<L: Lanes>(&self, lanes: L, logits: L::F, first: usize) -> L::M {
        self.lanes_inline(lanes, logits, first)
    }

    #[inline(always)]
    fn lanes_inline<L: Lanes>(&self, lanes: L, logits: L::F, first: usize) -> L::M {
        let threshold = lanes.splat(self.logit);
        let token = self.token as usize;
        if first + 15 <= token {
            lanes.ge(logits, threshold)
        } else if first > token {
            lanes.gt(logits, threshold)
        } else {
            let equal = lanes.bits(lanes.eq(logits, threshold)) & ((2 << (token - first)) - 1);
            lanes.or(lanes.gt(logits, threshold), lanes.mask(equal))
        }
    }
}

/// What the exponential pass sums up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// Sum of the weights, in f32 lanes and tiles, tiles added in f64: the normaliser relative to the maximum.
    pub weight: f64,
    /// Sum of weight times exponent, likewise.
    pub weight_exponent: f64,
    /// Sum of the integer masses.
    pub mass: u64,
}

/// Number of kept tokens and the sum of their masses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Tokens kept, those of mass 0 included.
    pub count: u32,
    /// Their mass.
    pub mass: u64,
}

/// Exponents and weights of sixteen logits.
#[inline(always)]
pub(super) fn exponents_and_weights<L: Lanes>(lanes: L, logits: L::F, maximum: L::F, scale: L::F) -> (L::F, L::F) {
    if L::SMALL { weights_apart(lanes, logits, maximum, scale) } else { weights_inline(lanes, logits, maximum, scale) }
}

#[inline(never)]
fn weights_apart<L: Lanes>(lanes: L, logits: L::F, maximum: L::F, scale: L::F) -> (L::F, L::F) {
    weights_inline(lanes, logits, maximum, scale)
}

#[inline(always)]
fn weights_inline<L: Lanes>(lanes: L, logits: L::F, maximum: L::F, scale: L::F) -> (L::F, L::F) {
    let t = lanes.max(lanes.mul(lanes.sub(logits, maximum), scale), lanes.splat(EXPONENT_FLOOR));
    let magic = lanes.splat(ROUND_MAGIC);
    let rounded = lanes.add(t, magic);
    let f = lanes.sub(t, lanes.sub(rounded, magic));
    let [c1, c2, c3, c4, c5] = EXP2_COEFFICIENTS;
    let mut p = lanes.splat(c5);
    for c in [c4, c3, c2, c1, 1.0] {
        p = lanes.add(lanes.mul(p, f), lanes.splat(c));
    }
    let w = lanes.scale_exponent(p, rounded);
    (t, lanes.select(lanes.ge(t, lanes.splat(WEIGHT_CUTOFF)), w, lanes.splat(0.0)))
}

/// The two 20-bit halves of sixteen masses.
#[inline(always)]
pub(super) fn split_mass<L: Lanes>(lanes: L, weight: L::F) -> (L::U, L::U) {
    if L::SMALL { split_apart(lanes, weight) } else { split_inline(lanes, weight) }
}

#[inline(never)]
fn split_apart<L: Lanes>(lanes: L, weight: L::F) -> (L::U, L::U) {
    split_inline(lanes, weight)
}

#[inline(always)]
fn split_inline<L: Lanes>(lanes: L, weight: L::F) -> (L::U, L::U) {
    let unit = lanes.splat((1u32 << 20) as f32);
    let scaled = lanes.mul(weight, unit);
    let high = lanes.truncate(scaled);
    let low = lanes.truncate(lanes.mul(lanes.sub(scaled, lanes.to_float(high)), unit));
    (high, low)
}

/// The sum of sixteen masses; a tree, because a chain waits for each addition.
#[inline(always)]
pub fn total(masses: &[u64; 16]) -> u64 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *masses;
    (((a + b) + (c + d)) + ((e + f) + (g + h))) + (((i + j) + (k + l)) + ((m + n) + (o + p)))
}

/// Sixteen masses.
#[inline(always)]
pub(super) fn mass_array<L: Lanes>(lanes: L, weight: L::F) -> [u64; 16] {
    let (high, low) = split_mass(lanes, weight);
    let mut masses = [0; 16];
    lanes.join(high, low, 20, &mut masses);
    masses
}

/// Integer masses summed in 32-bit lanes; 2,048 additions fit before they must be emptied into 64 bits.
pub(super) struct MassLanes<L: Lanes> {
    lanes: L,
    high: L::U,
    low: L::U,
    pub(super) total: u64,
}

impl<L: Lanes> MassLanes<L> {
    #[inline(always)]
    pub(super) fn new(lanes: L) -> Self {
        MassLanes { lanes, high: lanes.zero(), low: lanes.zero(), total: 0 }
    }
    #[inline(always)]
    pub(super) fn add(&mut self, weight: L::F) {
        self.add_halves(split_mass(self.lanes, weight));
    }
    #[inline(always)]
    pub(super) fn add_halves(&mut self, (high, low): (L::U, L::U)) {
        self.high = self.lanes.add_u(self.high, high);
        self.low = self.lanes.add_u(self.low, low);
    }
    #[inline(always)]
    pub(super) fn add_halves_where(&mut self, m: L::M, (high, low): (L::U, L::U)) {
        self.high = self.lanes.add_u_where(m, self.high, high);
        self.low = self.lanes.add_u_where(m, self.low, low);
    }
    #[inline(always)]
    pub(super) fn empty(&mut self) {
        self.total += (self.lanes.sum_u(self.high) << 20) + self.lanes.sum_u(self.low);
        self.high = self.lanes.zero();
        self.low = self.lanes.zero();
    }
}

/// One exponential pass over the adjusted row: normaliser, entropy sum and total mass. `maxima` are those of the adjusted
/// row (a block too light to weigh anything is not read) or empty (all blocks are read). Without `masses` the mass stays
/// 0, which saves a quarter of the time.
#[inline(always)]
pub fn sums<L: Lanes>(lanes: L, view: &RowView<'_>, maxima: &[f32], scale: Scale, masses: bool) -> Sums {
    if masses {
        typed_sums::<L, true>(lanes, view, maxima, scale)
    } else {
        typed_sums::<L, false>(lanes, view, maxima, scale)
    }
}

/// The sums over some tokens of a row, in ascending order of token; the bits are those of [`sums`] over a view that has no
/// others, because adding zeros changes nothing.
pub fn sums_of_tokens(tokens: impl Iterator<Item = (TokenId, f32)>, scale: Scale) -> Sums {
    let mut sums = Sums::default();
    let (mut weights, mut exponents) = ([0.0; 16], [0.0; 16]);
    let mut tile = 0;
    for (token, logit) in tokens {
        if token / 1024 != tile {
            sums.weight += f64::from(fold_sum(core::mem::take(&mut weights)));
            sums.weight_exponent += f64::from(fold_sum(core::mem::take(&mut exponents)));
            tile = token / 1024;
        }
        let t = exponent(logit, scale.maximum, scale.scale);
        let w = weight(t);
        let lane = token as usize % 16;
        weights[lane] += w;
        exponents[lane] += w * t;
        sums.mass += weight_to_mass(w);
    }
    sums.weight += f64::from(fold_sum(weights));
    sums.weight_exponent += f64::from(fold_sum(exponents));
    sums
}

#[inline(always)]
fn typed_sums<L: Lanes, const MASSES: bool>(lanes: L, view: &RowView<'_>, maxima: &[f32], scale: Scale) -> Sums {
    let mut blocks = Blocks::new(view, 0);
    let (maximum, factor) = (lanes.splat(scale.maximum), lanes.splat(scale.scale));
    let count = view.blocks();
    let mut sums = Sums::default();
    let mut masses = MassLanes::new(lanes);
    for tile in 0..count.div_ceil(16) {
        let (mut weight_lanes, mut exponent_lanes) = (lanes.splat(0.0), lanes.splat(0.0));
        for block in 16 * tile..count.min(16 * tile + 16) {
            // Skipping adds nothing where adding would add zeros: the sums are the same.
            if maxima.get(block).is_some_and(|&maximum| scale.is_negligible(maximum)) {
                continue;
            }
            let quarters = blocks.load(lanes, block);
            for_quarters!(L::QUARTERS_IN_REGISTERS, i => {
                let logits = quarters[i];
                let (t, w) = exponents_and_weights(lanes, logits, maximum, factor);
                weight_lanes = lanes.add(weight_lanes, w);
                exponent_lanes = lanes.add(exponent_lanes, lanes.mul(w, t));
                if MASSES {
                    masses.add(w);
                }
            });
        }
        sums.weight += f64::from(lanes.sum(weight_lanes));
        sums.weight_exponent += f64::from(lanes.sum(exponent_lanes));
        if MASSES && tile % 16 == 15 {
            masses.empty();
        }
    }
    masses.empty();
    sums.mass = masses.total;
    sums
}

/// How the logits of a row are spread, relative to its maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Tokens that take part.
    pub count: u32,
    /// Sum of the differences to the maximum, in f32 lanes and tiles, tiles added in f64.
    pub sum: f64,
    /// Sum of their squares, likewise.
    pub squares: f64,
}

/// Counts and sums up the differences between the logits that take part and `maximum`, both first multiplied by `unit`, a power
/// of two.
#[inline(always)]
pub fn moments<L: Lanes>(lanes: L, view: &RowView<'_>, maximum: f32, unit: f32) -> Moments {
    let mut blocks = Blocks::new(view, 0);
    let (highest, lowest, zero) = (lanes.splat(maximum * unit), lanes.splat(f32::MIN), lanes.splat(0.0));
    let unit = lanes.splat(unit);
    let count = view.blocks();
    let mut moments = Moments::default();
    for tile in 0..count.div_ceil(16) {
        let (mut sum, mut squares) = (zero, zero);
        for block in 16 * tile..count.min(16 * tile + 16) {
            let quarters = blocks.load(lanes, block);
            for_quarters!(L::QUARTERS_IN_REGISTERS, i => {
                let logits = quarters[i];
                let present = lanes.ge(logits, lowest);
                moments.count += lanes.bits(present).count_ones();
                let difference = lanes.select(present, lanes.sub(lanes.mul(logits, unit), highest), zero);
                sum = lanes.add(sum, difference);
                squares = lanes.add(squares, lanes.mul(difference, difference));
            });
        }
        moments.sum += f64::from(lanes.sum(sum));
        moments.squares += f64::from(lanes.sum(squares));
    }
    moments
}

/// The moments of some tokens of a row, in ascending order of token; the bits are those of [`moments`] over a view that has
/// no others.
pub fn moments_of_tokens(tokens: impl Iterator<Item = (TokenId, f32)>, maximum: f32, unit: f32) -> Moments {
    let mut moments = Moments::default();
    let (mut sum, mut squares) = ([0.0; 16], [0.0; 16]);
    let mut tile = 0;
    for (token, logit) in tokens {
        if token / 1024 != tile {
            moments.sum += f64::from(fold_sum(core::mem::take(&mut sum)));
            moments.squares += f64::from(fold_sum(core::mem::take(&mut squares)));
            tile = token / 1024;
        }
        let difference = logit * unit - maximum * unit;
        let lane = token as usize % 16;
        sum[lane] += difference;
        squares[lane] += difference * difference;
        moments.count += 1;
    }
    moments.sum += f64::from(fold_sum(sum));
    moments.squares += f64::from(fold_sum(squares));
    moments
}

/// Masses of the kept tokens of every block into `masses`, one entry per block; 0 where nothing is kept, and beyond them.
#[inline(always)]
pub fn kept_masses<L: Lanes>(
    lanes: L,
    view: &RowView<'_>,
    maxima: &[f32],
    scale: Scale,
    cut: Cut,
    masses: &mut [u64],
) -> Kept {
    let mut kept = Kept::default();
    let mut blocks = Blocks::new(view, 0);
    let (maximum, factor) = (lanes.splat(scale.maximum), lanes.splat(scale.scale));
    masses.fill(0);
    let mut next = find_at_least(lanes, maxima, 0, cut.logit);
    while let Some(block) = next {
        let quarters = blocks.load(lanes, block);
        let (mut high, mut low) = (lanes.zero(), lanes.zero());
        for_quarters!(L::QUARTERS_IN_REGISTERS, i => {
            let keep = cut.lanes(lanes, quarters[i], block * BLOCK + 16 * i);
            kept.count += lanes.bits(keep).count_ones();
            let (_, w) = exponents_and_weights(lanes, quarters[i], maximum, factor);
            let (high_part, low_part) = split_mass(lanes, lanes.select(keep, w, lanes.splat(0.0)));
            high = lanes.add_u(high, high_part);
            low = lanes.add_u(low, low_part);
        });
        masses[block] = (lanes.sum_u(high) << 20) + lanes.sum_u(low);
        kept.mass += masses[block];
        next = find_at_least(lanes, maxima, block + 1, cut.logit);
    }
    kept
}

/// The mass of the tokens that a cut keeps, and of all tokens, over the blocks whose maximum is at least `least`.
#[inline(always)]
pub fn kept_and_total_mass<L: Lanes>(
    lanes: L,
    view: &RowView<'_>,
    maxima: &[f32],
    least: f32,
    scale: Scale,
    cut: Cut,
) -> (u64, u64) {
    let mut blocks = Blocks::new(view, 0);
    let (maximum, factor) = (lanes.splat(scale.maximum), lanes.splat(scale.scale));
    let (mut kept, mut total) = (MassLanes::new(lanes), MassLanes::new(lanes));
    let mut loaded = 0;
    let mut next = find_at_least(lanes, maxima, 0, least);
    while let Some(block) = next {
        let quarters = blocks.load(lanes, block);
        let block_is_kept = maxima[block] >= cut.logit;
        for_quarters!(!L::SMALL, i => {
            let (_, w) = exponents_and_weights(lanes, quarters[i], maximum, factor);
            let halves = split_mass(lanes, w);
            total.add_halves(halves);
            if block_is_kept {
                let keep = cut.lanes(lanes, quarters[i], block * BLOCK + 16 * i);
                kept.add_halves_where(keep, halves);
            }
        });
        loaded += 1;
        if loaded % 256 == 0 {
            kept.empty();
            total.empty();
        }
        next = find_at_least(lanes, maxima, block + 1, least);
    }
    kept.empty();
    total.empty();
    (kept.total, total.total)
}

/// Number of tokens that a cut keeps.
#[inline(always)]
pub fn kept_count<L: Lanes>(lanes: L, view: &RowView<'_>, maxima: &[f32], cut: Cut) -> u32 {
    let mut count = 0;
    let mut blocks = Blocks::new(view, 0);
    for (block, &block_maximum) in maxima.iter().enumerate().take(view.blocks()) {
        if block_maximum < cut.logit {
            continue;
        }
        let quarters = blocks.load(lanes, block);
        for_quarters!(L::QUARTERS_IN_REGISTERS, i => {
            let logits = quarters[i];
            count += lanes.bits(cut.lanes(lanes, logits, block * BLOCK + 16 * i)).count_ones();
        });
    }
    count
}

/// Sets the bit of each token that a cut keeps, bit `t & 31` of word `t >> 5`, and clears all others.
#[inline(always)]
pub fn kept_bits<L: Lanes>(lanes: L, view: &RowView<'_>, maxima: &[f32], cut: Cut, words: &mut [u32]) {
    words.fill(0);
    let mut blocks = Blocks::new(view, 0);
    for ((block, words), &block_maximum) in words.chunks_mut(BLOCK / 32).enumerate().zip(maxima).take(view.blocks()) {
        if block_maximum < cut.logit {
            continue;
        }
        let quarters = blocks.load(lanes, block);
        for_quarters!(L::QUARTERS_IN_REGISTERS, i => {
            let kept = lanes.bits(cut.lanes(lanes, quarters[i], block * BLOCK + 16 * i));
            if let Some(word) = words.get_mut(i / 2) {
                *word |= kept << (16 * (i % 2));
            }
        });
    }
}

/// The masses of the kept tokens of one block, in token order; the rest are 0. Returns their sum.
#[inline(always)]
pub fn block_masses<L: Lanes>(
    lanes: L,
    view: &RowView<'_>,
    block: usize,
    scale: Scale,
    cut: Cut,
    masses: &mut [u64; BLOCK],
) -> u64 {
    let (maximum, factor) = (lanes.splat(scale.maximum), lanes.splat(scale.scale));
    let (outputs, _) = masses.as_chunks_mut::<16>();
    let mut sum = 0;
    let quarters = Blocks::new(view, block).load(lanes, block);
    for_quarters!(L::QUARTERS_IN_REGISTERS, i => {
        let logits = quarters[i];
        let keep = cut.lanes(lanes, logits, block * BLOCK + 16 * i);
        let (_, w) = exponents_and_weights(lanes, logits, maximum, factor);
        outputs[i] = mass_array(lanes, lanes.select(keep, w, lanes.splat(0.0)));
        sum += total(&outputs[i]);
    });
    sum
}

/// Bounds of all blocks from their maxima: 0 for a masked or negligible block. Returns their sum. `maxima` is a multiple of
/// 16 long, `bounds` at least as long.
#[inline(always)]
pub fn block_bounds<L: Lanes>(lanes: L, maxima: &[f32], scale: Scale, bounds: &mut [u64]) -> u64 {
    let (vectors, _) = maxima.as_chunks::<16>();
    let (outputs, _) = bounds.as_chunks_mut::<16>();
    let (maximum, factor) = (lanes.splat(scale.maximum), lanes.splat(scale.scale));
    let unit = lanes.splat((1u32 << 23) as f32);
    let mut sum = 0;
    for (vector, to) in vectors.iter().zip(outputs) {
        let (_, w) = exponents_and_weights(lanes, lanes.load(vector), maximum, factor);
        // trunc(w 2^46) in two exact halves of 23 bits.
        let scaled = lanes.mul(w, unit);
        let high = lanes.truncate(scaled);
        let low = lanes.truncate(lanes.mul(lanes.sub(scaled, lanes.to_float(high)), unit));
        lanes.join(high, low, 23, to);
        // A weight is 0 or at least 2^-40, so the number is 0 exactly where the block weighs nothing.
        sum += lanes.bound(to);
    }
    sum
}

/// The sum of the bounds of those blocks whose maximum is below `threshold`; `maxima` is a multiple of 16 long, `bounds` at
/// least as long.
#[inline(always)]
pub fn bounds_below<L: Lanes>(lanes: L, maxima: &[f32], threshold: f32, bounds: &[u64]) -> u64 {
    let (vectors, _) = maxima.as_chunks::<16>();
    let (numbers, _) = bounds.as_chunks::<16>();
    let threshold = lanes.splat(threshold);
    let mut sum = 0;
    for (vector, numbers) in vectors.iter().zip(numbers) {
        sum += lanes.sum_selected(lanes.gt(threshold, lanes.load(vector)), numbers);
    }
    sum
}

/// The masses of a list of logits.
#[inline(always)]
pub fn list_masses<L: Lanes>(lanes: L, logits: &[f32], scale: Scale, masses: &mut [u64]) -> u64 {
    let (maximum, factor) = (lanes.splat(scale.maximum), lanes.splat(scale.scale));
    let mut total = 0;
    for (from, to) in logits.chunks(16).zip(masses.chunks_mut(16)) {
        let mut padded = [f32::NEG_INFINITY; 16];
        padded[..from.len()].copy_from_slice(from);
        let (_, w) = exponents_and_weights(lanes, lanes.load(&padded), maximum, factor);
        for (to, mass) in to.iter_mut().zip(mass_array(lanes, w)) {
            *to = mass;
            total += mass;
        }
    }
    total
}
