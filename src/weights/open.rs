//! `Weights`: a file that holds a sparse head, opened once and used for as long as the host likes.
//!
//! Opening reads headers only. Weights with contiguous columns are used where they lie, in the mapped file; others are
//! transposed once into memory, and a note says so.

use super::archive::{Archive, Format};
use super::convert::RowMatrix;
use super::head::HeadSource;
use super::map::{Advice, Bytes, FileState};
use super::tensor::{ArrayView, Column, ColumnMatrix, ElementType, SparseHead};
use crate::error::{Error, Label, Result};
use std::ffi::OsString;
use std::fmt::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How to open a weight file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open {
    /// Read the whole file into memory instead of mapping it. For hosts that cannot promise that the file stays as it
    /// is while it is mapped (see [`super::map`]).
    pub copy: bool,
    /// Read everything once and compare the checksums of the arrays (only `.npz` has them).
    pub verify: bool,
}

/// An open weight file: the arrays `W` and `b`, and whatever else is in it. May be shared between threads.
#[derive(Debug)]
pub struct Weights {
    bytes: Bytes,
    format: Format,
    origin: Option<(PathBuf, FileState)>,
    vocab: usize,
    features: usize,
    weights: Placement,
    bias: Placement,
    // The transposed weights, if they could not be used in place.
    transposed: Option<Vec<u8>>,
    notes: Vec<String>,
}

/// Where the elements of an array are, in bytes of the file (or of `transposed`).
#[derive(Clone, Debug)]
struct Placement {
    range: Range<usize>,
    element: ElementType,
}

impl Weights {
    /// Opens a file. A large one takes milliseconds: it is mapped and only its headers are read, unless its weights
    /// must be transposed or `open` asks for more.
    ///
    /// Errors: [`Error::File`], those of [`Archive::parse`] and of [`HeadSource::find`], [`Error::ArrayChecksum`].
    pub fn open(path: impl AsRef<Path>, open: Open) -> Result<Weights> {
        let path = path.as_ref();
        let (bytes, state) = if open.copy { Bytes::read(path)? } else { Bytes::map(path)? };
        // An absolute path, so that a later change of directory does not look like a change of the file.
        // (Asking for the current directory is the one allocation here that cannot fail politely.)
        let path =
            if path.is_absolute() { copy_of(path)? } else { std::path::absolute(path).or_else(|_| copy_of(path))? };
        Weights::new(bytes, Some((path, state)), open.verify)
    }

    /// Weights from the bytes of a file.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Weights> {
        Weights::new(Bytes::from_vec(bytes), None, false)
    }

    fn new(bytes: Bytes, origin: Option<(PathBuf, FileState)>, verify: bool) -> Result<Weights> {
        let archive = Archive::parse(&bytes)?;
        if verify {
            archive.entries().try_for_each(|entry| entry.verify().map(drop))?;
        }
        let source = HeadSource::find(&archive)?;
        let mut notes = Vec::new();
        let (format, vocab, features) = (archive.format(), source.vocab, source.features);
        let bias = Placement { range: place(&bytes, source.bias.bytes), element: source.bias.element };
        let (weights, transposed) = if source.columns_are_contiguous {
            (Placement { range: place(&bytes, source.weights.bytes()), element: source.element() }, None)
        } else {
            let (element, columns) = transpose(&source)?;
            let (name, order) = (source.weights.name(), source.weights.order().name());
            let size = Size(columns.len());
            let text = format_args!(
                "{name} is {order}: transposed once into {size} of memory; `argpick pack` writes a file that needs no copy"
            );
            note(&mut notes, text)?;
            // The pages that were read for it are not needed any more.
            bytes.advise(place(&bytes, source.weights.bytes()), Advice::DontNeed);
            (Placement { range: 0..columns.len(), element }, Some(columns))
        };
        if source.element() == ElementType::F64 {
            note(&mut notes, format_args!("{} is f64: rounded to f32 where it is used", source.weights.name()))?;
        }
        Ok(Weights { format, origin, vocab, features, weights, bias, transposed, notes, bytes })
    }

    /// The head, columns contiguous. Costs nothing; ask for it at each step.
    pub fn head(&self) -> SparseHead<'_> {
        let weights = match &self.transposed {
            Some(columns) => columns,
            None => &self.bytes[self.weights.range.clone()],
        };
        SparseHead {
            // Checked when the file was opened.
            weights: ColumnMatrix::new(weights, self.weights.element, self.vocab, self.features)
                .expect("the weights were as long as their shape says"),
            bias: Column { bytes: &self.bytes[self.bias.range.clone()], element: self.bias.element },
        }
    }

    /// Rows of `W`: the number of logits.
    pub const fn vocab(&self) -> usize {
        self.vocab
    }

    /// Columns of `W`: the number of features.
    pub const fn features(&self) -> usize {
        self.features
    }

    /// The format of the file.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Whether the weights are used where they lie in the file.
    pub const fn is_in_place(&self) -> bool {
        self.transposed.is_none()
    }

    /// What the host may want to tell its user: that the weights had to be transposed, that they are rounded.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// All arrays of the file. Checks the headers anew, as a mapped file might have been overwritten.
    pub fn archive(&self) -> Result<Archive<'_>> {
        Archive::parse(&self.bytes)
    }

    /// An array of the file, as it is stored. Reads the headers anew, so it is for setting up, not for each step.
    /// Errors: [`Error::ArrayMissing`], or why the array cannot be used.
    pub fn array(&self, name: &str) -> Result<ArrayView<'_>> {
        self.archive()?.find(name)
    }

    /// A one-dimensional array of texts (NumPy unicode).
    pub fn strings(&self, name: &str) -> Result<Vec<String>> {
        self.array(name)?.to_strings()
    }

    /// An array of integers, of one dimension or a single one.
    pub fn integers(&self, name: &str) -> Result<Vec<i64>> {
        self.array(name)?.to_integers()
    }

    /// A single integer: an array of no dimension, or of one element.
    pub fn scalar_integer(&self, name: &str) -> Result<i64> {
        match *self.integers(name)? {
            [value] => Ok(value),
            ref other => {
                let (array, actual) = (Label::new(name), other.len());
                Err(Error::ArrayLength { array, dimension: 0, expected: 1, actual })
            }
        }
    }

    /// Asks the system to start reading these columns, so that they are there when the next step wants them. Does
    /// nothing for weights that are not in a mapped file. [`Error::ColumnOutOfRange`].
    pub fn prefetch(&self, columns: &[u32]) -> Result<()> {
        if let Some(&column) = columns.iter().find(|&&column| column as usize >= self.features) {
            return Err(Error::ColumnOutOfRange { column, columns: self.features });
        }
        if self.is_in_place() {
            let stride = self.vocab * self.weights.element.size();
            for &column in columns {
                let start = self.weights.range.start + column as usize * stride;
                self.bytes.advise(start..start + stride, Advice::WillNeed);
            }
        }
        Ok(())
    }

    /// Tells the system how the weights will be used, [`Advice::Random`] say. A hint, for mapped files only.
    pub fn advise(&self, advice: Advice) {
        if self.is_in_place() {
            self.bytes.advise(self.weights.range.clone(), advice);
        }
    }

    /// Whether the file is no longer what it was when it was opened; false for weights that were no file. What was
    /// opened stays usable as long as the file was replaced rather than shortened or overwritten.
    pub fn has_changed(&self) -> bool {
        self.origin.as_ref().is_some_and(|(path, state)| state.changed(path))
    }
}

