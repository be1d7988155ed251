//! The few types every room may rely on: token ids, rows of logits, element types.

use core::fmt;
use half::{bf16, f16};

/// A token id: an index into the vocabulary, from 0.
pub type TokenId = u32;

/// The largest vocabulary a decoder accepts (2^22 tokens).
pub const MAX_VOCAB: usize = 1 << 22;

/// Tokens in one block: the unit of the first pass, two words of a bitmask.
pub const BLOCK: usize = 64;

/// The element type of a row of logits. The numbers are those of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Dtype {
    /// IEEE 754 binary32.
    F32 = 0,
    /// IEEE 754 binary16.
    F16 = 1,
    /// bfloat16: the upper half of a binary32.
    Bf16 = 2,
}

impl Dtype {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
        }
    }

    /// The name used in messages and file listings: `f32`, `f16` or `bf16`.
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A borrowed row of logits, one element per token; negative infinity means masked.
///
/// Half-precision rows are widened in registers; the widening is exact, so a row and its f32 copy decode alike.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// binary32 logits.
    F32(&'a [f32]),
    /// binary16 logits.
    F16(&'a [f16]),
    /// bfloat16 logits.
    Bf16(&'a [bf16]),
}

impl<'a> Row<'a> {
    /// The number of logits.
    pub const fn len(&self) -> usize {
        match self {
            Row::F32(row) => row.len(),
            Row::F16(row) => row.len(),
            Row::Bf16(row) => row.len(),
        }
    }

    /// Whether the row has no logits.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type.
    pub const fn dtype(&self) -> Dtype {
        match self {
            Row::F32(_) => Dtype::F32,
            Row::F16(_) => Dtype::F16,
            Row::Bf16(_) => Dtype::Bf16,
        }
    }

    /// One logit, widened to f32. Panics if `index` is out of range.
    pub fn get(&self, index: usize) -> f32 {
        match self {
            Row::F32(row) => row[index],
            Row::F16(row) => row[index].to_f32(),
            Row::Bf16(row) => row[index].to_f32(),
        }
    }
}

impl<'a> From<&'a [f32]> for Row<'a> {
    fn from(row: &'a [f32]) -> Self {
        Row::F32(row)
    }
}

impl<'a> From<&'a [f16]> for Row<'a> {
    fn from(row: &'a [f16]) -> Self {
        Row::F16(row)
    }
}

impl<'a> From<&'a [bf16]> for Row<'a> {
    fn from(row: &'a [bf16]) -> Self {
        Row::Bf16(row)
    }
}

#[cfg(feature = "alloc")]
impl<'a> From<&'a alloc::vec::Vec<f32>> for Row<'a> {
    fn from(row: &'a alloc::vec::Vec<f32>) -> Self {
        Row::F32(row)
    }
}

impl<'a, const N: usize> From<&'a [f32; N]> for Row<'a> {
    fn from(row: &'a [f32; N]) -> Self {
        Row::F32(row)
    }
}
