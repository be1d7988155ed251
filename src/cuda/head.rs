//! The sparse head on the device: its weights, its inputs, and one step of training.

use super::batch::{Stream, Workspace};
use super::device::{self, RawHead, RawInput, RawScore, RawTrain};
use super::pick::row_error;
use super::{Address, answer, bytes_of, bytes_of_mut, check_address, check_version, too_small};
use crate::error::{Error, Result};
use crate::logits::train::Score;
use crate::types::{Dtype, MAX_VOCAB, TokenId};

/// A sparse head in device memory: `z = b + sum_j a_j W[:, c_j]`, added for each token in the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// W, column after column, `vocab` elements each.
    pub weights: Address,
    /// b, `vocab` elements.
    pub bias: Address,
    /// Tokens.
    pub vocab: usize,
    /// Columns of W, at least 1.
    pub columns: usize,
    /// The element type of W.
    pub dtype: Dtype,
    /// The element type of b.
    pub bias_dtype: Dtype,
}

impl Head {
    pub(super) fn check(&self) -> Result<()> {
        if self.vocab == 0 || self.vocab > MAX_VOCAB {
            return Err(Error::InvalidParameter { name: "vocab", value: self.vocab as f64 });
        }
        if self.columns == 0 || self.columns > u32::MAX as usize {
            return Err(Error::InvalidParameter { name: "columns", value: self.columns as f64 });
        }
        check_address!(self.weights, self.dtype.size() as u64, "weights")?;
        check_address!(self.bias, self.bias_dtype.size() as u64, "bias")
    }

    pub(super) fn raw(&self) -> RawHead {
        RawHead {
            weights: self.weights,
            bias: self.bias,
            vocab: self.vocab as u32,
            columns: self.columns as u32,
            dtype: self.dtype as u32,
            bias_dtype: self.bias_dtype as u32,
        }
    }
}

/// The input of one row, in the form that the device reads (24 bytes). An array of these lies in device memory.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input(RawInput);

impl Input {
    /// `count` columns at a device address, each with the value that stands in as many f32 at `values`; 0: 1 everywhere.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] (an address), [`Error::CapacityExceeded`] (more than 4,096 columns).
    pub fn new(columns: Address, values: Address, count: usize) -> Result<Input> {
        check_columns(columns, values, count)?;
        Ok(Input(RawInput { columns, values, count: count as u64 }))
    }

    /// The bytes to copy to the device.
    pub fn bytes(inputs: &[Input]) -> &[u8] {
        // SAFETY: three numbers of eight bytes.
        unsafe { bytes_of(inputs) }
    }
}

fn check_columns(columns: Address, values: Address, count: usize) -> Result<()> {
    if count > device::MAX_COLUMNS {
        return Err(Error::CapacityExceeded { what: "columns", capacity: device::MAX_COLUMNS, actual: count });
    }
    if count > 0 {
        check_address!(columns, 4, "columns")?;
    }
    if values != 0 {
        check_address!(values, 4, "values")?;
    }
    Ok(())
}

/// What a training step found, in the form that the device writes (32 bytes).
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceScore(RawScore);

impl DeviceScore {
    /// A place for a result.
    pub const EMPTY: DeviceScore = DeviceScore(RawScore {
        status: device::ROW_SKIPPED,
        index: 0,
        value: 0.0,
        column: 0,
        loss: f32::NAN,
        argmax: u32::MAX,
        correct: 0,
        reserved: 0,
    });

    /// How the head did on the example, before the update.
    ///
    /// # Errors
    /// Those of [`train_step`](crate::logits::train::train_step); the head has not changed then.
    pub fn result(&self) -> Result<Score> {
        let raw = &self.0;
        match raw.status {
            device::ROW_OK => Ok(Score { loss: raw.loss, argmax: raw.argmax, correct: raw.correct != 0 }),
            device::ROW_UPDATE_OVERFLOW => {
                let column = (raw.column != u32::MAX).then_some(raw.column);
                Err(Error::UpdateOverflow { column, token: raw.index })
            }
            status => Err(row_error(status, raw.index, raw.value)),
        }
    }

    /// The bytes that the device has written them as.
    pub fn bytes(scores: &[DeviceScore]) -> &[u8] {
        // SAFETY: eight numbers of four bytes.
        unsafe { bytes_of(scores) }
    }

    /// The place to copy the device's scores to.
    pub fn bytes_mut(scores: &mut [DeviceScore]) -> &mut [u8] {
        // SAFETY: the same, and any bits are a number.
        unsafe { bytes_of_mut(scores) }
    }
}

