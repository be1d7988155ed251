//! Blocks of 64 tokens as the kernels see them: loaded, widened, masked and adjusted.
//!
//! Every kernel reads the row through [`Blocks::load`], so a bias, a ban or a bitmask is applied wherever the row is read
//! and never written anywhere. A lane that takes no part is -inf.

use super::columns::ColumnSum;
use super::mass::Cut;
use crate::kernels::lanes::{Element, Lanes};
use crate::numeric::ordered_key;
use crate::types::{BLOCK, Row, TokenId};
use bytemuck::{Pod, Zeroable};

/// The final logit of one token whose given logit was adjusted (bias, ban, window).
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Override {
    /// The token.
    pub token: TokenId,
    /// Its logit after all adjustments; finite or -inf.
    pub logit: f32,
}

/// Where logits come from: a row in memory, or columns of weights that are added up wherever the row is read.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A row in memory.
    Row(Row<'a>),
    /// The sparse head; no row is ever written.
    Columns(ColumnSum<'a>),
}

impl Source<'_> {
    /// One logit as given.
    pub fn get(&self, index: usize) -> f32 {
        match self {
            Source::Row(row) => row.get(index),
            Source::Columns(columns) => columns.get(index),
        }
    }
}

impl<'a> From<Row<'a>> for Source<'a> {
    fn from(row: Row<'a>) -> Self {
        Source::Row(row)
    }
}

/// A row with everything that decides which tokens take part and with which logit.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'a> {
    /// The logits as given; at least `valid` of them.
    pub source: Source<'a>,
    /// Allowed tokens, one bit each; words past the end are 0. `None` allows all.
    pub words: Option<&'a [u32]>,
    /// Tokens from here on take no part.
    pub valid: usize,
    /// Adjusted logits in ascending token order, each token at most once and allowed.
    pub overrides: &'a [Override],
    /// The part of the order that takes part; `None` is all of it. Maxima of blocks that were found without it are upper
    /// bounds with it.
    pub band: Option<Band>,
}

/// A run of the total order: from `first` to `last`, both included; of the tokens that have the logit of `first`, only those
/// up to the id `first_until`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// Tokens that stand before this one take no part.
    pub first: Cut,
    /// Among the tokens of the first logit those of higher ids take no part.
    pub first_until: TokenId,
    /// Tokens that stand after this one take no part.
    pub last: Cut,
}

impl Band {
    /// The whole order.
    pub const ALL: Band =
        Band { first: Cut { logit: f32::INFINITY, token: 0 }, first_until: TokenId::MAX, last: Cut::ALL };

    /// Whether a token of this logit lies in the band.
    #[inline(always)]
    pub fn keeps(&self, logit: f32, token: TokenId) -> bool {
        let edge = self.first.token..=self.first_until;
        let removed = logit > self.first.logit || logit == self.first.logit && !edge.contains(&token);
        !removed && self.last.keeps(logit, token)
    }

    /// Puts -inf in place of the logits of a block that lie outside the band.
    #[inline(always)]
    pub(in crate::kernels) fn apply<L: Lanes>(&self, lanes: L, block: usize, logits: &mut [f32; BLOCK]) {
        let masked = lanes.splat(f32::NEG_INFINITY);
        let (quarters, _) = logits.as_chunks_mut::<16>();
        for i in 0..4 {
            let logits = lanes.load(&quarters[i]);
            let kept = lanes.mask(self.bits(lanes, logits, block * BLOCK + 16 * i));
            lanes.store(lanes.select(kept, logits, masked), &mut quarters[i]);
        }
    }

    /// The lanes of sixteen tokens from `first` that lie in the band.
    #[inline(always)]
    pub(super) fn bits<L: Lanes>(&self, lanes: L, logits: L::F, first: usize) -> u32 {
        let mut kept = lanes.bits(self.last.lanes(lanes, logits, first));
        if self.first.logit < f32::INFINITY {
            kept &= !lanes.bits(self.first.lanes_before(lanes, logits, first));
            if (self.first_until as usize) < first + 15 {
                let equal = lanes.bits(lanes.eq(logits, lanes.splat(self.first.logit)));
                let within =
                    if (self.first_until as usize) < first { 0 } else { 1 + self.first_until as usize - first };
                kept &= !(equal & (u32::MAX << within));
            }
        }
        kept & 0xffff
    }

