//! Rewrites a weight file so that it needs no copy: `W` with contiguous columns, aligned, in the element type asked for.
//!
//! ```text
//! W: panel after panel of columns: convert in tiles, write      (a panel is at most 64 MiB, or one column)
//! other arrays: written as they are
//! ```
//! The input is mapped and its pages are given back as they are done with, so memory stays bounded whatever the file's
//! size. The output is written beside its target and renamed at the end; it may replace the input.

use super::archive::{Archive, Format};
use super::convert::RowMatrix;
use super::head::{HeadSource, WEIGHTS, WEIGHTS_TRANSPOSED};
use super::map::{Advice, Bytes, refused};
use super::pending::PendingFile;
use super::tensor::{ArrayView, ElementType, Order, Shape};
use super::write::{ArchiveWriter, ArraySpec};
use crate::error::{Error, Label, Result};
use crate::types::Dtype;
use std::io::{BufWriter, Seek, Write};
use std::path::Path;

/// The most memory for converted columns, in bytes; a single column may need more.
const PANEL: usize = 64 << 20;

/// How to pack.
#[derive(Clone, Debug, Default)]
pub struct PackOptions {
    /// The element type of `W`; `None` keeps it (f64 becomes f32). The other arrays keep theirs.
    pub dtype: Option<Dtype>,
    /// Names of arrays to leave out.
    pub drop: Vec<String>,
    /// Leave out all pickled arrays instead of refusing the file.
    pub skip_pickled: bool,
}

/// What was packed.
#[derive(Clone, Debug)]
pub struct PackReport {
    /// Rows of `W`.
    pub vocab: usize,
    /// Columns of `W`.
    pub features: usize,
    /// The element type that `W` had.
    pub from: ElementType,
    /// The element type that it has now.
    pub to: ElementType,
    /// Names of the arrays that were left out.
    pub dropped: Vec<String>,
    /// Length of the new file in bytes.
    pub bytes: u64,
}

/// Packs `input` into `output`. `progress` is told how many of how many bytes are written, and answers whether to go
/// on; if not, nothing is left behind and the error is [`Error::Interrupted`].
///
/// In `.npz` the weights are stored as `W`, column-major; in `.safetensors` as `W.T`, row-major.
///
/// Errors: [`Error::ArrayPickled`] and the other reasons why an array cannot be kept (name it in `drop` to leave it
/// out), [`Error::ArrayMissing`] for a name in `drop` that is not there, [`Error::ArrayValue`] for a weight that the new
/// element type cannot hold, [`Error::ArrayUnsupported`] for what the format cannot hold, [`Error::File`].
pub fn pack(
    input: &Path,
    output: &Path,
    format: Format,
    options: &PackOptions,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<PackReport> {
    let (bytes, _) = Bytes::map(input)?;
    let archive = Archive::parse(&bytes)?;
    let source = HeadSource::find(&archive)?;
    let (others, dropped) = others(&archive, options)?;
    let to = match options.dtype {
        Some(Dtype::F32) => ElementType::F32,
        Some(Dtype::F16) => ElementType::F16,
        Some(Dtype::Bf16) => ElementType::Bf16,
        None if source.element() == ElementType::F64 => ElementType::F32,
        None => source.element(),
    };
    // First, so that it is aligned also where no gaps are allowed.
    let mut specs = vec![weights_spec(&source, to, format)];
    for array in &others {
        specs.push(other_spec(array, format));
    }
    let mut total = 0;
    for spec in &specs {
        total += spec.len_bytes()? as u64;
    }
    let file = PendingFile::create(output)?;
    let writer = ArchiveWriter::new(BufWriter::with_capacity(1 << 20, file), format, specs)?;
    let mut sink = Sink { writer, done: 0, total, progress };
    write_weights(&bytes, &source, to, &mut sink)?;
    for array in &others {
        write_other(array, format, &mut sink)?;
        give_back(&bytes, array.bytes());
    }
    let mut file = sink.writer.finish()?.into_inner().map_err(|error| refused("write", error.error()))?;
    let length = file.stream_position().map_err(|error| refused("write", &error))?;
    file.finish()?;
    let (vocab, features, from) = (source.vocab, source.features, source.element());
    Ok(PackReport { vocab, features, from, to, dropped, bytes: length })
}

struct Sink<'a, W: Write + Seek> {
    writer: ArchiveWriter<W>,
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64) -> bool,
}

impl<W: Write + Seek> Sink<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        // In pieces, so that the caller hears something and can stop.
        for piece in bytes.chunks(8 << 20) {
            self.writer.write(piece)?;
            self.done += piece.len() as u64;
            if !(self.progress)(self.done, self.total) {
                return Err(Error::Interrupted);
            }
        }
        Ok(())
    }
}

