//! From block maxima to tokens: candidates above a threshold, histograms of a bracket, one token among equals.

use super::block::{Blocks, RowView};
use super::mass::{MassLanes, Scale, exponents_and_weights};
use super::maxima::find_at_least;
use crate::kernels::lanes::{Lanes, for_quarters};
use crate::numeric::{key_to_logit, ordered_key, rank_key, weight_to_mass};
use crate::types::{BLOCK, TokenId};

/// Where a collection stands: it stops when the buffer cannot take another whole block, and goes on after the caller has
/// made room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collected {
    /// The block to go on with; the number of blocks when all are done.
    pub next_block: usize,
    /// Entries in the buffer.
    pub filled: usize,
}

/// Appends the rank keys of all tokens whose logit is at least `threshold` (above it if `strictly`), in ascending token
/// order, from block `from.next_block` on. Only blocks whose maximum reaches the threshold are read.
#[inline(always)]
pub fn collect<L: Lanes>(
    lanes: L,
    view: &RowView<'_>,
    maxima: &[f32],
    threshold: f32,
    strictly: bool,
    from: Collected,
    keys: &mut [u64],
) -> Collected {
    let mut blocks = Blocks::new(view, from.next_block);
    let mut filled = from.filled;
    let limit = if threshold > f32::MIN { threshold } else { f32::MIN };
    let lowest = lanes.splat(limit);
    let mut next = find_at_least(lanes, maxima, from.next_block, limit);
    while let Some(block) = next {
        if keys.len() - filled < BLOCK {
            return Collected { next_block: block, filled };
        }
        let quarters = blocks.load(lanes, block);
        for i in 0..4 {
            let logits = quarters[i];
            let above = if strictly { lanes.gt(logits, lowest) } else { lanes.ge(logits, lowest) };
            let mut bits = lanes.bits(above);
            if bits == 0 {
                continue;
            }
            let mut values = [0.0; 16];
            lanes.store(logits, &mut values);
            while bits != 0 {
                let lane = bits.trailing_zeros() as usize;
                keys[filled] = rank_key(values[lane], (block * BLOCK + 16 * i + lane) as TokenId);
                filled += 1;
                bits &= bits - 1;
            }
        }
        next = find_at_least(lanes, maxima, block + 1, limit);
    }
    Collected { next_block: view.blocks(), filled }
}

/// A range of ordered keys cut into 256 bins of `1 << shift` keys each, the first at `low`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bracket {
    /// The lowest key.
    pub low: u32,
    /// The key past the last.
    pub high: u32,
    /// Each bin holds `1 << shift` keys; `(high - 1 - low) >> shift` is below 256.
    pub shift: u32,
}

impl Bracket {
    /// The lowest and the highest logit in it.
    #[inline(always)]
    fn ends(&self) -> (f32, f32) {
        // The key below that of 0.0 is the one of -0.0 if the two were told apart. No logit has it, and as a float it would let
        // the zeros in, whose key is the bracket's end.
        let last = self.high - 1;
        (key_to_logit(self.low), key_to_logit(last - u32::from(last == ordered_key(0.0) - 1)))
    }
}

/// Logits of a bracket on their way into bins. They are gathered first, because a branch for each token is one that the
/// processor cannot foresee.
struct Waiting {
    logits: [f32; WAITING + BLOCK],
    count: usize,
}

/// Logits that wait at most, but for those of the last block.
const WAITING: usize = 256;

impl Waiting {
    #[inline(always)]
    fn new() -> Self {
        Waiting { logits: [f32::NEG_INFINITY; WAITING + BLOCK], count: 0 }
    }

    /// Adds the lanes whose bit is set.
    #[inline(always)]
    fn add<L: Lanes>(&mut self, lanes: L, bits: u32, logits: L::F) {
        if let Some(rest) = self.logits.get_mut(self.count..)
            && let Some(to) = rest.first_chunk_mut()
        {
            lanes.pack(bits, logits, to);
            self.count += bits.count_ones() as usize;
        }
    }

    /// Whether the next block may find no room.
    #[inline(always)]
    fn is_full(&self) -> bool {
        self.count > WAITING - 16
    }

    /// The logits as vectors; lanes of the last one that hold none hold anything.
    #[inline(always)]
    fn vectors(&self) -> &[[f32; 16]] {
        &self.logits.as_chunks().0[..self.count.div_ceil(16)]
    }
}

/// Bins of at most `1 << ENDS_SHIFT` keys keep their least and greatest key in [`bracket_histogram`]. A wider bin hardly ever holds
/// one logit alone, and the tokens of a search are many while its bins are wide.
const ENDS_SHIFT: u32 = 12;

