//! Stop strings: bytes that end a sequence, found while the host hands over the bytes of each token.
//!
//! The matcher of Aho and Corasick (1975) over the bytes of all stop strings: a trie whose nodes know where to go on when
//! a byte does not fit. A node's depth is how much of the end of the text may be the beginning of a stop string. The state
//! is one number, so the one before a token is all that is needed to take its bytes back. A byte costs O(1) on average over
//! a text; one that is taken back and given again, at most the length of the longest stop string.

use crate::error::{Error, Result};
use bytemuck::{Pod, Zeroable};

/// A node of the trie; node 0 is the root, and 0 means "none" in every field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Node {
    child: u32,
    sibling: u32,
    /// The longest proper end of this node's text that is a node, too.
    fail: u32,
    /// 1 and the number of the longest stop string that this node's text ends with.
    stop: u32,
    /// The depth in the upper 24 bits, and the byte that leads here.
    depth_and_byte: u32,
    /// While the matcher is built: the node that is treated after this one.
    queued: u32,
}

impl Node {
    fn depth(&self) -> u32 {
        self.depth_and_byte >> 8
    }
    fn byte(&self) -> u8 {
        self.depth_and_byte as u8
    }
}

/// Where the text stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextState {
    pub node: u32,
    /// 1 and the number of the stop string that was found.
    pub stop: u32,
    /// With a stop: bytes from its beginning to the end of the text.
    pub after: u64,
}

/// What the bytes so far say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextMatch {
    /// The stop string that the text contains: its number in the list. Of several the one that ends first, and of those
    /// that end together the longest.
    pub stop: Option<usize>,
    /// How many bytes at the end of the text are not to be shown: with a stop, all from its beginning on; else those that
    /// may yet turn out to be the beginning of one.
    pub held_back: usize,
}

impl TextState {
    pub fn answer(&self, nodes: &[Node]) -> TextMatch {
        match self.stop {
            0 => {
                let mut node = nodes.get(self.node as usize);
                // A whole stop string, found too early to count, is the beginning of nothing if no other goes on from it.
                while let Some(leaf) = node.filter(|node| node.child == 0 && node.depth() > 0) {
                    node = nodes.get(leaf.fail as usize);
                }
                TextMatch { stop: None, held_back: node.map_or(0, |node| node.depth() as usize) }
            }
            stop => TextMatch { stop: Some(stop as usize - 1), held_back: self.after as usize },
        }
    }
}

/// Checks stop strings: none is empty, all have room. Returns how many bytes and strings there are.
pub(crate) fn check<'t>(strings: impl Iterator<Item = &'t [u8]>, capacity: usize) -> Result<(usize, usize)> {
    let (mut bytes, mut count) = (0usize, 0);
    for string in strings {
        if string.is_empty() {
            return Err(Error::InvalidParameter { name: "sequence_length", value: 0.0 });
        }
        bytes = bytes.saturating_add(string.len());
        count += 1;
    }
    if bytes > capacity {
        return Err(Error::CapacityExceeded { what: "stop_strings", capacity, actual: bytes });
    }
    Ok((bytes, count))
}

/// Builds the matcher; `nodes` has room for one more than there are bytes. Returns the number of nodes.
pub(crate) fn build<'t>(strings: impl Iterator<Item = &'t [u8]>, nodes: &mut [Node]) -> usize {
    let mut used = 1;
    nodes[0] = Node::zeroed();
    for (number, string) in strings.enumerate() {
        let mut at = 0;
        for &byte in string {
            at = match child(nodes, at, byte) {
                Some(next) => next,
                None => {
                    nodes[used] = Node {
                        sibling: nodes[at].child,
                        depth_and_byte: (nodes[at].depth() + 1) << 8 | u32::from(byte),
                        ..Node::zeroed()
                    };
                    nodes[at].child = used as u32;
                    used += 1;
                    used - 1
                }
            };
        }
        // The first of equal strings is the one that is found.
        if nodes[at].stop == 0 {
            nodes[at].stop = number as u32 + 1;
        }
    }
    link(&mut nodes[..used]);
    used
}