/// The place of `part` in `whole`.
pub(super) fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    debug_assert!(start + part.len() <= whole.len(), "{start} + {} is not within {}", part.len(), whole.len());
    start..start + part.len()
}

/// The columns one after the other; f64 becomes f32 on the way, which the kernels would do otherwise.
fn transpose(source: &HeadSource<'_>) -> Result<(ElementType, Vec<u8>)> {
    let element = if source.element() == ElementType::F64 { ElementType::F32 } else { source.element() };
    let length = source.vocab * source.features * element.size();
    let mut columns = Vec::new();
    columns.try_reserve_exact(length).map_err(|_| no_memory("transpose"))?;
    columns.resize(length, 0);
    source.row_matrix().write_columns(0..source.features, element, &mut columns)?;
    Ok((element, columns))
}

impl<'a> HeadSource<'a> {
    /// The weights as rows, (vocabulary, features), if that is how they lie.
    pub(super) fn row_matrix(&self) -> RowMatrix<'a> {
        debug_assert!(!self.columns_are_contiguous);
        RowMatrix {
            name: self.weights.name(),
            bytes: self.weights.bytes(),
            element: self.element(),
            columns: self.features,
        }
    }
}

/// Adds a note. Opening fails where there is no memory for it: a library does not end its host's process.
fn note(notes: &mut Vec<String>, text: fmt::Arguments<'_>) -> Result<()> {
    struct Length(usize);
    impl fmt::Write for Length {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let (mut length, mut written) = (Length(0), String::new());
    // Counting fails nowhere, and neither does writing into what was reserved.
    let _ = length.write_fmt(text);
    written.try_reserve_exact(length.0).map_err(|_| no_memory("describe"))?;
    let _ = written.write_fmt(text);
    notes.try_reserve(1).map_err(|_| no_memory("describe"))?;
    notes.push(written);
    Ok(())
}

/// A copy of a path, likewise.
fn copy_of(path: &Path) -> Result<PathBuf> {
    let mut copy = OsString::new();
    copy.try_reserve_exact(path.as_os_str().len()).map_err(|_| no_memory("open"))?;
    copy.push(path);
    Ok(copy.into())
}

fn no_memory(operation: &'static str) -> Error {
    super::map::refused(operation, &std::io::ErrorKind::OutOfMemory.into())
}

/// A number of bytes, as people write it.
struct Size(usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ 0..10_000 => write!(f, "{bytes} bytes"),
            bytes @ 10_000..10_000_000 => write!(f, "{} kB", bytes / 1000),
            bytes => write!(f, "{} MB", bytes / 1_000_000),
        }
    }
}
