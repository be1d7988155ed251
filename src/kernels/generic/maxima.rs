//! The first pass: one read of the row, one maximum per 64 tokens; and searches over those maxima.
//!
//! Pseudo-code: for each block, m[b] = max of its allowed logits; NaN is looked for in the same read. The maxima are what
//! greedy, top-k, min-p and the envelope draw start from, so a step costs about this one pass. Sixteen blocks are folded
//! at a time: a fold of sixteen registers by transposition costs less than sixteen horizontal maxima.

use super::block::{Blocks, Override, RowView, Source, block_bits, load_whole, mask_block};
use super::columns::{COLUMN_TILE, ColumnSum};
use crate::kernels::lanes::{Element, Lanes};
use crate::numeric::{key_to_logit, ordered_key};
use crate::types::{BLOCK, Row};

/// What the first pass found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FirstPass {
    /// The largest allowed logit; -inf if there is none, meaningless beside a NaN.
    pub maximum: f32,
    /// Whether an allowed logit is NaN.
    pub has_nan: bool,
}

/// Maxima of all blocks of the row *as given*, under its bitmask; overrides are not looked at, so that a bad logit is
/// found even where it is banned. `maxima` is a multiple of 16 long and covers all blocks; entries past them become -inf.
#[inline(always)]
pub fn block_maxima<L: Lanes>(lanes: L, view: &RowView<'_>, maxima: &mut [f32]) -> FirstPass {
    if let Source::Columns(columns) = view.source {
        return column_maxima(view, columns, maxima);
    }
    let view = &view.as_given();
    let count = view.blocks();
    debug_assert!(
        maxima.len().is_multiple_of(16) && maxima.len() >= count,
        "{} maxima for {count} blocks",
        maxima.len()
    );
    let mut largest = lanes.splat(f32::NEG_INFINITY);
    let mut nan = lanes.none();
    let (groups, _) = maxima.as_chunks_mut::<16>();
    for (group, to) in groups.iter_mut().enumerate() {
        let first = group * 16;
        let mut folded = [lanes.splat(f32::NEG_INFINITY); 16];
        if view.words.is_none() && (first + 16) * BLOCK <= view.valid {
            let (from, end) = (first * BLOCK, (first + 16) * BLOCK);
            match view.source {
                Source::Row(Row::F32(row)) => nan = fold_tile(lanes, &row[from..end], nan, &mut folded),
                Source::Row(Row::F16(row)) => nan = fold_tile(lanes, &row[from..end], nan, &mut folded),
                Source::Row(Row::Bf16(row)) => nan = fold_tile(lanes, &row[from..end], nan, &mut folded),
                Source::Columns(_) => {}
            }
        } else {
            let mut blocks = Blocks::new(view, first);
            for i in 0..16 {
                let block = first + i;
                // A block without an allowed token is not read.
                if block < count && view.words.is_none_or(|words| block_bits(words, block) != 0) {
                    let [a, b, c, d] = blocks.load_masked(lanes, block);
                    nan = lanes.or(nan, lanes.or(lanes.unordered(a, b), lanes.unordered(c, d)));
                    folded[i] = lanes.max(lanes.max(a, b), lanes.max(c, d));
                }
            }
        }
        // Adding zero makes every zero positive, so that the order of the fold cannot be seen.
        let group_maxima = lanes.add(lanes.fold_max(folded), lanes.splat(0.0));
        largest = lanes.max(largest, group_maxima);
        lanes.store(group_maxima, to);
    }
    FirstPass { maximum: largest_lane(lanes, largest), has_nan: lanes.bits(nan) != 0 }
}

/// How many bytes ahead of its reads a row is asked for.
const AHEAD: usize = 4096;

/// Folds sixteen whole blocks to sixteen lanes each; returns the lanes in which a NaN was met so far.
#[inline(always)]
fn fold_tile<L: Lanes, E: Element + bytemuck::Pod>(lanes: L, tile: &[E], nan: L::M, folded: &mut [L::F; 16]) -> L::M {
    let mut nan = nan;
    let (blocks, _) = tile.as_chunks::<BLOCK>();
    if let Some(blocks) = blocks.first_chunk::<16>() {
        for i in 0..16 {
            // On a row that is not in a cache, the processor's own prefetchers stop at every page.
            for line in 0..size_of::<[E; BLOCK]>() / 64 {
                lanes.prefetch(bytemuck::cast_slice(&blocks[i]), AHEAD + 64 * line);
            }
            let [a, b, c, d] = load_whole(lanes, &blocks[i]);
            nan = lanes.or(nan, lanes.or(lanes.unordered(a, b), lanes.unordered(c, d)));
            folded[i] = lanes.max(lanes.max(a, b), lanes.max(c, d));
        }
    }
    nan
}

