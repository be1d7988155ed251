//! Decoding on the GPU that holds the logits, with the bits of the CPU.
//!
//! The device code lies in `cuda/`; this room checks what the host can check, and queues the kernels. Nothing here
//! allocates, copies or waits: rows, picks and workspace are device memory of the caller's, the work goes to the caller's
//! stream, and a launch may be captured in a CUDA graph and replayed.
//!
//! One step of a batch:
//!
//! 1. [`Row::new`] compiles a [`Config`](crate::Config) for each sequence; masks, biases, bans and histories are added as
//!    device addresses. The array of rows is copied to the device once; [`Batch::record`] then moves positions and histories
//!    on from step to step on the device.
//! 2. [`Needs::of`] says what the rows together need; [`Batch::workspace_bytes`] how much memory that takes.
//! 3. [`Batch::launch`] queues the kernels. The caller copies the array of [`DevicePick`] back when the token is needed, and
//!    [`DevicePick::result`] gives the [`Pick`](crate::Pick), or the error, of each row.
//!
//! What the device does not have (other profiles, filters beyond top-k, top-p, min-p and typical, DRY, n-gram rules, loops,
//! flip distances) is refused with its name, [`Error::NotInProfile`]: such a sequence is decoded on the CPU. Where there is no
//! driver or no GPU every launch says so, [`Error::CudaUnavailable`], and nothing else changes.
#![allow(unsafe_code)]

mod batch;
mod device;
mod head;
mod pick;
mod row;

pub use batch::{Batch, Needs, Stream, Workspace};
pub use head::{DeviceScore, Head, Input, TrainStep};
pub use pick::DevicePick;
pub use row::{DeviceBias, Row};

use crate::error::{Error, Result};

/// An address in device memory, as `CUdeviceptr` has it; 0 is none. Nothing on the host follows it.
pub type Address = u64;

/// The GPUs that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Devices {
    /// How many; at least one.
    pub count: u32,
    /// The driver's version in CUDA's numbering: 13010 is 13.1.
    pub driver_version: u32,
}

/// The GPUs of this machine.
///
/// # Errors
/// [`Error::CudaUnavailable`] if there is no driver, an older one than this build needs, or no GPU.
pub fn devices() -> Result<Devices> {
    check_version()?;
    let (mut count, mut driver_version, mut detail) = (0, 0, 0);
    // SAFETY: three places for numbers; the function keeps none of them.
    let status = unsafe { device::argpick_device_probe(&raw mut count, &raw mut driver_version, &raw mut detail) };
    answer(status, detail, "ask for devices", None)?;
    Ok(Devices { count: count.unsigned_abs(), driver_version: driver_version.unsigned_abs() })
}

/// The device code that was linked is the one that the structs here were written for.
fn check_version() -> Result<()> {
    if device::argpick_device_version() != device::VERSION {
        return Err(Error::CudaUnavailable { reason: "the device code of another release was linked", code: 0 });
    }
    Ok(())
}

/// What a function of the device code answered, as a result. `workspace`: bytes needed and given.
fn answer(status: i32, code: i32, operation: &'static str, workspace: Option<(u64, u64)>) -> Result<()> {
    // cudaErrorInitializationError, cudaErrorInsufficientDriver, cudaErrorNoDevice, cudaErrorNoKernelImageForDevice,
    // cudaErrorUnsupportedPtxVersion, cudaErrorSystemDriverMismatch.
    let reason = match (status, code) {
        (device::OK, _) => return Ok(()),
        (device::NO_DRIVER, _) | (_, 3 | 35 | 803) if status != device::INVALID_ARGUMENT => {
            "there is no CUDA driver here, or one too old for this build"
        }
        (device::NO_DEVICE, _) | (_, 100) if status != device::INVALID_ARGUMENT => "there is no GPU here",
        (_, 209 | 222) if status != device::INVALID_ARGUMENT => "this build has no code for the GPU",
        (device::INVALID_ARGUMENT, argument) => {
            let name = usize::try_from(argument - 1).ok().and_then(|place| device::ARGUMENTS.get(place));
            return Err(Error::InvalidParameter { name: name.unwrap_or(&"argument"), value: f64::NAN });
        }
        (device::WORKSPACE_TOO_SMALL, _) => {
            let (needed, given) = workspace.unwrap_or((0, 0));
            return Err(too_small(needed, given));
        }
        _ => return Err(Error::CudaFailed { operation, code }),
    };
    Err(Error::CudaUnavailable { reason, code })
}

fn too_small(needed: u64, given: u64) -> Error {
    Error::StorageTooSmall { expected: needed.div_ceil(8) as usize, actual: (given / 8) as usize }
}

/// Refuses an address that is 0 or no multiple of `alignment`.
fn refuse_bad(address: Address, alignment: u64, name: &'static str, aligned: &'static str) -> Result<()> {
    if address == 0 {
        return Err(Error::InvalidParameter { name, value: 0.0 });
    }
    if !address.is_multiple_of(alignment) {
        return Err(Error::InvalidParameter { name: aligned, value: (address % alignment) as f64 });
    }
    Ok(())
}

/// The same for a message: the name, and the name with what is wrong.
macro_rules! check_address {
    ($address:expr, $alignment:expr, $name:literal) => {
        $crate::cuda::refuse_bad($address, $alignment, $name, concat!($name, " modulo its alignment"))
    };
}
use check_address;

/// The bytes of device structs, to be copied to the device.
///
/// # Safety
/// `T` has no padding.
unsafe fn bytes_of<T>(values: &[T]) -> &[u8] {
    // SAFETY: without padding every byte is initialised; the length is that of the slice.
    unsafe { core::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) }
}

/// The bytes of device structs, to be written to from the device.
///
/// # Safety
/// `T` has no padding, and any bytes are a value of it.
unsafe fn bytes_of_mut<T>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: any bytes are values; the length is that of the slice.
    unsafe { core::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<u8>(), size_of_val(values)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_errors() {
        assert_eq!(answer(0, 35, "x", None), Ok(()));
        for (status, code) in [(1, 35), (2, 100), (5, 35), (5, 100), (5, 209), (1, 0)] {
            let refused = answer(status, code, "x", None);
            assert!(matches!(refused, Err(Error::CudaUnavailable { code: told, .. }) if told == code), "{refused:?}");
        }
        assert_eq!(answer(5, 700, "launch", None), Err(Error::CudaFailed { operation: "launch", code: 700 }));
        assert!(matches!(answer(3, 3, "x", None), Err(Error::InvalidParameter { name: "dtype", .. })));
        assert!(matches!(answer(3, 99, "x", None), Err(Error::InvalidParameter { name: "argument", .. })));
        let refused = answer(4, 0, "x", Some((512, 256)));
        assert_eq!(refused, Err(Error::StorageTooSmall { expected: 64, actual: 32 }));
    }
}
