//! Sums of weight columns, and the update that training needs.
//!
//! Columns are little-endian bytes at any alignment (members of an archive are rarely aligned). The output is walked in
//! tiles of 4,096 that stay in the first-level cache: the bias and the first columns are added up in registers, then four
//! columns at a time. Each output still receives its columns one after the other in the order given, so the grouping cannot
//! be seen in the result. Each column is asked for a little ahead of where it is read: the processor's own prefetchers stop
//! at every page, and a tile is few pages long.

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
pub const COLUMN_TILE: usize = 4096;

/// How many bytes ahead of its reads a column is asked for.
const AHEAD: usize = 2048;

/// Biases widened at a time where they are no f32.
const WIDENED: usize = 256;

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

/// Where a group's sums start.
trait Start: Copy {
    /// Vector number `i`; `vector` is that of the output.
    fn load<L: Lanes>(self, lanes: L, i: usize, ahead: usize, vector: &[f32; 16]) -> L::F;
}

/// At what the output holds.
#[derive(Clone, Copy)]
struct InPlace;

/// At the bias: f32 as bytes.
#[derive(Clone, Copy)]
struct Bias<'a>(&'a [u8]);

impl Start for InPlace {
    #[inline(always)]
    fn load<L: Lanes>(self, lanes: L, _: usize, _: usize, vector: &[f32; 16]) -> L::F {
        lanes.load(vector)
    }
}

impl Start for Bias<'_> {
    #[inline(always)]
    fn load<L: Lanes>(self, lanes: L, i: usize, ahead: usize, _: &[f32; 16]) -> L::F {
        lanes.prefetch(self.0, 64 * i + ahead);
        Binary32::load(lanes, &self.0[64 * i..64 * (i + 1)])
    }
}

/// Adds one to four columns to a start and writes the sums to the vectors of the output: spelled out for each number of
/// columns, so that their factors stay in registers. An activation of 1 is multiplied by as any other: exact, and no slower
/// than the memory it waits for.
macro_rules! add_group {
    ($L:ty, $W:ty, $lanes:ident, $start:expr, $ahead:ident, $vectors:ident, $($column:ident),+) => {{
        let step = 16 * <$W>::SIZE;
        $(let $column = ($lanes.splat($column.value), &$column.bytes[..$vectors.len() * step]);)+
        for (i, vector) in $vectors.iter_mut().enumerate() {
            let mut sum = $start.load($lanes, i, $ahead, vector);
            $(
                $lanes.prefetch($column.1, i * step + $ahead);
                let weights = <$W>::load::<$L>($lanes, &$column.1[i * step..(i + 1) * step]);
                sum = $lanes.add(sum, $lanes.mul($column.0, weights));
            )+
            $lanes.store(sum, vector);
        }
    }};
}

/// The bytes of `rows` elements from `first` on.
#[inline(always)]
fn part(bytes: &[u8], kind: ColumnType, first: usize, rows: usize) -> &[u8] {
    &bytes[first * kind.size()..][..rows * kind.size()]
}

/// The rows from `first` on of the column that is added as number `j`, `rows` of them.
#[inline(always)]
fn scaled_column<'a>(sum: &ColumnSum<'a>, j: usize, first: usize, rows: usize) -> ScaledColumn<'a> {
    let value = match sum.values {
        Some(values) => values[j],
        None => 1.0,
    };
    let start = sum.columns[j] as usize * sum.rows + first;
    ScaledColumn { bytes: part(sum.weights, sum.kind, start, rows), value }
}

/// Writes the logits of the rows from `first` on to `output`, each from its bias on in the order of the columns.
#[inline(always)]
pub fn write_sum<L: Lanes>(lanes: L, sum: &ColumnSum<'_>, first: usize, output: &mut [f32]) {
    match sum.kind {
        ColumnType::F64 => write_weighed::<L, Binary64>(lanes, sum, first, output),
        ColumnType::F32 => write_weighed::<L, Binary32>(lanes, sum, first, output),
        ColumnType::F16 => write_weighed::<L, Binary16>(lanes, sum, first, output),
        ColumnType::Bf16 => write_weighed::<L, Brain16>(lanes, sum, first, output),
    }
    let whole = output.len() / 16 * 16;
    if whole < output.len() {
        write_end(sum, first + whole, &mut output[whole..]);
    }
}

/// Whole vectors of sixteen, tile by tile.
#[inline(always)]
fn write_weighed<L: Lanes, W: Weight>(lanes: L, sum: &ColumnSum<'_>, first: usize, output: &mut [f32]) {
    // A few rows are no stream.
    let ahead = if output.len() * W::SIZE > AHEAD { AHEAD } else { 0 };
    let (vectors, _) = output.as_chunks_mut::<16>();
    for (tile, vectors) in vectors.chunks_mut(COLUMN_TILE / 16).enumerate() {
        let first = first + tile * COLUMN_TILE;
        // The bias takes the columns that fill no group along. (f64 is rare: one column at a time.)
        let singly = L::SMALL || W::SIZE == 8;
        let begun = if singly { 0 } else { (sum.columns.len() + 3) % 4 + 1 }.min(sum.columns.len());
        begin_sum::<L, W>(lanes, sum, begun, first, ahead, vectors);
        let rows = 16 * vectors.len();
        let mut j = begun;
        while j < sum.columns.len() {
            let a = scaled_column(sum, j, first, rows);
            if singly {
                add_group!(L, W, lanes, InPlace, ahead, vectors, a);
                j += 1;
            } else {
                let (b, c, d) = (
                    scaled_column(sum, j + 1, first, rows),
                    scaled_column(sum, j + 2, first, rows),
                    scaled_column(sum, j + 3, first, rows),
                );
                add_group!(L, W, lanes, InPlace, ahead, vectors, a, b, c, d);
                j += 4;
            }
        }
    }
}

