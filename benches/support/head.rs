//! Weights of a sparse head.

use super::reader::Reader;
use super::rows::Buffer;
use super::subject::COLD_BYTES;
use argpick::Dtype;
use argpick::weights::{Column, ColumnMatrix, ElementType, SparseHead};
use std::hint::black_box;

/// Weights of a sparse head: one allocation, columns contiguous; the bias is f32.
pub struct Head {
    weights: Buffer,
    bias: Vec<f32>,
    features: usize,
    dtype: Dtype,
    columns: Vec<Vec<u32>>,
}

impl Head {
    /// A head whose logits are spread like `logits`. When cold, calls walk through columns that fill [`COLD_BYTES`].
    pub fn new(logits: &[f32], count: usize, dtype: Dtype, cold: bool) -> Head {
        let vocab = logits.len();
        let sets = if cold { COLD_BYTES.div_ceil(dtype.size() * vocab * count).max(2) } else { 1 };
        let features = sets * count;
        // A column is the row shifted, scaled so that a sum of `count` has the spread of the row.
        let scale = 1.0 / (count as f32).sqrt();
        let mut weights = Vec::with_capacity(features * vocab);
        for feature in 0..features {
            let shift = feature * 977 % vocab;
            weights.extend(logits[shift..].iter().chain(&logits[..shift]).map(|logit| logit * scale));
        }
        let columns = (0..sets).map(|set| (set * count..(set + 1) * count).map(|column| column as u32).collect());
        let columns = columns.collect();
        Head { weights: Buffer::new(&weights, dtype), bias: vec![0.125; vocab], features, dtype, columns }
    }

    /// As the library takes it.
    pub fn view(&self) -> SparseHead<'_> {
        let element = match self.dtype {
            Dtype::F32 => ElementType::F32,
            Dtype::F16 => ElementType::F16,
            Dtype::Bf16 => ElementType::Bf16,
        };
        let bias = Column { bytes: bytemuck::cast_slice(&self.bias), element: ElementType::F32 };
        let weights = ColumnMatrix::new(self.weights.bytes(), element, self.bias.len(), self.features);
        weights.and_then(|weights| SparseHead::new(weights, bias)).expect("the shapes are those of the allocation")
    }

    /// Weights and bias of an f32 head, to be trained, and the columns that call `round` names.
    pub fn trainable(&mut self, round: usize) -> (&mut [f32], &mut [f32], &[u32]) {
        let columns = &self.columns[round % self.columns.len()];
        (self.weights.floats_mut(), &mut self.bias, columns)
    }

    /// The columns that call `round` names.
    pub fn columns(&self, round: usize) -> &[u32] {
        &self.columns[round % self.columns.len()]
    }

    /// How many different sets of columns the calls rotate over.
    pub fn rotation(&self) -> usize {
        self.columns.len()
    }

    /// Bytes that one call reads.
    pub fn bytes(&self) -> usize {
        let vocab = self.bias.len();
        4 * vocab + self.columns[0].len() * vocab * self.dtype.size()
    }

    /// The bare reading of what call `round` reads.
    pub fn read(&self, round: usize, reader: Reader) {
        black_box(reader.largest(black_box(&self.bias)));
        let size = self.bias.len() * self.dtype.size();
        for &column in self.columns(round) {
            reader.read_bytes(&self.weights.bytes()[column as usize * size..][..size]);
        }
    }
}
