//! Many rows, one decoder each.

use super::Decoder;
use crate::error::{Error, Result};
use crate::trace::Pick;
use crate::types::Row;

/// Decodes one row for each decoder, with one result each; a row that fails leaves the others alone.
///
/// Each decoder carries its own configuration, stream, position and history, so a result does not depend on the row's place
/// in the batch, nor on how a batch is split. `masks` is empty (no row has one) or as long as `rows`.
///
/// # Errors
/// [`Error::WrongLength`] if the slices do not match; nothing has been decoded then.
pub fn decode_batch<S: AsRef<[u64]> + AsMut<[u64]>>(
    decoders: &mut [Decoder<S>],
    rows: &[Row<'_>],
    masks: &[Option<&[u32]>],
    results: &mut [Result<Pick>],
) -> Result<()> {
    check_lengths(decoders.len(), rows.len(), masks.len(), results.len())?;
    for (i, (decoder, result)) in decoders.iter_mut().zip(results).enumerate() {
        *result = decoder.decode(rows[i], masks.get(i).copied().flatten());
    }
    Ok(())
}

fn check_lengths(expected: usize, rows: usize, masks: usize, results: usize) -> Result<()> {
    for (what, actual) in [("rows", rows), ("results", results), ("masks", masks)] {
        if actual != expected && !(what == "masks" && actual == 0) {
            return Err(Error::WrongLength { what, expected, actual });
        }
    }
    Ok(())
}

/// The same on the threads of rayon: its global pool, or the one that the call is installed in. The results are those of
/// [`decode_batch`], whatever the number of threads, because no row knows of another.
///
/// # Errors
/// As [`decode_batch`].
#[cfg(feature = "parallel")]
pub fn decode_batch_parallel<S: AsRef<[u64]> + AsMut<[u64]> + Send>(
    decoders: &mut [Decoder<S>],
    rows: &[Row<'_>],
    masks: &[Option<&[u32]>],
    results: &mut [Result<Pick>],
) -> Result<()> {
    use rayon::prelude::*;
    check_lengths(decoders.len(), rows.len(), masks.len(), results.len())?;
    decoders.par_iter_mut().zip(results).enumerate().for_each(|(i, (decoder, result))| {
        *result = decoder.decode(rows[i], masks.get(i).copied().flatten());
    });
    Ok(())
}
