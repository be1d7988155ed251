//! Which arrays of a file are the sparse head: `W` (vocabulary, features) and `b` (vocabulary).
//!
//! The columns of `W` are what a step reads, so they must be contiguous. A NumPy array is so if it was saved
//! column-major (`np.asfortranarray(W)`); in either format the transposed array may be stored instead, row-major, under
//! the name `W.T` with shape (features, vocabulary). A file with both is ambiguous and refused.

use super::archive::Archive;
use super::tensor::{ArrayView, Column, ColumnMatrix, ElementType, Order, SparseHead};
use crate::error::{Error, Label, Result};
use crate::types::MAX_VOCAB;

/// The name of the weight matrix, (vocabulary, features).
pub const WEIGHTS: &str = "W";

/// The name of the transposed weight matrix, (features, vocabulary).
pub const WEIGHTS_TRANSPOSED: &str = "W.T";

/// The name of the bias, (vocabulary).
pub const BIAS: &str = "b";

/// The head of a file, before it is known whether it can be used in place.
#[derive(Clone, Copy, Debug)]
pub struct HeadSource<'a> {
    /// The array that holds the weights, `W` or `W.T`.
    pub weights: ArrayView<'a>,
    /// The bias.
    pub bias: Column<'a>,
    /// Rows of `W`: the vocabulary.
    pub vocab: usize,
    /// Columns of `W`.
    pub features: usize,
    /// Whether the columns of `W` are contiguous in `weights`.
    pub columns_are_contiguous: bool,
}

impl<'a> HeadSource<'a> {
    /// Finds the head and checks that its arrays fit each other and the limits: a vocabulary of 1 to [`MAX_VOCAB`],
    /// 1 to `u32::MAX` features.
    pub fn find(archive: &Archive<'a>) -> Result<HeadSource<'a>> {
        let plain = archive.entry(WEIGHTS);
        let transposed = archive.entry(WEIGHTS_TRANSPOSED);
        let (weights, is_transposed) = match (plain, transposed) {
            (Some(_), Some(_)) => {
                let reason = "the file has both W and W.T: keep one of them";
                let array = Label::new(WEIGHTS);
                return Err(Error::ArrayUnsupported { array, reason, found: Label::new(WEIGHTS_TRANSPOSED) });
            }
            (Some(entry), None) => (entry.array()?, false),
            (None, Some(entry)) => (entry.array()?, true),
            (None, None) => return Err(Error::ArrayMissing { array: Label::new(WEIGHTS) }),
        };
        weights.expect_float()?;
        let (vocab, features) = match (weights.shape().dimensions(), is_transposed) {
            (&[vocab, features], false) | (&[features, vocab], true) => (vocab, features),
            _ => {
                let (array, actual) = (Label::new(weights.name()), weights.shape().rank());
                return Err(Error::ArrayRank { array, expected: 2, actual });
            }
        };
        let limits = [(vocab, MAX_VOCAB, 0), (features, u32::MAX as usize, 1)];
        for (actual, maximum, dimension) in limits {
            if actual == 0 || actual > maximum {
                let dimension = if is_transposed { 1 - dimension } else { dimension };
                return Err(Error::ArraySize { array: Label::new(weights.name()), dimension, maximum, actual });
            }
        }
        let bias = archive.find(BIAS)?.as_column()?;
        if bias.len() != vocab {
            let array = Label::new(BIAS);
            return Err(Error::ArrayLength { array, dimension: 0, expected: vocab, actual: bias.len() });
        }
        let good_order = if is_transposed { Order::RowMajor } else { Order::ColumnMajor };
        let columns_are_contiguous = weights.order() == good_order || vocab == 1 || features == 1;
        Ok(HeadSource { weights, bias, vocab, features, columns_are_contiguous })
    }

    /// The element type of the weights.
    pub const fn element(&self) -> ElementType {
        self.weights.element()
    }

    /// The head in place; [`Error::ArrayUnsupported`] if the columns are not contiguous. Needs no heap, so that a
    /// device can decode from weights in its flash memory.
    pub fn in_place(&self) -> Result<SparseHead<'a>> {
        if !self.columns_are_contiguous {
            let reason = "its columns are not contiguous, so it cannot be used in place: `argpick pack` makes it so";
            let (array, found) = (Label::new(self.weights.name()), Label::new(self.weights.order().name()));
            return Err(Error::ArrayUnsupported { array, reason, found });
        }
        let weights = ColumnMatrix::new(self.weights.bytes(), self.element(), self.vocab, self.features)?;
        SparseHead::new(weights, self.bias)
    }
}