/// One step of stochastic gradient descent on the softmax cross-entropy, on a head of f32 in device memory: the same as
/// [`train_step`](crate::logits::train::train_step), bit for bit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainStep {
    /// W, column after column.
    pub weights: Address,
    /// b.
    pub bias: Address,
    /// `vocab` f32: afterwards the gradient with respect to the logits.
    pub gradient: Address,
    /// Tokens.
    pub vocab: usize,
    /// Columns of W.
    pub features: usize,
    /// The example's columns, on the device.
    pub columns: Address,
    /// Their values as f32; 0: 1 everywhere.
    pub values: Address,
    /// How many, up to 4,096.
    pub column_count: usize,
    /// The token to learn.
    pub target: TokenId,
    /// Finite, above 0.
    pub learning_rate: f32,
    /// Where a [`DeviceScore`] is written.
    pub score: Address,
}

impl TrainStep {
    /// Bytes of [`Workspace`] that a step needs. Only the numbers are looked at, no address.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`], [`Error::TokenOutOfRange`], [`Error::CapacityExceeded`].
    pub fn workspace_bytes(&self) -> Result<u64> {
        check_version()?;
        self.check_numbers()?;
        let raw = self.raw(Workspace { address: 0, bytes: 0 }, Stream::default());
        // SAFETY: a struct of the host's; its addresses are not followed.
        match unsafe { device::argpick_device_train_workspace(&raw const raw) } {
            0 => Err(Error::InvalidParameter { name: "vocab", value: self.vocab as f64 }),
            bytes => Ok(bytes),
        }
    }

    /// Queues the step and returns at once. The score says how it went; where it failed the head has not changed.
    ///
    /// # Errors
    /// As [`TrainStep::workspace_bytes`]; [`Error::InvalidParameter`] (an address), [`Error::StorageTooSmall`],
    /// [`Error::CudaUnavailable`], [`Error::CudaFailed`]. Nothing is queued then.
    ///
    /// # Safety
    /// As [`Batch::launch`](super::Batch::launch), for the memory named here; no two of the arrays overlap.
    pub unsafe fn launch(&self, workspace: Workspace, stream: Stream) -> Result<()> {
        let needed = self.workspace_bytes()?;
        check_address!(self.weights, 4, "weights")?;
        check_address!(self.bias, 4, "bias")?;
        check_address!(self.gradient, 4, "gradient")?;
        check_address!(self.score, 4, "score")?;
        check_columns(self.columns, self.values, self.column_count)?;
        check_address!(workspace.address, 256, "workspace")?;
        if workspace.bytes < needed {
            return Err(too_small(needed, workspace.bytes));
        }
        let raw = self.raw(workspace, stream);
        let mut detail = 0;
        // SAFETY: the struct is read before the call returns; the device memory is the caller's part.
        let status = unsafe { device::argpick_device_train_launch(&raw const raw, &raw mut detail) };
        answer(status, detail, "launch the training step", Some((needed, workspace.bytes)))
    }

    fn check_numbers(&self) -> Result<()> {
        let invalid = |name, value| Err(Error::InvalidParameter { name, value });
        if self.vocab == 0 || self.vocab > MAX_VOCAB {
            return invalid("vocab", self.vocab as f64);
        }
        if self.features == 0 || self.features > u32::MAX as usize {
            return invalid("features", self.features as f64);
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return invalid("learning_rate", self.learning_rate.into());
        }
        if self.target as usize >= self.vocab {
            return Err(Error::TokenOutOfRange { token: self.target, vocab: self.vocab });
        }
        if self.column_count > device::MAX_COLUMNS {
            let (capacity, actual) = (device::MAX_COLUMNS, self.column_count);
            return Err(Error::CapacityExceeded { what: "columns", capacity, actual });
        }
        Ok(())
    }

    fn raw(&self, workspace: Workspace, stream: Stream) -> RawTrain {
        RawTrain {
            weights: self.weights,
            bias: self.bias,
            gradient: self.gradient,
            columns: self.columns,
            values: self.values,
            score: self.score,
            workspace: workspace.address,
            workspace_size: workspace.bytes,
            stream: stream.0,
            vocab: self.vocab as u32,
            features: self.features as u32,
            column_count: self.column_count as u32,
            target: self.target,
            learning_rate: self.learning_rate,
            reserved: 0,
        }
    }
}