/// The sparse head goes tile by tile: each is added up in the first-level cache, searched, and forgotten. Both are done by
/// the kernels of the sum, so this is the same code for every level.
#[inline(never)]
fn column_maxima(view: &RowView<'_>, columns: ColumnSum<'_>, maxima: &mut [f32]) -> FirstPass {
    let mut found = FirstPass { maximum: f32::NEG_INFINITY, has_nan: false };
    let mut tile = [0.0; COLUMN_TILE];
    // Under a mask the tiles are shorter, so that fewer have an allowed token.
    let length = if view.words.is_some() { 16 * BLOCK } else { COLUMN_TILE };
    for (i, maxima) in maxima.chunks_mut(length / BLOCK).enumerate() {
        let first = i * length;
        let words = view.words.map(|words| words.get(first / 32..).unwrap_or(&[]));
        if first >= view.valid || words.is_some_and(|words| words.iter().take(length / 32).all(|&word| word == 0)) {
            maxima.fill(f32::NEG_INFINITY);
            continue;
        }
        let logits = &mut tile[..length.min(view.valid - first)];
        columns.kernels.write_sum(&columns, first, logits);
        let part =
            RowView { source: Source::Row(Row::F32(logits)), words, valid: logits.len(), overrides: &[], band: None };
        let pass = columns.kernels.block_maxima(&part, maxima);
        found.has_nan |= pass.has_nan;
        found.maximum = if pass.maximum > found.maximum { pass.maximum } else { found.maximum };
    }
    found
}

/// The maximum of one block after the adjustments of `overrides`, which stand for those of the view.
#[inline(always)]
pub fn block_maximum<L: Lanes>(lanes: L, view: &RowView<'_>, overrides: &[Override], block: usize) -> f32 {
    if let (Source::Row(Row::F32(row)), None) = (view.source, view.band)
        && let Some(rest) = row[..view.valid].get(block * BLOCK..)
        && let Some(whole) = rest.first_chunk::<BLOCK>()
    {
        return adjusted_maximum(lanes, view.words, overrides, block, whole);
    }
    let view = RowView { overrides, ..*view };
    let [a, b, c, d] = Blocks::new(&view, block).load(lanes, block);
    largest_lane(lanes, lanes.max(lanes.max(a, b), lanes.max(c, d)))
}

/// The same where the block lies in memory: adjusted tokens are masked in registers and their new logits looked at one by
/// one, so nothing is written and read back.
#[inline(always)]
fn adjusted_maximum<L: Lanes>(
    lanes: L,
    words: Option<&[u32]>,
    overrides: &[Override],
    block: usize,
    logits: &[f32; BLOCK],
) -> f32 {
    let mut given = words.map_or(u64::MAX, |words| block_bits(words, block));
    let mut largest = f32::NEG_INFINITY;
    let is_before = |entry: &Override| (entry.token as usize) < block * BLOCK;
    // Mostly none is before the block.
    let first = if overrides.first().is_some_and(is_before) { overrides.partition_point(is_before) } else { 0 };
    for entry in &overrides[first..] {
        let Some(place) = (entry.token as usize - block * BLOCK < BLOCK).then_some(entry.token as usize % BLOCK) else {
            break;
        };
        given &= !(1 << place);
        largest = if entry.logit > largest { entry.logit } else { largest };
    }
    let words = [given as u32, (given >> 32) as u32];
    let [a, b, c, d] = mask_block(lanes, &words, 0, load_whole(lanes, logits));
    let found = largest_lane(lanes, lanes.max(lanes.max(a, b), lanes.max(c, d)));
    if found > largest { found } else { largest + 0.0 }
}

#[inline(always)]
fn largest_lane<L: Lanes>(lanes: L, x: L::F) -> f32 {
    let mut lane = [0.0; 16];
    lanes.store(x, &mut lane);
    // Pairs, so that four comparisons follow each other and not sixteen.
    let mut width = 8;
    while width > 0 {
        for i in 0..width {
            lane[i] = if lane[i + width] > lane[i] { lane[i + width] } else { lane[i] };
        }
        width /= 2;
    }
    lane[0] + 0.0
}

/// Folds each run of 16 values to its maximum; `values` is a multiple of 16 long, `folded` a multiple of 16 that covers
/// its runs and is filled up with -inf. Returns the maximum of all.
#[inline(always)]
pub fn fold_maxima<L: Lanes>(lanes: L, values: &[f32], folded: &mut [f32]) -> f32 {
    let (vectors, _) = values.as_chunks::<16>();
    let (outputs, _) = folded.as_chunks_mut::<16>();
    let masked = lanes.splat(f32::NEG_INFINITY);
    let mut largest = masked;
    for (i, to) in outputs.iter_mut().enumerate() {
        let rest = vectors.get(16 * i..).unwrap_or(&[]);
        let mut inputs = [masked; 16];
        for (input, vector) in inputs.iter_mut().zip(rest) {
            *input = lanes.load(vector);
        }
        let group = lanes.add(lanes.fold_max(inputs), lanes.splat(0.0));
        largest = lanes.max(largest, group);
        lanes.store(group, to);
    }
    largest_lane(lanes, largest)
}

