//! Blocks of 64 tokens as the kernels see them: loaded, widened, masked and adjusted.
//!
//! Every kernel reads the row through [`Blocks::load`], so a bias, a ban or a bitmask is applied wherever the row is read
//! and never written anywhere. A lane that takes no part is -inf.

use super::columns::ColumnSum;
use super::mass::Cut;
use crate::kernels::lanes::{Element, Lanes};
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

/// A run of the total order: from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// Tokens that stand before this one take no part.
    pub first: Cut,
    /// Tokens that stand after this one take no part.
    pub last: Cut,
}

impl Band {
    /// The whole order.
    pub const ALL: Band = Band { first: Cut { logit: f32::INFINITY, token: 0 }, last: Cut::ALL };

    /// What lies in both bands.
    pub fn narrowed(self, other: Band) -> Band {
        let later = if self.first.keeps(other.first.logit, other.first.token) { self.first } else { other.first };
        Band { first: later, last: self.last.stricter(other.last) }
    }

    /// Whether a token of this logit lies in the band.
    #[inline(always)]
    pub fn keeps(&self, logit: f32, token: TokenId) -> bool {
        let before = logit > self.first.logit || logit == self.first.logit && token < self.first.token;
        !before && self.last.keeps(logit, token)
    }

    /// The logits of a block that lie in the band; -inf for the others.
    #[inline(always)]
    fn apply<L: Lanes>(&self, lanes: L, block: usize, quarters: [L::F; 4]) -> [L::F; 4] {
        let masked = lanes.splat(f32::NEG_INFINITY);
        let mut kept = self.first.mask_before(lanes, block, quarters);
        for i in 0..4 {
            let keep = self.last.lanes(lanes, kept[i], block * BLOCK + 16 * i);
            kept[i] = lanes.select(keep, kept[i], masked);
        }
        kept
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

/// A source of one type: how a block of 64 logits is read from it, -inf from `valid` on.
pub(super) trait Tokens: Copy {
    fn load_block<L: Lanes>(self, lanes: L, block: usize, valid: usize) -> [L::F; 4];
}

impl Tokens for &[f32] {
    #[inline(always)]
    fn load_block<L: Lanes>(self, lanes: L, block: usize, valid: usize) -> [L::F; 4] {
        load_elements(lanes, &self[block * BLOCK..valid])
    }
}

/// Any other source: a block is first written out as f32. So each kernel is compiled for two sources, not for each type of
/// row and of weight; only the first pass over a row is.
#[derive(Clone, Copy)]
pub(super) struct Widened<'a>(pub(super) Source<'a>);

impl Tokens for Widened<'_> {
    #[inline(always)]
    fn load_block<L: Lanes>(self, lanes: L, block: usize, valid: usize) -> [L::F; 4] {
        let mut logits = [f32::NEG_INFINITY; BLOCK];
        self.write_block(lanes, block * BLOCK, valid, &mut logits);
        load_whole(lanes, &logits)
    }
}

impl Widened<'_> {
    // Never part of a kernel: it only calls functions that have the level's instructions.
    #[inline(never)]
    fn write_block<L: Lanes>(&self, lanes: L, first: usize, valid: usize, logits: &mut [f32; BLOCK]) {
        let end = valid.min(first + BLOCK);
        match self.0 {
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
    }
}

/// The last elements of a row, filled up to a block with masked ones.
fn padded<E: Element>(rest: &[E]) -> [E; BLOCK] {
    let mut block = [E::MASKED; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// Where a typed kernel stands: the source, the rest of the view, and a cursor into the overrides.
pub(super) struct Blocks<'a, T> {
    tokens: T,
    valid: usize,
    words: Option<&'a [u32]>,
    overrides: &'a [Override],
    cursor: usize,
    band: Option<Band>,
}

impl<'a, T: Tokens> Blocks<'a, T> {
    /// Starts reading at `first_block`; blocks are then loaded in ascending order.
    #[inline(always)]
    pub(super) fn new(tokens: T, view: &RowView<'a>, first_block: usize) -> Self {
        let overrides = view.overrides;
        let cursor = if first_block == 0 || overrides.is_empty() {
            0
        } else {
            overrides.partition_point(|entry| (entry.token as usize) < first_block * BLOCK)
        };
        Blocks { tokens, valid: view.valid, words: view.words, overrides, cursor, band: view.band }
    }

    /// Loads one block; blocks must be asked for in ascending order.
    #[inline(always)]
    pub(super) fn load<L: Lanes>(&mut self, lanes: L, block: usize) -> [L::F; 4] {
        let mut quarters = self.tokens.load_block(lanes, block, self.valid);
        if self.cursor < self.overrides.len() {
            quarters = self.adjust(lanes, block, quarters);
        }
        if let Some(words) = self.words {
            quarters = mask_block(lanes, words, block, quarters);
        }
        match self.band {
            Some(band) => band.apply(lanes, block, quarters),
            None => quarters,
        }
    }

    #[inline(always)]
    fn adjust<L: Lanes>(&mut self, lanes: L, block: usize, quarters: [L::F; 4]) -> [L::F; 4] {
        let first = block * BLOCK;
        let mut next = self.cursor;
        while next < self.overrides.len() && (self.overrides[next].token as usize) < first {
            next += 1;
        }
        self.cursor = next;
        if next == self.overrides.len() || self.overrides[next].token as usize >= first + BLOCK {
            return quarters;
        }
        let mut logits = [[0.0; 16]; 4];
        for i in 0..4 {
            lanes.store(quarters[i], &mut logits[i]);
        }
        while let Some(entry) = self.overrides.get(next).filter(|entry| (entry.token as usize) < first + BLOCK) {
            let lane = entry.token as usize - first;
            logits[lane / 16][lane % 16] = entry.logit;
            next += 1;
        }
        self.cursor = next;
        [lanes.load(&logits[0]), lanes.load(&logits[1]), lanes.load(&logits[2]), lanes.load(&logits[3])]
    }
}

/// Sixty-four elements from the front of `rest`, -inf where the row ends before.
#[inline(always)]
pub(super) fn load_elements<L: Lanes, E: Element>(lanes: L, rest: &[E]) -> [L::F; 4] {
    if let Some(whole) = rest.first_chunk::<BLOCK>() {
        load_whole(lanes, whole)
    } else {
        load_whole(lanes, &padded(rest))
    }
}

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

/// Runs a typed kernel on whatever source the view has.
macro_rules! with_tokens {
    ($view:expr, $tokens:ident => $body:expr) => {
        match $view.source {
            crate::kernels::generic::Source::Row(crate::types::Row::F32($tokens)) => $body,
            other => {
                let $tokens = crate::kernels::generic::block::Widened(other);
                $body
            }
        }
    };
}
pub(super) use with_tokens;
