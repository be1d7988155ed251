//! The decoder's memory: one slice of 64-bit words, given by the caller, cut into its parts anew on each call.

use crate::error::{Error, Result};
use crate::kernels::Override;
use crate::plan::Plan;
use crate::types::{BLOCK, TokenId};
use bytemuck::cast_slice_mut;

/// Words (of 64 bits) of each part, in the order in which they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    biases: usize,
    bans: usize,
    history: usize,
    /// Tokens of the history; an odd number leaves half a word unused.
    history_tokens: usize,
    overrides: usize,
    maxima: usize,
    group_maxima: usize,
    bounds: usize,
    list: usize,
}

/// The parts that outlive a step.
pub(crate) struct Lists<'a> {
    pub biases: &'a mut [Override],
    pub bans: &'a mut [TokenId],
    pub history: &'a mut [TokenId],
}

/// The parts that a step may scribble on.
pub(crate) struct Scratch<'a> {
    pub overrides: &'a mut [Override],
    pub maxima: &'a mut [f32],
    pub group_maxima: &'a mut [f32],
    pub bounds: &'a mut [u64],
    pub bound_sums: &'a mut [u64],
    pub bound_sums_of_sums: &'a mut [u64],
    pub keys: &'a mut [u64],
    pub work: &'a mut [u64],
    pub masses: &'a mut [u64],
    pub logits: &'a mut [f32],
}

impl Scratch<'_> {
    /// The same memory for a shorter while.
    pub fn reborrow(&mut self) -> Scratch<'_> {
        Scratch {
            overrides: self.overrides,
            maxima: self.maxima,
            group_maxima: self.group_maxima,
            bounds: self.bounds,
            bound_sums: self.bound_sums,
            bound_sums_of_sums: self.bound_sums_of_sums,
            keys: self.keys,
            work: self.work,
            masses: self.masses,
            logits: self.logits,
        }
    }
}

impl Layout {
    pub fn new(plan: &Plan) -> Layout {
        let maxima = plan.valid.div_ceil(BLOCK).next_multiple_of(16);
        Layout {
            biases: plan.adjustment_capacity,
            bans: plan.adjustment_capacity.div_ceil(2),
            history: plan.history_capacity.div_ceil(2),
            history_tokens: plan.history_capacity,
            overrides: 2 * plan.adjustment_capacity + plan.no_repeat_window,
            maxima: maxima / 2,
            group_maxima: (maxima / 16).next_multiple_of(16) / 2,
            bounds: maxima.next_multiple_of(256),
            list: plan.list_capacity,
        }
    }

    fn sums(&self) -> (usize, usize) {
        (self.bounds / 16, self.bounds / 256)
    }

    /// All words.
    pub fn words(&self) -> usize {
        let (sums, sums_of_sums) = self.sums();
        self.biases
            + self.bans
            + self.history
            + self.overrides
            + self.maxima
            + self.group_maxima
            + self.bounds
            + sums
            + sums_of_sums
            + 3 * self.list
            + self.list.div_ceil(2)
    }

    /// Refuses memory that is too small.
    pub fn check(&self, storage: &[u64]) -> Result<()> {
        if storage.len() < self.words() {
            return Err(Error::StorageTooSmall { expected: self.words(), actual: storage.len() });
        }
        Ok(())
    }

    /// Moves biases and bans from where another layout had them.
    pub fn move_lists(&self, from: &Layout, storage: &mut [u64], biases: usize, bans: usize) {
        let ban_words = bans.div_ceil(2);
        debug_assert!(biases <= self.biases && ban_words <= self.bans, "{biases} biases, {bans} bans");
        // Biases lie at the front in every layout; bans follow the room for biases.
        storage.copy_within(from.biases..from.biases + ban_words, self.biases);
    }

    /// Cuts memory that [`Layout::check`] has accepted.
    pub fn split<'a>(&self, storage: &'a mut [u64]) -> (Lists<'a>, Scratch<'a>) {
        let mut rest = storage;
        let mut take = |words: usize| {
            let (part, tail) = core::mem::take(&mut rest).split_at_mut(words);
            rest = tail;
            part
        };
        let lists = Lists {
            biases: cast_slice_mut(take(self.biases)),
            bans: cast_slice_mut(take(self.bans)),
            history: &mut cast_slice_mut(take(self.history))[..self.history_tokens],
        };
        let (sums, sums_of_sums) = self.sums();
        let scratch = Scratch {
            overrides: cast_slice_mut(take(self.overrides)),
            maxima: cast_slice_mut(take(self.maxima)),
            group_maxima: cast_slice_mut(take(self.group_maxima)),
            bounds: take(self.bounds),
            bound_sums: take(sums),
            bound_sums_of_sums: take(sums_of_sums),
            keys: take(self.list),
            work: take(self.list),
            masses: take(self.list),
            logits: cast_slice_mut(take(self.list.div_ceil(2))),
        };
        (lists, scratch)
    }
}
