//! Statuses: one permanent number for each reason to refuse, the core's own (`Error::status`) and those of the border.

use crate::error::{Error, Label};
use core::ffi::{CStr, c_char};

/// What a call answers: ARGPICK_OK, or the positive number of an error. Numbers are permanent.
pub type argpick_status = i32;

/// Done.
pub const ARGPICK_OK: argpick_status = 0;
/// A logit that takes part is NaN or +inf, as given or after an adjustment. Detail: index = the token, value = its logit.
pub const ARGPICK_ERR_INVALID_LOGIT: argpick_status = 1;
/// No token is left: all are excluded by the mask, banned or at -inf.
pub const ARGPICK_ERR_EVERYTHING_MASKED: argpick_status = 2;
/// A row, list or output has the wrong number of elements. Detail: index = elements needed, value = elements given.
pub const ARGPICK_ERR_WRONG_LENGTH: argpick_status = 3;
/// A parameter is outside its range. Detail: value = the parameter; its name is in argpick_last_error.
pub const ARGPICK_ERR_INVALID_PARAMETER: argpick_status = 4;
/// A token id is not below the vocabulary. Detail: index = the token, value = the vocabulary.
pub const ARGPICK_ERR_TOKEN_OUT_OF_RANGE: argpick_status = 5;
/// A list is longer than its capacity. Detail: index = entries there is room for, value = entries given.
pub const ARGPICK_ERR_CAPACITY_EXCEEDED: argpick_status = 6;
/// The memory given is too small. Detail: index = bytes needed, value = bytes given.
pub const ARGPICK_ERR_STORAGE_TOO_SMALL: argpick_status = 7;
/// The kernel level asked for (ARGPICK_KERNEL) is not to be had on this processor or in this build.
pub const ARGPICK_ERR_KERNEL_UNAVAILABLE: argpick_status = 8;
/// ARGPICK_KERNEL names no kernel level.
pub const ARGPICK_ERR_UNKNOWN_KERNEL: argpick_status = 9;
/// The sequence has ended (max_tokens); argpick_decoder_reset starts anew.
pub const ARGPICK_ERR_FINISHED: argpick_status = 10;
/// More tokens are to be undone than the history holds. Detail: index = tokens that can be undone, value = asked for.
pub const ARGPICK_ERR_UNDO_TOO_FAR: argpick_status = 11;
/// A column is not in the weights. Detail: index = the column, value = the number of columns.
pub const ARGPICK_ERR_COLUMN_OUT_OF_RANGE: argpick_status = 12;
/// A token stands twice in a list that takes each once. Detail: index = the token.
pub const ARGPICK_ERR_DUPLICATE_TOKEN: argpick_status = 13;
/// A training step would make a weight infinite or NaN. Detail: index = the token, value = the column, NaN for the bias.
pub const ARGPICK_ERR_UPDATE_OVERFLOW: argpick_status = 14;
/// The bytes are no saved decoder, or not one that fits here; argpick_last_error says what is wrong with them.
pub const ARGPICK_ERR_BAD_STATE: argpick_status = 15;
/// A parameter is used that the profile, or the CUDA path, has no stage for; its name is in argpick_last_error.
pub const ARGPICK_ERR_NOT_IN_PROFILE: argpick_status = 16;
/// The CUDA path is not to be had here: not in this build, or no driver, no GPU, or none it has code for; argpick_last_error
/// says which. The functions without cuda in their names work as ever. Detail: value = CUDA's error number, 0 if none.
pub const ARGPICK_ERR_CUDA_UNAVAILABLE: argpick_status = 17;
/// CUDA refused an operation; an earlier one on the same stream may be to blame. Detail: value = CUDA's error number.
pub const ARGPICK_ERR_CUDA_FAILED: argpick_status = 18;
/// The file has no array of this name.
pub const ARGPICK_ERR_ARRAY_MISSING: argpick_status = 100;
/// The array is pickled; nothing is ever unpickled.
pub const ARGPICK_ERR_ARRAY_PICKLED: argpick_status = 101;
/// The array is compressed, so it cannot be used where it lies.
pub const ARGPICK_ERR_ARRAY_COMPRESSED: argpick_status = 102;
/// The array is stored in a way that is not read here.
pub const ARGPICK_ERR_ARRAY_UNSUPPORTED: argpick_status = 103;
/// The array has the wrong element type.
pub const ARGPICK_ERR_ARRAY_DTYPE: argpick_status = 104;
/// The array has the wrong number of dimensions. Detail: index = dimensions needed, value = dimensions found.
pub const ARGPICK_ERR_ARRAY_RANK: argpick_status = 105;
/// The array does not fit the arrays it belongs to. Detail: index = length needed, value = length found.
pub const ARGPICK_ERR_ARRAY_LENGTH: argpick_status = 106;
/// The array is empty or too long. Detail: index = the greatest length allowed, value = length found.
pub const ARGPICK_ERR_ARRAY_SIZE: argpick_status = 107;
/// An element of the array cannot be used. Detail: index = the element, in row-major order.
pub const ARGPICK_ERR_ARRAY_VALUE: argpick_status = 108;
/// The data of the array does not have the checksum that the file gives.
pub const ARGPICK_ERR_ARRAY_CHECKSUM: argpick_status = 109;
/// The file contradicts itself or its format. Detail: index = the place in bytes, value = the bad value.
pub const ARGPICK_ERR_FILE_MALFORMED: argpick_status = 110;
/// The file is neither a NumPy archive or array nor safetensors.
pub const ARGPICK_ERR_FILE_FORMAT: argpick_status = 111;
/// The system refused a file operation. Detail: value = the system's error number, 0 if it gave none.
pub const ARGPICK_ERR_FILE: argpick_status = 112;
/// The caller asked for a stop.
pub const ARGPICK_ERR_INTERRUPTED: argpick_status = 113;
/// A pointer is NULL that must not be.
pub const ARGPICK_ERR_NULL: argpick_status = 200;
/// Something inside the library broke; the call had no effect that can be relied on, and its handle is poisoned.
pub const ARGPICK_ERR_PANIC: argpick_status = 201;
/// An earlier call on this handle broke (ARGPICK_ERR_PANIC); it can only be freed.
pub const ARGPICK_ERR_POISONED: argpick_status = 202;
/// Another thread is in a call on this handle. Nothing has happened; call again later.
pub const ARGPICK_ERR_BUSY: argpick_status = 203;
/// A pointer is not aligned to its element. Detail: index = the alignment needed, value = the address modulo it.
pub const ARGPICK_ERR_ALIGNMENT: argpick_status = 204;
/// struct_size is no size of a release up to this one. Detail: index = this release's size, value = the size given.
pub const ARGPICK_ERR_STRUCT_SIZE: argpick_status = 205;
/// A reserved field or flag is not 0. Detail: value = what it is.
pub const ARGPICK_ERR_RESERVED: argpick_status = 206;
/// There is no memory for it. Detail: index = bytes asked for.
pub const ARGPICK_ERR_OUT_OF_MEMORY: argpick_status = 207;
/// These weights are read-only.
pub const ARGPICK_ERR_READ_ONLY: argpick_status = 208;
/// A text is not UTF-8. Detail: index = the first byte that is not.
pub const ARGPICK_ERR_TEXT: argpick_status = 209;