/// The largest of the values, -inf if there are none.
#[inline(always)]
pub fn largest<L: Lanes>(lanes: L, values: &[f32]) -> f32 {
    let (vectors, tail) = values.as_chunks::<16>();
    let mut largest = lanes.splat(f32::NEG_INFINITY);
    for vector in vectors {
        largest = lanes.max(lanes.load(vector), largest);
    }
    tail.iter()
        .fold(largest_lane(lanes, largest), |largest, &value| if value > largest { value + 0.0 } else { largest })
}

/// The largest of the values if all are finite, -inf if there are none.
#[inline(always)]
pub fn largest_finite<L: Lanes>(lanes: L, values: &[f32]) -> Option<f32> {
    let (vectors, tail) = values.as_chunks::<16>();
    let mut largest = lanes.splat(f32::NEG_INFINITY);
    let mut odd = lanes.none();
    for vector in vectors {
        let x = lanes.load(vector);
        // An infinity less itself is a NaN.
        let nothing = lanes.sub(x, x);
        odd = lanes.or(odd, lanes.unordered(nothing, nothing));
        largest = lanes.max(x, largest);
    }
    let mut finite = lanes.bits(odd) == 0;
    let mut found = largest_lane(lanes, largest);
    for &value in tail {
        finite &= value.is_finite();
        found = if value > found { value + 0.0 } else { found };
    }
    finite.then_some(found)
}

/// The index of the first value equal to `wanted`.
#[inline(always)]
pub fn find_equal<L: Lanes>(lanes: L, values: &[f32], wanted: f32) -> Option<usize> {
    let (vectors, tail) = values.as_chunks::<16>();
    let target = lanes.splat(wanted);
    for (i, vector) in vectors.iter().enumerate() {
        let bits = lanes.bits(lanes.eq(lanes.load(vector), target));
        if bits != 0 {
            return Some(16 * i + bits.trailing_zeros() as usize);
        }
    }
    let at = tail.iter().position(|&value| value == wanted)?;
    Some(16 * vectors.len() + at)
}

/// The first block at or after `first` whose maximum is at least `threshold` (and not -inf).
#[inline(always)]
pub fn find_at_least<L: Lanes>(lanes: L, maxima: &[f32], first: usize, threshold: f32) -> Option<usize> {
    if L::SMALL { find_apart(lanes, maxima, first, threshold) } else { find_inline(lanes, maxima, first, threshold) }
}

#[inline(never)]
fn find_apart<L: Lanes>(lanes: L, maxima: &[f32], first: usize, threshold: f32) -> Option<usize> {
    find_inline(lanes, maxima, first, threshold)
}

#[inline(always)]
fn find_inline<L: Lanes>(lanes: L, maxima: &[f32], first: usize, threshold: f32) -> Option<usize> {
    let (vectors, _) = maxima.as_chunks::<16>();
    let threshold = lanes.splat(if threshold > f32::MIN { threshold } else { f32::MIN });
    let mut skip = first % 16;
    let mut at = first / 16;
    while let Some(vector) = vectors.get(at) {
        let bits = lanes.bits(lanes.ge(lanes.load(vector), threshold)) >> skip << skip;
        if bits != 0 {
            return Some(16 * at + bits.trailing_zeros() as usize);
        }
        skip = 0;
        at += 1;
    }
    None
}

/// How many of the values are at least `threshold`; the length is a multiple of 16.
#[inline(always)]
pub fn count_at_least<L: Lanes>(lanes: L, values: &[f32], threshold: f32) -> usize {
    let threshold = lanes.splat(threshold);
    let (vectors, _) = values.as_chunks::<16>();
    let mut count = 0;
    for vector in vectors {
        count += lanes.bits(lanes.ge(lanes.load(vector), threshold)).count_ones() as usize;
    }
    count
}

/// A threshold that at least `wanted` of the values reach and few more do: bisection over ordered keys, ended early where
/// the count is near enough. -inf if fewer values than that are above -inf. The length is a multiple of 16.
///
/// The result only bounds a search, so ending early changes no token.
#[inline(always)]
pub fn bound_for_count<L: Lanes>(lanes: L, values: &[f32], wanted: usize) -> f32 {
    let enough = wanted + wanted / 16;
    let (mut low, mut high) = (ordered_key(f32::MIN), ordered_key(f32::INFINITY));
    let count = count_at_least(lanes, values, f32::MIN);
    if count < wanted {
        return f32::NEG_INFINITY;
    }
    if count <= enough {
        return f32::MIN;
    }
    // Invariant: at least `wanted` values have keys >= low, fewer have keys >= high.
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let count = count_at_least(lanes, values, key_to_logit(middle));
        if count < wanted {
            high = middle;
        } else {
            low = middle;
            if count <= enough {
                break;
            }
        }
    }
    key_to_logit(low)
}
