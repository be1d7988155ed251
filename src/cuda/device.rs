//! The interface to the device code (`cuda/argpick_cuda.h`), declared by hand: structs without padding, plain functions.
//!
//! Every address in these structs is an integer, as `CUdeviceptr` is; nothing here follows one.

use super::Address;

/// Of the interface; the object that was linked tells its own.
pub(super) const VERSION: u32 = 1;

pub(super) const MAX_ROWS: usize = 1 << 20;
pub(super) const MAX_WINDOW: usize = 8192;
pub(super) const MAX_ADJUSTMENTS: usize = 65536;
pub(super) const MAX_COLUMNS: usize = 4096;

pub(super) const OK: i32 = 0;
pub(super) const NO_DRIVER: i32 = 1;
pub(super) const NO_DEVICE: i32 = 2;
pub(super) const INVALID_ARGUMENT: i32 = 3;
pub(super) const WORKSPACE_TOO_SMALL: i32 = 4;

pub(super) const FEATURE_ADJUSTMENTS: u32 = 1;
pub(super) const FEATURE_SUMS: u32 = 2;
pub(super) const FLAG_RECORD: u32 = 1;

pub(super) const ROW_OK: u32 = 0;
pub(super) const ROW_INVALID_LOGIT: u32 = 1;
pub(super) const ROW_EVERYTHING_MASKED: u32 = 2;
pub(super) const ROW_INVALID_PARAMETER: u32 = 3;
pub(super) const ROW_INVALID_LIST: u32 = 4;
pub(super) const ROW_MISSING_FEATURE: u32 = 5;
pub(super) const ROW_SKIPPED: u32 = 6;
pub(super) const ROW_UPDATE_OVERFLOW: u32 = 7;

/// The parameters that a row's status names by number; number 1 is the first.
pub(super) const PARAMETERS: [&str; 16] = [
    "mode",
    "temperature",
    "top_p",
    "min_p",
    "typical_p",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "penalty_window",
    "valid_vocab",
    "metrics",
    "history_capacity",
    "biases",
    "bans",
    "mask",
    "adjustment_capacity",
];

/// What `detail` names where an argument is refused; number 1 is the first.
pub(super) const ARGUMENTS: [&str; 11] = [
    "address (0)",
    "address (alignment)",
    "dtype",
    "row_count",
    "vocab",
    "row_stride",
    "features",
    "adjustment_capacity",
    "columns",
    "learning_rate",
    "target",
];

/// `argpick_device_row`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RawRow {
    pub seed: u64,
    pub stream: u64,
    pub position: u64,
    pub mask: Address,
    pub history: Address,
    pub biases: Address,
    pub bans: Address,
    pub history_recorded: u64,
    pub history_capacity: u32,
    pub mask_words: u32,
    pub bias_count: u32,
    pub ban_count: u32,
    pub valid_vocab: u32,
    pub mode: u32,
    pub temperature: f32,
    pub top_k: u32,
    pub top_p: f32,
    pub min_p: f32,
    pub typical_p: f32,
    pub repetition_penalty: f32,
    pub frequency_penalty: f32,
    pub presence_penalty: f32,
    pub penalty_window: u32,
    pub penalty_generated: u32,
    pub metrics: u32,
    pub skip: u32,
}

/// `argpick_device_pick`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RawPick {
    pub status: u32,
    pub index: u32,
    pub value: f32,
    pub token: u32,
    pub argmax: u32,
    pub rank: u32,
    pub kept: u32,
    pub margin: f32,
    pub top1_probability: f32,
    pub entropy: f32,
    pub logprob_raw: f32,
    pub logprob: f32,
    pub kept_mass: f32,
    pub temperature: f32,
}

/// `argpick_device_decode`.
#[repr(C)]
pub(super) struct RawDecode {
    pub logits: Address,
    pub row_stride: u64,
    pub rows: Address,
    pub picks: Address,
    pub workspace: Address,
    pub workspace_size: u64,
    pub stream: u64,
    pub row_count: u32,
    pub vocab: u32,
    pub dtype: u32,
    pub features: u32,
    pub flags: u32,
    pub adjustment_capacity: u32,
}

/// `argpick_device_head`.
#[repr(C)]
pub(super) struct RawHead {
    pub weights: Address,
    pub bias: Address,
    pub vocab: u32,
    pub columns: u32,
    pub dtype: u32,
    pub bias_dtype: u32,
}

/// `argpick_device_input`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RawInput {
    pub columns: Address,
    pub values: Address,
    pub count: u64,
}

/// `argpick_device_score`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RawScore {
    pub status: u32,
    pub index: u32,
    pub value: f32,
    pub column: u32,
    pub loss: f32,
    pub argmax: u32,
    pub correct: u32,
    pub reserved: u32,
}

/// `argpick_device_train`.
#[repr(C)]
pub(super) struct RawTrain {
    pub weights: Address,
    pub bias: Address,
    pub gradient: Address,
    pub columns: Address,
    pub values: Address,
    pub score: Address,
    pub workspace: Address,
    pub workspace_size: u64,
    pub stream: u64,
    pub vocab: u32,
    pub features: u32,
    pub column_count: u32,
    pub target: u32,
    pub learning_rate: f32,
    pub reserved: u32,
}

// Addresses and sizes are 64 bits here and pointers there.
const _: () = {
    assert!(size_of::<usize>() == 8);
    assert!(size_of::<RawRow>() == 136 && size_of::<RawPick>() == 56 && size_of::<RawDecode>() == 80);
    assert!(size_of::<RawHead>() == 32 && size_of::<RawInput>() == 24 && size_of::<RawScore>() == 32);
    assert!(size_of::<RawTrain>() == 96);
};

unsafe extern "C" {
    pub(super) safe fn argpick_device_version() -> u32;
    pub(super) fn argpick_device_probe(count: *mut i32, driver_version: *mut i32, detail: *mut i32) -> i32;
    pub(super) fn argpick_device_features(row: *const RawRow) -> u32;
    pub(super) fn argpick_device_decode_workspace(decode: *const RawDecode) -> u64;
    pub(super) fn argpick_device_decode_launch(decode: *const RawDecode, detail: *mut i32) -> i32;
    pub(super) fn argpick_device_decode_sparse_launch(
        decode: *const RawDecode,
        head: *const RawHead,
        inputs: Address,
        detail: *mut i32,
    ) -> i32;
    pub(super) fn argpick_device_train_workspace(train: *const RawTrain) -> u64;
    pub(super) fn argpick_device_train_launch(train: *const RawTrain, detail: *mut i32) -> i32;
}
