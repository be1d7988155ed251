//! Rows of logits in memory of their own: made, or read from a NumPy file.

use argpick::weights::{ElementType, npy};
use argpick::{Dtype, Row};
use half::{bf16, f16};
use std::path::Path;

/// The vocabularies of common models.
pub const VOCABULARIES: [usize; 5] = [32_000, 50_257, 128_256, 151_936, 262_144];

/// A row in memory that may be read as any element type.
#[derive(Clone)]
pub struct Buffer {
    words: Vec<u64>,
    dtype: Dtype,
    len: usize,
}

impl Buffer {
    /// The logits, rounded to `dtype`.
    pub fn new(logits: &[f32], dtype: Dtype) -> Buffer {
        let len = logits.len();
        let mut words = vec![0u64; (len * dtype.size()).div_ceil(8)];
        match dtype {
            Dtype::F32 => bytemuck::cast_slice_mut::<u64, f32>(&mut words)[..len].copy_from_slice(logits),
            Dtype::F16 => {
                for (to, &from) in bytemuck::cast_slice_mut::<u64, f16>(&mut words).iter_mut().zip(logits) {
                    *to = f16::from_f32(from);
                }
            }
            Dtype::Bf16 => {
                for (to, &from) in bytemuck::cast_slice_mut::<u64, bf16>(&mut words).iter_mut().zip(logits) {
                    *to = bf16::from_f32(from);
                }
            }
        }
        Buffer { words, dtype, len }
    }

    /// The row.
    pub fn row(&self) -> Row<'_> {
        match self.dtype {
            Dtype::F32 => Row::F32(&bytemuck::cast_slice(&self.words)[..self.len]),
            Dtype::F16 => Row::F16(&bytemuck::cast_slice(&self.words)[..self.len]),
            Dtype::Bf16 => Row::Bf16(&bytemuck::cast_slice(&self.words)[..self.len]),
        }
    }

    /// The logits of an f32 row, to be changed; empty for another type.
    pub fn floats_mut(&mut self) -> &mut [f32] {
        let len = if self.dtype == Dtype::F32 { self.len } else { 0 };
        &mut bytemuck::cast_slice_mut(&mut self.words)[..len]
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len * self.dtype.size()]
    }
}

/// Normal logits with deviation 3, the same for the same length on every machine with the same `ln` and `cos`.
pub fn gaussian(vocab: usize) -> Vec<f32> {
    let mut state = 0x5eed_u64 + vocab as u64;
    let mut unit = || {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..vocab)
        .map(|_| {
            let radius = (-2.0 * (1.0 - unit()).ln()).sqrt();
            (radius * (std::f64::consts::TAU * unit()).cos() * 3.0) as f32
        })
        .collect()
}

/// The row with its numbers in another range or another order, and what to call it. Nothing should cost more on it.
pub fn rearranged(logits: &[f32]) -> [(&'static str, Vec<f32>); 3] {
    let shifted = logits.iter().map(|logit| logit + 1000.0).collect();
    let mut shuffled = logits.to_vec();
    let mut state = 0x5eed_u64;
    for last in (1..shuffled.len()).rev() {
        // Fisher and Yates; Knuth's multiplier for the numbers.
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        shuffled.swap(last, (state >> 33) as usize % (last + 1));
    }
    let mut ascending = logits.to_vec();
    ascending.sort_by(f32::total_cmp);
    [("+1000", shifted), ("shuffled", shuffled), ("ascending", ascending)]
}

/// Row `index` of a `.npy` file: one row of logits, or a matrix with one in each row.
pub fn from_npy(path: &Path, index: usize) -> Result<Vec<f32>, String> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let array = npy::parse("row", &bytes).map_err(|error| format!("{name}: {error}"))?;
    let shape = array.shape();
    let (rows, length) = match *shape.dimensions() {
        [length] => (1, length),
        [rows, length] if array.order() == argpick::weights::Order::RowMajor || rows == 1 => (rows, length),
        _ => return Err(format!("{name}: shape {shape} is neither a row nor a row-major matrix of rows")),
    };
    if index >= rows {
        return Err(format!("{name}: there is no row {index}, it has {rows}"));
    }
    let size = array.element().size();
    let row = &array.bytes()[index * length * size..][..length * size];
    match array.element() {
        ElementType::F32 => Ok(row.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()),
        ElementType::F16 => {
            Ok(row.as_chunks::<2>().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect())
        }
        ElementType::Bf16 => {
            Ok(row.as_chunks::<2>().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f32()).collect())
        }
        other => Err(format!("{name}: logits are f32, f16 or bf16, not {other}")),
    }
}