/// Writes the bias and the first columns, none to four of them.
#[inline(always)]
fn begin_sum<L: Lanes, W: Weight>(
    lanes: L,
    sum: &ColumnSum<'_>,
    columns: usize,
    first: usize,
    ahead: usize,
    vectors: &mut [[f32; 16]],
) {
    if sum.bias_kind == ColumnType::F32 {
        let bias = part(sum.bias, ColumnType::F32, first, 16 * vectors.len());
        return begin_from::<L, W>(lanes, sum, columns, first, ahead, bias, vectors);
    }
    let mut widened = [0.0; WIDENED];
    for (i, vectors) in vectors.chunks_mut(WIDENED / 16).enumerate() {
        let (first, rows) = (first + i * WIDENED, 16 * vectors.len());
        let bias = &mut widened[..rows];
        widen(lanes, sum.bias_kind, part(sum.bias, sum.bias_kind, first, rows), bias);
        begin_from::<L, W>(lanes, sum, columns, first, ahead, bytemuck::cast_slice(bias), vectors);
    }
}

#[inline(always)]
fn begin_from<L: Lanes, W: Weight>(
    lanes: L,
    sum: &ColumnSum<'_>,
    columns: usize,
    first: usize,
    ahead: usize,
    bias: &[u8],
    vectors: &mut [[f32; 16]],
) {
    let rows = 16 * vectors.len();
    let start = Bias(&bias[..rows * 4]);
    if columns == 0 {
        for (i, vector) in vectors.iter_mut().enumerate() {
            lanes.store(start.load(lanes, i, ahead, &[0.0; 16]), vector);
        }
        return;
    }
    let a = scaled_column(sum, 0, first, rows);
    if columns == 1 {
        return add_group!(L, W, lanes, start, ahead, vectors, a);
    }
    let b = scaled_column(sum, 1, first, rows);
    if columns == 2 {
        return add_group!(L, W, lanes, start, ahead, vectors, a, b);
    }
    let c = scaled_column(sum, 2, first, rows);
    if columns == 3 {
        return add_group!(L, W, lanes, start, ahead, vectors, a, b, c);
    }
    let d = scaled_column(sum, 3, first, rows);
    add_group!(L, W, lanes, start, ahead, vectors, a, b, c, d);
}

/// Writes a column as little-endian f32 to `output`, a multiple of sixteen long.
#[inline(always)]
fn widen<L: Lanes>(lanes: L, kind: ColumnType, bytes: &[u8], output: &mut [f32]) {
    match kind {
        ColumnType::F64 => widen_weights::<L, Binary64>(lanes, bytes, output),
        ColumnType::F32 => widen_weights::<L, Binary32>(lanes, bytes, output),
        ColumnType::F16 => widen_weights::<L, Binary16>(lanes, bytes, output),
        ColumnType::Bf16 => widen_weights::<L, Brain16>(lanes, bytes, output),
    }
    if cfg!(target_endian = "big") {
        for value in output {
            *value = f32::from_bits(value.to_bits().to_le());
        }
    }
}

#[inline(always)]
fn widen_weights<L: Lanes, W: Weight>(lanes: L, bytes: &[u8], output: &mut [f32]) {
    let (vectors, _) = output.as_chunks_mut::<16>();
    for (i, vector) in vectors.iter_mut().enumerate() {
        lanes.store(W::load(lanes, &bytes[i * 16 * W::SIZE..(i + 1) * 16 * W::SIZE]), vector);
    }
}

/// The rows that no vector of sixteen covers, one after the other: the same code for every level.
#[inline(never)]
fn write_end(sum: &ColumnSum<'_>, first: usize, output: &mut [f32]) {
    let bias = part(sum.bias, sum.bias_kind, first, output.len());
    for (i, logit) in output.iter_mut().enumerate() {
        *logit = weight(sum.bias_kind, bias, i);
    }
    for j in 0..sum.columns.len() {
        let column = scaled_column(sum, j, first, output.len());
        for (i, logit) in output.iter_mut().enumerate() {
            *logit += column.value * weight(sum.kind, column.bytes, i);
        }
    }
}

/// One weight, widened.
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

/// `y += scale * x`, element by element (one multiplication, one addition).
#[inline(always)]
pub fn add_scaled<L: Lanes>(lanes: L, y: &mut [f32], scale: f32, x: &[f32]) {
    let factor = lanes.splat(scale);
    let ahead = if y.len() * 4 > AHEAD { AHEAD } else { 0 };
    let (vectors, tail) = y.as_chunks_mut::<16>();
    let (sources, rest) = x.as_chunks::<16>();
    for (vector, source) in vectors.iter_mut().zip(sources) {
        lanes.prefetch(bytemuck::cast_slice(vector), ahead);
        let sum = lanes.add(lanes.load(vector), lanes.mul(factor, lanes.load(source)));
        lanes.store(sum, vector);
    }
    for (value, source) in tail.iter_mut().zip(rest) {
        *value += scale * source;
    }
}
