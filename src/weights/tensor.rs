//! Checked views of arrays that lie in a file: element type, shape, order and little-endian bytes at any alignment.
//!
//! Members of a NumPy archive are rarely aligned, so nothing here is ever cast to a typed slice: kernels load elements
//! from bytes. A view exists only if its bytes are exactly as long as its shape and element type say, so whoever holds
//! one need not check again.

use crate::error::{Error, Label, Result};
use core::fmt;
use half::{bf16, f16};

/// The type of one element of an array in a file; every multi-byte element is little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElementType {
    /// IEEE 754 binary64; rounded to f32 where it is used as a weight.
    F64,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16, the upper half of a binary32.
    Bf16,
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// One byte, 0 or 1.
    Bool,
    /// NumPy's `<U`: this many code points of four bytes, filled up with zeros. At least 1.
    Unicode(u32),
}

impl ElementType {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            ElementType::F64 | ElementType::I64 | ElementType::U64 => 8,
            ElementType::F32 | ElementType::I32 | ElementType::U32 => 4,
            ElementType::F16 | ElementType::Bf16 | ElementType::I16 | ElementType::U16 => 2,
            ElementType::I8 | ElementType::U8 | ElementType::Bool => 1,
            ElementType::Unicode(width) => width as usize * 4,
        }
    }

    /// The alignment at which typed loads would be possible, in bytes.
    pub const fn alignment(self) -> usize {
        match self {
            ElementType::Unicode(_) => 4,
            other => other.size(),
        }
    }

    /// The name used in messages and listings: `f32`, `i64`, `bool`, `unicode`, ...
    pub const fn name(self) -> &'static str {
        match self {
            ElementType::F64 => "f64",
            ElementType::F32 => "f32",
            ElementType::F16 => "f16",
            ElementType::Bf16 => "bf16",
            ElementType::I8 => "i8",
            ElementType::I16 => "i16",
            ElementType::I32 => "i32",
            ElementType::I64 => "i64",
            ElementType::U8 => "u8",
            ElementType::U16 => "u16",
            ElementType::U32 => "u32",
            ElementType::U64 => "u64",
            ElementType::Bool => "bool",
            ElementType::Unicode(_) => "unicode",
        }
    }

    /// Whether this is one of the four floating-point types, the only ones weights may have.
    pub const fn is_float(self) -> bool {
        matches!(self, ElementType::F64 | ElementType::F32 | ElementType::F16 | ElementType::Bf16)
    }

    /// Whether this is one of the eight integer types.
    pub const fn is_integer(self) -> bool {
        !self.is_float() && !matches!(self, ElementType::Bool | ElementType::Unicode(_))
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ElementType::Unicode(width) => write!(f, "unicode[{width}]"),
            other => f.write_str(other.name()),
        }
    }
}

/// The most dimensions an array may have.
pub const MAX_DIMENSIONS: usize = 8;

/// The lengths of an array along each dimension; no dimension at all means a single element.
///
/// The product of the lengths other than 0 fits in `usize`, so element counts need no further check.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dimensions: [usize; MAX_DIMENSIONS],
    rank: u8,
}

impl Shape {
    /// The shape with these lengths; `None` for more than [`MAX_DIMENSIONS`] or a product beyond `usize`.
    pub const fn new(dimensions: &[usize]) -> Option<Shape> {
        if dimensions.len() > MAX_DIMENSIONS {
            return None;
        }
        let mut shape = Shape { dimensions: [0; MAX_DIMENSIONS], rank: dimensions.len() as u8 };
        let mut product = 1usize;
        let mut index = 0;
        while index < dimensions.len() {
            shape.dimensions[index] = dimensions[index];
            if dimensions[index] != 0 {
                product = match product.checked_mul(dimensions[index]) {
                    Some(product) => product,
                    None => return None,
                };
            }
            index += 1;
        }
        Some(shape)
    }

    /// The lengths, outermost first.
    pub fn dimensions(&self) -> &[usize] {
        &self.dimensions[..self.rank as usize]
    }

    /// The number of dimensions.
    pub const fn rank(&self) -> usize {
        self.rank as usize
    }

    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.dimensions().iter().product()
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (index, length) in self.dimensions().iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{length}")?;
        }
        f.write_str(if self.rank == 1 { ",)" } else { ")" })
    }
}

/// Which index runs fastest through memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// The last index: rows are contiguous (C, NumPy's default, safetensors).
    RowMajor,
    /// The first index: columns are contiguous (Fortran).
    ColumnMajor,
}

impl Order {
    /// The name used in listings: `row-major` or `column-major`.
    pub const fn name(self) -> &'static str {
        match self {
            Order::RowMajor => "row-major",
            Order::ColumnMajor => "column-major",
        }
    }
}

/// A borrowed array: its bytes are exactly `shape.elements() * element.size()` long.
#[derive(Clone, Copy, Debug)]
pub struct ArrayView<'a> {
    name: &'a str,
    element: ElementType,
    shape: Shape,
    order: Order,
    bytes: &'a [u8],
}

impl<'a> ArrayView<'a> {
    /// A view of `bytes`; [`Error::WrongLength`] if they are not as long as shape and element type say.
    pub fn new(name: &'a str, element: ElementType, shape: Shape, order: Order, bytes: &'a [u8]) -> Result<Self> {
        let expected = shape.elements().saturating_mul(element.size());
        if expected != bytes.len() {
            return Err(Error::WrongLength { what: "the bytes of an array", expected, actual: bytes.len() });
        }
        Ok(ArrayView { name, element, shape, order, bytes })
    }

