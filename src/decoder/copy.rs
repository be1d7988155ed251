//! The same decoder in other memory.

use super::Decoder;
use crate::error::{Error, Result};

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
