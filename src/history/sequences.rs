//! Sets of token sequences (stops, breakers, bad and biased sequences), found by the token that the history ends with.
//!
//! Sequences of one token stand first, sorted by it. The longer ones are sorted by the token that the history must end
//! with: their last one, or the last but one where they wait for the last. So a step looks up one token and compares the
//! few sequences that share it, and nothing has to be taken back when tokens are.

use super::ring::{Ring, TOKEN};
use crate::error::{Error, Result};
use crate::types::TokenId;
use bytemuck::{Pod, Zeroable};

/// One sequence.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Sequence {
    /// What it is sorted by: its only token, or the one that the history must end with.
    pub key: TokenId,
    /// Its first token in the list of all.
    pub start: u32,
    pub length: u32,
    /// Its bias; 0 for other kinds.
    pub value: f32,
}

/// What sequences are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The history ends with them.
    Ending,
    /// The history ends with all but their last token, which is what a step then treats.
    Pending,
}

/// How much of its memory a set uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SetSize {
    pub tokens: usize,
    pub sequences: usize,
    /// How many of them are of one token.
    pub singles: usize,
}

/// A set as it is read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sequences<'a> {
    pub tokens: &'a [TokenId],
    pub sequences: &'a [Sequence],
    pub singles: usize,
}

/// Writes a set; `items` are the sequences in order, with their values. Nothing is written if one is refused.
pub(crate) fn write<'t>(
    (what, kind, vocab): (&'static str, Kind, usize),
    items: impl Iterator<Item = (&'t [TokenId], f32)> + Clone,
    tokens: &mut [TokenId],
    sequences: &mut [Sequence],
) -> Result<SetSize> {
    let mut total = 0usize;
    for (sequence, value) in items.clone() {
        if sequence.is_empty() {
            return Err(Error::InvalidParameter { name: "sequence_length", value: 0.0 });
        }
        if let Some(&token) = sequence.iter().find(|&&token| token as usize >= vocab) {
            return Err(Error::TokenOutOfRange { token, vocab });
        }
        if value.is_nan() || value == f32::INFINITY {
            return Err(Error::InvalidParameter { name: "bias", value: value.into() });
        }
        total = total.saturating_add(sequence.len());
    }
    if total > tokens.len() {
        return Err(Error::CapacityExceeded { what, capacity: tokens.len(), actual: total });
    }
    let mut size = SetSize::default();
    for (sequence, value) in items {
        let (start, length) = (size.tokens, sequence.len());
        tokens[start..start + length].copy_from_slice(sequence);
        sequences[size.sequences] = Sequence { key: 0, start: start as u32, length: length as u32, value };
        size = SetSize { tokens: start + length, sequences: size.sequences + 1, singles: 0 };
    }
    size.singles = sort(kind, tokens, &mut sequences[..size.sequences]);
    Ok(size)
}

/// Finds the keys of sequences and sorts them; returns how many are of one token.
pub(crate) fn sort(kind: Kind, tokens: &[TokenId], sequences: &mut [Sequence]) -> usize {
    for entry in &mut *sequences {
        let before_key = if kind == Kind::Pending && entry.length > 1 { 2 } else { 1 };
        entry.key = tokens[(entry.start + entry.length) as usize - before_key];
    }
    // Equal keys stay in the order in which they were given: it is that of their tokens.
    sequences.sort_unstable_by_key(|entry| (entry.length > 1, entry.key, entry.start));
    sequences.partition_point(|entry| entry.length == 1)
}

impl<'a> Sequences<'a> {
    pub fn new(tokens: &'a [TokenId], sequences: &'a [Sequence], size: SetSize) -> Self {
        Sequences { tokens: &tokens[..size.tokens], sequences: &sequences[..size.sequences], singles: size.singles }
    }

    /// The sequences of one token, in ascending order of it.
    pub fn singles(&self) -> &'a [Sequence] {
        &self.sequences[..self.singles]
    }

    /// Whether the token alone is a sequence.
    pub fn has_single(&self, token: TokenId) -> bool {
        self.singles().binary_search_by_key(&token, |entry| entry.key).is_ok()
    }

    /// The tokens of a sequence.
    pub fn tokens_of(&self, sequence: &Sequence) -> &'a [TokenId] {
        &self.tokens[sequence.start as usize..][..sequence.length as usize]
    }

    /// The last token of a sequence.
    pub fn last_token(&self, sequence: &Sequence) -> TokenId {
        self.tokens[(sequence.start + sequence.length) as usize - 1]
    }

    /// The longer sequences with this key.
    fn keyed(&self, key: TokenId) -> &'a [Sequence] {
        let longer = &self.sequences[self.singles..];
        let first = longer.partition_point(|entry| entry.key < key);
        let count = longer[first..].partition_point(|entry| entry.key == key);
        &longer[first..first + count]
    }

    /// The sequences of more than one token whose tokens before the last stand at the end of the newest `reach` tokens.
    pub fn pending(self, ring: &Ring<'a>, reach: usize) -> impl Iterator<Item = &'a Sequence> {
        let ring = *ring;
        let keyed = if reach == 0 { &[] } else { self.keyed(ring.token_back(0)) };
        keyed.iter().filter(move |sequence| {
            let tokens = self.tokens_of(sequence);
            ends_with(&ring, &[], &tokens[..tokens.len() - 1], reach)
        })
    }

    /// The length of the shortest sequence that the history ends with after `more` tokens and then `next`. It begins among
    /// the newest `reach` tokens before `next`.
    pub fn shortest_ending(&self, ring: &Ring<'_>, more: &[TokenId], reach: usize, next: TokenId) -> Option<usize> {
        if self.has_single(next) {
            return Some(1);
        }
        let matching = self.keyed(next).iter().filter(|sequence| {
            let tokens = self.tokens_of(sequence);
            ends_with(ring, more, &tokens[..tokens.len() - 1], reach)
        });
        matching.map(|sequence| sequence.length as usize).min()
    }
}

/// Whether the newest `reach` tokens, of which `more` are not in the ring yet, end with these.
fn ends_with(ring: &Ring<'_>, more: &[TokenId], tokens: &[TokenId], reach: usize) -> bool {
    let token_back = |back: usize| match more.len().checked_sub(back + 1) {
        Some(at) => more[at],
        None => ring.back(back - more.len()) & TOKEN,
    };
    tokens.len() <= reach && tokens.iter().rev().enumerate().all(|(back, &token)| token_back(back) == token)
}
