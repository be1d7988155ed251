//! Sums of weight columns, and the update that training needs.
//!
//! Columns are little-endian bytes at any alignment (members of an archive are rarely aligned). The output is walked in
//! tiles of 1,024 that stay in the first-level cache while four columns at a time are added; each output still receives
//! its columns one after the other in the order given, so the grouping cannot be seen in the result.

use crate::kernels::lanes::Lanes;

/// The element type of a column of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// binary64, rounded to f32 as it is read.
    F64,
    /// binary32.
    F32,
    /// binary16.
    F16,
    /// bfloat16.
    Bf16,
}

impl ColumnType {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            ColumnType::F64 => 8,
            ColumnType::F32 => 4,
            ColumnType::F16 | ColumnType::Bf16 => 2,
        }
    }
}

/// Outputs per tile: callers add all columns to one tile before they go on to the next.
pub const COLUMN_TILE: usize = 1024;

/// Sixteen weights from bytes; fewer are padded with zeros.
#[inline(always)]
fn load_bytes<L: Lanes>(lanes: L, kind: ColumnType, bytes: &[u8]) -> L::F {
    match kind {
        ColumnType::F32 => {
            let mut whole = [0; 64];
            let from = bytes.first_chunk::<64>().unwrap_or_else(|| padded(&mut whole, bytes));
            let values: [u32; 16] = bytemuck::pod_read_unaligned(from);
            lanes.load(&values.map(|bits| f32::from_bits(u32::from_le(bits))))
        }
        ColumnType::F16 | ColumnType::Bf16 => {
            let mut whole = [0; 32];
            let from = bytes.first_chunk::<32>().unwrap_or_else(|| padded(&mut whole, bytes));
            let values: [u16; 16] = bytemuck::pod_read_unaligned(from);
            let values = values.map(u16::from_le);
            if kind == ColumnType::F16 { lanes.load_f16(&values) } else { lanes.load_bf16(&values) }
        }
        ColumnType::F64 => {
            let mut values = [0.0; 16];
            for (to, from) in values.iter_mut().zip(bytes.chunks_exact(8)) {
                *to =
                    f64::from_le_bytes([from[0], from[1], from[2], from[3], from[4], from[5], from[6], from[7]]) as f32;
            }
            lanes.load(&values)
        }
    }
}

fn padded<'a, const N: usize>(whole: &'a mut [u8; N], bytes: &[u8]) -> &'a [u8; N] {
    whole[..bytes.len()].copy_from_slice(bytes);
    whole
}

/// One column with its activation.
#[derive(Clone, Copy, Debug)]
struct ScaledColumn<'a> {
    /// `rows * kind.size()` bytes.
    bytes: &'a [u8],
    /// The activation; 1 adds the column as it is.
    value: f32,
}

/// `z = b + sum_j a_j W[:, c_j]` as a source of logits: the columns are added up wherever a block is read.
#[derive(Clone, Copy, Debug)]
pub struct ColumnSum<'a> {
    /// The weights, column after column, `rows` elements each.
    pub weights: &'a [u8],
    /// Their type.
    pub kind: ColumnType,
    /// The bias, `rows` elements.
    pub bias: &'a [u8],
    /// Its type.
    pub bias_kind: ColumnType,
    /// The number of logits.
    pub rows: usize,
    /// The columns, in the order in which they are added; all in range.
    pub columns: &'a [u32],
    /// Their activations, as many; `None` is 1 everywhere.
    pub values: Option<&'a [f32]>,
}

impl<'a> ColumnSum<'a> {
    /// Writes the logits of the rows from `first` on to `output`, each from its bias on in the order of the columns.
    #[inline(always)]
    pub(super) fn write<L: Lanes>(&self, lanes: L, first: usize, output: &mut [f32]) {
        let rows = output.len();
        write_column(lanes, self.bias_kind, part(self.bias, self.bias_kind, first, rows), output);
        let stride = self.rows * self.kind.size();
        let mut group = [ScaledColumn { bytes: &[], value: 1.0 }; 4];
        for (i, four) in self.columns.chunks(4).enumerate() {
            for (j, &column) in four.iter().enumerate() {
                let bytes = &self.weights[column as usize * stride..][..stride];
                let value = self.values.map_or(1.0, |values| values[4 * i + j]);
                group[j] = ScaledColumn { bytes: part(bytes, self.kind, first, rows), value };
            }
            add_columns(lanes, self.kind, &group[..four.len()], output);
        }
    }

