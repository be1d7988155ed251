//! What a row came to, as the device writes it.

use super::device::{self, RawPick};
use super::{bytes_of, bytes_of_mut};
use crate::error::{Error, Result};
use crate::trace::Pick;

/// The result of a row, in the form that the device writes (56 bytes). An array of these lies in device memory; the caller
/// copies it to the host.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DevicePick(pub(super) RawPick);

impl DevicePick {
    /// A place for a result.
    pub const EMPTY: DevicePick = DevicePick(RawPick {
        status: device::ROW_SKIPPED,
        index: 0,
        value: 0.0,
        token: u32::MAX,
        argmax: u32::MAX,
        rank: u32::MAX,
        kept: u32::MAX,
        margin: f32::NAN,
        top1_probability: f32::NAN,
        entropy: f32::NAN,
        logprob_raw: f32::NAN,
        logprob: f32::NAN,
        kept_mass: f32::NAN,
        temperature: f32::NAN,
    });

    /// The pick; `None` if the row was skipped. What the device does not know (`finish`, `cumulative_logprob`, loops, flip
    /// distances) is as in a pick that was not asked for it.
    ///
    /// # Errors
    /// Those of [`Decoder::decode`](crate::Decoder::decode), and for what only the device could see:
    /// [`Error::InvalidParameter`] with `place in biases, bans, history or columns` for an entry of a list that is out of
    /// range or order, and with `features` for rows that need more than the launch was told of.
    pub fn result(&self) -> Result<Option<Pick>> {
        let raw = &self.0;
        match raw.status {
            device::ROW_OK => Ok(Some(Pick {
                rank: raw.rank,
                kept: raw.kept,
                margin: raw.margin,
                top1_probability: raw.top1_probability,
                entropy: raw.entropy,
                logprob_raw: raw.logprob_raw,
                logprob: raw.logprob,
                kept_mass: raw.kept_mass,
                ..Pick::unknown(raw.token, raw.argmax, raw.temperature)
            })),
            device::ROW_SKIPPED => Ok(None),
            status => Err(row_error(status, raw.index, raw.value)),
        }
    }

    /// The bytes that the device has written them as, to be copied to the device.
    pub fn bytes(picks: &[DevicePick]) -> &[u8] {
        // SAFETY: fourteen numbers of four bytes.
        unsafe { bytes_of(picks) }
    }

    /// The place to copy the device's picks to.
    pub fn bytes_mut(picks: &mut [DevicePick]) -> &mut [u8] {
        // SAFETY: the same, and any bits are a number.
        unsafe { bytes_of_mut(picks) }
    }
}

/// The error of a row's status.
pub(super) fn row_error(status: u32, index: u32, value: f32) -> Error {
    match status {
        device::ROW_INVALID_LOGIT => Error::InvalidLogit { index, value },
        device::ROW_EVERYTHING_MASKED => Error::EverythingMasked,
        device::ROW_INVALID_PARAMETER => {
            let name = (index as usize).checked_sub(1).and_then(|place| device::PARAMETERS.get(place));
            Error::InvalidParameter { name: name.unwrap_or(&"row"), value: value.into() }
        }
        device::ROW_INVALID_LIST => {
            Error::InvalidParameter { name: "place in biases, bans, history or columns", value: index.into() }
        }
        device::ROW_MISSING_FEATURE => Error::InvalidParameter { name: "features", value: index.into() },
        // Nothing the device code of this version writes: memory that no launch has written to.
        status => Error::InvalidParameter { name: "status of the row", value: status.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_become_errors_with_their_names() {
        let with = |status, index, value| {
            DevicePick(RawPick { status, index, value, token: 3, argmax: 4, temperature: 0.5, ..DevicePick::EMPTY.0 })
        };
        let pick = with(0, 0, 0.0).result().unwrap().unwrap();
        assert_eq!((pick.token, pick.argmax, pick.temperature), (3, 4, 0.5));
        assert_eq!(with(6, 0, 0.0).result(), Ok(None));
        let errors: Vec<_> =
            [(1, 9, f32::INFINITY), (2, 0, 0.0), (3, 3, 1.5), (3, 99, 0.0), (4, 7, 0.0), (5, 2, 0.0), (77, 0, 0.0)]
                .map(|(status, index, value)| with(status, index, value).result().unwrap_err())
                .into();
        assert_eq!(errors[0], Error::InvalidLogit { index: 9, value: f32::INFINITY });
        assert_eq!(errors[1], Error::EverythingMasked);
        assert_eq!(errors[2], Error::InvalidParameter { name: "top_p", value: 1.5 });
        assert_eq!(errors[3], Error::InvalidParameter { name: "row", value: 0.0 });
        assert!(errors[4].to_string().contains("place in biases, bans, history or columns is 7"));
        assert_eq!(errors[5], Error::InvalidParameter { name: "features", value: 2.0 });
        assert_eq!(errors[6], Error::InvalidParameter { name: "status of the row", value: 77.0 });
    }
}
