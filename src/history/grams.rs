//! Where an n-gram stood before: chains through the ring of the positions that end with the same one.
//!
//! A hash table holds the newest position of each bucket, and each position the one before it in its bucket; that link is
//! all that is needed to take the position back. Positions older than the window end a chain, so nothing has to be
//! removed. Equal hashes are not trusted: the reader compares the tokens.
//!
//! The hash of an n-gram comes from hashes of prefixes (Karp and Rabin 1987): `h(p) = h(p - 1) B + token + 1` modulo 2^64,
//! and `h(p) - h(p - n) B^n` depends on the last n tokens only. So recording a token costs O(1) for any n.

use super::ring::{Ring, TOKEN};

/// The base of the hash: odd, without pattern.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of a prefix that is one token longer.
pub(crate) fn extend(hash: u64, token: u32) -> u64 {
    hash.wrapping_mul(BASE).wrapping_add(u64::from(token) + 1)
}

/// `B^n`.
pub(crate) fn base_power(n: usize) -> u64 {
    let (mut result, mut square, mut rest) = (1u64, BASE, n);
    while rest != 0 {
        if rest & 1 == 1 {
            result = result.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        rest >>= 1;
    }
    result
}

/// Entries of a hash table for a ring of this length.
pub(crate) fn heads(ring: usize) -> usize {
    (2 * ring).next_power_of_two()
}

/// The chains of n-grams of one length, in their memory.
pub(crate) struct Grams<'a> {
    /// n.
    pub length: usize,
    /// `base_power(n)`.
    pub power: u64,
    /// Along the ring: the position before in the same bucket, its lower 32 bits.
    pub links: &'a mut [u32],
    /// The newest position of each bucket.
    pub heads: &'a mut [u32],
}

impl Grams<'_> {
    fn bucket(&self, hash: u64) -> usize {
        let spread = hash.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32;
        ((spread * self.heads.len() as u64) >> 32) as usize
    }

    /// Puts the n-gram with this hash that ends at `position` into its chain.
    pub fn push(&mut self, ring: &Ring<'_>, position: u64, hash: u64) {
        let bucket = self.bucket(hash);
        self.links[ring.slot(position)] = self.heads[bucket];
        self.heads[bucket] = position as u32;
    }

    /// Takes it out again; nothing newer is in any chain.
    pub fn pop(&mut self, ring: &Ring<'_>, position: u64, hash: u64) {
        let bucket = self.bucket(hash);
        self.heads[bucket] = self.links[ring.slot(position)];
    }

    /// The positions in the chain of a hash, newest first, as tokens back from the newest token of the ring; those less
    /// than `reach` back. Some may belong to other n-grams.
    pub fn chain(&self, ring: &Ring<'_>, hash: u64, reach: usize) -> Chain<'_> {
        Chain {
            links: self.links,
            next: self.heads[self.bucket(hash)],
            newest: ring.extent.recorded.wrapping_sub(1),
            reach,
            last: None,
        }
    }
}

/// See [`Grams::chain`].
pub(crate) struct Chain<'a> {
    links: &'a [u32],
    next: u32,
    newest: u64,
    reach: usize,
    last: Option<usize>,
}

impl Iterator for Chain<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let back = (self.newest as u32).wrapping_sub(self.next) as usize;
        // A chain leads into the past only. An entry that was never written, or is 2^32 tokens old, does not: it ends it,
        // or leads to positions whose tokens are others.
        if back >= self.reach || self.last.is_some_and(|last| back <= last) {
            return None;
        }
        self.last = Some(back);
        self.next = self.links[((self.newest - back as u64) % self.links.len() as u64) as usize];
        Some(back)
    }
}

/// Whether the `count` tokens before and at `first` back are those before and at `second` back.
pub(crate) fn equal(ring: &Ring<'_>, first: usize, second: usize, count: usize) -> bool {
    (0..count).all(|i| (ring.back(first + i) ^ ring.back(second + i)) & TOKEN == 0)
}
