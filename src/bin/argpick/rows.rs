//! Rows of logits and masks from files: a `.npy`, or an archive with one array in it.

use crate::remark;
use argpick::weights::map::{Advice, Bytes};
use argpick::weights::{Archive, ArrayView, ElementType, Order};
use argpick::{MAX_VOCAB, Row};
use half::{bf16, f16};
use std::path::Path;

/// A file of rows.
pub struct Rows {
    bytes: Bytes,
    name: String,
    element: ElementType,
    first: usize,
    /// How many rows there are.
    pub count: usize,
    /// Elements of a row.
    pub length: usize,
}

/// One row, in memory of its own and aligned.
pub enum OwnedRow {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
}

impl OwnedRow {
    pub fn row(&self) -> Row<'_> {
        match self {
            OwnedRow::F32(row) => Row::F32(row),
            OwnedRow::F16(row) => Row::F16(row),
            OwnedRow::Bf16(row) => Row::Bf16(row),
        }
    }

    /// The first so many logits only.
    pub fn cut(&mut self, length: usize) {
        match self {
            OwnedRow::F32(row) => row.truncate(length),
            OwnedRow::F16(row) => row.truncate(length),
            OwnedRow::Bf16(row) => row.truncate(length),
        }
    }

    pub fn to_f32(&self) -> Vec<f32> {
        let row = self.row();
        (0..row.len()).map(|i| row.get(i)).collect()
    }
}

impl Rows {
    /// Opens a file whose array is one row, or a row-major matrix with one in each row.
    fn open(path: &Path, element_is_right: impl Fn(ElementType) -> bool, wanted: &str) -> Result<Rows, String> {
        let name = path.display().to_string();
        let refuse = |reason: String| format!("{name}: {reason}");
        let (bytes, _) = Bytes::map(path).map_err(|error| refuse(error.to_string()))?;
        if bytes.is_empty() {
            return Err(refuse("the file is empty".to_owned()));
        }
        let (element, shape, place) = {
            let archive = Archive::parse(&bytes).map_err(|error| refuse(error.to_string()))?;
            let mut entries = archive.entries();
            let (Some(entry), None) = (entries.next(), entries.next()) else {
                return Err(refuse("it must have one array, the rows".to_owned()));
            };
            let array = entry.array().map_err(|error| refuse(error.to_string()))?;
            let shape = shape_of(&array).ok_or_else(|| {
                let advice = match *array.shape().dimensions() {
                    [_, _] => "it is column-major: save numpy.ascontiguousarray(rows)",
                    [.., _] => "save rows.reshape(-1, rows.shape[-1])",
                    [] => "it is a single number",
                };
                refuse(format!("shape {} is neither a row nor a row-major matrix of rows; {advice}", array.shape()))
            })?;
            (array.element(), shape, entry.offset())
        };
        if !element_is_right(element) {
            return Err(refuse(format!("{wanted}, not {element}")));
        }
        let (count, length) = shape;
        Ok(Rows { bytes, name, element, first: place, count, length })
    }

    /// Rows of logits: f32, f16, bf16, or f64 that are rounded.
    pub fn logits(path: &Path) -> Result<Rows, String> {
        let is_float =
            |element| matches!(element, ElementType::F64 | ElementType::F32 | ElementType::F16 | ElementType::Bf16);
        let rows = Rows::open(path, is_float, "logits are f32, f16, bf16 or f64")?;
        if rows.length == 0 || rows.length > MAX_VOCAB {
            return Err(format!("{}: a row has 1 to {MAX_VOCAB} logits, not {}", rows.name, rows.length));
        }
        if rows.element == ElementType::F64 {
            remark(format_args!("{}: f64 logits are rounded to f32", rows.name));
        }
        Ok(rows)
    }

    /// Masks: words of 32 tokens, or one byte or bool a token.
    pub fn masks(path: &Path, vocab: usize) -> Result<Rows, String> {
        let is_mask =
            |element| matches!(element, ElementType::U32 | ElementType::I32 | ElementType::U8 | ElementType::Bool);
        let rows = Rows::open(path, is_mask, "masks are words of 32 bits (u32, i32), or u8 or bool, one a token")?;
        let wanted = if rows.is_bytes() { vocab } else { vocab.div_ceil(32) };
        if rows.length != wanted {
            return Err(format!("{}: a mask has {} elements, {wanted} are needed", rows.name, rows.length));
        }
        Ok(rows)
    }

    /// The place of a row, to be put before what is wrong with it.
    pub fn place(&self, index: usize) -> String {
        format!("{}: row {index}", self.name)
    }

    /// Tells the system that the rows are read one after the other.
    pub fn read_in_order(&self) {
        self.bytes.advise(0..self.bytes.len(), Advice::Sequential);
    }

    fn is_bytes(&self) -> bool {
        matches!(self.element, ElementType::U8 | ElementType::Bool)
    }

    fn bytes_of(&self, index: usize) -> Result<&[u8], String> {
        if index >= self.count {
            return Err(format!("{}: there is no row {index}, it has {}", self.name, self.count));
        }
        let size = self.length * self.element.size();
        Ok(&self.bytes[self.first + index * size..][..size])
    }

    /// A row of logits.
    pub fn row(&self, index: usize) -> Result<OwnedRow, String> {
        let bytes = self.bytes_of(index)?;
        let pairs = || bytes.as_chunks::<2>().0.iter().copied();
        Ok(match self.element {
            ElementType::F16 => OwnedRow::F16(pairs().map(f16::from_le_bytes).collect()),
            ElementType::Bf16 => OwnedRow::Bf16(pairs().map(bf16::from_le_bytes).collect()),
            ElementType::F64 => {
                OwnedRow::F32(bytes.as_chunks::<8>().0.iter().map(|&value| f64::from_le_bytes(value) as f32).collect())
            }
            _ => OwnedRow::F32(bytes.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect()),
        })
    }

    /// A mask; the only one there is serves for every index.
    pub fn mask(&self, index: usize) -> Result<Vec<u32>, String> {
        let bytes = self.bytes_of(if self.count == 1 { 0 } else { index })?;
        if !self.is_bytes() {
            return Ok(bytes.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word)).collect());
        }
        let mut words = vec![0; bytes.len().div_ceil(32)];
        for (token, _) in bytes.iter().enumerate().filter(|(_, allowed)| **allowed != 0) {
            words[token / 32] |= 1 << (token % 32);
        }
        Ok(words)
    }
}

/// Whole numbers from a file with one array of one dimension.
pub fn integers(path: &Path) -> Result<Vec<i64>, String> {
    let refuse = |reason: String| format!("{}: {reason}", path.display());
    let (bytes, _) = Bytes::map(path).map_err(|error| refuse(error.to_string()))?;
    let archive = Archive::parse(&bytes).map_err(|error| refuse(error.to_string()))?;
    let mut entries = archive.entries();
    let (Some(entry), None) = (entries.next(), entries.next()) else {
        return Err(refuse("it must have one array, the targets".to_owned()));
    };
    entry.array().and_then(|array| array.to_integers()).map_err(|error| refuse(error.to_string()))
}

fn shape_of(array: &ArrayView<'_>) -> Option<(usize, usize)> {
    match *array.shape().dimensions() {
        [length] => Some((1, length)),
        [rows, length] if array.order() == Order::RowMajor || rows == 1 => Some((rows, length)),
        _ => None,
    }
}
