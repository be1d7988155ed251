//! Rows on a GPU: batched decode, the sparse head and its training on device memory.
//!
//! The functions are always there. In a library that was built without the feature `cuda` they answer
//! ARGPICK_ERR_CUDA_UNAVAILABLE, as they do where there is no driver or no GPU.

use super::abi::{Growing, assert_layout};
use super::config::argpick_config;
use super::guard::{call, call_on_rows};
use super::status::argpick_status;
use super::step::argpick_dtype;

#[cfg(feature = "cuda")]
use super::cuda_host as host;

/// The row was decoded.
pub const ARGPICK_CUDA_ROW_OK: u32 = 0;
/// A logit is NaN or +inf: index is the lowest such token, value its logit.
pub const ARGPICK_CUDA_ROW_INVALID_LOGIT: u32 = 1;
/// No token is left.
pub const ARGPICK_CUDA_ROW_EVERYTHING_MASKED: u32 = 2;
/// A parameter of the row is out of range: value is it; argpick_cuda_pick_status names it.
pub const ARGPICK_CUDA_ROW_INVALID_PARAMETER: u32 = 3;
/// A bias, ban, history token or column is out of range, or out of order: index is its place in its list.
pub const ARGPICK_CUDA_ROW_INVALID_LIST: u32 = 4;
/// The row needs a feature that the batch was not planned with: index is its bits.
pub const ARGPICK_CUDA_ROW_MISSING_FEATURE: u32 = 5;
/// The row was skipped, as it asked for.
pub const ARGPICK_CUDA_ROW_SKIPPED: u32 = 6;
/// A training step would make a weight infinite or NaN: index is the token, column the column, UINT32_MAX for the bias.
pub const ARGPICK_CUDA_ROW_UPDATE_OVERFLOW: u32 = 7;

/// A flag of a batch: a row that succeeds moves its position on by one and records its token in its history, on the device,
/// so that a CUDA graph can be replayed step after step.
pub const ARGPICK_CUDA_RECORD: u32 = 1;
/// A bit of a history word: the token was prompt.
pub const ARGPICK_CUDA_PROMPT: u32 = 0x8000_0000;

/// A bias of one token, in device memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_cuda_bias {
    /// The token.
    pub token: u32,
    /// What is added to its logit: finite, or -inf.
    pub value: f32,
}

/// One row of a batch: a configuration and the sequence it belongs to. An array of these lies in device memory; it is filled
/// by argpick_cuda_row_init on the host and copied there. The struct is as it is for good: it has no struct_size.
///
/// Addresses are those of device memory, as integers (CUdeviceptr, or a pointer's value); 0: none. The numbers after them are
/// those of argpick_config.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_cuda_row {
    /// Seed of the random numbers.
    pub seed: u64,
    /// Stream of the random numbers.
    pub stream: u64,
    /// Position of the random numbers: tokens generated so far.
    pub position: u64,
    /// A bitmask of mask_words words: bit t & 31 of word t >> 5 allows token t. 0: all are allowed.
    pub mask: u64,
    /// A ring of history_capacity words: the token recorded as number i at i % history_capacity, with ARGPICK_CUDA_PROMPT if
    /// it was prompt. 0: the penalties see nothing.
    pub history: u64,
    /// bias_count elements of argpick_cuda_bias, tokens ascending, none twice.
    pub biases: u64,
    /// ban_count tokens, ascending, none twice.
    pub bans: u64,
    /// Tokens recorded since the start, the prompt included.
    pub history_recorded: u64,
    /// Words of history; the penalties look at 8,192 tokens at most.
    pub history_capacity: u32,
    /// Words of mask; past their end no token is allowed.
    pub mask_words: u32,
    /// Biases, up to 65,536.
    pub bias_count: u32,
    /// Bans, up to 65,536.
    pub ban_count: u32,
    /// Only ids below take part. 0: all.
    pub valid_vocab: u32,
    /// ARGPICK_MODE_.
    pub mode: u32,
    /// As in argpick_config.
    pub temperature: f32,
    /// As in argpick_config.
    pub top_k: u32,
    /// As in argpick_config.
    pub top_p: f32,
    /// As in argpick_config.
    pub min_p: f32,
    /// As in argpick_config.
    pub typical_p: f32,
    /// As in argpick_config.
    pub repetition_penalty: f32,
    /// As in argpick_config.
    pub frequency_penalty: f32,
    /// As in argpick_config.
    pub presence_penalty: f32,
    /// The penalties see so many of the last tokens. 0: history_capacity.
    pub penalty_window: u32,
    /// 1: the penalties do not count the prompt.
    pub penalty_generated: u32,
    /// ARGPICK_METRIC_ flags but for LOOP and FLIP.
    pub metrics: u32,
    /// 1: the row is left out of the launch.
    pub skip: u32,
}

