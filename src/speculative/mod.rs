//! Speculative decoding: many drafted tokens verified against the rows of one run of the target model.
//!
//! A small model, or a look-up, drafts some tokens ahead; the target model computes the rows of all of them at once;
//! [`verify`] then says how many of the drafts stand, and which token comes after them. What it emits has the distribution
//! that [`Decoder::decode`] would have given, token for token. [The page on speculative decoding](crate::docs::speculative)
//! has the laws.

mod arithmetic;
mod judge;
mod masses;
mod residual;
mod verify;

pub use verify::verify;
#[cfg(feature = "capi")]
pub(crate) use verify::{Failure, Given, Rows, verify_given};

use crate::decoder::{Decoder, Memory};
use crate::trace::Finish;
use crate::types::{Row, TokenId};

/// The longest path of drafts.
pub const MAX_DRAFT: usize = 64;

/// The most drafts that may follow one node.
pub const MAX_SIBLINGS: usize = 64;

/// In [`Drafts::parents`]: the draft follows what is recorded already.
pub const ROOT: u32 = u32::MAX;

/// How drafts are judged, which must fit how they were made. In greedy mode all come to the same: a draft stands if it is
/// the argmax.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Acceptance {
    /// The token is picked as [`Decoder::decode`] picks it, and a draft stands if it is that token. However the drafts were
    /// made, the tokens are those of plain decoding under the same seed. (llama.cpp and mlx-lm verify like this.)
    #[default]
    Match = 0,
    /// The drafts were certain: chosen by an argmax or a look-up, without chance. Stands with the probability p of the draft.
    Certain = 1,
    /// Each draft was drawn from the draft model's distribution q, siblings independently (Leviathan et al. 2023, Chen et
    /// al. 2023; trees: Miao et al. 2023, SpecInfer). Stands with the probability min(1, p/q).
    Drawn = 2,
    /// The same, but siblings were drawn one after the other without replacement: none comes twice.
    WithoutReplacement = 3,
}

/// Drafted tokens and the target model's rows for them.
#[derive(Clone, Copy, Debug)]
pub struct Drafts<'a> {
    /// The drafts. A chain has at most [`MAX_DRAFT`], a tree so many on any path; none at all is a plain step.
    pub tokens: &'a [TokenId],
    /// Empty for a chain, in which each draft follows the one before. For a tree, one for each draft: the index of the draft
    /// that it follows, which is lower than its own, or [`ROOT`]. Siblings are judged in ascending order.
    pub parents: &'a [u32],
    /// The target model's rows, one more than drafts: the first is that of the next token, number i + 1 that of the token
    /// after draft i.
    pub rows: &'a [Row<'a>],
    /// Bitmasks for the rows, as in [`Decoder::decode`]; empty if no row has one.
    pub masks: &'a [Option<&'a [u32]>],
    /// How the drafts are judged.
    pub acceptance: Acceptance,
}

/// The draft model's side: needed where drafts were drawn.
#[derive(Debug)]
pub struct DraftModel<'a, S = Memory> {
    /// A decoder configured as the one that drew the drafts, standing where the target's decoder stands, before the drafts.
    /// It goes along: afterwards it has recorded the same tokens.
    pub decoder: &'a mut Decoder<S>,
    /// The draft model's rows, numbered as the target's: row 0 is the one that the first drafts were drawn from, row i + 1 the
    /// one for what follows draft i. Rows that nothing follows may be left out at the end. Read only where drafts were drawn.
    pub rows: &'a [Row<'a>],
    /// Bitmasks for these rows; empty if no row has one.
    pub masks: &'a [Option<&'a [u32]>],
}

/// What a verification comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Drafts that stand.
    pub accepted: usize,
    /// Tokens emitted and recorded, so many picks were written: the accepted drafts and, unless one of them ends the
    /// sequence, one token more.
    pub emitted: usize,
    /// The last draft that stands, in [`Drafts::tokens`]; in a tree, its ancestors are the others. `None` if none does.
    pub node: Option<usize>,
    /// Whether the sequence ends with the last token, and why.
    pub finish: Finish,
}