    /// The array's name in its archive, without `.npy`; empty for a bare `.npy`.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The element type.
    pub const fn element(&self) -> ElementType {
        self.element
    }

    /// The shape.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Which index runs fastest.
    pub const fn order(&self) -> Order {
        self.order
    }

    /// The elements, little-endian, at any alignment.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether a two-dimensional array has contiguous columns: stored column-major, or with a single row or column.
    pub fn columns_are_contiguous(&self) -> bool {
        match *self.shape.dimensions() {
            [rows, columns] => self.order == Order::ColumnMajor || rows <= 1 || columns <= 1,
            _ => false,
        }
    }

    /// A one-dimensional array of floats as a column. [`Error::ArrayRank`] or [`Error::ArrayDtype`] for any other.
    pub fn as_column(&self) -> Result<Column<'a>> {
        self.expect_float()?;
        self.expect_rank(1)?;
        Ok(Column { bytes: self.bytes, element: self.element })
    }

    /// Refuses an array that has not `expected` dimensions.
    pub fn expect_rank(&self, expected: usize) -> Result<()> {
        let actual = self.shape.rank();
        if actual != expected {
            return Err(Error::ArrayRank { array: Label::new(self.name), expected, actual });
        }
        Ok(())
    }

    /// Refuses an array whose elements are not floats.
    pub fn expect_float(&self) -> Result<()> {
        if !self.element.is_float() {
            let (array, actual) = (Label::new(self.name), self.element.name());
            return Err(Error::ArrayDtype { array, expected: "f64, f32, f16 or bf16", actual });
        }
        Ok(())
    }
}

/// One column of weights, or the bias: floats as little-endian bytes at any alignment.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// The elements, `rows * element.size()` bytes.
    pub bytes: &'a [u8],
    /// A floating-point type; elements of any other read as NaN, which no decoder accepts.
    pub element: ElementType,
}

impl<'a> Column<'a> {
    /// The number of elements.
    pub const fn len(&self) -> usize {
        self.bytes.len() / self.element.size()
    }

    /// Whether there are no elements.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One element as f32: exact for f32, f16 and bf16, rounded to nearest even for f64. Panics out of range.
    pub fn get(&self, index: usize) -> f32 {
        let size = self.element.size();
        let bytes = &self.bytes[index * size..(index + 1) * size];
        match (self.element, bytes) {
            (ElementType::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
            (ElementType::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (ElementType::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f32(),
            (ElementType::Bf16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f32(),
            _ => f32::NAN,
        }
    }
}

/// A matrix of floats whose columns are contiguous, at any alignment.
#[derive(Clone, Copy, Debug)]
pub struct ColumnMatrix<'a> {
    bytes: &'a [u8],
    element: ElementType,
    rows: usize,
    columns: usize,
}

impl<'a> ColumnMatrix<'a> {
    /// A matrix over `bytes`, column after column. [`Error::WrongLength`] if their number is not
    /// `rows * columns * element.size()`, [`Error::ArrayDtype`] if the elements are no floats.
    pub fn new(bytes: &'a [u8], element: ElementType, rows: usize, columns: usize) -> Result<Self> {
        if !element.is_float() {
            let (array, actual) = (Label::new("W"), element.name());
            return Err(Error::ArrayDtype { array, expected: "f64, f32, f16 or bf16", actual });
        }
        let expected =
            rows.checked_mul(columns).and_then(|elements| elements.checked_mul(element.size())).unwrap_or(usize::MAX);
        if expected != bytes.len() {
            return Err(Error::WrongLength { what: "the bytes of a matrix", expected, actual: bytes.len() });
        }
        Ok(ColumnMatrix { bytes, element, rows, columns })
    }

    /// Elements of a column (the vocabulary of a head).
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns (the features of a head).
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// The element type.
    pub const fn element(&self) -> ElementType {
        self.element
    }

    /// All the bytes, column after column.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Column `index`, or `None` past the last.
    pub fn column(&self, index: usize) -> Option<Column<'a>> {
        if index >= self.columns {
            return None;
        }
        let stride = self.rows * self.element.size();
        Some(Column { bytes: &self.bytes[index * stride..(index + 1) * stride], element: self.element })
    }
}

/// A sparse linear head: `z = bias + sum_j a_j * weights[:, c_j]`, one logit per row.
#[derive(Clone, Copy, Debug)]
pub struct SparseHead<'a> {
    /// (vocabulary, features), columns contiguous.
    pub weights: ColumnMatrix<'a>,
    /// One element per row of `weights`.
    pub bias: Column<'a>,
}

impl<'a> SparseHead<'a> {
    /// A head; [`Error::WrongLength`] if the bias has not one element per row, [`Error::ArrayDtype`] if it is no float.
    pub fn new(weights: ColumnMatrix<'a>, bias: Column<'a>) -> Result<Self> {
        if !bias.element.is_float() {
            let (array, actual) = (Label::new("b"), bias.element.name());
            return Err(Error::ArrayDtype { array, expected: "f64, f32, f16 or bf16", actual });
        }
        let (expected, actual) = (weights.rows(), bias.len());
        if expected != actual || bias.bytes.len() != expected * bias.element.size() {
            return Err(Error::WrongLength { what: "the bias", expected, actual });
        }
        Ok(SparseHead { weights, bias })
    }

    /// The number of logits.
    pub const fn vocab(&self) -> usize {
        self.weights.rows()
    }

    /// The number of columns that can be named.
    pub const fn features(&self) -> usize {
        self.weights.columns()
    }
}
