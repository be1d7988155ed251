//! Sums of weight columns, and the update that training needs.
//!
//! Columns are little-endian bytes at any alignment (members of an archive are rarely aligned). The output is walked in
//! tiles of 1,024 that stay in the first-level cache while four columns at a time are added; each output still receives
//! its columns one after the other in the order given, so the grouping cannot be seen in the result.

use crate::kernels::dispatch::Kernels;
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

/// A type of weight: how sixteen of them become sixteen f32. (No closures anywhere here: they compile without the level's
/// instructions.)
trait Weight {
    const SIZE: usize;
    /// `bytes` are those of sixteen weights.
    fn load<L: Lanes>(lanes: L, bytes: &[u8]) -> L::F;
}

struct Binary64;
struct Binary32;
struct Binary16;
struct Brain16;

impl Weight for Binary64 {
    const SIZE: usize = 8;
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, bytes: &[u8]) -> L::F {
        let mut values = [0.0; 16];
        let (eights, _) = bytes.as_chunks::<8>();
        for (to, from) in values.iter_mut().zip(eights) {
            *to = f64::from_le_bytes(*from) as f32;
        }
        lanes.load(&values)
    }
}

impl Weight for Binary32 {
    const SIZE: usize = 4;
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, bytes: &[u8]) -> L::F {
        let mut values = [0.0; 16];
        if cfg!(target_endian = "little")
            && let Some(whole) = bytes.first_chunk::<64>()
        {
            values = bytemuck::pod_read_unaligned(whole);
        } else {
            let (fours, _) = bytes.as_chunks::<4>();
            for (to, from) in values.iter_mut().zip(fours) {
                *to = f32::from_le_bytes(*from);
            }
        }
        lanes.load(&values)
    }
}

/// Sixteen 16-bit numbers.
#[inline(always)]
fn halves(bytes: &[u8]) -> [u16; 16] {
    let mut values = [0; 16];
    if cfg!(target_endian = "little")
        && let Some(whole) = bytes.first_chunk::<32>()
    {
        values = bytemuck::pod_read_unaligned(whole);
    } else {
        let (twos, _) = bytes.as_chunks::<2>();
        for (to, from) in values.iter_mut().zip(twos) {
            *to = u16::from_le_bytes(*from);
        }
    }
    values
}

impl Weight for Binary16 {
    const SIZE: usize = 2;
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, bytes: &[u8]) -> L::F {
        lanes.load_f16(&halves(bytes))
    }
}

impl Weight for Brain16 {
    const SIZE: usize = 2;
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, bytes: &[u8]) -> L::F {
        lanes.load_bf16(&halves(bytes))
    }
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
    /// The kernels that add them up: kernels over rows call these instead of holding the code for every type of weight
    /// once more.
    pub kernels: Kernels,
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

impl ColumnSum<'_> {
    /// One logit.
    pub fn get(&self, index: usize) -> f32 {
        let mut logit = [0.0];
        self.kernels.write_sum(self, index, &mut logit);
        logit[0]
    }
}

/// The bytes of `rows` elements from `first` on.
#[inline(always)]
fn part(bytes: &[u8], kind: ColumnType, first: usize, rows: usize) -> &[u8] {
    &bytes[first * kind.size()..][..rows * kind.size()]
}

/// Writes the logits of the rows from `first` on to `output`, each from its bias on in the order of the columns.
#[inline(always)]
pub fn write_sum<L: Lanes>(lanes: L, sum: &ColumnSum<'_>, first: usize, output: &mut [f32]) {
    let stride = sum.rows * sum.kind.size();
    let mut group = [ScaledColumn { bytes: &[], value: 1.0 }; 4];
    for (tile, output) in output.chunks_mut(COLUMN_TILE).enumerate() {
        let (first, rows) = (first + tile * COLUMN_TILE, output.len());
        write_column(lanes, sum.bias_kind, part(sum.bias, sum.bias_kind, first, rows), output);
        for (i, four) in sum.columns.chunks(4).enumerate() {
            for (j, &column) in four.iter().enumerate() {
                let bytes = &sum.weights[column as usize * stride..][..stride];
                let value = match sum.values {
                    Some(values) => values[4 * i + j],
                    None => 1.0,
                };
                group[j] = ScaledColumn { bytes: part(bytes, sum.kind, first, rows), value };
            }
            add_columns(lanes, sum.kind, &group[..four.len()], output);
        }
    }
}