/// What a status means, in one sentence without particulars (those are in argpick_last_error).
///
/// Never NULL; static UTF-8 text, nothing to free. A number that is no status gets a text that says so.
#[unsafe(no_mangle)]
pub extern "C" fn argpick_status_message(status: argpick_status) -> *const c_char {
    message(status).as_ptr()
}

fn message(status: argpick_status) -> &'static CStr {
    match status {
        ARGPICK_OK => c"ok",
        ARGPICK_ERR_INVALID_LOGIT => c"a logit is NaN or +inf",
        ARGPICK_ERR_EVERYTHING_MASKED => c"every token is masked: there is nothing to pick",
        ARGPICK_ERR_WRONG_LENGTH => c"a row, list or output has the wrong number of elements",
        ARGPICK_ERR_INVALID_PARAMETER => c"a parameter is outside its range",
        ARGPICK_ERR_TOKEN_OUT_OF_RANGE => c"a token id is not in the vocabulary",
        ARGPICK_ERR_CAPACITY_EXCEEDED => c"a list is longer than its capacity",
        ARGPICK_ERR_STORAGE_TOO_SMALL => c"the memory given is too small",
        ARGPICK_ERR_KERNEL_UNAVAILABLE => c"the kernel level asked for is not available here",
        ARGPICK_ERR_UNKNOWN_KERNEL => c"ARGPICK_KERNEL names no kernel level",
        ARGPICK_ERR_FINISHED => c"the sequence has ended; reset the decoder to decode again",
        ARGPICK_ERR_UNDO_TOO_FAR => c"more tokens are to be undone than the history holds",
        ARGPICK_ERR_COLUMN_OUT_OF_RANGE => c"a column is not in the weights",
        ARGPICK_ERR_DUPLICATE_TOKEN => c"a token stands twice in the list",
        ARGPICK_ERR_UPDATE_OVERFLOW => c"a training step would make a weight infinite or NaN",
        ARGPICK_ERR_BAD_STATE => c"the bytes are no saved decoder that fits here",
        ARGPICK_ERR_NOT_IN_PROFILE => c"a parameter is used that the profile has no stage for",
        ARGPICK_ERR_CUDA_UNAVAILABLE => c"the CUDA path is not available here",
        ARGPICK_ERR_CUDA_FAILED => c"CUDA refused an operation",
        ARGPICK_ERR_ARRAY_MISSING => c"the file lacks an array",
        ARGPICK_ERR_ARRAY_PICKLED => c"an array is pickled and is never unpickled",
        ARGPICK_ERR_ARRAY_COMPRESSED => c"an array is compressed and cannot be used in place",
        ARGPICK_ERR_ARRAY_UNSUPPORTED => c"an array is stored in a way that is not supported",
        ARGPICK_ERR_ARRAY_DTYPE => c"an array has the wrong element type",
        ARGPICK_ERR_ARRAY_RANK => c"an array has the wrong number of dimensions",
        ARGPICK_ERR_ARRAY_LENGTH => c"an array does not fit the arrays it belongs to",
        ARGPICK_ERR_ARRAY_SIZE => c"an array is empty or too long",
        ARGPICK_ERR_ARRAY_VALUE => c"an element of an array cannot be used",
        ARGPICK_ERR_ARRAY_CHECKSUM => c"an array is damaged: its checksum differs",
        ARGPICK_ERR_FILE_MALFORMED => c"the file contradicts itself or its format",
        ARGPICK_ERR_FILE_FORMAT => c"this is no weight file",
        ARGPICK_ERR_FILE => c"the system refused a file operation",
        ARGPICK_ERR_INTERRUPTED => c"interrupted",
        ARGPICK_ERR_NULL => c"a pointer is NULL that must not be",
        ARGPICK_ERR_PANIC => c"something inside the library broke",
        ARGPICK_ERR_POISONED => c"an earlier call on this handle broke; it can only be freed",
        ARGPICK_ERR_BUSY => c"another thread is in a call on this handle",
        ARGPICK_ERR_ALIGNMENT => c"a pointer is not aligned to its element",
        ARGPICK_ERR_STRUCT_SIZE => c"struct_size is no size of a release up to this one",
        ARGPICK_ERR_RESERVED => c"a reserved field or flag is not 0",
        ARGPICK_ERR_OUT_OF_MEMORY => c"out of memory",
        ARGPICK_ERR_READ_ONLY => c"these weights are read-only",
        ARGPICK_ERR_TEXT => c"a text is not UTF-8",
        _ => c"no status of this release",
    }
}

