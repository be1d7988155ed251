//! The tokens so far: a ring in the caller's memory, and what each of them was.

use crate::types::TokenId;

/// Set in an entry of the ring for a token of the prompt.
pub(crate) const PROMPT: u32 = 1 << 31;
/// Set for a generated token that completed an n-gram which stood in the history before.
pub(crate) const RECURRENT: u32 = 1 << 30;
/// The token of an entry: a vocabulary has at most 2^22.
pub(crate) const TOKEN: u32 = RECURRENT - 1;

/// Where a ring is: how many tokens were recorded, and how many of the newest are still in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Tokens recorded since the last reset, prompt included; the newest has the position `recorded - 1`.
    pub recorded: u64,
    /// Entries of the ring that are valid: the newest so many.
    pub held: usize,
    /// Tokens generated since the last reset, the prompt excluded.
    pub generated: u64,
    /// Generated tokens since the last token of a prompt, as far as the ring holds them.
    pub run: usize,
}

/// The ring as a step reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring<'a> {
    pub entries: &'a [u32],
    pub extent: Extent,
}

impl Ring<'_> {
    /// The place of a position in any array that runs along with the ring.
    pub fn slot(&self, position: u64) -> usize {
        (position % self.entries.len() as u64) as usize
    }

    /// The entry `back` tokens before the newest one (0 is the newest); `back` is below `held`.
    pub fn back(&self, back: usize) -> u32 {
        debug_assert!(back < self.extent.held, "{back} of {}", self.extent.held);
        self.entries[self.slot(self.extent.recorded - 1 - back as u64)]
    }

    /// The token there.
    pub fn token_back(&self, back: usize) -> TokenId {
        self.back(back) & TOKEN
    }

    /// The entries that are held, oldest first.
    pub fn held(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        let held = self.extent.held;
        (0..held).map(move |i| self.back(held - 1 - i))
    }

    /// The newest tokens that a window over `capacity` tokens of history sees: `window`, or all (0).
    pub fn seen(&self, window: usize) -> usize {
        self.extent.held.min(window)
    }
}
