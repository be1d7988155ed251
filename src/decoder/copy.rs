//! The same decoder in other memory.

use super::Decoder;
use crate::error::{Error, Result};
use crate::trace::Finish;
use crate::types::TokenId;

impl<S: AsRef<[u64]> + AsMut<[u64]>> Decoder<S> {
    /// A decoder in the same state that works in `storage`, which has at least as many words as this one uses; what they
    /// contain does not matter.
    ///
    /// # Errors
    /// [`Error::StorageTooSmall`].
    pub fn copy_in<T: AsRef<[u64]> + AsMut<[u64]>>(&self, mut storage: T) -> Result<Decoder<T>> {
        let words = self.layout.words();
        let from = &self.storage.as_ref()[..words];
        let actual = storage.as_ref().len();
        let to = storage.as_mut().get_mut(..words).ok_or(Error::StorageTooSmall { expected: words, actual })?;
        to.copy_from_slice(from);
        Ok(Decoder {
            plan: self.plan.clone(),
            layout: self.layout,
            kernels: self.kernels,
            history: self.history,
            position: self.position,
            sizes: self.sizes,
            state: self.state,
            ended: self.ended,
            text: self.text,
            text_held: self.text_held,
            storage,
        })
    }
}

/// Beams: the state of a decoder goes to another one that is there already.
impl<S: AsRef<[u64]> + AsMut<[u64]>> Decoder<S> {
    /// Tokens that can take part: ids below this.
    pub(crate) fn valid(&self) -> usize {
        self.plan.valid
    }

    /// Whether another token can be accepted.
    pub(crate) fn can_go_on(&self) -> bool {
        self.goes_on()
    }

    /// Whether and why the sequence would end with this token.
    pub(crate) fn finish_with(&mut self, token: TokenId) -> Finish {
        self.outcome(token).0
    }

    /// Whether the memories of two decoders are cut alike, so that states can change places.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.layout == other.layout
    }

    /// Takes over the state of a decoder that is like this one.
    pub(crate) fn copy_state_of(&mut self, other: &Self) {
        let words = self.layout.words();
        debug_assert!(self.is_like(other), "{:?} and {:?}", self.layout, other.layout);
        self.storage.as_mut()[..words].copy_from_slice(&other.storage.as_ref()[..words]);
        self.plan = other.plan.clone();
        self.kernels = other.kernels;
        self.history = other.history;
        self.position = other.position;
        self.sizes = other.sizes;
        self.state = other.state;
        self.ended = other.ended;
        self.text = other.text;
        self.text_held = other.text_held;
    }

    /// Changes states with a decoder that is like this one.
    pub(crate) fn swap_states(&mut self, other: &mut Self) {
        let words = self.layout.words();
        core::mem::swap(self, other);
        // The memories stay where they are; what is in them goes along.
        core::mem::swap(&mut self.storage, &mut other.storage);
        self.storage.as_mut()[..words].swap_with_slice(&mut other.storage.as_mut()[..words]);
    }
}
