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
    /// A parameter is used that the profile's engine has no stage for, so nobody could say what it does there; or one that
    /// the CUDA path does not have.
    NotInProfile {
        /// The parameter's name, as in `Config`.
        name: &'static str,
        /// The profile's name; `cuda`.
        profile: &'static str,
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
    /// Bytes that are no saved decoder, or not one that fits here.
    BadState {
        /// What is wrong with them.
        what: &'static str,
    },
    /// A column index of the sparse head is out of range.
    ColumnOutOfRange {
        /// The column.
        column: u32,
        /// The number of columns.
        columns: usize,
    },
    /// A training step would make a weight infinite or NaN: the learning rate or the weights are too large.
    UpdateOverflow {
        /// The column of W, or `None` for the bias.
        column: Option<u32>,
        /// The lowest token of that column whose weight would overflow.
        token: TokenId,
    },
    /// The file has no array of this name.
    ArrayMissing {
        /// The name.
        array: Label,
    },
    /// The array is pickled (NumPy dtype object); nothing is ever unpickled.
    ArrayPickled {
        /// The array's name.
        array: Label,
    },
    /// The array is compressed, so it cannot be used where it lies.
    ArrayCompressed {
        /// The array's name.
        array: Label,
    },
    /// The array is stored in a way that is not read here.
    ArrayUnsupported {
        /// The array's name.
        array: Label,
        /// Why, and what to do instead.
        reason: &'static str,
        /// What the file says: a dtype, a flag.
        found: Label,
    },
    /// The array has the wrong element type for this use.
    ArrayDtype {
        /// The array's name.
        array: Label,
        /// The types that would do.
        expected: &'static str,
        /// The type it has.
        actual: &'static str,
    },
    /// The array has the wrong number of dimensions for this use.
    ArrayRank {
        /// The array's name.
        array: Label,
        /// Dimensions needed.
        expected: usize,
        /// Dimensions it has.
        actual: usize,
    },
    /// The array has the wrong length along one dimension: it does not fit the arrays it belongs to.
    ArrayLength {
        /// The array's name.
        array: Label,
        /// The dimension, from 0.
        dimension: u32,
        /// The length needed.
        expected: usize,
        /// The length it has.
        actual: usize,
    },
    /// The array is empty or too long along one dimension.
    ArraySize {
        /// The array's name.
        array: Label,
        /// The dimension, from 0.
        dimension: u32,
        /// The greatest length allowed; the least is 1.
        maximum: usize,
        /// The length it has.
        actual: usize,
    },
    /// An element of the array cannot be used.
    ArrayValue {
        /// The array's name.
        array: Label,
        /// The element's index in row-major order.
        index: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The data of the array does not have the checksum that the file gives.
    ArrayChecksum {
        /// The array's name.
        array: Label,
        /// The CRC-32 that the file gives.
        expected: u32,
        /// The CRC-32 of the data.
        actual: u32,
    },
    /// The file contradicts itself or its format.
    FileMalformed {
        /// The array it was found at; empty where it concerns the file as a whole.
        array: Label,
        /// Where, in bytes from the start of the file or of the array's member.
        offset: u64,
        /// The bad value.
        value: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The file is neither a NumPy archive or array nor safetensors.
    FileFormat {
        /// Its first bytes, the lowest address in the highest byte.
        magic: u64,
    },
    /// The system refused a file operation.
    File {
        /// What was tried.
        operation: &'static str,
        /// The system's error number; 0 if it gave none.
        code: i32,
    },
    /// The caller asked for a stop.
    Interrupted,
    /// The CUDA path is not to be had: it is not in this build, or there is no driver, no GPU, or none it has code for.
    CudaUnavailable {
        /// What is missing.
        reason: &'static str,
        /// The CUDA runtime's error number; 0 if it was not asked.
        code: i32,
    },
    /// The CUDA runtime refused an operation. One that ran before on the same stream may be to blame.
    CudaFailed {
        /// What was tried.
        operation: &'static str,
        /// The CUDA runtime's error number (`cudaError_t`).
        code: i32,
    },
}

/// A short name inside an error, kept without a heap: up to 31 bytes of text, marked where it was cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label {
    bytes: [u8; 31],
    // 0..=31, or 0x80 | length if the text went on.
    length: u8,
}

impl Label {
    /// No text at all.
    pub const EMPTY: Label = Label { bytes: [0; 31], length: 0 };

    /// The text, cut at a character boundary if it is longer than 31 bytes.
    pub fn new(text: &str) -> Label {
        let mut end = text.len().min(31);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut label = Label::EMPTY;
        label.bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
        label.length = end as u8 | if end < text.len() { 0x80 } else { 0 };
        label
    }

    /// The text, or what is left of it.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.length & 0x7f)]).unwrap_or("")
    }

    /// Whether there is no text.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.as_str().chars() {
            // Names come from files: whoever prints them must not be made to print a terminal command.
            write!(f, "{}", if character.is_control() { '?' } else { character })?;
        }
        f.write_str(if self.length & 0x80 != 0 { "..." } else { "" })
    }
}

