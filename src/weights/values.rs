//! The small arrays beside the weights as Rust values: texts and integers.

use super::tensor::{ArrayView, ElementType};
use crate::error::{Error, Label, Result};
use alloc::string::String;
use alloc::vec::Vec;

impl ArrayView<'_> {
    /// The texts of a one-dimensional unicode array, each without the zeros that fill it up.
    ///
    /// Errors: [`Error::ArrayDtype`], [`Error::ArrayRank`], [`Error::ArrayValue`] for what is no code point.
    pub fn to_strings(&self) -> Result<Vec<String>> {
        let ElementType::Unicode(_) = self.element() else {
            let (array, actual) = (Label::new(self.name()), self.element().name());
            return Err(Error::ArrayDtype { array, expected: "unicode (np.array(x, dtype=str))", actual });
        };
        self.expect_rank(1)?;
        let elements = self.bytes().chunks_exact(self.element().size());
        elements.enumerate().map(|(index, element)| self.text(index, element)).collect()
    }

    fn text(&self, index: usize, element: &[u8]) -> Result<String> {
        let (points, _) = element.as_chunks::<4>();
        let length = points.iter().rposition(|point| *point != [0; 4]).map_or(0, |last| last + 1);
        let mut text = String::with_capacity(length);
        for &point in &points[..length] {
            let reason = "it has a code point that is no Unicode character";
            let point = char::from_u32(u32::from_le_bytes(point));
            text.push(point.ok_or(Error::ArrayValue { array: Label::new(self.name()), index, reason })?);
        }
        Ok(text)
    }

    /// The integers of an array of no or one dimension.
    ///
    /// Errors: [`Error::ArrayDtype`], [`Error::ArrayRank`], [`Error::ArrayValue`] for a u64 beyond `i64::MAX`.
    pub fn to_integers(&self) -> Result<Vec<i64>> {
        if !self.element().is_integer() {
            let (array, actual) = (Label::new(self.name()), self.element().name());
            return Err(Error::ArrayDtype { array, expected: "an integer type", actual });
        }
        if self.shape().rank() != 0 {
            self.expect_rank(1)?;
        }
        let elements = self.bytes().chunks_exact(self.element().size());
        elements.enumerate().map(|(index, element)| self.integer(index, element)).collect()
    }

    fn integer(&self, index: usize, element: &[u8]) -> Result<i64> {
        let mut wide = [0; 8];
        wide[..element.len()].copy_from_slice(element);
        let bits = u64::from_le_bytes(wide);
        Ok(match self.element() {
            ElementType::I8 => i64::from(bits as i8),
            ElementType::I16 => i64::from(bits as i16),
            ElementType::I32 => i64::from(bits as i32),
            ElementType::I64 => bits as i64,
            _ => i64::try_from(bits).map_err(|_| {
                let reason = "it is greater than 2^63 - 1";
                Error::ArrayValue { array: Label::new(self.name()), index, reason }
            })?,
        })
    }
}
