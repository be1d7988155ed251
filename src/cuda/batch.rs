//! A batched decode: its shape, its memory, its launch.

use super::device::{self, RawDecode};
use super::head::Head;
use super::row::Row;
use super::{Address, answer, check_address, check_version, too_small};
use crate::error::{Error, Result};
use crate::types::{Dtype, MAX_VOCAB};

/// Whose stream the kernels are queued on: a `cudaStream_t` as a number; 0 is the default stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream(pub u64);

/// Device memory that a launch works in. Its contents do not matter before or after; two launches that may run at the same
/// time need one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Where, aligned to 256 bytes.
    pub address: Address,
    /// How much.
    pub bytes: u64,
}

/// What the rows of a batch need of a launch: which kernels, and room for adjustments. More than needed does no harm, so a
/// graph can be captured with the [`union`](Needs::union) of what is to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub(super) features: u32,
    pub(super) adjustment_capacity: u32,
}

impl Needs {
    /// What these rows need together.
    pub fn of(rows: &[Row]) -> Needs {
        rows.iter().fold(Needs::default(), |needs, row| {
            // SAFETY: a row of the host's; its addresses are not followed.
            let features = unsafe { device::argpick_device_features(&raw const row.0) };
            let adjusted = features & device::FEATURE_ADJUSTMENTS != 0;
            let capacity = if adjusted { row.adjustments() } else { 0 };
            needs.union(Needs { features, adjustment_capacity: capacity as u32 })
        })
    }

    /// What both need.
    #[must_use]
    pub fn union(self, other: Needs) -> Needs {
        Needs {
            features: self.features | other.features,
            adjustment_capacity: self.adjustment_capacity.max(other.adjustment_capacity),
        }
    }

    /// As numbers, for the C ABI: features, and the capacity for adjustments.
    pub fn numbers(self) -> (u32, u32) {
        (self.features, self.adjustment_capacity)
    }

    /// From those numbers.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`]: `features` has a bit without a meaning; `adjustment_capacity` is larger than any row's.
    pub fn from_numbers(features: u32, adjustment_capacity: u32) -> Result<Needs> {
        if features & !(device::FEATURE_ADJUSTMENTS | device::FEATURE_SUMS) != 0 {
            return Err(Error::InvalidParameter { name: "features", value: features.into() });
        }
        if adjustment_capacity as usize > device::MAX_WINDOW + 2 * device::MAX_ADJUSTMENTS {
            return Err(Error::InvalidParameter { name: "adjustment_capacity", value: adjustment_capacity.into() });
        }
        Ok(Needs { features, adjustment_capacity })
    }
}

/// A batch of rows on the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Batch {
    /// The logits: row i begins `i * row_stride` elements after the first. Rows at multiples of 16 bytes are read faster.
    /// For a launch with a head: where the rows are written, as f32.
    pub logits: Address,
    /// Their element type.
    pub dtype: Dtype,
    /// Logits of a row, 1 to [`MAX_VOCAB`].
    pub vocab: usize,
    /// Elements from one row to the next, at least `vocab`.
    pub row_stride: usize,
    /// Rows, up to 2^20; 0 does nothing.
    pub row_count: usize,
    /// The array of [`Row`], on the device.
    pub rows: Address,
    /// The array of [`DevicePick`](super::DevicePick), on the device.
    pub picks: Address,
    /// What the rows need.
    pub needs: Needs,
    /// Whether a row that succeeds moves its position on by one and records its token in its history, on the device: a graph
    /// can then be replayed step after step.
    pub record: bool,
}

impl Batch {
    /// Bytes of [`Workspace`] that a launch needs. Only the shape and the needs are looked at.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`]: `vocab`, `row_count`, `row_stride`.
    pub fn workspace_bytes(&self) -> Result<u64> {
        check_version()?;
        self.check_shape()?;
        if self.row_count == 0 {
            return Ok(0);
        }
        let raw = self.raw(Workspace { address: 0, bytes: 0 }, Stream::default());
        // SAFETY: a struct of the host's; its addresses are not followed.
        match unsafe { device::argpick_device_decode_workspace(&raw const raw) } {
            0 => Err(Error::InvalidParameter { name: "row_count", value: self.row_count as f64 }),
            bytes => Ok(bytes),
        }
    }