// The numbers are the core's own. The match in `fault.rs` names every error, so none can be forgotten.
const _: () = {
    let array = Label::EMPTY;
    assert!(ARGPICK_ERR_INVALID_LOGIT == Error::InvalidLogit { index: 0, value: 0.0 }.status());
    assert!(ARGPICK_ERR_EVERYTHING_MASKED == Error::EverythingMasked.status());
    assert!(ARGPICK_ERR_WRONG_LENGTH == Error::WrongLength { what: "", expected: 0, actual: 0 }.status());
    assert!(ARGPICK_ERR_INVALID_PARAMETER == Error::InvalidParameter { name: "", value: 0.0 }.status());
    assert!(ARGPICK_ERR_TOKEN_OUT_OF_RANGE == Error::TokenOutOfRange { token: 0, vocab: 0 }.status());
    assert!(ARGPICK_ERR_CAPACITY_EXCEEDED == Error::CapacityExceeded { what: "", capacity: 0, actual: 0 }.status());
    assert!(ARGPICK_ERR_STORAGE_TOO_SMALL == Error::StorageTooSmall { expected: 0, actual: 0 }.status());
    assert!(ARGPICK_ERR_KERNEL_UNAVAILABLE == Error::KernelUnavailable { level: "" }.status());
    assert!(ARGPICK_ERR_UNKNOWN_KERNEL == Error::UnknownKernel.status());
    assert!(ARGPICK_ERR_FINISHED == Error::Finished.status());
    assert!(ARGPICK_ERR_UNDO_TOO_FAR == Error::UndoTooFar { requested: 0, available: 0 }.status());
    assert!(ARGPICK_ERR_COLUMN_OUT_OF_RANGE == Error::ColumnOutOfRange { column: 0, columns: 0 }.status());
    assert!(ARGPICK_ERR_DUPLICATE_TOKEN == Error::DuplicateToken { token: 0 }.status());
    assert!(ARGPICK_ERR_UPDATE_OVERFLOW == Error::UpdateOverflow { column: None, token: 0 }.status());
    assert!(ARGPICK_ERR_NOT_IN_PROFILE == Error::NotInProfile { name: "", profile: "" }.status());
    assert!(ARGPICK_ERR_BAD_STATE == Error::BadState { what: "" }.status());
    assert!(ARGPICK_ERR_CUDA_UNAVAILABLE == Error::CudaUnavailable { reason: "", code: 0 }.status());
    assert!(ARGPICK_ERR_CUDA_FAILED == Error::CudaFailed { operation: "", code: 0 }.status());
    assert!(ARGPICK_ERR_ARRAY_MISSING == Error::ArrayMissing { array }.status());
    assert!(ARGPICK_ERR_ARRAY_PICKLED == Error::ArrayPickled { array }.status());
    assert!(ARGPICK_ERR_ARRAY_COMPRESSED == Error::ArrayCompressed { array }.status());
    assert!(ARGPICK_ERR_ARRAY_UNSUPPORTED == Error::ArrayUnsupported { array, reason: "", found: array }.status());
    assert!(ARGPICK_ERR_ARRAY_DTYPE == Error::ArrayDtype { array, expected: "", actual: "" }.status());
    assert!(ARGPICK_ERR_ARRAY_RANK == Error::ArrayRank { array, expected: 0, actual: 0 }.status());
    let (dimension, expected, actual) = (0, 0, 0);
    assert!(ARGPICK_ERR_ARRAY_LENGTH == Error::ArrayLength { array, dimension, expected, actual }.status());
    assert!(ARGPICK_ERR_ARRAY_SIZE == Error::ArraySize { array, dimension, maximum: 0, actual }.status());
    assert!(ARGPICK_ERR_ARRAY_VALUE == Error::ArrayValue { array, index: 0, reason: "" }.status());
    assert!(ARGPICK_ERR_ARRAY_CHECKSUM == Error::ArrayChecksum { array, expected: 0, actual: 0 }.status());
    assert!(ARGPICK_ERR_FILE_MALFORMED == Error::FileMalformed { array, offset: 0, value: 0, reason: "" }.status());
    assert!(ARGPICK_ERR_FILE_FORMAT == Error::FileFormat { magic: 0 }.status());
    assert!(ARGPICK_ERR_FILE == Error::File { operation: "", code: 0 }.status());
    assert!(ARGPICK_ERR_INTERRUPTED == Error::Interrupted.status());
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_own_message() {
        let numbers: Vec<i32> = (0..=18).chain(100..=113).chain(200..=209).collect();
        let mut messages: Vec<_> = numbers.iter().map(|&number| message(number)).collect();
        assert!(!messages.contains(&message(-1)));
        messages.sort_unstable();
        messages.dedup();
        assert_eq!(messages.len(), numbers.len());
        for past in [-1, 19, 99, 114, 199, 210] {
            assert_eq!(message(past), message(i32::MIN), "{past} has a message: add it to the numbers above");
        }
    }
}
