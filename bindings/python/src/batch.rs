//! Many rows, one decoder each.

use crate::decoder::PyDecoder;
use crate::fault::Result;
use crate::gate::Several;
use crate::query::results_list;
use crate::rows::{MasksMemory, RowsMemory};
use argpick::{Error, decode_batch, decode_batch_parallel};
use pyo3::prelude::*;
use pyo3::types::PyList;

/// The decoders of a list, held by it.
pub fn decoders_of<'py>(decoders: &Bound<'py, PyAny>) -> Result<Vec<Bound<'py, PyDecoder>>> {
    let cast = |decoder: PyResult<Bound<'py, PyAny>>| {
        decoder?.cast_into::<PyDecoder>().map_err(|error| {
            let given = error.into_inner().get_type().name().map(|name| name.to_string()).unwrap_or_default();
            crate::fault::Fault::argument(format!("decoders must be argpick.Decoder, not {given}"))
        })
    };
    decoders.try_iter()?.map(cast).collect()
}

/// Decodes one row for each decoder; a row that fails leaves the others alone.
///
/// `rows` is an array of shape (rows, vocab), each row contiguous, or a sequence of rows; `masks` is None, an array of shape
/// (rows, words) of uint32 or (rows, vocab) of bools, or a sequence with a mask or None for each. Returns a list with a Pick or
/// an `argpick.Error` for each row. With ``parallel=True`` the rows are shared among the processors (do not call it in a
/// process that was forked after such a call). The results are the same: no row knows of another.
#[pyfunction]
#[pyo3(name = "decode_batch", signature = (decoders, rows, masks = None, *, parallel = false))]
pub fn decode_many<'py>(
    py: Python<'py>,
    decoders: &Bound<'py, PyAny>,
    rows: &Bound<'py, PyAny>,
    masks: Option<&Bound<'py, PyAny>>,
    parallel: bool,
) -> Result<Bound<'py, PyList>> {
    let decoders = decoders_of(decoders)?;
    let rows_memory = RowsMemory::of(rows)?;
    let rows = rows_memory.rows();
    let masks_memory = MasksMemory::of(masks, decoders.first().map_or(0, |decoder| decoder.get().vocab))?;
    let masks = masks_memory.masks();
    if rows.len() == decoders.len() {
        masks_memory.check(&masks, rows.len())?;
    }
    let mut results = vec![Err(Error::Finished); decoders.len()];
    let mut several = Several::enter(decoders.iter().map(|decoder| &decoder.get().gate))?;
    let long = rows.iter().map(|row| row.len()).sum::<usize>() >= crate::gate::LONG;
    several.run(py, long, |decoders| match parallel {
        true => decode_batch_parallel(decoders, &rows, &masks, &mut results),
        false => decode_batch(decoders, &rows, &masks, &mut results),
    })??;
    drop(several);
    results_list(py, results)
}
