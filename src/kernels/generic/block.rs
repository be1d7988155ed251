//! Blocks of 64 tokens as the kernels see them: loaded, widened, masked and adjusted.
//!
//! Every kernel reads the row through [`Blocks::load`], so a bias, a ban or a bitmask is applied wherever the row is read
//! and never written anywhere. A lane that takes no part is -inf.

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

/// A row with everything that decides which tokens take part and with which logit.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'a> {
    /// The logits as given; at least `valid` of them.
    pub row: Row<'a>,
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
            Err(_) => self.row.get(token as usize),
        }
    }

    /// The same row without adjustments.
    pub fn without_overrides(&self) -> RowView<'a> {
        RowView { overrides: &[], ..*self }
    }
}

/// Where a typed kernel stands: the elements, the rest of the view, and a cursor into the overrides.
pub(super) struct Blocks<'a, E> {
    row: &'a [E],
    words: Option<&'a [u32]>,
    overrides: &'a [Override],
    cursor: usize,
}

impl<'a, E: Element> Blocks<'a, E> {
    /// Starts reading `row` (its participating part) at `first_block`; blocks are then loaded in ascending order.
    #[inline(always)]
    pub(super) fn new(row: &'a [E], view: &RowView<'a>, first_block: usize) -> Self {
        let overrides = view.overrides;
        let cursor = if first_block == 0 || overrides.is_empty() {
            0
        } else {
            overrides.partition_point(|entry| (entry.token as usize) < first_block * BLOCK)
        };
        Blocks { row: &row[..view.valid], words: view.words, overrides, cursor }
    }

    #[inline(always)]
    pub(super) fn words(&self) -> Option<&'a [u32]> {
        self.words
    }

    /// The row's elements from the block on.
    #[inline(always)]
    pub(super) fn rest(&self, block: usize) -> &'a [E] {
        &self.row[block * BLOCK..]
    }

    /// Loads one block; blocks must be asked for in ascending order.
    #[inline(always)]
    pub(super) fn load<L: Lanes>(&mut self, lanes: L, block: usize) -> [L::F; 4] {
        let mut quarters = load_elements(lanes, self.rest(block));
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

/// Runs a typed kernel on whatever element type the row has.
macro_rules! with_elements {
    ($view:expr, $row:ident => $body:expr) => {
        match $view.row {
            crate::types::Row::F32($row) => $body,
            crate::types::Row::F16($row) => $body,
            crate::types::Row::Bf16($row) => $body,
        }
    };
}
pub(super) use with_elements;
