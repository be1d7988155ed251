//! Everything a call can be refused for: an error of the core, or a broken rule of the border.

use super::status::*;
use crate::error::Error;
use core::fmt;

/// Why a call was refused.
pub(super) enum Fault {
    /// The core said no.
    Core(Error),
    /// This argument is NULL.
    Null(&'static str),
    /// This argument is not aligned.
    Alignment { what: &'static str, alignment: usize, remainder: usize },
    /// The struct is of no release known here.
    StructSize { what: &'static str, given: u32, known: u32 },
    /// A reserved field or flag is set.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "flags are those of weights on the heap"))]
    Reserved { what: &'static str, value: u32 },
    /// No memory.
    OutOfMemory { bytes: usize },
    /// Memory given by the caller is too small.
    MemoryTooSmall { needed: usize, given: usize },
    /// Another thread is in the handle.
    Busy(&'static str),
    /// A call on the handle has panicked before.
    Poisoned(&'static str),
    /// The thing has ended.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "traces are on the heap"))]
    Ended(&'static str),
    /// The weights cannot be trained.
    ReadOnly,
    /// A text is not UTF-8 from this byte on.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "paths are texts, and notes"))]
    Text { what: &'static str, offset: usize },
    /// This call has panicked.
    #[cfg(feature = "std")]
    Panic(std::boxed::Box<dyn core::any::Any + Send>),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Core(error)
    }
}

/// What `argpick_error_detail` answers where a fault has no index.
pub(super) const NO_INDEX: u64 = u64::MAX;

impl Fault {
    /// The status.
    pub fn status(&self) -> argpick_status {
        match self {
            Fault::Core(error) => error.status(),
            Fault::Null(_) => ARGPICK_ERR_NULL,
            Fault::Alignment { .. } => ARGPICK_ERR_ALIGNMENT,
            Fault::StructSize { .. } => ARGPICK_ERR_STRUCT_SIZE,
            Fault::Reserved { .. } => ARGPICK_ERR_RESERVED,
            Fault::OutOfMemory { .. } => ARGPICK_ERR_OUT_OF_MEMORY,
            Fault::MemoryTooSmall { .. } => ARGPICK_ERR_STORAGE_TOO_SMALL,
            Fault::Busy(_) => ARGPICK_ERR_BUSY,
            Fault::Poisoned(_) => ARGPICK_ERR_POISONED,
            Fault::Ended(_) => ARGPICK_ERR_FINISHED,
            Fault::ReadOnly => ARGPICK_ERR_READ_ONLY,
            Fault::Text { .. } => ARGPICK_ERR_TEXT,
            #[cfg(feature = "std")]
            Fault::Panic(_) => ARGPICK_ERR_PANIC,
        }
    }

    /// Index and value, as documented beside each status.
    pub fn detail(&self) -> (u64, f64) {
        match *self {
            Fault::Core(ref error) => core_detail(error),
            Fault::Alignment { alignment, remainder, .. } => (alignment as u64, remainder as f64),
            Fault::StructSize { given, known, .. } => (known.into(), given.into()),
            Fault::Reserved { value, .. } => (NO_INDEX, value.into()),
            Fault::OutOfMemory { bytes } => (bytes as u64, f64::NAN),
            Fault::MemoryTooSmall { needed, given } => (needed as u64, given as f64),
            Fault::Text { offset, .. } => (offset as u64, f64::NAN),
            Fault::Null(_) | Fault::Busy(_) | Fault::Poisoned(_) | Fault::Ended(_) | Fault::ReadOnly => {
                (NO_INDEX, f64::NAN)
            }
            #[cfg(feature = "std")]
            Fault::Panic(_) => (NO_INDEX, f64::NAN),
        }
    }
}

// Every error by name and no wildcard: a new one must be given its constant, its message and its detail.
fn core_detail(error: &Error) -> (u64, f64) {
    match *error {
        Error::InvalidLogit { index, value } => (index.into(), value.into()),
        Error::WrongLength { expected, actual, .. } => (expected as u64, actual as f64),
        Error::InvalidParameter { value, .. } => (NO_INDEX, value),
        Error::TokenOutOfRange { token, vocab } => (token.into(), vocab as f64),
        Error::CapacityExceeded { capacity, actual, .. } => (capacity as u64, actual as f64),
        // The core counts words; C counts bytes.
        Error::StorageTooSmall { expected, actual } => (8 * expected as u64, 8.0 * actual as f64),
        Error::UndoTooFar { requested, available } => (available as u64, requested as f64),
        Error::ColumnOutOfRange { column, columns } => (column.into(), columns as f64),
        Error::DuplicateToken { token } => (token.into(), f64::NAN),
        Error::UpdateOverflow { column, token } => (token.into(), column.map_or(f64::NAN, f64::from)),
        Error::ArrayRank { expected, actual, .. } => (expected as u64, actual as f64),
        Error::ArrayLength { expected, actual, .. } => (expected as u64, actual as f64),
        Error::ArraySize { maximum, actual, .. } => (maximum as u64, actual as f64),
        Error::ArrayValue { index, .. } => (index as u64, f64::NAN),
        Error::FileMalformed { offset, value, .. } => (offset, value as f64),
        Error::File { code, .. } | Error::CudaUnavailable { code, .. } | Error::CudaFailed { code, .. } => {
            (NO_INDEX, code.into())
        }
        Error::EverythingMasked
        | Error::KernelUnavailable { .. }
        | Error::UnknownKernel
        | Error::Finished
        | Error::BadState { .. }
        | Error::NotInProfile { .. }
        | Error::ArrayMissing { .. }
        | Error::ArrayPickled { .. }
        | Error::ArrayCompressed { .. }
        | Error::ArrayUnsupported { .. }
        | Error::ArrayDtype { .. }
        | Error::ArrayChecksum { .. }
        | Error::FileFormat { .. }
        | Error::Interrupted => (NO_INDEX, f64::NAN),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            // The standard library's text for a system error would be allocated.
            #[cfg(feature = "std")]
            Fault::Core(Error::File { operation, code }) if code != 0 => {
                write!(f, "cannot {operation} the file: {}", SystemError(code))
            }
            Fault::Core(ref error) => error.fmt(f),
            Fault::Null(what) => write!(f, "{what} is NULL"),
            Fault::Alignment { what, alignment, remainder } => {
                write!(f, "{what} must be aligned to {alignment} bytes; its address is {remainder} bytes past that")
            }
            Fault::StructSize { what, given, known } => {
                write!(f, "{what}.struct_size is {given}, in this release it is {known}")
            }
            Fault::Reserved { what, value } => write!(f, "{what} is {value:#x}; what has no meaning yet must be 0"),
            Fault::OutOfMemory { bytes } => write!(f, "out of memory: {bytes} bytes were asked for"),
            Fault::MemoryTooSmall { needed, given } => {
                write!(f, "{needed} bytes of memory are needed, {given} were given")
            }
            Fault::Busy(what) => write!(f, "another thread is in a call on this {what}"),
            Fault::Poisoned(what) => write!(f, "this {what} is poisoned: an earlier call on it broke; free it"),
            Fault::Ended(what) => write!(f, "this {what} has ended: nothing can be added to it"),
            Fault::ReadOnly => f.write_str("these weights are read-only: they are those of a file"),
            Fault::Text { what, offset } => write!(f, "{what} is not UTF-8 from byte {offset} on"),
            #[cfg(feature = "std")]
            Fault::Panic(ref payload) => {
                let text = payload.downcast_ref::<&str>().copied();
                let text = text.or(payload.downcast_ref::<std::string::String>().map(|text| text.as_str()));
                write!(f, "the library broke: {}", text.unwrap_or("no reason was given"))
            }
        }
    }
}

/// The system's text for an error number, without a heap.
#[cfg(feature = "std")]
struct SystemError(i32);

#[cfg(feature = "std")]
impl fmt::Display for SystemError {
    #[cfg(unix)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 128];
        // SAFETY: the pointer and the length are those of `text`; strerror_r writes within and ends with a zero.
        let refused = unsafe { libc::strerror_r(self.0, text.as_mut_ptr().cast(), text.len()) };
        let length = text.iter().position(|&byte| byte == 0).unwrap_or(0);
        match core::str::from_utf8(&text[..length]) {
            Ok(message) if refused == 0 && !message.is_empty() => write!(f, "{message} (system error {})", self.0),
            _ => write!(f, "system error {}", self.0),
        }
    }

    #[cfg(not(unix))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system error {}", self.0)
    }
}