/// Adds each allowed token whose key lies in the bracket to its bin: its mass, or 1 if `scale` is `None`. Wide bins do not say what
/// their least and greatest key are, as if they were empty.
#[inline(always)]
pub fn bracket_histogram<L: Lanes>(
    lanes: L,
    view: &RowView<'_>,
    maxima: &[f32],
    scale: Option<Scale>,
    bracket: Bracket,
    bins: &mut Rings,
) {
    let mut blocks = Blocks::new(view, 0);
    let (low, high) = bracket.ends();
    let (lowest, highest) = (lanes.splat(low), lanes.splat(high));
    let mut next = find_at_least(lanes, maxima, 0, low);
    while let Some(block) = next {
        let quarters = blocks.load(lanes, block);
        for i in 0..4 {
            let logits = quarters[i];
            let mut bits = lanes.bits(lanes.ge(logits, lowest)) & lanes.bits(lanes.ge(highest, logits));
            if bits == 0 {
                continue;
            }
            let (mut values, mut weights) = ([0.0; 16], [0.0; 16]);
            lanes.store(logits, &mut values);
            if let Some(scale) = scale {
                let (maximum, factor) = (lanes.splat(scale.maximum), lanes.splat(scale.scale));
                lanes.store(exponents_and_weights(lanes, logits, maximum, factor).1, &mut weights);
            }
            while bits != 0 {
                let lane = bits.trailing_zeros() as usize;
                let mass = if scale.is_some() { weight_to_mass(weights[lane]) } else { 1 };
                let key = ordered_key(values[lane]);
                if bracket.shift > ENDS_SHIFT {
                    bins.add(&bracket, key, mass);
                } else {
                    bins.put(&bracket, key, mass);
                }
                bits &= bits - 1;
            }
        }
        next = find_at_least(lanes, maxima, block + 1, low);
    }
}

/// Adds each allowed token whose key lies in the bracket to its bin, and sums the masses of the tokens above the bracket and of
/// all: what a nucleus wants to know, in one exponential pass. Returns (above, all). Blocks too light to weigh anything are not
/// read.
#[inline(always)]
pub fn nucleus_histogram<L: Lanes>(
    lanes: L,
    view: &RowView<'_>,
    maxima: &[f32],
    scale: Scale,
    bracket: Bracket,
    bins: &mut Rings,
) -> (u64, u64) {
    let mut blocks = Blocks::new(view, 0);
    let lowest = lanes.splat(bracket.ends().0);
    let (maximum, factor) = (lanes.splat(scale.maximum), lanes.splat(scale.scale));
    let mut total = MassLanes::new(lanes);
    // Few tokens, side by side, so that the other sums cost the loop nothing.
    let mut waiting = Waiting::new();
    let mut apart = Apart { masses: MassLanes::new(lanes), added: 0, count: 0 };
    let mut loaded = 0;
    for (block, &block_maximum) in maxima.iter().enumerate().take(view.blocks()) {
        if scale.is_negligible(block_maximum) {
            continue;
        }
        let quarters = blocks.load(lanes, block);
        for_quarters!(L::QUARTERS_IN_REGISTERS, i => {
            let logits = quarters[i];
            let (_, w) = exponents_and_weights(lanes, logits, maximum, factor);
            total.add(w);
            waiting.add(lanes, lanes.bits(lanes.ge(logits, lowest)), logits);
        });
        if waiting.is_full() {
            apart.take_nucleus(lanes, &mut waiting, scale, &bracket, bins);
        }
        loaded += 1;
        if loaded % 256 == 0 {
            total.empty();
        }
    }
    apart.take_nucleus(lanes, &mut waiting, scale, &bracket, bins);
    apart.masses.empty();
    total.empty();
    (apart.masses.total, total.total)
}

/// The key of a token's distance from `centre`: a farther one has a higher key. The distance is taken in f64 and rounded to
/// f32 once, so tokens whose distances round alike are equally far.
pub fn distance_key(logit: f32, centre: f64) -> u32 {
    let distance = f64::from(logit) - centre;
    ((if distance < 0.0 { -distance } else { distance }) as f32 + 0.0).to_bits()
}

/// The logits at most so far from a centre: the lowest and the highest; none where the first is above the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The lowest.
    pub low: f32,
    /// The highest.
    pub high: f32,
}

impl Span {
    /// No logit.
    pub const NONE: Span = Span { low: f32::INFINITY, high: f32::NEG_INFINITY };

