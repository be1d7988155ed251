//! The one error enum. No heap strings: each variant carries what, where and the bad value.
//!
//! Every variant has a permanent number, [`Error::status`], which is also its status in the C ABI. Numbers are never
//! renumbered; a retired one stays here as a comment.

use crate::types::TokenId;
use core::fmt;

/// Why a call was refused. After an error nothing has changed: the decoder goes on as if the call had not been made.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A logit that takes part is NaN or +inf, as given or after an adjustment (bias, temperature).
    InvalidLogit {
        /// The lowest offending token id.
        index: TokenId,
        /// Its value.
        value: f32,
    },
    /// No token is left: all are excluded by the bitmask, banned or at negative infinity.
    EverythingMasked,
    /// A row, mask or output has the wrong number of elements.
    WrongLength {
        /// What has the wrong length.
        what: &'static str,
        /// Elements needed.
        expected: usize,
        /// Elements given.
        actual: usize,
    },
    /// A parameter is outside its range.
    InvalidParameter {
        /// The parameter's name, as in `Config`.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// A token id is not below the vocabulary.
    TokenOutOfRange {
        /// The token id.
        token: TokenId,
        /// The size of the vocabulary.
        vocab: usize,
    },
    /// A list is longer than the capacity it was configured with.
    CapacityExceeded {
        /// Which list.
        what: &'static str,
        /// Entries there is room for.
        capacity: usize,
        /// Entries asked for.
        actual: usize,
    },
    /// The memory given is smaller than `Decoder::storage_words` asks for.
    StorageTooSmall {
        /// 64-bit words needed.
        expected: usize,
        /// 64-bit words given.
        actual: usize,
    },
    /// The kernel level that was asked for is not to be had on this processor or in this build.
    KernelUnavailable {
        /// The level's name.
        level: &'static str,
    },
    /// `ARGPICK_KERNEL` names no kernel level.
    UnknownKernel,
    /// The decoder has finished (`max_tokens` reached); `reset` starts anew.
    Finished,
    /// More tokens are to be undone than the history still holds.
    UndoTooFar {
        /// Tokens asked for.
        requested: usize,
        /// Tokens that can be undone.
        available: usize,
    },
    /// A token stands twice in a list that takes each once.
    DuplicateToken {
        /// The token id.
        token: TokenId,
    },
    /// A column index of the sparse head is out of range.
    ColumnOutOfRange {
        /// The column.
        column: u32,
        /// The number of columns.
        columns: usize,
    },
}

/// The result of every call that can be refused.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// The permanent number of this error, the same as its status in the C ABI. 0 is "ok" and no error.
    pub const fn status(&self) -> i32 {
        match self {
            Error::InvalidLogit { .. } => 1,
            Error::EverythingMasked => 2,
            Error::WrongLength { .. } => 3,
            Error::InvalidParameter { .. } => 4,
            Error::TokenOutOfRange { .. } => 5,
            Error::CapacityExceeded { .. } => 6,
            Error::StorageTooSmall { .. } => 7,
            Error::KernelUnavailable { .. } => 8,
            Error::UnknownKernel => 9,
            Error::Finished => 10,
            Error::UndoTooFar { .. } => 11,
            Error::ColumnOutOfRange { .. } => 12,
            Error::DuplicateToken { .. } => 13,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::InvalidLogit { index, value } => {
                write!(f, "the logit of token {index} is {value}; logits must be finite, or -inf for a masked token")
            }
            Error::EverythingMasked => f.write_str("every token is masked: there is nothing to pick"),
            Error::WrongLength { what, expected, actual } => {
                write!(f, "{what} has {actual} elements, {expected} are needed")
            }
            Error::InvalidParameter { name, value } => write!(f, "parameter {name} is {value}, outside its range"),
            Error::TokenOutOfRange { token, vocab } => {
                write!(f, "token {token} is not in the vocabulary of {vocab} tokens")
            }
            Error::CapacityExceeded { what, capacity, actual } => {
                write!(f, "{what}: {actual} entries, but there is room for {capacity}")
            }
            Error::StorageTooSmall { expected, actual } => {
                write!(f, "the decoder needs {expected} words of 8 bytes, {actual} were given")
            }
            Error::KernelUnavailable { level } => {
                write!(f, "kernel level {level} is not available on this processor or in this build")
            }
            Error::UnknownKernel => {
                f.write_str("ARGPICK_KERNEL names no kernel level; the levels are scalar, portable, avx2 and avx512")
            }
            Error::Finished => f.write_str("the decoder has finished; reset it to decode again"),
            Error::UndoTooFar { requested, available } => {
                write!(f, "{requested} tokens cannot be undone, the history holds {available}")
            }
            Error::DuplicateToken { token } => write!(f, "token {token} stands twice in the list"),
            Error::ColumnOutOfRange { column, columns } => {
                write!(f, "column {column} is not in the weights, which have {columns} columns")
            }
        }
    }
}

impl core::error::Error for Error {}