/// One weight, widened: what the vectors leave over at the end of a column.
fn weight(kind: ColumnType, bytes: &[u8], index: usize) -> f32 {
    let bytes = &bytes[index * kind.size()..];
    match kind {
        ColumnType::F64 => f64::from_le_bytes(first(bytes)) as f32,
        ColumnType::F32 => f32::from_le_bytes(first(bytes)),
        ColumnType::F16 => half::f16::from_le_bytes(first(bytes)).to_f32_const(),
        ColumnType::Bf16 => half::bf16::from_le_bytes(first(bytes)).to_f32_const(),
    }
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[..N]);
    value
}

/// Writes the column to `output`, widened.
#[inline(always)]
fn write_column<L: Lanes>(lanes: L, kind: ColumnType, bytes: &[u8], output: &mut [f32]) {
    match kind {
        ColumnType::F64 => write_weights::<L, Binary64>(lanes, bytes, output),
        ColumnType::F32 => write_weights::<L, Binary32>(lanes, bytes, output),
        ColumnType::F16 => write_weights::<L, Binary16>(lanes, bytes, output),
        ColumnType::Bf16 => write_weights::<L, Brain16>(lanes, bytes, output),
    }
    write_end(kind, bytes, output);
}

#[inline(always)]
fn write_weights<L: Lanes, W: Weight>(lanes: L, bytes: &[u8], output: &mut [f32]) {
    let (vectors, _) = output.as_chunks_mut::<16>();
    for (i, vector) in vectors.iter_mut().enumerate() {
        lanes.store(W::load(lanes, &bytes[i * 16 * W::SIZE..(i + 1) * 16 * W::SIZE]), vector);
    }
}

/// The elements that no vector of sixteen covers, one after the other: the same code for every level.
#[inline(never)]
fn write_end(kind: ColumnType, bytes: &[u8], output: &mut [f32]) {
    for i in output.len() / 16 * 16..output.len() {
        output[i] = weight(kind, bytes, i);
    }
}

/// Adds one to four columns to the vectors of the output: spelled out for each number of columns, so that their factors stay
/// in registers. An activation of 1 is multiplied by as any other: exact, and no slower than the memory it waits for.
macro_rules! add_group {
    ($L:ty, $W:ty, $lanes:ident, $output:ident, $($column:ident),+) => {{
        let step = 16 * <$W>::SIZE;
        let (vectors, _) = $output.as_chunks_mut::<16>();
        $(let $column = ($lanes.splat($column.value), &$column.bytes[..vectors.len() * step]);)+
        for (i, vector) in vectors.iter_mut().enumerate() {
            let mut sum = $lanes.load(vector);
            $(
                let weights = <$W>::load::<$L>($lanes, &$column.1[i * step..(i + 1) * step]);
                sum = $lanes.add(sum, $lanes.mul($column.0, weights));
            )+
            $lanes.store(sum, vector);
        }
    }};
}

/// Adds up to four columns to `output`, for each element in the order of the columns.
#[inline(always)]
fn add_columns<L: Lanes>(lanes: L, kind: ColumnType, columns: &[ScaledColumn<'_>], output: &mut [f32]) {
    match kind {
        // Rare: one at a time.
        ColumnType::F64 => add_singly::<L, Binary64>(lanes, columns, output),
        ColumnType::F32 => add_weights::<L, Binary32>(lanes, columns, output),
        ColumnType::F16 => add_weights::<L, Binary16>(lanes, columns, output),
        ColumnType::Bf16 => add_weights::<L, Brain16>(lanes, columns, output),
    }
    add_end(kind, columns, output);
}

#[inline(always)]
fn add_weights<L: Lanes, W: Weight>(lanes: L, columns: &[ScaledColumn<'_>], output: &mut [f32]) {
    if L::SMALL {
        return add_singly::<L, W>(lanes, columns, output);
    }
    match columns {
        [a] => add_group!(L, W, lanes, output, a),
        [a, b] => add_group!(L, W, lanes, output, a, b),
        [a, b, c] => add_group!(L, W, lanes, output, a, b, c),
        [a, b, c, d] => add_group!(L, W, lanes, output, a, b, c, d),
        _ => debug_assert!(columns.is_empty(), "{} columns in one group", columns.len()),
    }
}

#[inline(always)]
fn add_singly<L: Lanes, W: Weight>(lanes: L, columns: &[ScaledColumn<'_>], output: &mut [f32]) {
    for column in columns {
        add_group!(L, W, lanes, output, column);
    }
}

/// What `add_columns` leaves over, as in `write_end`.
#[inline(never)]
fn add_end(kind: ColumnType, columns: &[ScaledColumn<'_>], output: &mut [f32]) {
    for i in output.len() / 16 * 16..output.len() {
        for column in columns {
            output[i] += column.value * weight(kind, column.bytes, i);
        }
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