/// What a row came to. The device writes an array of these in device memory. The struct is as it is for good.
///
/// Numbers that the metrics did not ask for are NaN or UINT32_MAX, and so is everything where status is not 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_cuda_pick {
    /// ARGPICK_CUDA_ROW_; argpick_cuda_pick_status tells it in full.
    pub status: u32,
    /// Of the status.
    pub index: u32,
    /// Of the status.
    pub value: f32,
    /// As in argpick_pick, and so are the following.
    pub token: u32,
    /// As in argpick_pick.
    pub argmax: u32,
    /// As in argpick_pick.
    pub rank: u32,
    /// As in argpick_pick.
    pub kept: u32,
    /// As in argpick_pick.
    pub margin: f32,
    /// As in argpick_pick.
    pub top1_probability: f32,
    /// As in argpick_pick.
    pub entropy: f32,
    /// As in argpick_pick.
    pub logprob_raw: f32,
    /// As in argpick_pick.
    pub logprob: f32,
    /// As in argpick_pick.
    pub kept_mass: f32,
    /// As in argpick_pick.
    pub temperature: f32,
}

/// A batched decode: shapes, device addresses, and the stream. Set struct_size = sizeof(argpick_cuda_batch) and the rest to 0
/// before filling it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_cuda_batch {
    /// sizeof(argpick_cuda_batch); the caller sets it.
    pub struct_size: u32,
    /// ARGPICK_F32, ARGPICK_F16, ARGPICK_BF16.
    pub dtype: argpick_dtype,
    /// Address of the logits. Rows at multiples of 16 bytes are read faster.
    pub logits: u64,
    /// Elements from one row to the next, at least vocab.
    pub row_stride: u64,
    /// Address of row_count elements of argpick_cuda_row.
    pub rows: u64,
    /// Address of row_count elements of argpick_cuda_pick.
    pub picks: u64,
    /// Address of memory to work in, aligned to 256 bytes. What it holds does not matter.
    pub workspace: u64,
    /// Bytes of it: argpick_cuda_plan says how many are needed.
    pub workspace_size: u64,
    /// The cudaStream_t to queue the kernels on. 0: the default stream.
    pub stream: u64,
    /// Rows, up to 2^20. 0: nothing is done.
    pub row_count: u32,
    /// Logits of a row.
    pub vocab: u32,
    /// ARGPICK_CUDA_RECORD, or 0.
    pub flags: u32,
    /// What the rows need: argpick_cuda_plan sets it.
    pub features: u32,
    /// What the rows need: argpick_cuda_plan sets it.
    pub adjustment_capacity: u32,
    /// 0.
    pub reserved0: u32,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers only.
unsafe impl Growing for argpick_cuda_batch {
    const NAME: &'static str = "batch";
    const RELEASED: &'static [u32] = &[88];
    const DEFAULT: Self = argpick_cuda_batch {
        struct_size: size_of::<Self>() as u32,
        dtype: 0,
        logits: 0,
        row_stride: 0,
        rows: 0,
        picks: 0,
        workspace: 0,
        workspace_size: 0,
        stream: 0,
        row_count: 0,
        vocab: 0,
        flags: 0,
        features: 0,
        adjustment_capacity: 0,
        reserved0: 0,
    };
}

assert_layout!(argpick_cuda_batch {
    struct_size: 4,
    dtype: 4,
    logits: 8,
    row_stride: 8,
    rows: 8,
    picks: 8,
    workspace: 8,
    workspace_size: 8,
    stream: 8,
    row_count: 4,
    vocab: 4,
    flags: 4,
    features: 4,
    adjustment_capacity: 4,
    reserved0: 4,
});