/// An array in a message: a file with one array gives it no name.
struct Named<'a>(&'a Label);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("the array") } else { write!(f, "array {}", self.0) }
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
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
            Error::BadState { .. } => 15,
            Error::UpdateOverflow { .. } => 14,
            Error::NotInProfile { .. } => 16,
            Error::CudaUnavailable { .. } => 17,
            Error::CudaFailed { .. } => 18,
            Error::ArrayMissing { .. } => 100,
            Error::ArrayPickled { .. } => 101,
            Error::ArrayCompressed { .. } => 102,
            Error::ArrayUnsupported { .. } => 103,
            Error::ArrayDtype { .. } => 104,
            Error::ArrayRank { .. } => 105,
            Error::ArrayLength { .. } => 106,
            Error::ArraySize { .. } => 107,
            Error::ArrayValue { .. } => 108,
            Error::ArrayChecksum { .. } => 109,
            Error::FileMalformed { .. } => 110,
            Error::FileFormat { .. } => 111,
            Error::File { .. } => 112,
            Error::Interrupted => 113,
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
            Error::NotInProfile { name, profile } => write!(f, "the profile {profile} has no {name}"),
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
            Error::BadState { what } => write!(f, "the saved decoder cannot be loaded: {what}"),
            Error::DuplicateToken { token } => write!(f, "token {token} stands twice in the list"),
            Error::ColumnOutOfRange { column, columns } => {
                write!(f, "column {column} is not in the weights, which have {columns} columns")
            }
            Error::UpdateOverflow { column: Some(column), token } => {
                write!(f, "the update would make the weight of token {token} in column {column} infinite or NaN")
            }
            Error::UpdateOverflow { column: None, token } => {
                write!(f, "the update would make the bias of token {token} infinite or NaN")
            }
            Error::ArrayMissing { array } => write!(f, "the file has no array {array}"),
            Error::ArrayPickled { array } => write!(
                f,
                "{} is pickled (dtype object) and is never unpickled: save it as a plain array instead, \
                 np.array(list(...), dtype=str) for text, with np.savez",
                Named(&array)
            ),
            Error::ArrayCompressed { array } => write!(
                f,
                "{} is compressed and cannot be used in place: save the file with np.savez, not np.savez_compressed",
                Named(&array)
            ),
            Error::ArrayUnsupported { array, reason, found } => write!(f, "{} ({found}): {reason}", Named(&array)),
            Error::ArrayDtype { array, expected, actual } => {
                write!(f, "{} has dtype {actual}, {expected} is needed", Named(&array))
            }
            Error::ArrayRank { array, expected, actual } => {
                write!(f, "{} has {actual} dimensions, {expected} are needed", Named(&array))
            }
            Error::ArrayLength { array, dimension, expected, actual } => {
                write!(f, "{} has length {actual} along dimension {dimension}, {expected} is needed", Named(&array))
            }
            Error::ArraySize { array, dimension, maximum, actual } => {
                write!(
                    f,
                    "{} has length {actual} along dimension {dimension}, allowed are 1 to {maximum}",
                    Named(&array)
                )
            }
            Error::ArrayValue { array, index, reason } => write!(f, "{}, element {index}: {reason}", Named(&array)),
            Error::ArrayChecksum { array, expected, actual } => {
                write!(f, "{} is damaged: its CRC-32 is {actual:08x}, the file says {expected:08x}", Named(&array))
            }
            Error::FileMalformed { array, offset, value, reason } => {
                if array.is_empty() {
                    write!(f, "malformed file: {reason} (at byte {offset}, value {value})")
                } else {
                    write!(f, "array {array} is malformed: {reason} (at byte {offset}, value {value})")
                }
            }
            Error::FileFormat { magic } => write!(
                f,
                "this is no weight file: neither .npz, .npy nor .safetensors begins with the bytes {magic:016x}"
            ),
            Error::File { operation, code } => {
                write!(f, "cannot {operation} the file: ")?;
                write_system_error(f, code)
            }
            Error::Interrupted => f.write_str("interrupted"),
            Error::CudaUnavailable { reason, code: 0 } => write!(f, "the CUDA path is not available: {reason}"),
            Error::CudaUnavailable { reason, code } => {
                write!(f, "the CUDA path is not available: {reason} (CUDA error {code})")
            }
            Error::CudaFailed { operation, code } => write!(f, "CUDA refused to {operation} (CUDA error {code})"),
        }
    }
}

#[cfg(feature = "std")]
fn write_system_error(f: &mut fmt::Formatter<'_>, code: i32) -> fmt::Result {
    if code == 0 {
        return f.write_str("the system gave no reason");
    }
    write!(f, "{}", std::io::Error::from_raw_os_error(code))
}

#[cfg(not(feature = "std"))]
fn write_system_error(f: &mut fmt::Formatter<'_>, code: i32) -> fmt::Result {
    write!(f, "system error {code}")
}

impl core::error::Error for Error {}