/// The arrays to keep beside the weights, and the names of those to leave out.
fn others<'a>(archive: &Archive<'a>, options: &PackOptions) -> Result<(Vec<ArrayView<'a>>, Vec<String>)> {
    for name in &options.drop {
        if archive.entry(name).is_none() {
            return Err(Error::ArrayMissing { array: Label::new(name) });
        }
    }
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for entry in archive.entries() {
        if entry.name() == WEIGHTS || entry.name() == WEIGHTS_TRANSPOSED {
            continue;
        }
        match entry.array() {
            // The bias belongs to the weights; a file without it is no head.
            _ if entry.name() != super::head::BIAS && options.drop.iter().any(|name| name == entry.name()) => {
                dropped.push(entry.name().to_string());
            }
            Err(Error::ArrayPickled { .. }) if options.skip_pickled => dropped.push(entry.name().to_string()),
            array => kept.push(array?),
        }
    }
    Ok((kept, dropped))
}

fn weights_spec(source: &HeadSource<'_>, element: ElementType, format: Format) -> ArraySpec {
    let (name, dimensions, order) = match format {
        Format::Safetensors => (WEIGHTS_TRANSPOSED, [source.features, source.vocab], Order::RowMajor),
        Format::Npz | Format::Npy => (WEIGHTS, [source.vocab, source.features], Order::ColumnMajor),
    };
    // The product is that of an array which exists.
    let shape = Shape::new(&dimensions).unwrap_or(source.weights.shape());
    ArraySpec { name: name.to_string(), element, shape, order }
}

fn other_spec(array: &ArrayView<'_>, format: Format) -> ArraySpec {
    let mut spec = ArraySpec::from(array);
    if format == Format::Safetensors && array.shape().rank() <= 2 {
        spec.order = Order::RowMajor;
    }
    spec
}

fn write_weights<W: Write + Seek>(
    file: &Bytes,
    source: &HeadSource<'_>,
    to: ElementType,
    sink: &mut Sink<'_, W>,
) -> Result<()> {
    if source.columns_are_contiguous && source.element() == to {
        for piece in source.weights.bytes().chunks(PANEL) {
            sink.write(piece)?;
            give_back(file, piece);
        }
        return Ok(());
    }
    // Contiguous columns are the rows of the transposed matrix: converting them is copying one column of a matrix with
    // a single column after another.
    let column_bytes = source.vocab * to.size();
    let panel_columns = (PANEL / column_bytes).clamp(1, source.features);
    let mut panel = vec![0; panel_columns * column_bytes];
    for first in (0..source.features).step_by(panel_columns) {
        let wanted = first..(first + panel_columns).min(source.features);
        let out = &mut panel[..wanted.len() * column_bytes];
        if source.columns_are_contiguous {
            let stride = source.vocab * source.element().size();
            let bytes = &source.weights.bytes()[wanted.start * stride..wanted.end * stride];
            RowMatrix { name: source.weights.name(), bytes, element: source.element(), columns: 1 }
                .write_columns(0..1, to, out)
                .map_err(|error| in_row_major(error, source, wanted.start))?;
            give_back(file, bytes);
        } else {
            source.row_matrix().write_columns(wanted, to, out)?;
            give_back(file, source.weights.bytes());
        }
        sink.write(out)?;
    }
    Ok(())
}

/// The index of a bad value as the array's own documentation has it: in row-major order.
fn in_row_major(error: Error, source: &HeadSource<'_>, first_column: usize) -> Error {
    match error {
        Error::ArrayValue { array, index, reason } => {
            let (column, row) = (first_column + index / source.vocab, index % source.vocab);
            Error::ArrayValue { array, index: row * source.features + column, reason }
        }
        other => other,
    }
}

fn write_other<W: Write + Seek>(array: &ArrayView<'_>, format: Format, sink: &mut Sink<'_, W>) -> Result<()> {
    match *array.shape().dimensions() {
        [rows, columns] if format == Format::Safetensors && array.order() == Order::ColumnMajor => {
            // Column-major (rows, columns) lies in memory as (columns, rows) row-major, whose columns are our rows.
            let matrix =
                RowMatrix { name: array.name(), bytes: array.bytes(), element: array.element(), columns: rows };
            let row_bytes = columns * array.element().size();
            let step = (PANEL / row_bytes.max(1)).clamp(1, rows.max(1));
            let mut panel = vec![0; step.min(rows) * row_bytes];
            for first in (0..rows).step_by(step) {
                let wanted = first..(first + step).min(rows);
                let out = &mut panel[..wanted.len() * row_bytes];
                matrix.write_columns(wanted, array.element(), out)?;
                sink.write(out)?;
            }
            Ok(())
        }
        _ => sink.write(array.bytes()),
    }
}

/// Lets the system have the pages of `part` again.
fn give_back(file: &Bytes, part: &[u8]) {
    file.advise(super::open::place(file, part), Advice::DontNeed);
}