/// A sparse head in device memory: logits = b + sum_j values[j] * W[:, columns[j]]. Set struct_size first, as above.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_cuda_head {
    /// sizeof(argpick_cuda_head); the caller sets it.
    pub struct_size: u32,
    /// Tokens.
    pub vocab: u32,
    /// Columns of W.
    pub columns: u32,
    /// The element type of W.
    pub dtype: argpick_dtype,
    /// Address of W: column after column, vocab elements each.
    pub weights: u64,
    /// Address of b: vocab elements.
    pub bias: u64,
    /// The element type of b.
    pub bias_dtype: argpick_dtype,
    /// 0.
    pub reserved0: u32,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers only.
unsafe impl Growing for argpick_cuda_head {
    const NAME: &'static str = "head";
    const RELEASED: &'static [u32] = &[40];
    const DEFAULT: Self = argpick_cuda_head {
        struct_size: size_of::<Self>() as u32,
        vocab: 0,
        columns: 0,
        dtype: 0,
        weights: 0,
        bias: 0,
        bias_dtype: 0,
        reserved0: 0,
    };
}

assert_layout!(argpick_cuda_head {
    struct_size: 4,
    vocab: 4,
    columns: 4,
    dtype: 4,
    weights: 8,
    bias: 8,
    bias_dtype: 4,
    reserved0: 4,
});

/// The columns of one row of a sparse batch. An array of these lies in device memory. The struct is as it is for good.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_cuda_input {
    /// Address of count columns, u32 each.
    pub columns: u64,
    /// Address of as many values, f32 each. 0: 1 for each.
    pub values: u64,
    /// How many, up to 4,096.
    pub count: u64,
}

/// What a training step found, in device memory. The struct is as it is for good.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_cuda_score {
    /// ARGPICK_CUDA_ROW_; argpick_cuda_score_status tells it in full.
    pub status: u32,
    /// Of the status.
    pub index: u32,
    /// Of the status.
    pub value: f32,
    /// Of the status.
    pub column: u32,
    /// -ln p(target) in nats, before the update.
    pub loss: f32,
    /// The highest logit, the lowest id on ties.
    pub argmax: u32,
    /// 1 if that is the target.
    pub correct: u32,
    /// 0.
    pub reserved0: u32,
}

/// One training step of a head of f32 in device memory. Set struct_size first, as above. No two of the arrays overlap.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_cuda_train {
    /// sizeof(argpick_cuda_train); the caller sets it.
    pub struct_size: u32,
    /// Tokens.
    pub vocab: u32,
    /// Address of W: column after column, vocab f32 each.
    pub weights: u64,
    /// Address of b: vocab f32.
    pub bias: u64,
    /// Address of vocab f32: afterwards the gradient with respect to the logits.
    pub gradient: u64,
    /// Address of the example's columns, u32 each.
    pub columns: u64,
    /// Address of as many values, f32 each. 0: 1 for each.
    pub values: u64,
    /// Address of an argpick_cuda_score.
    pub score: u64,
    /// Address of memory to work in, aligned to 256 bytes.
    pub workspace: u64,
    /// Bytes of it: argpick_cuda_train_workspace says how many are needed.
    pub workspace_size: u64,
    /// The cudaStream_t to queue the kernels on. 0: the default stream.
    pub stream: u64,
    /// Columns of W.
    pub features: u32,
    /// Columns of the example, up to 4,096.
    pub column_count: u32,
    /// The token to learn.
    pub target: u32,
    /// Finite, above 0.
    pub learning_rate: f32,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers only.
unsafe impl Growing for argpick_cuda_train {
    const NAME: &'static str = "train";
    const RELEASED: &'static [u32] = &[96];
    const DEFAULT: Self = argpick_cuda_train {
        struct_size: size_of::<Self>() as u32,
        vocab: 0,
        weights: 0,
        bias: 0,
        gradient: 0,
        columns: 0,
        values: 0,
        score: 0,
        workspace: 0,
        workspace_size: 0,
        stream: 0,
        features: 0,
        column_count: 0,
        target: 0,
        learning_rate: 0.0,
    };
}

assert_layout!(argpick_cuda_train {
    struct_size: 4,
    vocab: 4,
    weights: 8,
    bias: 8,
    gradient: 8,
    columns: 8,
    values: 8,
    score: 8,
    workspace: 8,
    workspace_size: 8,
    stream: 8,
    features: 4,
    column_count: 4,
    target: 4,
    learning_rate: 4,
});