    /// One logit.
    pub fn get(&self, index: usize) -> f32 {
        let mut logit = [0.0];
        self.write(crate::kernels::isa::scalar::Scalar, index, &mut logit);
        logit[0]
    }
}

/// The bytes of `rows` elements from `first` on.
#[inline(always)]
fn part(bytes: &[u8], kind: ColumnType, first: usize, rows: usize) -> &[u8] {
    &bytes[first * kind.size()..][..rows * kind.size()]
}

/// Adds the columns of the sum up to `output`, which is as long as it has rows.
#[inline(always)]
pub fn write_sum<L: Lanes>(lanes: L, sum: &ColumnSum<'_>, output: &mut [f32]) {
    for (tile, output) in output.chunks_mut(COLUMN_TILE).enumerate() {
        sum.write(lanes, tile * COLUMN_TILE, output);
    }
}

/// Writes the column to `output`, widened.
#[inline(always)]
fn write_column<L: Lanes>(lanes: L, kind: ColumnType, bytes: &[u8], output: &mut [f32]) {
    by_kind(kind, |kind| {
        let size = kind.size();
        for (i, to) in output.chunks_mut(16).enumerate() {
            let from = &bytes[16 * i * size..];
            let mut values = [0.0; 16];
            lanes.store(load_bytes(lanes, kind, &from[..from.len().min(16 * size)]), &mut values);
            to.copy_from_slice(&values[..to.len()]);
        }
    });
}

/// Adds up to four columns to `output`, for each element in the order of the columns.
#[inline(always)]
fn add_columns<L: Lanes>(lanes: L, kind: ColumnType, columns: &[ScaledColumn<'_>], output: &mut [f32]) {
    by_kind(kind, |kind| match columns {
        [a] => add_group(lanes, kind, [*a], output),
        [a, b] => add_group(lanes, kind, [*a, *b], output),
        [a, b, c] => add_group(lanes, kind, [*a, *b, *c], output),
        [a, b, c, d] => add_group(lanes, kind, [*a, *b, *c, *d], output),
        _ => debug_assert!(columns.is_empty(), "{} columns in one group", columns.len()),
    });
}

/// Turns the run-time type into four calls with a constant one, so that loops hold no branch on it.
#[inline(always)]
fn by_kind(kind: ColumnType, mut run: impl FnMut(ColumnType)) {
    match kind {
        ColumnType::F64 => run(ColumnType::F64),
        ColumnType::F32 => run(ColumnType::F32),
        ColumnType::F16 => run(ColumnType::F16),
        ColumnType::Bf16 => run(ColumnType::Bf16),
    }
}

#[inline(always)]
fn add_group<L: Lanes, const N: usize>(lanes: L, kind: ColumnType, columns: [ScaledColumn<'_>; N], output: &mut [f32]) {
    let step = 16 * kind.size();
    let plain = columns.iter().all(|column| column.value == 1.0);
    let (vectors, tail) = output.as_chunks_mut::<16>();
    let whole = vectors.len();
    for (i, vector) in vectors.iter_mut().enumerate() {
        let mut sum = lanes.load(vector);
        for column in &columns {
            let weights = load_bytes(lanes, kind, &column.bytes[i * step..(i + 1) * step]);
            sum = lanes.add(sum, if plain { weights } else { lanes.mul(lanes.splat(column.value), weights) });
        }
        lanes.store(sum, vector);
    }
    if !tail.is_empty() {
        let mut values = [0.0; 16];
        values[..tail.len()].copy_from_slice(tail);
        let mut sum = lanes.load(&values);
        for column in &columns {
            let weights = load_bytes(lanes, kind, &column.bytes[whole * step..]);
            sum = lanes.add(sum, if plain { weights } else { lanes.mul(lanes.splat(column.value), weights) });
        }
        lanes.store(sum, &mut values);
        tail.copy_from_slice(&values[..tail.len()]);
    }
}

/// `y += scale * x`, element by element (one multiplication, one addition).
#[inline(always)]
pub fn add_scaled<L: Lanes>(lanes: L, y: &mut [f32], scale: f32, x: &[f32]) {
    let factor = lanes.splat(scale);
    let (vectors, tail) = y.as_chunks_mut::<16>();
    let (sources, rest) = x.as_chunks::<16>();
    for (vector, source) in vectors.iter_mut().zip(sources) {
        let sum = lanes.add(lanes.load(vector), lanes.mul(factor, lanes.load(source)));
        lanes.store(sum, vector);
    }
    for (value, source) in tail.iter_mut().zip(rest) {
        *value += scale * source;
    }
}
