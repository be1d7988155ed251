//! Sets of token sequences (stops, breakers, bad and biased sequences), found by the token that the history ends with.
//!
//! Sequences of one token stand first, sorted by it. The longer ones are sorted by the token that the history must end
//! with: their last one, or the last but one where they wait for the last; then by the tokens before it, from the end. So
//! those that match lie within ever shorter stretches of the list as one goes back through the history: a token costs two
//! binary searches for each token that is compared, at most as many as the longest sequence has, whatever their number. And
//! nothing has to be taken back when tokens are.

use super::ring::Ring;
use crate::error::{Error, Result};
use crate::types::TokenId;
use bytemuck::{Pod, Zeroable};
use core::ops::Range;

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

impl Sequence {
    /// Where the tokens before the key lie among all.
    fn before_key(&self, kind: Kind) -> Range<usize> {
        let after = if kind == Kind::Pending && self.length > 1 { 2 } else { 1 };
        self.start as usize..(self.start + self.length) as usize - after
    }
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
        entry.key = tokens[entry.before_key(kind).end];
    }
    // Equal ones stay in the order in which they were given: it is that of their tokens.
    sequences.sort_unstable_by(|a, b| {
        let before = |entry: &Sequence| tokens[entry.before_key(kind)].iter().rev();
        let by_key = (a.length > 1, a.key).cmp(&(b.length > 1, b.key));
        by_key.then_with(|| before(a).cmp(before(b))).then(a.start.cmp(&b.start))
    });
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
        let range = if reach == 0 { &[] } else { self.keyed(ring.token_back(0)) };
        let before = move |back: usize| ring.token_back(back + 1);
        Matches { tokens: self.tokens, kind: Kind::Pending, range, depth: 0, reach: reach.saturating_sub(1), before }
    }

    /// The length of the shortest sequence that the history ends with after `more` tokens and then `next`. It begins among
    /// the newest `reach` tokens before `next`.
    pub fn shortest_ending(&self, ring: &Ring<'_>, more: &[TokenId], reach: usize, next: TokenId) -> Option<usize> {
        if self.has_single(next) {
            return Some(1);
        }
        let before = |back: usize| match more.len().checked_sub(back + 1) {
            Some(at) => more[at],
            None => ring.token_back(back - more.len()),
        };
        let range = self.keyed(next);
        let mut matches = Matches { tokens: self.tokens, kind: Kind::Ending, range, depth: 0, reach, before };
        matches.next().map(|sequence| sequence.length as usize)
    }
}

/// The sequences of one key whose tokens before it are those of the history, shorter ones first.
struct Matches<'a, F> {
    tokens: &'a [TokenId],
    kind: Kind,
    /// The sequences that match as far as they have been compared, or are shorter than that and yet to come.
    range: &'a [Sequence],
    /// Tokens before the key that have been compared.
    depth: usize,
    /// Tokens that there are before the key.
    reach: usize,
    /// The token so far before the key (0 is next to it).
    before: F,
}

impl<'a, F: Fn(usize) -> TokenId> Iterator for Matches<'a, F> {
    type Item = &'a Sequence;

    fn next(&mut self) -> Option<&'a Sequence> {
        loop {
            let (first, rest) = self.range.split_first()?;
            if first.before_key(self.kind).len() == self.depth {
                self.range = rest;
                return Some(first);
            }
            if self.depth == self.reach {
                return None;
            }
            let (token, depth) = ((self.before)(self.depth), self.depth);
            let there = |entry: &Sequence| self.tokens[entry.before_key(self.kind).end - 1 - depth];
            let begin = self.range.partition_point(|entry| there(entry) < token);
            let count = self.range[begin..].partition_point(|entry| there(entry) == token);
            self.range = &self.range[begin..begin + count];
            self.depth += 1;
        }
    }
}