    /// Queues the decode of every row and returns at once; a row that fails leaves the others alone. Its pick says why
    /// ([`DevicePick::result`](super::DevicePick::result)).
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] (the shape, an address that is 0 or not aligned), [`Error::StorageTooSmall`] (the
    /// workspace), [`Error::CudaUnavailable`], [`Error::CudaFailed`]. Nothing is queued then.
    ///
    /// # Safety
    /// Until the stream has come past the launch (and past each replay of a graph that holds it): the addresses are those of
    /// memory of the stream's device, as large as the shape, the rows and `workspace` say; only the stream's own work writes
    /// what the launch reads, or uses what it writes; the history of one row is no other's where the batch records.
    pub unsafe fn launch(&self, workspace: Workspace, stream: Stream) -> Result<()> {
        if !self.check_launch(workspace)? {
            return Ok(());
        }
        check_address!(self.logits, self.dtype.size() as u64, "logits")?;
        let raw = self.raw(workspace, stream);
        let mut detail = 0;
        // SAFETY: the struct is read before the call returns; the device memory is the caller's part.
        let status = unsafe { device::argpick_device_decode_launch(&raw const raw, &raw mut detail) };
        answer(status, detail, "launch the decode", Some((0, workspace.bytes)))
    }

    /// The same with the rows that a sparse head makes of inputs: `inputs` is the device address of an array of
    /// [`Input`](super::Input), one for each row. The rows are written to `logits` as f32.
    ///
    /// # Errors
    /// As [`Batch::launch`], and [`Error::InvalidParameter`] (`dtype` is not f32, the head), [`Error::WrongLength`] (the head has
    /// another vocabulary).
    ///
    /// # Safety
    /// As [`Batch::launch`], with the head's and the inputs' memory.
    pub unsafe fn launch_sparse(
        &self,
        head: &Head,
        inputs: Address,
        workspace: Workspace,
        stream: Stream,
    ) -> Result<()> {
        head.check()?;
        if head.vocab != self.vocab {
            return Err(Error::WrongLength { what: "the head's vocab", expected: self.vocab, actual: head.vocab });
        }
        if self.dtype != Dtype::F32 {
            return Err(Error::InvalidParameter { name: "dtype", value: f64::from(self.dtype as u32) });
        }
        if !self.check_launch(workspace)? {
            return Ok(());
        }
        check_address!(self.logits, 4, "logits")?;
        check_address!(inputs, 8, "inputs")?;
        let (raw, head) = (self.raw(workspace, stream), head.raw());
        let mut detail = 0;
        // SAFETY: the structs are read before the call returns; the device memory is the caller's part.
        let status = unsafe {
            device::argpick_device_decode_sparse_launch(&raw const raw, &raw const head, inputs, &raw mut detail)
        };
        answer(status, detail, "launch the decode of the sparse head", Some((0, workspace.bytes)))
    }

    fn check_shape(&self) -> Result<()> {
        let invalid = |name, value: usize| Err(Error::InvalidParameter { name, value: value as f64 });
        if self.vocab == 0 || self.vocab > MAX_VOCAB {
            return invalid("vocab", self.vocab);
        }
        if self.row_count > device::MAX_ROWS {
            return invalid("row_count", self.row_count);
        }
        if self.row_stride < self.vocab || self.row_stride.checked_mul(self.row_count.max(1)).is_none() {
            return invalid("row_stride", self.row_stride);
        }
        Ok(())
    }

    /// Whether there is anything to do; everything but the logits is checked.
    fn check_launch(&self, workspace: Workspace) -> Result<bool> {
        let needed = self.workspace_bytes()?;
        if self.row_count == 0 {
            return Ok(false);
        }
        check_address!(self.rows, 8, "rows")?;
        check_address!(self.picks, 4, "picks")?;
        check_address!(workspace.address, 256, "workspace")?;
        if workspace.bytes < needed {
            return Err(too_small(needed, workspace.bytes));
        }
        Ok(true)
    }

    fn raw(&self, workspace: Workspace, stream: Stream) -> RawDecode {
        RawDecode {
            logits: self.logits,
            row_stride: self.row_stride as u64,
            rows: self.rows,
            picks: self.picks,
            workspace: workspace.address,
            workspace_size: workspace.bytes,
            stream: stream.0,
            row_count: self.row_count as u32,
            vocab: self.vocab as u32,
            dtype: self.dtype as u32,
            features: self.needs.features,
            flags: if self.record { device::FLAG_RECORD } else { 0 },
            adjustment_capacity: self.needs.adjustment_capacity,
        }
    }
}
