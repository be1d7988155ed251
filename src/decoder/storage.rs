//! The decoder's memory: one slice of 64-bit words, given by the caller, cut into its parts anew on each call.

use crate::distribution::StepState;
use crate::error::{Error, Result};
use crate::history::text::Node;
use crate::history::{Edit, Sequence, Shape};
use crate::kernels::Override;
use crate::plan::{Metrics, Mirostat, Plan};
use crate::types::{BLOCK, TokenId};
use bytemuck::{Pod, Zeroable, cast_slice_mut};

/// A token that is picked at its place whatever the row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Forced {
    /// Generated tokens before it.
    pub position: u64,
    pub token: u64,
}

/// Sets of token sequences.
pub(crate) const SETS: usize = 4;
/// Parts that hold what was set; they lie at the front and survive a reset.
pub(crate) const LISTS: usize = 6 + 2 * SETS;

/// Text states that are kept to undo tokens.
fn text_states(plan: &Plan) -> usize {
    plan.history_capacity.min(crate::history::UNDO)
}

/// Words (of 64 bits) of each part, in the order in which they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Biases, bans, end tokens, forced tokens; tokens and sequences of each set; bytes and ends of stop strings.
    lists: [usize; LISTS],
    pub sequence_capacity: usize,
    pub shape: Shape,
    /// Entries, one for each token of the ring, or 0.
    states: usize,
    pub text_states: usize,
    nodes: usize,
    edits: usize,
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
    pub end_tokens: &'a mut [TokenId],
    pub forced: &'a mut [Forced],
    pub sets: [SetMemory<'a>; SETS],
    pub string_bytes: &'a mut [u8],
    /// Where each stop string ends among the bytes.
    pub string_ends: &'a mut [u32],
    /// The memory of the history.
    pub history: &'a mut [u64],
    /// The state before each token of the ring.
    pub states: &'a mut [StepState],
    /// The same of the text, for the newest tokens.
    pub text_states: &'a mut [u32],
    /// The matcher of stop strings.
    pub nodes: &'a mut [Node],
    /// Scratch memory of a step.
    pub edits: &'a mut [Edit],
}

/// The memory of one set of sequences.
pub(crate) struct SetMemory<'a> {
    pub tokens: &'a mut [TokenId],
    pub sequences: &'a mut [Sequence],
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
        let sequences = match plan.config.sequence_capacity {
            0 => 256,
            capacity => capacity as usize,
        };
        let (adjusted, halves) = (plan.adjustment_capacity, sequences.div_ceil(2));
        let shape = Shape::new(plan);
        let keeps_states =
            plan.config.mirostat != Mirostat::Off || plan.adaptive || plan.config.metrics.contains(Metrics::LOGPROB);
        let edits = shape.edits() + sequences;
        // Tokens that any list can have for a step, and no more than there are.
        let touched = shape.counted() + 2 * adjusted + 3 * sequences + edits;
        Layout {
            lists: [
                adjusted,
                adjusted.div_ceil(2),
                halves,
                2 * sequences,
                halves,
                2 * sequences,
                halves,
                2 * sequences,
                halves,
                2 * sequences,
                halves,
                2 * sequences,
                sequences.div_ceil(8),
                halves,
            ],
            sequence_capacity: sequences,
            shape,
            states: if keeps_states { shape.ring } else { 0 },
            text_states: text_states(plan),
            nodes: sequences + 1,
            edits,
            // Also the place where biases are sorted, and where the bitmask of a forced token lies.
            overrides: touched.min(plan.valid).max(adjusted).max(plan.valid.div_ceil(64)),
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
        self.lists.iter().sum::<usize>()
            + self.shape.words()
            + 3 * self.states
            + self.text_states.div_ceil(2)
            + 3 * self.nodes
            + 2 * self.edits
            + self.overrides
            + self.maxima
            + self.group_maxima
            + self.bounds
            + sums
            + sums_of_sums
            + 3 * self.list
            + self.list.div_ceil(2)
    }

    /// Whether the state before each token is kept.
    pub fn keeps_states(&self) -> bool {
        self.states > 0
    }

    /// Refuses memory that is too small.
    pub fn check(&self, storage: &[u64]) -> Result<()> {
        if storage.len() < self.words() {
            return Err(Error::StorageTooSmall { expected: self.words(), actual: storage.len() });
        }
        Ok(())
    }

    /// Moves what was set from where another layout had it; `used` are the words of each part.
    pub fn move_lists(&self, from: &Layout, storage: &mut [u64], used: &[usize; LISTS]) {
        debug_assert!(used.iter().zip(&self.lists).all(|(used, room)| used <= room), "{used:?} in {:?}", self.lists);
        // Close together at the front first, so that no part is in the way of another.
        let (mut at, mut packed) = (0, 0);
        for (&used, &room) in used.iter().zip(&from.lists) {
            storage.copy_within(at..at + used, packed);
            (at, packed) = (at + room, packed + used);
        }
        let mut end = self.lists.iter().sum::<usize>();
        for (&used, &room) in used.iter().zip(&self.lists).rev() {
            (end, packed) = (end - room, packed - used);
            storage.copy_within(packed..packed + used, end);
        }
    }

    /// Cuts memory that [`Layout::check`] has accepted.
    pub fn split<'a>(&self, storage: &'a mut [u64]) -> (Lists<'a>, Scratch<'a>) {
        let mut rest = storage;
        let mut take = |words: usize| {
            let (part, tail) = core::mem::take(&mut rest).split_at_mut(words);
            rest = tail;
            part
        };
        let [biases, bans, ends, forced, a, b, c, d, e, f, g, h, bytes, string_ends] = self.lists.map(&mut take);
        let sequences = self.sequence_capacity;
        let tokens = |words: &'a mut [u64]| &mut cast_slice_mut::<u64, u32>(words)[..sequences];
        let set = |tokens: &'a mut [u64], entries: &'a mut [u64]| SetMemory {
            tokens: &mut cast_slice_mut(tokens)[..sequences],
            sequences: cast_slice_mut(entries),
        };
        let lists = Lists {
            biases: cast_slice_mut(biases),
            bans: cast_slice_mut(bans),
            end_tokens: tokens(ends),
            forced: cast_slice_mut(forced),
            sets: [set(a, b), set(c, d), set(e, f), set(g, h)],
            string_bytes: &mut cast_slice_mut(bytes)[..sequences],
            string_ends: tokens(string_ends),
            history: take(self.shape.words()),
            states: cast_slice_mut(take(3 * self.states)),
            text_states: &mut cast_slice_mut(take(self.text_states.div_ceil(2)))[..self.text_states],
            nodes: cast_slice_mut(take(3 * self.nodes)),
            edits: cast_slice_mut(take(2 * self.edits)),
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