    /// The lanes that lie in it, as bits.
    #[inline(always)]
    fn bits<L: Lanes>(&self, lanes: L, logits: L::F) -> u32 {
        lanes.bits(lanes.ge(logits, lanes.splat(self.low))) & lanes.bits(lanes.ge(lanes.splat(self.high), logits))
    }
}

/// A range of distances from a centre, and the logits it means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distances {
    /// From where distances are taken.
    pub centre: f64,
    /// The distance keys of the bins.
    pub bracket: Bracket,
    /// The logits whose keys are below the bracket.
    pub nearer: Span,
    /// The logits whose keys are below the end of the bracket.
    pub near: Span,
}

/// What the bins of a bracket of keys hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rings {
    /// Masses, or numbers of tokens.
    pub sums: [u64; 256],
    /// The least key of each bin; `u32::MAX` in an empty one.
    pub nearest: [u32; 256],
    /// The greatest key of each bin; 0 in an empty one.
    pub farthest: [u32; 256],
}

impl Rings {
    /// All bins empty.
    pub const EMPTY: Rings = Rings { sums: [0; 256], nearest: [u32::MAX; 256], farthest: [0; 256] };

    /// Adds a mass to the bin of a key, which lies in the bracket. Returns the bin.
    #[inline(always)]
    fn add(&mut self, bracket: &Bracket, key: u32, mass: u64) -> usize {
        let bin = ((key - bracket.low) >> bracket.shift) as usize;
        self.sums[bin] += mass;
        bin
    }

    /// Adds a token to the bin of its key, which lies in the bracket.
    #[inline(always)]
    fn put(&mut self, bracket: &Bracket, key: u32, mass: u64) {
        let bin = self.add(bracket, key, mass);
        self.nearest[bin] = self.nearest[bin].min(key);
        self.farthest[bin] = self.farthest[bin].max(key);
    }
}

/// Adds each token that takes part and whose [`distance_key`] lies in the bracket to its bin: its mass, or 1 if `masses` is
/// false. Returns the same sum of those that are nearer, or 0 where it is not `wanted`. Blocks too light to weigh anything are
/// not read where masses are summed.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one row, one range, one output; a struct would only rename them")]
pub fn distance_histogram<L: Lanes>(
    lanes: L,
    view: &RowView<'_>,
    maxima: &[f32],
    scale: Scale,
    masses: bool,
    wanted: bool,
    distances: &Distances,
    rings: &mut Rings,
) -> u64 {
    let mut blocks = Blocks::new(view, 0);
    let near = distances.near;
    let (lowest, highest) = (lanes.splat(near.low), lanes.splat(near.high));
    let mut waiting = Waiting::new();
    let mut nearer = Apart { masses: MassLanes::new(lanes), added: 0, count: 0 };
    let scale = masses.then_some(scale);
    let mut next = find_at_least(lanes, maxima, 0, near.low);
    while let Some(block) = next {
        next = find_at_least(lanes, maxima, block + 1, near.low);
        if let Some(scale) = scale
            && scale.is_negligible(maxima[block])
        {
            continue;
        }
        let quarters = blocks.load(lanes, block);
        for_quarters!(L::QUARTERS_IN_REGISTERS, i => {
            let logits = quarters[i];
            let bits = lanes.bits(lanes.ge(logits, lowest)) & lanes.bits(lanes.ge(highest, logits));
            waiting.add(lanes, bits, logits);
        });
        if waiting.is_full() {
            nearer.take_rings(lanes, &mut waiting, scale, wanted, distances, rings);
        }
    }
    nearer.take_rings(lanes, &mut waiting, scale, wanted, distances, rings);
    nearer.masses.empty();
    nearer.masses.total + nearer.count
}

/// What is summed and not put into bins.
struct Apart<L: Lanes> {
    masses: MassLanes<L>,
    /// Vectors added to the masses since they were emptied.
    added: usize,
    count: u64,
}