    /// The band that reaches as far as either; both contain a common token.
    pub fn wider(self, other: Band) -> Band {
        let first = match ordered_key(self.first.logit).cmp(&ordered_key(other.first.logit)) {
            core::cmp::Ordering::Greater => self,
            core::cmp::Ordering::Less => other,
            core::cmp::Ordering::Equal => Band {
                first: Cut { logit: self.first.logit, token: self.first.token.min(other.first.token) },
                first_until: self.first_until.max(other.first_until),
                last: self.last,
            },
        };
        let last = if self.last.stricter(other.last) == self.last { other.last } else { self.last };
        Band { last, ..first }
    }
}

impl<'a> RowView<'a> {
    /// The number of blocks.
    pub fn blocks(&self) -> usize {
        self.valid.div_ceil(BLOCK)
    }

    /// Whether the token takes part.
    pub fn is_allowed(&self, token: TokenId) -> bool {
        let token = token as usize;
        token < self.valid
            && self.words.is_none_or(|words| words.get(token / 32).is_some_and(|word| word >> (token % 32) & 1 != 0))
    }

    /// The logit of a token after adjustments; -inf if it takes no part.
    pub fn logit(&self, token: TokenId) -> f32 {
        if !self.is_allowed(token) {
            return f32::NEG_INFINITY;
        }
        let logit = match self.overrides.binary_search_by_key(&token, |entry| entry.token) {
            Ok(at) => self.overrides[at].logit,
            Err(_) => self.source.get(token as usize),
        };
        if self.band.is_none_or(|band| band.keeps(logit, token)) { logit } else { f32::NEG_INFINITY }
    }

    /// The row as given: without adjustments, the whole of it.
    pub fn as_given(&self) -> RowView<'a> {
        RowView { overrides: &[], band: None, ..*self }
    }
}

/// Where a kernel stands: the row, if blocks can be read where they lie, and a cursor into the overrides.
///
/// A whole block of f32 with nothing to adjust or to mask is loaded in place. Every other block (the end of a row, another
/// type, the sparse head, an override or a masked token in it) is first written out as 64 floats by [`fill`], which is
/// compiled once for each level; so each kernel is compiled for one source only.
pub(super) struct Blocks<'a> {
    view: &'a RowView<'a>,
    in_place: &'a [f32],
    /// The first override not yet passed, and its token.
    cursor: usize,
    adjusted: usize,
    buffer: [f32; BLOCK],
}

impl<'a> Blocks<'a> {
    /// Starts reading at `first_block`; blocks are then loaded in ascending order.
    #[inline(always)]
    pub(super) fn new(view: &'a RowView<'a>, first_block: usize) -> Self {
        let in_place = match view.source {
            Source::Row(Row::F32(row)) => &row[..view.valid],
            _ => &[],
        };
        let cursor = if view.overrides.is_empty() { 0 } else { first_override(view.overrides, first_block) };
        let adjusted = adjusted_token(view.overrides, cursor);
        Blocks { view, in_place, cursor, adjusted, buffer: [0.0; BLOCK] }
    }

    /// Loads one block of which some tokens may be masked: what the first pass over a row does. It has no overrides.
    #[inline(always)]
    pub(super) fn load_masked<L: Lanes>(&mut self, lanes: L, block: usize) -> [L::F; 4] {
        if let Some(words) = self.view.words
            && let Some(rest) = self.in_place.get(block * BLOCK..)
            && let Some(whole) = rest.first_chunk::<BLOCK>()
        {
            return mask_block(lanes, words, block, load_whole(lanes, whole));
        }
        self.load(lanes, block)
    }

    /// Loads one block; blocks must be asked for in ascending order.
    #[inline(always)]
    pub(super) fn load<L: Lanes>(&mut self, lanes: L, block: usize) -> [L::F; 4] {
        let first = block * BLOCK;
        let all_allowed = match self.view.words {
            Some(words) => block_bits(words, block) == u64::MAX,
            None => true,
        };
        if all_allowed
            && self.view.band.is_none()
            && self.adjusted >= first + BLOCK
            && let Some(rest) = self.in_place.get(first..)
            && let Some(whole) = rest.first_chunk::<BLOCK>()
        {
            return load_whole(lanes, whole);
        }
        self.cursor = fill(lanes, self.view, block, self.cursor, &mut self.buffer);
        self.adjusted = adjusted_token(self.view.overrides, self.cursor);
        load_whole(lanes, &self.buffer)
    }
}

