//! Kernels that rewrite an f32 row in place: processed logits and probabilities.
//!
//! Both read a block, decide, and write it back, so the row is its own output. They are called when nothing can fail any
//! more. A block whose maximum is below the cut is not read.

use super::block::{Band, Override, block_bits, mask_block};
use super::mass::{Scale, exponents_and_weights};
use crate::kernels::lanes::{Lanes, for_quarters};
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

/// What becomes of sixteen tokens. (A trait and not a closure: closures compile without the level's instructions.)
trait Writer<L: Lanes> {
    /// What is written for a token that is not kept.
    const REMOVED: f32;
    /// A block begins.
    fn begin(&mut self, lanes: L, block: usize);
    /// The sixteen values to write; `keep` are the lanes kept.
    fn write(&mut self, lanes: L, logits: L::F, keep: L::M) -> L::F;
}

/// Writes every block; those without a kept token are filled.
#[inline(always)]
fn rewrite<L: Lanes, W: Writer<L>>(lanes: L, row: &mut [f32], rewrite: &Rewrite<'_>, writer: &mut W) {
    let Rewrite { words, valid, overrides, maxima, kept } = *rewrite;
    let cut = kept.last;
    let starts_later = kept.first.logit < f32::INFINITY;
    let mut cursor = 0;
    let (live, beyond) = row.split_at_mut(valid);
    beyond.fill(W::REMOVED);
    let mut end_of_row = [f32::NEG_INFINITY; BLOCK];
    for block in 0..valid.div_ceil(BLOCK) {
        let first = block * BLOCK;
        let chunk = match live[first..].first_chunk_mut::<BLOCK>() {
            Some(whole) => whole,
            None => {
                end_of_row[..valid - first].copy_from_slice(&live[first..]);
                &mut end_of_row
            }
        };
        let negligible = maxima.get(block).is_some_and(|&maximum| maximum < cut.logit)
            || words.is_some_and(|words| block_bits(words, block) == 0);
        while let Some(entry) = overrides.get(cursor).filter(|entry| (entry.token as usize) < first + BLOCK) {
            chunk[entry.token as usize - first] = entry.logit;
            cursor += 1;
        }
        let (quarters, _) = chunk.as_chunks_mut::<16>();
        if negligible {
            let removed = lanes.splat(W::REMOVED);
            for_quarters!(L::QUARTERS_IN_REGISTERS, i => { lanes.store(removed, &mut quarters[i]); });
        } else {
            let mut logits = [
                lanes.load(&quarters[0]),
                lanes.load(&quarters[1]),
                lanes.load(&quarters[2]),
                lanes.load(&quarters[3]),
            ];
            if let Some(words) = words {
                logits = mask_block(lanes, words, block, logits);
            }
            writer.begin(lanes, block);
            for_quarters!(L::QUARTERS_IN_REGISTERS, i => {
                let keep = if starts_later {
                    lanes.mask(kept.bits(lanes, logits[i], first + 16 * i))
                } else {
                    cut.lanes(lanes, logits[i], first + 16 * i)
                };
                lanes.store(writer.write(lanes, logits[i], keep), &mut quarters[i]);
            });
        }
        if valid - first < BLOCK {
            live[first..].copy_from_slice(&end_of_row[..valid - first]);
        }
    }
}

struct LogitWriter<L: Lanes> {
    divisor: L::F,
    undivided: bool,
    masked: L::F,
}

impl<L: Lanes> Writer<L> for LogitWriter<L> {
    const REMOVED: f32 = f32::NEG_INFINITY;
    #[inline(always)]
    fn begin(&mut self, _: L, _: usize) {}
    #[inline(always)]
    fn write(&mut self, lanes: L, logits: L::F, keep: L::M) -> L::F {
        let scaled = if self.undivided { logits } else { lanes.div(logits, self.divisor) };
        lanes.select(keep, scaled, self.masked)
    }
}

/// Kept logits divided by `temperature`; -inf for the rest.
#[inline(always)]
pub fn write_logits<L: Lanes>(lanes: L, row: &mut [f32], spec: &Rewrite<'_>, temperature: f32) {
    let mut writer: LogitWriter<L> = LogitWriter {
        divisor: lanes.splat(temperature),
        undivided: temperature == 1.0,
        masked: lanes.splat(f32::NEG_INFINITY),
    };
    rewrite(lanes, row, spec, &mut writer);
}

struct WeightWriter<L: Lanes> {
    maximum: L::F,
    factor: L::F,
    zero: L::F,
    weights: L::F,
    tile: usize,
    total: f64,
}

impl<L: Lanes> Writer<L> for WeightWriter<L> {
    const REMOVED: f32 = 0.0;
    #[inline(always)]
    fn begin(&mut self, lanes: L, block: usize) {
        if block / 16 != self.tile {
            self.total += f64::from(lanes.sum(self.weights));
            self.weights = self.zero;
            self.tile = block / 16;
        }
    }
    #[inline(always)]
    fn write(&mut self, lanes: L, logits: L::F, keep: L::M) -> L::F {
        let (_, w) = exponents_and_weights(lanes, logits, self.maximum, self.factor);
        let w = lanes.select(keep, w, self.zero);
        self.weights = lanes.add(self.weights, w);
        w
    }
}

/// Weights of the kept tokens; 0 for the rest. Returns their sum, the normaliser.
#[inline(always)]
pub fn write_weights<L: Lanes>(lanes: L, row: &mut [f32], spec: &Rewrite<'_>, scale: Scale) -> f64 {
    let zero = lanes.splat(0.0);
    let (maximum, factor) = (lanes.splat(scale.maximum), lanes.splat(scale.scale));
    let mut writer: WeightWriter<L> = WeightWriter { maximum, factor, zero, weights: zero, tile: 0, total: 0.0 };
    rewrite(lanes, row, spec, &mut writer);
    writer.total + f64::from(lanes.sum(writer.weights))
}

/// Multiplies each value by `factor`.
#[inline(always)]
pub fn multiply<L: Lanes>(lanes: L, values: &mut [f32], factor: f32) {
    let factors = lanes.splat(factor);
    let (vectors, tail) = values.as_chunks_mut::<16>();
    for vector in vectors {
        let scaled = lanes.mul(lanes.load(vector), factors);
        lanes.store(scaled, vector);
    }
    for value in tail {
        *value *= factor;
    }
}
