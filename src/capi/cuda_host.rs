//! What the functions of `cuda` do in a library that has the CUDA path: C structs to the room `cuda` and back.

use super::abi::read;
use super::config::{argpick_config, config_of};
use super::cuda::{
    ARGPICK_CUDA_RECORD, argpick_cuda_batch, argpick_cuda_bias, argpick_cuda_head, argpick_cuda_input,
    argpick_cuda_pick, argpick_cuda_row, argpick_cuda_score, argpick_cuda_train,
};
use super::fault::Fault;
use super::guard::{readable, slice, writable};
use crate::cuda::{Batch, DeviceBias, DevicePick, DeviceScore, Head, Input, Needs, Row, Stream, TrainStep, Workspace};
use crate::error::Error;
use crate::plan::{Config, Metrics, Mode, PenaltyScope};
use crate::types::Dtype;

fn invalid(name: &'static str, value: u32) -> Fault {
    Fault::Core(Error::InvalidParameter { name, value: value.into() })
}

fn dtype_of(name: &'static str, number: u32) -> Result<Dtype, Fault> {
    [Dtype::F32, Dtype::F16, Dtype::Bf16].into_iter().find(|dtype| *dtype as u32 == number).ok_or(invalid(name, number))
}

fn reserved(what: &'static str, value: u32) -> Result<(), Fault> {
    if value == 0 { Ok(()) } else { Err(Fault::Reserved { what, value }) }
}

/// The core's row of a C one that a caller has filled, checked like a configuration.
fn row_of(given: &argpick_cuda_row, vocab: usize) -> Result<Row, Fault> {
    if given.penalty_generated > 1 {
        return Err(invalid("penalty_generated", given.penalty_generated));
    }
    if given.skip > 1 {
        return Err(invalid("skip", given.skip));
    }
    let config = Config {
        seed: given.seed,
        stream: given.stream,
        valid_vocab: given.valid_vocab,
        mode: Mode::from_number(given.mode).ok_or(invalid("mode", given.mode))?,
        temperature: given.temperature,
        top_k: given.top_k,
        top_p: given.top_p,
        min_p: given.min_p,
        typical_p: given.typical_p,
        repetition_penalty: given.repetition_penalty,
        frequency_penalty: given.frequency_penalty,
        presence_penalty: given.presence_penalty,
        penalty_window: given.penalty_window,
        // The window is held against the history below, where there is one.
        history_capacity: given.history_capacity.max(given.penalty_window),
        penalty_scope: if given.penalty_generated == 1 { PenaltyScope::Generated } else { PenaltyScope::Profile },
        metrics: Metrics::from_bits(given.metrics).ok_or(invalid("metrics", given.metrics))?,
        ..Config::default()
    };
    let mut row = Row::new(&config, vocab)?.at(given.position).skipped(given.skip == 1);
    if given.mask != 0 {
        row = row.with_mask(given.mask, given.mask_words as usize)?;
    }
    if given.bias_count != 0 {
        row = row.with_biases(given.biases, given.bias_count as usize)?;
    }
    if given.ban_count != 0 {
        row = row.with_bans(given.bans, given.ban_count as usize)?;
    }
    if given.history != 0 {
        row = row.with_history(given.history, given.history_capacity as usize, given.history_recorded)?;
    }
    Ok(row)
}

/// The core's batch of a C one, and where it works.
fn batch_of(given: &argpick_cuda_batch) -> Result<(Batch, Workspace, Stream), Fault> {
    reserved("reserved0", given.reserved0)?;
    reserved("flags", given.flags & !ARGPICK_CUDA_RECORD)?;
    let batch = Batch {
        logits: given.logits,
        dtype: dtype_of("dtype", given.dtype)?,
        vocab: given.vocab as usize,
        row_stride: usize::try_from(given.row_stride).unwrap_or(usize::MAX),
        row_count: given.row_count as usize,
        rows: given.rows,
        picks: given.picks,
        needs: Needs::from_numbers(given.features, given.adjustment_capacity)?,
        record: given.flags & ARGPICK_CUDA_RECORD != 0,
    };
    Ok((batch, Workspace { address: given.workspace, bytes: given.workspace_size }, Stream(given.stream)))
}

