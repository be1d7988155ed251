//! The sparse head: from a few columns of weights to a row of logits.

use crate::error::{Error, Result};
use crate::kernels::{ColumnSum, ColumnType, Kernels, with_default_environment};
use crate::weights::{ElementType, SparseHead};

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
    let sum = column_sum(kernels, head, columns, values)?;
    with_default_environment(|| kernels.write_sum(&sum, 0, logits));
    Ok(())
}

/// The sum of columns as a source of logits, after all of it has been checked.
pub(crate) fn column_sum<'a>(
    kernels: Kernels,
    head: &SparseHead<'a>,
    columns: &'a [u32],
    values: Option<&'a [f32]>,
) -> Result<ColumnSum<'a>> {
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
    Ok(ColumnSum {
        kernels,
        weights: head.weights.bytes(),
        kind: column_type(head.weights.element()),
        bias: head.bias.bytes,
        bias_kind: column_type(head.bias.element),
        rows: head.vocab(),
        columns,
        values,
    })
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
