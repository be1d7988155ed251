//! Kernels that rewrite an f32 row in place: processed logits and probabilities.
//!
//! Both read a block, decide, and write it back, so the row is its own output. They are called when nothing can fail any
//! more. A block whose maximum is below the cut is not read.

use super::block::{Band, Override, block_bits, load_elements, mask_block};
use super::mass::{Scale, exponents_and_weights};
use crate::kernels::lanes::Lanes;
use crate::types::BLOCK;

/// What an in-place kernel needs to know beside the row.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite<'a> {
    /// Allowed tokens, as in `RowView`.
    pub words: Option<&'a [u32]>,
    /// Tokens from here on take no part.
    pub valid: usize,
    /// Adjusted logits, as in `RowView`.
    pub overrides: &'a [Override],
    /// Maxima of the adjusted blocks; or empty, and every block is read.
    pub maxima: &'a [f32],
    /// The tokens kept.
    pub kept: Band,
}

/// Calls `each(lanes of the block, kept lanes)` and writes its result; blocks without a kept token are filled.
#[inline(always)]
fn rewrite<L: Lanes>(
    lanes: L,
    row: &mut [f32],
    rewrite: &Rewrite<'_>,
    removed: f32,
    mut each: impl FnMut(usize, L::F, L::M) -> L::F,
) {
    let Rewrite { words, valid, overrides, maxima, kept } = *rewrite;
    let Band { first: before, last: cut } = kept;
    let starts_later = before.logit < f32::INFINITY;
    let mut cursor = 0;
    let (live, beyond) = row.split_at_mut(valid);
    beyond.fill(removed);
    for (block, chunk) in live.chunks_mut(BLOCK).enumerate() {
        let first = block * BLOCK;
        let end = cursor + overrides[cursor..].partition_point(|entry| (entry.token as usize) < first + BLOCK);
        let adjusted = &overrides[cursor..end];
        cursor = end;
        if maxima.get(block).is_some_and(|&maximum| maximum < cut.logit)
            || words.is_some_and(|words| block_bits(words, block) == 0)
        {
            chunk.fill(removed);
            continue;
        }
        for entry in adjusted {
            chunk[entry.token as usize - first] = entry.logit;
        }
        let mut quarters = load_elements(lanes, chunk);
        if let Some(words) = words {
            quarters = mask_block(lanes, words, block, quarters);
        }
        if starts_later {
            quarters = before.mask_before(lanes, block, quarters);
        }
        let mut out = [[0.0; 16]; 4];
        let quarters = quarters;
        for i in 0..4 {
            let logits = quarters[i];
            let keep = cut.lanes(lanes, logits, first + 16 * i);
            lanes.store(each(block, logits, keep), &mut out[i]);
        }
        chunk.copy_from_slice(&out.as_flattened()[..chunk.len()]);
    }
}

/// Kept logits divided by `temperature`; -inf for the rest.
#[inline(always)]
pub fn write_logits<L: Lanes>(lanes: L, row: &mut [f32], spec: &Rewrite<'_>, temperature: f32) {
    let (divisor, masked) = (lanes.splat(temperature), lanes.splat(f32::NEG_INFINITY));
    rewrite(lanes, row, spec, f32::NEG_INFINITY, |_, logits, keep| {
        let scaled = if temperature == 1.0 { logits } else { lanes.div(logits, divisor) };
        lanes.select(keep, scaled, masked)
    });
}

/// Probabilities of the kept tokens among themselves; 0 for the rest.
#[inline(always)]
pub fn write_probabilities<L: Lanes>(lanes: L, row: &mut [f32], spec: &Rewrite<'_>, scale: Scale) {
    let (maximum, factor, zero) = (lanes.splat(scale.maximum), lanes.splat(scale.scale), lanes.splat(0.0));
    let mut total = 0.0f64;
    let mut tile = 0;
    let mut weights = lanes.splat(0.0);
    rewrite(lanes, row, spec, 0.0, |block, logits, keep| {
        if block / 16 != tile {
            total += f64::from(lanes.sum(weights));
            weights = lanes.splat(0.0);
            tile = block / 16;
        }
        let (_, w) = exponents_and_weights(lanes, logits, maximum, factor);
        let w = lanes.select(keep, w, zero);
        weights = lanes.add(weights, w);
        w
    });
    total += f64::from(lanes.sum(weights));
    let reciprocal = (1.0 / total) as f32;
    let factor = lanes.splat(reciprocal);
    let (vectors, tail) = row.as_chunks_mut::<16>();
    for vector in vectors {
        let scaled = lanes.mul(lanes.load(vector), factor);
        lanes.store(scaled, vector);
    }
    for value in tail {
        *value *= reciprocal;
    }
}
