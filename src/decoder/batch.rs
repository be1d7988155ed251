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
    let expected = decoders.len();
    let lengths = [("rows", rows.len()), ("results", results.len()), ("masks", masks.len())];
    for (what, actual) in lengths {
        if actual != expected && !(what == "masks" && actual == 0) {
            return Err(Error::WrongLength { what, expected, actual });
        }
    }
    for (i, (decoder, result)) in decoders.iter_mut().zip(results).enumerate() {
        *result = decoder.decode(rows[i], masks.get(i).copied().flatten());
    }
    Ok(())
}