/// How many GPUs can be used, and the driver's version in CUDA's numbering (13010 is 13.1).
///
/// Statuses: ARGPICK_ERR_CUDA_UNAVAILABLE (not in this build, no driver or one too old, no GPU), ARGPICK_ERR_NULL,
/// ARGPICK_ERR_ALIGNMENT.
///
/// # Safety
/// - count and driver_version each point to a number that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_cuda_devices(count: *mut u32, driver_version: *mut u32) -> argpick_status {
    // SAFETY: the caller's part is the same.
    call("argpick_cuda_devices", || unsafe { host::devices(count, driver_version) })
}

/// Makes the row of a configuration, on the host, for logits of vocab tokens: at position 0, without mask, biases, bans and
/// history; the caller adds their addresses, and copies the row to the device.
///
/// The device has greedy and drawing, temperature, top-k, top-p, min-p, typical, valid_vocab, the penalties of repetition,
/// frequency and presence, and all metrics but LOOP and FLIP, in the profile canon. Whoever runs the loop counts max_tokens.
///
/// Statuses: ARGPICK_ERR_CUDA_UNAVAILABLE, ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE,
/// ARGPICK_ERR_RESERVED, ARGPICK_ERR_INVALID_PARAMETER; ARGPICK_ERR_NOT_IN_PROFILE names what the device does not have.
///
/// # Safety
/// - config points to a configuration as long as its struct_size says; row can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_cuda_row_init(
    config: *const argpick_config,
    vocab: u32,
    row: *mut argpick_cuda_row,
) -> argpick_status {
    // SAFETY: the caller's part is the same.
    call("argpick_cuda_row_init", || unsafe { host::row_init(config, vocab, row) })
}

/// Checks rows before they are copied to the device, raises what the batch provides to what they need (features,
/// adjustment_capacity), and says how many bytes of workspace the batch needs then.
///
/// rows are the host's; count may differ from row_count, and 0 checks nothing. More than the rows need does no harm: to
/// capture a graph for any rows, plan with the most demanding ones. Of the batch its shape is looked at, no address.
///
/// Statuses: those of argpick_cuda_row_init for the rows, whose number is told, and for a batch of an impossible shape;
/// ARGPICK_ERR_CAPACITY_EXCEEDED (biases, bans). Nothing has been written then.
///
/// # Safety
/// - batch and workspace_size can be written; rows has count elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_cuda_plan(
    batch: *mut argpick_cuda_batch,
    rows: *const argpick_cuda_row,
    count: usize,
    workspace_size: *mut u64,
) -> argpick_status {
    // SAFETY: the caller's part is the same.
    call_on_rows("argpick_cuda_plan", |row| unsafe { host::plan(batch, rows, count, workspace_size, row) })
}

/// Queues the decode of a batch on its stream and returns at once. Nothing is allocated, copied or waited for, so the call
/// may be captured in a CUDA graph.
///
/// A row that fails leaves the others alone. Token and numbers are those of argpick_evaluate on the same row, bit for bit,
/// wherever in a batch the row stands.
///
/// Statuses: ARGPICK_ERR_CUDA_UNAVAILABLE, ARGPICK_ERR_CUDA_FAILED, ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT,
/// ARGPICK_ERR_STRUCT_SIZE, ARGPICK_ERR_RESERVED, ARGPICK_ERR_INVALID_PARAMETER (the shape; an address that is 0 or not
/// aligned), ARGPICK_ERR_STORAGE_TOO_SMALL (workspace). Nothing is queued then.
///
/// # Safety
/// - Until the stream has come past the launch, and past each replay of a graph with it: the addresses are those of memory of
///   the stream's device, as large as the batch and its rows say, and only the stream's own work writes what the launch reads
///   or uses what it writes. With ARGPICK_CUDA_RECORD no two rows share a history.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_cuda_decode(batch: *const argpick_cuda_batch) -> argpick_status {
    // SAFETY: the caller's part is the same.
    call("argpick_cuda_decode", || unsafe { host::decode(batch) })
}