pub(super) unsafe fn devices(count: *mut u32, driver_version: *mut u32) -> Result<(), Fault> {
    writable(count, "count")?;
    writable(driver_version, "driver_version")?;
    let devices = crate::cuda::devices()?;
    // SAFETY: neither is NULL, both are aligned; that they can be written is the caller's part.
    unsafe {
        count.write(devices.count);
        driver_version.write(devices.driver_version);
    }
    Ok(())
}

pub(super) unsafe fn row_init(
    config: *const argpick_config,
    vocab: u32,
    row: *mut argpick_cuda_row,
) -> Result<(), Fault> {
    writable(row, "row")?;
    // SAFETY: the caller's part is the same.
    let config = unsafe { config_of(config) }?;
    let made = Row::new(&config, vocab as usize)?;
    // SAFETY: not NULL and aligned; the two structs are laid out alike, as is asserted below.
    unsafe { row.write(core::mem::transmute::<Row, argpick_cuda_row>(made)) };
    Ok(())
}

pub(super) unsafe fn plan(
    batch: *mut argpick_cuda_batch,
    rows: *const argpick_cuda_row,
    count: usize,
    workspace_size: *mut u64,
    place: &mut Option<usize>,
) -> Result<(), Fault> {
    writable(workspace_size, "workspace_size")?;
    // SAFETY: the caller's part is the same.
    let (given, rows) = unsafe { (read(batch.cast_const())?, slice(rows, count, "rows")?) };
    let (mut checked, ..) = batch_of(&given)?;
    for (i, row) in rows.iter().enumerate() {
        *place = Some(i);
        checked.needs = checked.needs.union(Needs::of(&[row_of(row, checked.vocab)?]));
    }
    *place = None;
    let bytes = checked.workspace_bytes()?;
    let (features, adjustment_capacity) = checked.needs.numbers();
    // SAFETY: neither is NULL, both are aligned; every size of a batch has these fields.
    unsafe {
        (*batch).features = features;
        (*batch).adjustment_capacity = adjustment_capacity;
        workspace_size.write(bytes);
    }
    Ok(())
}

pub(super) unsafe fn decode(batch: *const argpick_cuda_batch) -> Result<(), Fault> {
    // SAFETY: the caller's part is the same.
    unsafe {
        let (batch, workspace, stream) = batch_of(&read(batch)?)?;
        Ok(batch.launch(workspace, stream)?)
    }
}

pub(super) unsafe fn decode_sparse(
    batch: *const argpick_cuda_batch,
    head: *const argpick_cuda_head,
    inputs: u64,
) -> Result<(), Fault> {
    // SAFETY: the caller's part is the same.
    unsafe {
        let (batch, workspace, stream) = batch_of(&read(batch)?)?;
        let given = read(head)?;
        reserved("reserved0", given.reserved0)?;
        let head = Head {
            weights: given.weights,
            bias: given.bias,
            vocab: given.vocab as usize,
            columns: given.columns as usize,
            dtype: dtype_of("dtype", given.dtype)?,
            bias_dtype: dtype_of("bias_dtype", given.bias_dtype)?,
        };
        Ok(batch.launch_sparse(&head, inputs, workspace, stream)?)
    }
}

pub(super) unsafe fn pick_status(pick: *const argpick_cuda_pick) -> Result<(), Fault> {
    readable(pick, "pick")?;
    // SAFETY: not NULL and aligned; the two structs are laid out alike, as is asserted below.
    unsafe { pick.cast::<DevicePick>().read() }.result()?;
    Ok(())
}

/// The core's step of a C one, and where it works.
///
/// # Safety
/// `train`, unless NULL or misaligned, points to a struct that is as long as its first field says.
unsafe fn train_of(train: *const argpick_cuda_train) -> Result<(TrainStep, Workspace, Stream), Fault> {
    // SAFETY: the caller's part is the same.
    let given = unsafe { read(train) }?;
    let step = TrainStep {
        weights: given.weights,
        bias: given.bias,
        gradient: given.gradient,
        vocab: given.vocab as usize,
        features: given.features as usize,
        columns: given.columns,
        values: given.values,
        column_count: given.column_count as usize,
        target: given.target,
        learning_rate: given.learning_rate,
        score: given.score,
    };
    Ok((step, Workspace { address: given.workspace, bytes: given.workspace_size }, Stream(given.stream)))
}