/// Finds where each node goes on, level by level: what a node needs is known one level up.
fn link(nodes: &mut [Node]) {
    let (mut parent, mut last) = (0, 0);
    loop {
        let mut next = nodes[parent].child as usize;
        while next != 0 {
            if parent != 0 {
                nodes[next].fail = step(nodes, nodes[parent].fail as usize, nodes[next].byte()) as u32;
            }
            if nodes[next].stop == 0 {
                nodes[next].stop = nodes[nodes[next].fail as usize].stop;
            }
            nodes[last].queued = next as u32;
            last = next;
            next = nodes[next].sibling as usize;
        }
        if parent == last {
            return;
        }
        parent = nodes[parent].queued as usize;
    }
}

fn child(nodes: &[Node], at: usize, byte: u8) -> Option<usize> {
    let mut next = nodes[at].child as usize;
    while next != 0 {
        if nodes[next].byte() == byte {
            return Some(next);
        }
        next = nodes[next].sibling as usize;
    }
    None
}

fn step(nodes: &[Node], mut at: usize, byte: u8) -> usize {
    loop {
        if let Some(next) = child(nodes, at, byte) {
            return next;
        }
        if at == 0 {
            return 0;
        }
        at = nodes[at].fail as usize;
    }
}

/// Goes on by the bytes of a token. A stop that is found while `enough` is false does not count, and the text goes on.
/// `length_of` tells the length of a stop string.
pub(crate) fn push(
    nodes: &[Node],
    state: &mut TextState,
    bytes: &[u8],
    enough: bool,
    length_of: impl Fn(usize) -> usize,
) {
    if nodes.len() < 2 {
        return;
    }
    for (i, &byte) in bytes.iter().enumerate() {
        if state.stop != 0 {
            state.after += (bytes.len() - i) as u64;
            return;
        }
        let at = step(nodes, state.node as usize, byte);
        state.node = at as u32;
        if enough && nodes[at].stop != 0 {
            state.stop = nodes[at].stop;
            state.after = length_of(state.stop as usize - 1) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stop that ends first, the longest of those that end together, and where it begins; found by looking everywhere.
    /// Stops that end within the first `early` bytes do not count.
    fn naive(strings: &[&[u8]], text: &[u8], early: usize) -> TextMatch {
        for end in early + 1..=text.len() {
            let ending = strings.iter().enumerate().filter(|(_, string)| text[..end].ends_with(string));
            if let Some((number, string)) = ending.max_by_key(|(number, string)| (string.len(), usize::MAX - number)) {
                return TextMatch { stop: Some(number), held_back: text.len() - end + string.len() };
            }
        }
        let begun = |count: usize| {
            count == 0
                || strings.iter().any(|string| string.len() > count && string.starts_with(&text[text.len() - count..]))
        };
        TextMatch { stop: None, held_back: (0..=text.len()).rev().find(|&count| begun(count)).unwrap_or(0) }
    }

    #[test]
    fn the_matcher_finds_what_looking_everywhere_finds() {
        let mut state = 7u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let (mut found, mut partial, mut ignored) = (0, 0, 0);
        for _ in 0..3_000 {
            let mut word = |most: u64| (0..=next(most)).map(|_| b'a' + next(2) as u8).collect::<std::vec::Vec<u8>>();
            let strings: std::vec::Vec<_> = (0..4).map(|_| word(5)).collect();
            let strings: std::vec::Vec<&[u8]> = strings.iter().map(|string| &string[..]).collect();
            let total: usize = strings.iter().map(|string| string.len()).sum();
            let mut nodes = std::vec![Node::zeroed(); total + 1];
            let used = build(strings.iter().copied(), &mut nodes);
            let (mut text, mut state) = (std::vec::Vec::new(), TextState::default());
            let (early_tokens, mut early) = (word(2).len() - 1, 0);
            for place in 0..4 {
                let token = word(3);
                text.extend_from_slice(&token);
                let enough = place >= early_tokens;
                early = if enough { early } else { text.len() };
                push(&nodes[..used], &mut state, &token, enough, |number| strings[number].len());
                let expected = naive(&strings, &text, early);
                assert_eq!(state.answer(&nodes[..used]), expected, "{strings:?} in {text:?} after {early}");
                found += usize::from(expected.stop.is_some());
                partial += usize::from(expected.stop.is_none() && expected.held_back > 0);
                ignored += usize::from(!enough && strings.iter().any(|string| text.ends_with(string)));
            }
        }
        assert!(found > 1_000 && partial > 100 && ignored > 500, "{found} found, {partial} begun, {ignored} too early");
    }
}