/// The same with the rows that a sparse head makes: inputs is the address of row_count elements of argpick_cuda_input in
/// device memory. The batch's dtype is ARGPICK_F32, and its logits are where the rows are written.
///
/// Statuses: those of argpick_cuda_decode, also for the head; ARGPICK_ERR_WRONG_LENGTH (the head has another vocabulary).
///
/// # Safety
/// - As for argpick_cuda_decode, and so for the memory of the head and of the inputs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_cuda_decode_sparse(
    batch: *const argpick_cuda_batch,
    head: *const argpick_cuda_head,
    inputs: u64,
) -> argpick_status {
    // SAFETY: the caller's part is the same.
    call("argpick_cuda_decode_sparse", || unsafe { host::decode_sparse(batch, head, inputs) })
}

/// The status of a row, from a copy of its pick on the host: ARGPICK_OK if it was decoded or skipped, else what
/// argpick_evaluate would answer; argpick_last_error tells it in full.
///
/// Statuses: ARGPICK_ERR_CUDA_UNAVAILABLE, ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT; ARGPICK_ERR_INVALID_LOGIT,
/// ARGPICK_ERR_EVERYTHING_MASKED, ARGPICK_ERR_INVALID_PARAMETER (a parameter, a place in a list, or memory that no launch
/// has written).
///
/// # Safety
/// - pick points to a pick in the host's memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_cuda_pick_status(pick: *const argpick_cuda_pick) -> argpick_status {
    // SAFETY: the caller's part is the same.
    call("argpick_cuda_pick_status", || unsafe { host::pick_status(pick) })
}

/// How many bytes of workspace a training step needs. Only its numbers are looked at, no address.
///
/// Statuses: ARGPICK_ERR_CUDA_UNAVAILABLE, ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE,
/// ARGPICK_ERR_INVALID_PARAMETER, ARGPICK_ERR_TOKEN_OUT_OF_RANGE (target), ARGPICK_ERR_CAPACITY_EXCEEDED (columns).
///
/// # Safety
/// - train points to a struct as long as its struct_size says; workspace_size can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_cuda_train_workspace(
    train: *const argpick_cuda_train,
    workspace_size: *mut u64,
) -> argpick_status {
    // SAFETY: the caller's part is the same.
    call("argpick_cuda_train_workspace", || unsafe { host::train_workspace(train, workspace_size) })
}

/// Queues one step of stochastic gradient descent on the softmax cross-entropy: argpick_train_step on device memory, with
/// the same bits. All or nothing: where the score has another status than ARGPICK_CUDA_ROW_OK the head has not changed.
///
/// Statuses: those of argpick_cuda_train_workspace and of argpick_cuda_decode. Nothing is queued then.
///
/// # Safety
/// - As for argpick_cuda_decode, with the memory that train names; no two of its arrays overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_cuda_train_step(train: *const argpick_cuda_train) -> argpick_status {
    // SAFETY: the caller's part is the same.
    call("argpick_cuda_train_step", || unsafe { host::train_step(train) })
}

/// The status of a training step, from a copy of its score on the host; argpick_last_error tells it in full.
///
/// Statuses: those of argpick_cuda_pick_status; ARGPICK_ERR_UPDATE_OVERFLOW.
///
/// # Safety
/// - score points to a score in the host's memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_cuda_score_status(score: *const argpick_cuda_score) -> argpick_status {
    // SAFETY: the caller's part is the same.
    call("argpick_cuda_score_status", || unsafe { host::score_status(score) })
}

/// In a library without the CUDA path: every call says so.
#[cfg(not(feature = "cuda"))]
mod host {
    use super::*;
    use crate::capi::fault::Fault;
    use crate::error::Error;

    macro_rules! not_built {
        ($($name:ident($($type:ty),*);)*) => {
            $(pub unsafe fn $name($(_: $type),*) -> Result<(), Fault> {
                Err(Fault::Core(Error::CudaUnavailable { reason: "this library was built without it", code: 0 }))
            })*
        };
    }

    not_built! {
        devices(*mut u32, *mut u32);
        row_init(*const argpick_config, u32, *mut argpick_cuda_row);
        plan(*mut argpick_cuda_batch, *const argpick_cuda_row, usize, *mut u64, &mut Option<usize>);
        decode(*const argpick_cuda_batch);
        decode_sparse(*const argpick_cuda_batch, *const argpick_cuda_head, u64);
        pick_status(*const argpick_cuda_pick);
        train_workspace(*const argpick_cuda_train, *mut u64);
        train_step(*const argpick_cuda_train);
        score_status(*const argpick_cuda_score);
    }
}
