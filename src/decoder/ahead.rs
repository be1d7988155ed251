//! Going ahead: a decoder that records token after token on trial and can come back to where it stood.

use super::Decoder;
use crate::distribution::StepState;
use crate::error::{Error, Result};
use crate::history::text::TextState;
use crate::kernels::with_default_environment;
use crate::trace::Pick;
use crate::types::{Row, TokenId};

/// Where a decoder stood.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    position: u64,
    state: StepState,
    text: TextState,
}

impl<S: AsRef<[u64]> + AsMut<[u64]>> Decoder<S> {
    /// Whether it takes the argmax.
    pub(crate) fn is_greedy(&self) -> bool {
        self.plan.greedy
    }

    /// Where it stands.
    pub(crate) fn mark(&self) -> Mark {
        Mark { position: self.position, state: self.state, text: self.text }
    }

    /// How many tokens can be recorded from here and then be taken back, whatever the history holds.
    pub(crate) fn way_back(&self) -> usize {
        let shape = &self.layout.shape;
        // Either nothing has to leave the ring, or what leaves it is what no window sees.
        let ring = (shape.ring - self.history.extent.held).max(shape.ring - shape.capacity);
        if self.sizes.strings == 0 { ring } else { ring.min(self.layout.text_states) }
    }

    /// Comes back to a mark after `count` tokens, at most as many as [`Decoder::way_back`] said there.
    pub(crate) fn go_back(&mut self, mark: Mark, count: usize) {
        let undone = self.undo(count);
        debug_assert!(undone.is_ok(), "{undone:?}");
        (self.position, self.state, self.text) = (mark.position, mark.state, mark.text);
    }

    /// What [`Decoder::decode`] would pick, and the state after it.
    pub(crate) fn pick_next(&mut self, row: Row<'_>, mask: Option<&[u32]>) -> Result<(Pick, StepState)> {
        self.check_row(row.len())?;
        with_default_environment(|| self.evaluate_checked(row.into(), mask))
    }

    /// The pick with what it means for the sequence.
    pub(crate) fn with_finish(&mut self, pick: Pick) -> Pick {
        let mut pick = pick;
        self.describe_sequence(&mut pick);
        pick
    }

    /// Records a pick made by this decoder's rules.
    pub(crate) fn adopt(&mut self, pick: &Pick, state: StepState) {
        self.record_pick(pick, state);
    }

    /// Refuses a token past the vocabulary.
    pub(crate) fn check_token(&self, token: TokenId) -> Result<()> {
        self.check_tokens(&[token])
    }

    /// Refuses a row of another length.
    pub(crate) fn check_length(&self, what: &'static str, actual: usize) -> Result<()> {
        let expected = self.plan.vocab;
        if actual == expected { Ok(()) } else { Err(Error::WrongLength { what, expected, actual }) }
    }
}
