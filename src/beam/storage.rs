//! The memory of a beam search: one slice of 64-bit words, given by the caller, cut into its parts anew on each call.

use super::candidates::Candidate;
use super::config::Plan;
use super::hypotheses::Hypothesized;
use crate::error::{Error, Result};
use crate::types::{BLOCK, TokenId};
use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};

/// Where a beam came from: its index among the beams of the step before, and its token.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Node {
    pub parent: u32,
    pub token: TokenId,
}

/// A group of beams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Group {
    /// Beams that go on; those of one group stand together, group after group.
    pub live: u32,
    /// Hypotheses in its list.
    pub finished: u32,
}

/// Words (of 64 bits) of each part, in the order in which they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    end_tokens: usize,
    groups: usize,
    scores: usize,
    hypotheses: usize,
    order: usize,
    nodes: usize,
    // From here on scratch.
    mask: usize,
    maxima: usize,
    group_maxima: usize,
    keys: usize,
    candidates: usize,
    survivors: usize,
    ended: usize,
    ended_of_group: usize,
    sources: usize,
}

/// The parts that outlive a step.
pub(crate) struct State<'a> {
    pub end_tokens: &'a mut [TokenId],
    pub groups: &'a mut [Group],
    /// Sums of log-probabilities of the live beams.
    pub scores: &'a mut [f64],
    /// A list of `width` for each group, best first.
    pub hypotheses: &'a mut [Hypothesized],
    /// Indices into `hypotheses`, best first over all groups.
    pub order: &'a mut [u32],
    /// A row of `beams` for each generated token.
    pub nodes: &'a mut [Node],
}

/// The parts that a step may scribble on.
pub(crate) struct Scratch<'a> {
    pub mask: &'a mut [u32],
    pub maxima: &'a mut [f32],
    pub group_maxima: &'a mut [f32],
    pub keys: &'a mut [u64],
    pub candidates: &'a mut [Candidate],
    pub survivors: &'a mut [Candidate],
    pub ended: &'a mut [Candidate],
    /// How many of `ended` and of `survivors` are of each group.
    pub ended_of_group: &'a mut [[u32; 2]],
    pub sources: &'a mut [u32],
}

const CANDIDATE: usize = size_of::<Candidate>() / 8;
const HYPOTHESIS: usize = size_of::<Hypothesized>() / 8;

impl Layout {
    pub fn new(plan: &Plan) -> Layout {
        let maxima = plan.valid.div_ceil(BLOCK).next_multiple_of(16);
        Layout {
            end_tokens: plan.end_tokens.div_ceil(2),
            groups: plan.groups,
            scores: plan.beams,
            hypotheses: HYPOTHESIS * plan.beams,
            order: plan.beams.div_ceil(2),
            nodes: plan.beams * plan.max_tokens as usize,
            mask: plan.vocab.div_ceil(64),
            maxima: maxima / 2,
            group_maxima: (maxima / 16).next_multiple_of(16) / 2,
            // A few blocks: what is full is weighed, emptied and filled again.
            keys: 8 * BLOCK,
            candidates: CANDIDATE * plan.candidates(),
            survivors: CANDIDATE * plan.beams,
            ended: CANDIDATE * plan.outputs(),
            ended_of_group: plan.groups,
            sources: plan.beams.div_ceil(2),
        }
    }

    fn persistent(&self) -> usize {
        self.end_tokens + self.groups + self.scores + self.hypotheses + self.order + self.nodes
    }

    /// All words.
    pub fn words(&self) -> usize {
        self.persistent()
            + self.mask
            + self.maxima
            + self.group_maxima
            + self.keys
            + self.candidates
            + self.survivors
            + self.ended
            + self.ended_of_group
            + self.sources
    }

    /// Refuses memory that is too small.
    pub fn check(&self, storage: &[u64]) -> Result<()> {
        if storage.len() < self.words() {
            return Err(Error::StorageTooSmall { expected: self.words(), actual: storage.len() });
        }
        Ok(())
    }

    /// The parts that can be read at any time: hypotheses, their order, nodes, scores.
    pub fn read<'a>(&self, storage: &'a [u64]) -> (&'a [Hypothesized], &'a [u32], &'a [Node], &'a [f64]) {
        let (_, rest) = storage.split_at(self.end_tokens + self.groups);
        let (scores, rest) = rest.split_at(self.scores);
        let (hypotheses, rest) = rest.split_at(self.hypotheses);
        let (order, rest) = rest.split_at(self.order);
        (cast_slice(hypotheses), cast_slice(order), cast_slice(&rest[..self.nodes]), cast_slice(scores))
    }

    /// Cuts memory that [`Layout::check`] has accepted. `end_tokens` are so many.
    pub fn split<'a>(&self, storage: &'a mut [u64], end_tokens: usize) -> (State<'a>, Scratch<'a>) {
        let mut rest = storage;
        let mut take = |words: usize| {
            let (part, tail) = core::mem::take(&mut rest).split_at_mut(words);
            rest = tail;
            part
        };
        let state = State {
            end_tokens: &mut cast_slice_mut(take(self.end_tokens))[..end_tokens],
            groups: cast_slice_mut(take(self.groups)),
            scores: cast_slice_mut(take(self.scores)),
            hypotheses: cast_slice_mut(take(self.hypotheses)),
            order: cast_slice_mut(take(self.order)),
            nodes: cast_slice_mut(take(self.nodes)),
        };
        let scratch = Scratch {
            mask: cast_slice_mut(take(self.mask)),
            maxima: cast_slice_mut(take(self.maxima)),
            group_maxima: cast_slice_mut(take(self.group_maxima)),
            keys: take(self.keys),
            candidates: cast_slice_mut(take(self.candidates)),
            survivors: cast_slice_mut(take(self.survivors)),
            ended: cast_slice_mut(take(self.ended)),
            ended_of_group: cast_slice_mut(take(self.ended_of_group)),
            sources: cast_slice_mut(take(self.sources)),
        };
        (state, scratch)
    }
}
