//! What the history asks of single tokens in one step: a short list that is made anew and sorted by token.

use crate::types::TokenId;
use bytemuck::{Pod, Zeroable};

/// What is done to a token's logit. In this order where there are several for one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum EditKind {
    /// The value is subtracted: DRY. Of several the largest counts.
    Subtract = 0,
    /// The value is added: a sequence's bias. Several add up in the order of their list.
    Add = 1,
    /// The token is masked.
    Mask = 2,
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Edit {
    pub token: TokenId,
    /// The kind in the upper two bits, and the place in its list below.
    order: u32,
    pub value: f32,
    reserved: u32,
}

impl Edit {
    pub fn kind(&self) -> EditKind {
        match self.order >> 30 {
            0 => EditKind::Subtract,
            1 => EditKind::Add,
            _ => EditKind::Mask,
        }
    }
}

/// The list in its memory, which is large enough for all that a configuration can ask for.
pub(crate) struct Edits<'a> {
    list: &'a mut [Edit],
    count: usize,
}

impl<'a> Edits<'a> {
    pub fn new(list: &'a mut [Edit]) -> Self {
        Edits { list, count: 0 }
    }

    pub fn push(&mut self, token: TokenId, kind: EditKind, place: u32, value: f32) {
        self.list[self.count] = Edit { token, order: (kind as u32) << 30 | place, value, reserved: 0 };
        self.count += 1;
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Drops all entries from this one on.
    pub fn truncate(&mut self, count: usize) {
        self.count = count;
    }

    /// Of the entries from `first` on, keeps those whose tokens are wanted.
    pub fn retain(&mut self, first: usize, wanted: impl Fn(TokenId) -> bool) {
        let mut kept = first;
        for i in first..self.count {
            if wanted(self.list[i].token) {
                self.list[kept] = self.list[i];
                kept += 1;
            }
        }
        self.count = kept;
    }

    /// The entries in ascending order of token, and of kind and place for each token.
    pub fn sorted(self) -> &'a [Edit] {
        let list = &mut self.list[..self.count];
        list.sort_unstable_by_key(|edit| u64::from(edit.token) << 32 | u64::from(edit.order));
        list
    }
}
