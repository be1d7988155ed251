//! How often each token stands in a window: counts, and the distinct tokens in ascending order.
//!
//! Counts lie in slots that a hash table finds. The order of the slots by token is kept lazily: tokens that are new since
//! the last step stand unsorted behind the sorted ones, and the next step puts them into their places. A slot whose count
//! has fallen to zero stays where it is until it is counted again or until such slots are half of all; so recording a
//! token costs O(1) on average, and a step costs O(1) per distinct token. Only a step after which more than a few tokens are
//! new sorts all of them.

use crate::types::TokenId;
use bytemuck::{Pod, Zeroable};

/// The counts of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Slot {
    pub token: TokenId,
    /// Times it stands in the window, in prompt or generated tokens.
    pub all: u32,
    /// Times it was generated.
    pub generated: u32,
    /// Its place to be, while slots are dropped; else 0.
    moved_to: u32,
}

/// Sizes that change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TallyState {
    used: usize,
    sorted: usize,
    live: usize,
}

/// A tally in its memory.
pub(crate) struct Tally<'a> {
    pub state: &'a mut TallyState,
    /// As many as [`capacity`] says.
    pub slots: &'a mut [Slot],
    /// For each used slot its token in the upper half and its number in the lower; sorted up to `sorted`.
    pub order: &'a mut [u64],
    /// Open addressing, a power of two: the number of a slot and 1, or 0.
    pub heads: &'a mut [u32],
}

/// Distinct tokens of a window in ascending order, as a step reads them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted<'a> {
    slots: &'a [Slot],
    order: &'a [u64],
}

/// Slots for a window over so many tokens of a vocabulary: room for all that can be in it at once, and for as many again
/// by half that have left.
pub(crate) fn capacity(window: usize, vocab: usize) -> usize {
    let live = window.min(vocab);
    if live == 0 { 0 } else { live + (live / 2).max(64) }
}

/// Entries of the hash table: at most half of them are used.
pub(crate) fn heads(window: usize, vocab: usize) -> usize {
    let slots = capacity(window, vocab);
    if slots == 0 { 0 } else { (2 * slots).next_power_of_two() }
}

/// Up to so many new tokens are put into their places one by one.
const FEW: usize = 16;

impl Tally<'_> {
    /// Forgets everything.
    pub fn clear(&mut self) {
        *self.state = TallyState::default();
        self.heads.fill(0);
    }

    /// Counts a token once more.
    pub fn enter(&mut self, token: TokenId, prompt: bool) {
        let slot = self.find_or_add(token);
        let slot = &mut self.slots[slot];
        self.state.live += usize::from(slot.all == 0);
        slot.all += 1;
        slot.generated += u32::from(!prompt);
    }

    /// Counts a token once less; it has been counted.
    pub fn leave(&mut self, token: TokenId, prompt: bool) {
        let slot = self.find_or_add(token);
        let slot = &mut self.slots[slot];
        debug_assert!(slot.all > 0, "token {token} leaves a window that it is not in");
        slot.all -= 1;
        slot.generated -= u32::from(!prompt);
        self.state.live -= usize::from(slot.all == 0);
    }

    /// Puts the new tokens into their places.
    pub fn sort(&mut self) {
        if self.state.used > 2 * self.state.live + 64 {
            self.compact();
        }
        let TallyState { used, sorted, .. } = *self.state;
        if used - sorted > FEW {
            self.order[..used].sort_unstable();
        } else {
            for i in sorted..used {
                let key = self.order[i];
                let at = self.order[..i].partition_point(|&before| before < key);
                self.order.copy_within(at..i, at + 1);
                self.order[at] = key;
            }
        }
        self.state.sorted = used;
    }

    fn bucket(&self, token: TokenId) -> usize {
        // Fibonacci hashing; the table is a power of two and at most 2^31 long.
        let spread = token.wrapping_mul(0x9e37_79b9);
        ((u64::from(spread) * self.heads.len() as u64) >> 32) as usize
    }

    fn find_or_add(&mut self, token: TokenId) -> usize {
        let mask = self.heads.len() - 1;
        let mut at = self.bucket(token);
        while self.heads[at] != 0 {
            let slot = self.heads[at] as usize - 1;
            if self.slots[slot].token == token {
                return slot;
            }
            at = (at + 1) & mask;
        }
        if self.state.used == self.slots.len() {
            self.compact();
            return self.find_or_add(token);
        }
        self.add(Slot { token, all: 0, generated: 0, moved_to: 0 }, at)
    }

    fn add(&mut self, slot: Slot, at: usize) -> usize {
        let number = self.state.used;
        self.slots[number] = slot;
        self.order[number] = u64::from(slot.token) << 32 | number as u64;
        self.heads[at] = number as u32 + 1;
        self.state.used += 1;
        number
    }

    /// Drops the slots that count nothing; what was in order stays so. Costs O(1) for each slot, however long the table is.
    fn compact(&mut self) {
        let TallyState { used, sorted, .. } = *self.state;
        let mask = self.heads.len() - 1;
        // Backwards: the way to a slot leads over none that came later.
        for i in (0..used).rev() {
            let mut at = self.bucket(self.slots[i].token);
            while self.heads[at] as usize != i + 1 {
                at = (at + 1) & mask;
            }
            self.heads[at] = 0;
        }
        let mut kept = 0;
        for slot in self.slots[..used].iter_mut().filter(|slot| slot.all != 0) {
            slot.moved_to = kept;
            kept += 1;
        }
        let mut ordered = 0;
        self.state.sorted = 0;
        for i in 0..used {
            let slot = &self.slots[self.order[i] as u32 as usize];
            if slot.all != 0 {
                self.order[ordered] = u64::from(slot.token) << 32 | u64::from(slot.moved_to);
                ordered += 1;
                self.state.sorted += usize::from(i < sorted);
            }
        }
        self.state.used = kept as usize;
        let mut to = 0;
        for i in 0..used {
            let slot = self.slots[i];
            if slot.all == 0 {
                continue;
            }
            self.slots[to] = Slot { moved_to: 0, ..slot };
            let mut at = self.bucket(slot.token);
            while self.heads[at] != 0 {
                at = (at + 1) & mask;
            }
            to += 1;
            self.heads[at] = to as u32;
        }
    }
}

impl TallyState {
    /// Slots in use.
    pub fn used(&self) -> usize {
        self.used
    }
}

impl<'a> Counted<'a> {
    /// The tokens of slots whose order is sorted.
    pub fn new(slots: &'a [Slot], order: &'a [u64]) -> Self {
        Counted { slots, order }
    }
}

impl Counted<'_> {
    /// The next token in the window and its counts.
    pub fn next(&mut self) -> Option<Slot> {
        self.next_where(|_| true)
    }

    /// The next of those that are wanted.
    #[inline(always)]
    pub fn next_where(&mut self, is_wanted: impl Fn(TokenId) -> bool) -> Option<Slot> {
        loop {
            let (&key, rest) = self.order.split_first()?;
            self.order = rest;
            if !is_wanted((key >> 32) as TokenId) {
                continue;
            }
            let slot = self.slots[key as u32 as usize];
            if slot.all != 0 {
                return Some(slot);
            }
        }
    }
}
