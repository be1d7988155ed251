//! Blocks of 64 tokens as the kernels see them: loaded, widened, masked and adjusted.
//!
//! Every kernel reads the row through [`Blocks::load`], so a bias, a ban or a bitmask is applied wherever the row is read
//! and never written anywhere. A lane that takes no part is -inf.

use super::columns::ColumnSum;
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
        match self.overrides.binary_search_by_key(&token, |entry| entry.token) {
            Ok(at) => self.overrides[at].logit,
            Err(_) => self.source.get(token as usize),
        }
    }

    /// The same row without adjustments.
    pub fn without_overrides(&self) -> RowView<'a> {
        RowView { overrides: &[], ..*self }
    }
}

/// A source of one type: how a block of 64 logits is read from it, -inf from `valid` on.
pub(super) trait Tokens: Copy {
    fn load_block<L: Lanes>(self, lanes: L, block: usize, valid: usize) -> [L::F; 4];
}

impl<E: Element> Tokens for &[E] {
    #[inline(always)]
    fn load_block<L: Lanes>(self, lanes: L, block: usize, valid: usize) -> [L::F; 4] {
        load_elements(lanes, &self[block * BLOCK..valid])
    }
}

impl Tokens for ColumnSum<'_> {
    #[inline(always)]
    fn load_block<L: Lanes>(self, lanes: L, block: usize, valid: usize) -> [L::F; 4] {
        let mut logits = [f32::NEG_INFINITY; BLOCK];
        let rows = BLOCK.min(valid - block * BLOCK);
        self.kernels.write_sum(&self, block * BLOCK, &mut logits[..rows]);
        load_whole(lanes, &logits)
    }
}

/// Where a typed kernel stands: the source, the rest of the view, and a cursor into the overrides.
pub(super) struct Blocks<'a, T> {
    tokens: T,
    valid: usize,
    words: Option<&'a [u32]>,
    overrides: &'a [Override],
    cursor: usize,
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
        Blocks { tokens, valid: view.valid, words: view.words, overrides, cursor }
    }

    /// Loads one block; blocks must be asked for in ascending order.
    #[inline(always)]
    pub(super) fn load<L: Lanes>(&mut self, lanes: L, block: usize) -> [L::F; 4] {
        let mut quarters = self.tokens.load_block(lanes, block, self.valid);
        if self.cursor < self.overrides.len() {
            quarters = self.adjust(lanes, block, quarters);
        }
        match self.words {
            Some(words) => mask_block(lanes, words, block, quarters),
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
        let mut padded = [E::MASKED; BLOCK];
        padded[..rest.len()].copy_from_slice(rest);
        load_whole(lanes, &padded)
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
            crate::kernels::generic::Source::Row(crate::types::Row::F16($tokens)) => $body,
            crate::kernels::generic::Source::Row(crate::types::Row::Bf16($tokens)) => $body,
            crate::kernels::generic::Source::Columns($tokens) => $body,
        }
    };
}
pub(super) use with_tokens;