impl<L: Lanes> Apart<L> {
    /// Sums what waits and is nearer than the bracket, and puts the rest into its bins.
    #[inline(always)]
    fn take_rings(
        &mut self,
        lanes: L,
        waiting: &mut Waiting,
        scale: Option<Scale>,
        wanted: bool,
        distances: &Distances,
        rings: &mut Rings,
    ) {
        let Distances { centre, bracket, nearer, .. } = distances;
        for (i, vector) in waiting.vectors().iter().enumerate() {
            let logits = lanes.load(vector);
            let all = first_lanes(waiting.count - 16 * i);
            let inner = nearer.bits(lanes, logits) & all;
            let mut ring = all & !inner;
            let mut weights = [0.0; 16];
            if let Some(scale) = scale {
                let w = self.weights(lanes, logits, scale, if wanted { inner } else { 0 });
                lanes.store(w, &mut weights);
            } else if wanted {
                self.count += u64::from(inner.count_ones());
            }
            while ring != 0 {
                let lane = ring.trailing_zeros() as usize;
                let mass = if scale.is_some() { weight_to_mass(weights[lane]) } else { 1 };
                rings.put(bracket, distance_key(vector[lane], *centre), mass);
                ring &= ring - 1;
            }
        }
        self.end(waiting);
    }

    /// Sums what waits and is above the bracket, and puts the rest into its bins.
    #[inline(always)]
    fn take_nucleus(&mut self, lanes: L, waiting: &mut Waiting, scale: Scale, bracket: &Bracket, bins: &mut Rings) {
        let highest = lanes.splat(bracket.ends().1);
        for (i, vector) in waiting.vectors().iter().enumerate() {
            let logits = lanes.load(vector);
            let all = first_lanes(waiting.count - 16 * i);
            let above = lanes.bits(lanes.gt(logits, highest)) & all;
            let mut weights = [0.0; 16];
            lanes.store(self.weights(lanes, logits, scale, above), &mut weights);
            let mut inside = all & !above;
            while inside != 0 {
                let lane = inside.trailing_zeros() as usize;
                bins.put(bracket, ordered_key(vector[lane]), weight_to_mass(weights[lane]));
                inside &= inside - 1;
            }
        }
        self.end(waiting);
    }

    /// The weights of sixteen logits; the masses of the lanes whose bit is set are summed.
    #[inline(always)]
    fn weights(&mut self, lanes: L, logits: L::F, scale: Scale, summed: u32) -> L::F {
        let (maximum, factor) = (lanes.splat(scale.maximum), lanes.splat(scale.scale));
        let (_, w) = exponents_and_weights(lanes, logits, maximum, factor);
        self.masses.add(lanes.select(lanes.mask(summed), w, lanes.splat(0.0)));
        self.added += 1;
        w
    }

    #[inline(always)]
    fn end(&mut self, waiting: &mut Waiting) {
        waiting.count = 0;
        if self.added > 1024 {
            self.masses.empty();
            self.added = 0;
        }
    }
}

/// The bits of the first lanes.
#[inline(always)]
fn first_lanes(count: usize) -> u32 {
    if count < 16 { (1 << count) - 1 } else { 0xffff }
}

/// The token that is number `n` (from 0) in ascending order among those from block `first` on whose logit equals `logit`.
#[inline(always)]
pub fn nth_equal<L: Lanes>(
    lanes: L,
    view: &RowView<'_>,
    maxima: &[f32],
    first: usize,
    logit: f32,
    n: u64,
) -> Option<TokenId> {
    let mut blocks = Blocks::new(view, first);
    let wanted = lanes.splat(logit);
    let mut left = n;
    let mut next = find_at_least(lanes, maxima, first, logit);
    while let Some(block) = next {
        let quarters = blocks.load(lanes, block);
        for i in 0..4 {
            let logits = quarters[i];
            let mut bits = lanes.bits(lanes.eq(logits, wanted));
            let count = u64::from(bits.count_ones());
            if left >= count {
                left -= count;
                continue;
            }
            for _ in 0..left {
                bits &= bits - 1;
            }
            return Some((block * BLOCK + 16 * i) as TokenId + bits.trailing_zeros());
        }
        next = find_at_least(lanes, maxima, block + 1, logit);
    }
    None
}

/// The largest logit of a block other than that of `token`, which lies in it; -inf if there is none.
#[inline(always)]
pub fn runner_up<L: Lanes>(lanes: L, view: &RowView<'_>, block: usize, token: TokenId) -> f32 {
    let masked = lanes.splat(f32::NEG_INFINITY);
    let mut largest = masked;
    let quarters = Blocks::new(view, block).load(lanes, block);
    for i in 0..4 {
        let logits = quarters[i];
        let first = block * BLOCK + 16 * i;
        let lane = (token as usize).wrapping_sub(first);
        let others = if lane < 16 { lanes.select(lanes.mask(1 << lane), masked, logits) } else { logits };
        largest = lanes.max(others, largest);
    }
    let mut values = [0.0; 16];
    lanes.store(largest, &mut values);
    values.iter().fold(f32::NEG_INFINITY, |largest, &value| if value > largest { value } else { largest }) + 0.0
}
