//! The last three tokens to three columns of the sparse head.
//!
//! ```text
//! t1, t2, t3 = the newest token, the one before, the one before that
//! column 1 = the index of t1 in in_vocab                         below D1 = |in_vocab|
//! column 2 = D1 + h("t2|t1") mod d2                              below D1 + d2
//! column 3 = D1 + d2 + h("t3|t2|t1") mod d3                      below D1 + d2 + d3
//! h(text)  = the first 8 bytes, big-endian, of SHA-256 of the UTF-8 text
//! ```
//!
//! A token that `in_vocab` lacks is [`UNKNOWN`], before the start of the text stands [`BEGIN`]; both replace the token
//! before the hash is taken. So an index into `in_vocab` says all there is to say about a token, and a context is three
//! indices.

use super::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Stands before the start of a text.
pub const BEGIN: &str = "<BOS>";
/// Stands for a token that `in_vocab` lacks.
pub const UNKNOWN: &str = "<UNK>";

/// The columns of one context: `in_vocab`, pair, triple.
pub const COLUMNS: usize = 3;

/// The first 8 bytes, big-endian, of SHA-256 of `parts` joined by `|`.
fn hash_joined(parts: &[&str]) -> u64 {
    let mut sha = Sha256::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            sha.update(b"|");
        }
        sha.update(part.as_bytes());
    }
    sha.finalize().iter().take(8).fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// The input vocabulary and the sizes of the two hashed groups: everything that turns a context into columns.
#[derive(Clone, Debug)]
pub struct FeatureSpace {
    words: Vec<String>,
    index: HashMap<String, u32>,
    pairs: u32,
    triples: u32,
    begin: u32,
    unknown: u32,
}

impl FeatureSpace {
    /// `in_vocab` in the order of its columns, `d2` and `d3` the sizes of the pair and triple groups (at least 1).
    ///
    /// # Errors
    /// A vocabulary without [`BEGIN`] or [`UNKNOWN`] or with a word twice, a group of size 0, and more than `u32::MAX`
    /// columns in all; `origin` names the model in the message.
    pub fn new(origin: &str, in_vocab: Vec<String>, d2: i64, d3: i64) -> Result<Self> {
        let group = |name: &str, size: i64| match u32::try_from(size) {
            Ok(size) if size > 0 => Ok(size),
            _ => Err(Error::content(origin, format!("array '{name}' is {size}; it must be from 1 to {}", u32::MAX))),
        };
        let (pairs, triples) = (group("d2", d2)?, group("d3", d3)?);
        let columns = in_vocab.len() as u64 + u64::from(pairs) + u64::from(triples);
        if columns > u64::from(u32::MAX) {
            return Err(Error::content(
                origin,
                format!("|in_vocab| + d2 + d3 is {columns} columns; at most {} are possible", u32::MAX),
            ));
        }
        let mut index = HashMap::with_capacity(in_vocab.len());
        for (position, word) in in_vocab.iter().enumerate() {
            if let Some(first) = index.insert(word.clone(), position as u32) {
                return Err(Error::content(
                    origin,
                    format!("array 'in_vocab' has {word:?} twice, at {first} and at {position}"),
                ));
            }
        }
        let special = |word: &str| {
            index.get(word).copied().ok_or_else(|| {
                Error::content(origin, format!("array 'in_vocab' lacks {word}, which every context needs"))
            })
        };
        let (begin, unknown) = (special(BEGIN)?, special(UNKNOWN)?);
        Ok(FeatureSpace { words: in_vocab, index, pairs, triples, begin, unknown })
    }

    /// D = D1 + d2 + d3: the number of columns W must have.
    pub fn dimension(&self) -> usize {
        self.words.len() + self.pairs as usize + self.triples as usize
    }

    /// The input vocabulary, in the order of its columns.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The index of [`BEGIN`].
    pub fn begin(&self) -> u32 {
        self.begin
    }

    /// The index of [`UNKNOWN`].
    pub fn unknown(&self) -> u32 {
        self.unknown
    }

    /// The index of a lower-cased token, that of [`UNKNOWN`] if it is not in the vocabulary.
    pub fn id(&self, token: &str) -> u32 {
        self.index.get(token).copied().unwrap_or(self.unknown)
    }

    /// Whether the vocabulary has this token.
    pub fn contains(&self, token: &str) -> bool {
        self.index.contains_key(token)
    }

    /// The context before the first token: three times [`BEGIN`].
    pub fn start(&self) -> [u32; 3] {
        [self.begin; 3]
    }

    /// The columns of a context, given as indices into the vocabulary, the newest first.
    ///
    /// Panics if an index is not below the size of the vocabulary.
    pub fn columns(&self, recent: [u32; 3]) -> [u32; COLUMNS] {
        let [t1, t2, t3] = recent.map(|id| self.words[id as usize].as_str());
        let first = self.words.len() as u32;
        let pair = (hash_joined(&[t2, t1]) % u64::from(self.pairs)) as u32;
        let triple = (hash_joined(&[t3, t2, t1]) % u64::from(self.triples)) as u32;
        [recent[0], first + pair, first + self.pairs + triple]
    }
}

/// Puts `newest` before the two newer tokens of `recent`: the context one token later.
pub fn shift(recent: [u32; 3], newest: u32) -> [u32; 3] {
    [newest, recent[0], recent[1]]
}