pub(super) unsafe fn train_workspace(train: *const argpick_cuda_train, workspace_size: *mut u64) -> Result<(), Fault> {
    writable(workspace_size, "workspace_size")?;
    // SAFETY: the caller's part is the same.
    unsafe { workspace_size.write(train_of(train)?.0.workspace_bytes()?) };
    Ok(())
}

pub(super) unsafe fn train_step(train: *const argpick_cuda_train) -> Result<(), Fault> {
    // SAFETY: the caller's part is the same.
    unsafe {
        let (step, workspace, stream) = train_of(train)?;
        Ok(step.launch(workspace, stream)?)
    }
}

pub(super) unsafe fn score_status(score: *const argpick_cuda_score) -> Result<(), Fault> {
    readable(score, "score")?;
    // SAFETY: not NULL and aligned; the two structs are laid out alike, as is asserted below.
    unsafe { score.cast::<DeviceScore>().read() }.result()?;
    Ok(())
}

// The C structs of arrays are those that the device code declares, field by field (`cuda/device.rs`).
const _: () = {
    assert!(size_of::<argpick_cuda_row>() == size_of::<Row>() && align_of::<argpick_cuda_row>() == align_of::<Row>());
    assert!(size_of::<argpick_cuda_pick>() == size_of::<DevicePick>());
    assert!(size_of::<argpick_cuda_bias>() == size_of::<DeviceBias>());
    assert!(size_of::<argpick_cuda_input>() == size_of::<Input>());
    assert!(size_of::<argpick_cuda_score>() == size_of::<DeviceScore>());
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::status::ARGPICK_OK;

    /// Every field of the C row, by a value of its own, through the core's row and back.
    #[test]
    fn rows_are_laid_out_alike() {
        let given = argpick_cuda_row {
            seed: 1,
            stream: 2,
            position: 3,
            mask: 4 << 8,
            history: 5 << 8,
            biases: 6 << 8,
            bans: 7 << 8,
            history_recorded: 8,
            history_capacity: 900,
            mask_words: 10,
            bias_count: 11,
            ban_count: 12,
            valid_vocab: 13,
            mode: 1,
            temperature: 0.5,
            top_k: 16,
            top_p: 0.25,
            min_p: 0.125,
            typical_p: 0.0625,
            repetition_penalty: 20.0,
            frequency_penalty: 21.0,
            presence_penalty: 22.0,
            penalty_window: 23,
            penalty_generated: 1,
            metrics: 31,
            skip: 1,
        };
        let row = row_of(&given, 100).ok().unwrap();
        let as_words =
            |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect::<Vec<_>>();
        // SAFETY: numbers without padding; the sizes are asserted to be equal.
        let words = unsafe { core::slice::from_raw_parts((&raw const given).cast::<u8>(), size_of_val(&given)) };
        assert_eq!(as_words(Row::bytes(&[row])), as_words(words));
    }

    #[test]
    fn a_plan_names_the_row_it_refuses_and_writes_nothing_then() {
        let mut row = zeroed();
        // SAFETY: the structs are here.
        unsafe {
            let config = <argpick_config as super::super::abi::Growing>::DEFAULT;
            assert_eq!(super::super::cuda::argpick_cuda_row_init(&raw const config, 1000, &raw mut row), ARGPICK_OK);
            let mut batch = <argpick_cuda_batch as super::super::abi::Growing>::DEFAULT;
            (batch.vocab, batch.row_stride, batch.row_count) = (1000, 1000, 2);
            let bad = argpick_cuda_row { top_p: 1.5, ..row };
            let rows = [row, bad];
            let mut bytes = 77;
            let status = super::super::cuda::argpick_cuda_plan(&raw mut batch, rows.as_ptr(), 2, &raw mut bytes);
            assert_eq!((status, bytes), (super::super::status::ARGPICK_ERR_INVALID_PARAMETER, 77));
            let text = core::ffi::CStr::from_ptr(super::super::last_error::argpick_last_error()).to_str().unwrap();
            assert!(text.contains("row 1") && text.contains("top_p is 1.5"), "{text}");
        }
    }

    fn zeroed() -> argpick_cuda_row {
        // SAFETY: numbers only.
        unsafe { core::mem::zeroed() }
    }
}