/// The first override at or after the block.
#[inline(never)]
fn first_override(overrides: &[Override], block: usize) -> usize {
    overrides.partition_point(|entry| (entry.token as usize) < block * BLOCK)
}

/// The token of an override, past every token if there is none.
#[inline(always)]
fn adjusted_token(overrides: &[Override], cursor: usize) -> usize {
    match overrides.get(cursor) {
        Some(entry) => entry.token as usize,
        None => usize::MAX,
    }
}

/// Writes out one block as the kernels see it and returns the first override after it; `cursor` is one at or before the
/// first in it. Never part of a kernel: it only calls functions that have the level's instructions.
#[inline(never)]
fn fill<L: Lanes>(lanes: L, view: &RowView<'_>, block: usize, cursor: usize, logits: &mut [f32; BLOCK]) -> usize {
    let first = block * BLOCK;
    let end = view.valid.min(first + BLOCK);
    match view.source {
        Source::Row(Row::F32(row)) => logits[..end - first].copy_from_slice(&row[first..end]),
        Source::Row(Row::F16(row)) => match row[first..end].first_chunk::<BLOCK>() {
            Some(whole) => lanes.widen_f16(bytemuck::cast_ref(whole), logits),
            None => lanes.widen_f16(bytemuck::cast_ref(&padded(&row[first..end])), logits),
        },
        Source::Row(Row::Bf16(row)) => match row[first..end].first_chunk::<BLOCK>() {
            Some(whole) => lanes.widen_bf16(bytemuck::cast_ref(whole), logits),
            None => lanes.widen_bf16(bytemuck::cast_ref(&padded(&row[first..end])), logits),
        },
        Source::Columns(columns) => columns.kernels.write_sum(&columns, first, &mut logits[..end - first]),
    }
    logits[end - first..].fill(f32::NEG_INFINITY);
    let mut next = cursor;
    while let Some(entry) = view.overrides.get(next).filter(|entry| (entry.token as usize) < first + BLOCK) {
        if entry.token as usize >= first {
            logits[entry.token as usize - first] = entry.logit;
        }
        next += 1;
    }
    if let Some(words) = view.words {
        lanes.mask_block(block_bits(words, block), logits);
    }
    if let Some(band) = view.band {
        lanes.keep_band(&band, block, logits);
    }
    next
}

/// The last elements of a row, filled up to a block with masked ones.
#[inline(never)]
fn padded<E: Element>(rest: &[E]) -> [E; BLOCK] {
    let mut block = [E::MASKED; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// Sixty-four elements.
#[inline(always)]
pub(super) fn load_whole<L: Lanes, E: Element>(lanes: L, block: &[E; BLOCK]) -> [L::F; 4] {
    let (chunks, _) = block.as_chunks::<16>();
    [E::load(lanes, &chunks[0]), E::load(lanes, &chunks[1]), E::load(lanes, &chunks[2]), E::load(lanes, &chunks[3])]
}

/// The two mask words of a block as 64 bits, lowest token first.
#[inline(always)]
pub(super) fn block_bits(words: &[u32], block: usize) -> u64 {
    let word = |i: usize| words.get(i).copied().map_or(0, u64::from);
    word(2 * block) | word(2 * block + 1) << 32
}

/// Puts -inf where the bitmask has a 0.
#[inline(always)]
pub(super) fn mask_block<L: Lanes>(lanes: L, words: &[u32], block: usize, quarters: [L::F; 4]) -> [L::F; 4] {
    let bits = block_bits(words, block);
    if bits == u64::MAX {
        return quarters;
    }
    let masked = lanes.splat(f32::NEG_INFINITY);
    let [a, b, c, d] = quarters;
    [
        lanes.select(lanes.mask(bits as u32 & 0xffff), a, masked),
        lanes.select(lanes.mask((bits >> 16) as u32 & 0xffff), b, masked),
        lanes.select(lanes.mask((bits >> 32) as u32 & 0xffff), c, masked),
        lanes.select(lanes.mask((bits >> 48) as u32), d, masked),
    ]
}
