//! From rows to columns, and from one float type to another, a few columns at a time.
//!
//! ```text
//! for each block of 32 rows:  for each wanted column:  for each row of the block:  out[column][row] = convert(in[row][column])
//! ```
//! Blocks keep the 32 rows' cache lines while their columns are written; how many columns are wanted at once is what
//! bounds the memory. f64 is rounded to f32 first, as everywhere, then to a half type; a finite number that would
//! become infinite is an error, not an infinity.

use super::tensor::ElementType;
use crate::error::{Error, Label, Result};
use half::{bf16, f16};
use std::ops::Range;

/// A matrix of which each row is contiguous.
pub(super) struct RowMatrix<'a> {
    /// What errors call it.
    pub name: &'a str,
    pub bytes: &'a [u8],
    pub element: ElementType,
    /// Elements of a row.
    pub columns: usize,
}

impl RowMatrix<'_> {
    /// Writes the wanted columns one after the other, as `to`. `out` is as long as that needs.
    pub fn write_columns(&self, wanted: Range<usize>, to: ElementType, out: &mut [u8]) -> Result<()> {
        let floats = self.element.is_float() && to.is_float();
        match (self.element.size(), to.size()) {
            _ if self.element == to => match to.size() {
                1 => self.run::<1, 1>(wanted, Ok, out),
                2 => self.run::<2, 2>(wanted, Ok, out),
                4 => self.run::<4, 4>(wanted, Ok, out),
                8 => self.run::<8, 8>(wanted, Ok, out),
                _ => self.run_bytes(wanted, out),
            },
            (8, 4) if floats => self.run::<8, 4>(wanted, |bytes| self.narrow::<4>(f64::from_le_bytes(bytes), to), out),
            (8, 2) if floats => self.run::<8, 2>(wanted, |bytes| self.narrow::<2>(f64::from_le_bytes(bytes), to), out),
            (4, 2) if floats => {
                self.run::<4, 2>(wanted, |bytes| self.narrow::<2>(f32::from_le_bytes(bytes).into(), to), out)
            }
            (2, 4) if floats => self.run::<2, 4>(wanted, |bytes| self.narrow::<4>(self.half(bytes).into(), to), out),
            (2, 2) if floats => self.run::<2, 2>(wanted, |bytes| self.narrow::<2>(self.half(bytes).into(), to), out),
            _ => Err(Error::ArrayDtype {
                array: Label::new(self.name),
                expected: to.name(),
                actual: self.element.name(),
            }),
        }
    }

    fn run<const N: usize, const M: usize>(
        &self,
        wanted: Range<usize>,
        convert: impl Fn([u8; N]) -> core::result::Result<[u8; M], &'static str>,
        out: &mut [u8],
    ) -> Result<()> {
        let (source, _) = self.bytes.as_chunks::<N>();
        let (out, _) = out.as_chunks_mut::<M>();
        let rows = source.len().checked_div(self.columns).unwrap_or(0);
        for block in (0..rows).step_by(32) {
            let block_end = (block + 32).min(rows);
            for (target, column) in wanted.clone().enumerate() {
                let target = &mut out[target * rows + block..target * rows + block_end];
                for (target, row) in target.iter_mut().zip(block..) {
                    let index = row * self.columns + column;
                    *target = convert(source[index]).map_err(|reason| Error::ArrayValue {
                        array: Label::new(self.name),
                        index,
                        reason,
                    })?;
                }
            }
        }
        Ok(())
    }

    /// For elements of any size (text): copies them as they are.
    fn run_bytes(&self, wanted: Range<usize>, out: &mut [u8]) -> Result<()> {
        let size = self.element.size();
        let rows = (self.bytes.len() / size).checked_div(self.columns).unwrap_or(0);
        for (target, column) in wanted.enumerate() {
            for row in 0..rows {
                let (from, to) = ((row * self.columns + column) * size, (target * rows + row) * size);
                out[to..to + size].copy_from_slice(&self.bytes[from..from + size]);
            }
        }
        Ok(())
    }

    fn half(&self, bytes: [u8; 2]) -> f32 {
        if self.element == ElementType::Bf16 {
            bf16::from_le_bytes(bytes).to_f32()
        } else {
            f16::from_le_bytes(bytes).to_f32()
        }
    }

    fn narrow<const M: usize>(&self, value: f64, to: ElementType) -> core::result::Result<[u8; M], &'static str> {
        let single = value as f32;
        let mut bytes = [0; M];
        let (finite, reason) = match to {
            ElementType::F16 => {
                let half = f16::from_f32(single);
                bytes.copy_from_slice(&half.to_le_bytes());
                (half.is_finite(), "it is too large for f16, whose greatest number is 65504")
            }
            ElementType::Bf16 => {
                let half = bf16::from_f32(single);
                bytes.copy_from_slice(&half.to_le_bytes());
                (half.is_finite(), "it is too large for bf16")
            }
            _ => {
                bytes.copy_from_slice(&single.to_le_bytes());
                (single.is_finite(), "it is too large for f32")
            }
        };
        if finite || !value.is_finite() { Ok(bytes) } else { Err(reason) }
    }
}
