//! The sparse head: from a few columns of weights to a row of logits.

use crate::error::{Error, Result};
use crate::kernels::{COLUMN_TILE, ColumnType, Kernels, ScaledColumn, with_default_environment};
use crate::weights::tensor::{Column, ElementType, SparseHead};

/// Writes `z = b + sum_j values[j] * W[:, columns[j]]` to `logits`; without `values` each is 1.
///
/// Each logit is computed in f32 from its bias on, one column after the other in the order given: a multiplication, then
/// an addition, never fused, so the result is the same on every kernel level. f64 weights are rounded to f32 as they are
/// read. A column may be named more than once and is added each time.
///
/// # Errors
/// [`Error::WrongLength`] (`logits` is not `head.vocab()` long, `values` not as long as `columns`),
/// [`Error::ColumnOutOfRange`], [`Error::InvalidParameter`] (a value that is NaN or infinite). Nothing is written then.
pub fn project(
    kernels: Kernels,
    head: &SparseHead<'_>,
    columns: &[u32],
    values: Option<&[f32]>,
    logits: &mut [f32],
) -> Result<()> {
    if logits.len() != head.vocab() {
        return Err(Error::WrongLength { what: "logits", expected: head.vocab(), actual: logits.len() });
    }
    if let Some(values) = values {
        if values.len() != columns.len() {
            return Err(Error::WrongLength { what: "values", expected: columns.len(), actual: values.len() });
        }
        if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
            return Err(Error::InvalidParameter { name: "values", value: value.into() });
        }
    }
    if let Some(&column) = columns.iter().find(|&&column| column as usize >= head.features()) {
        return Err(Error::ColumnOutOfRange { column, columns: head.features() });
    }
    with_default_environment(|| add_up(kernels, head, columns, values, logits));
    Ok(())
}

#[inline(never)]
fn add_up(kernels: Kernels, head: &SparseHead<'_>, columns: &[u32], values: Option<&[f32]>, logits: &mut [f32]) {
    let kind = column_type(head.weights.element());
    let bias_kind = column_type(head.bias.element);
    for (tile, output) in logits.chunks_mut(COLUMN_TILE).enumerate() {
        let (first, rows) = (tile * COLUMN_TILE, output.len());
        kernels.write_column(bias_kind, part(head.bias, first, rows), output);
        for (group, four) in columns.chunks(4).enumerate() {
            let mut scaled = [ScaledColumn { bytes: &[], value: 1.0 }; 4];
            for (i, (to, &column)) in scaled.iter_mut().zip(four).enumerate() {
                // The column is in range: `project` has checked all of them.
                if let Some(column) = head.weights.column(column as usize) {
                    to.bytes = part(column, first, rows);
                }
                to.value = values.map_or(1.0, |values| values[4 * group + i]);
            }
            kernels.add_columns(kind, &scaled[..four.len()], output);
        }
    }
}

/// The bytes of `rows` elements of a column from `first` on.
fn part(column: Column<'_>, first: usize, rows: usize) -> &[u8] {
    let size = column.element.size();
    &column.bytes[first * size..][..rows * size]
}

/// The kernels' name of an element type; weights are floats, which their constructors check.
fn column_type(element: ElementType) -> ColumnType {
    match element {
        ElementType::F64 => ColumnType::F64,
        ElementType::F16 => ColumnType::F16,
        ElementType::Bf16 => ColumnType::Bf16,
        _ => ColumnType::F32,
    }
}
