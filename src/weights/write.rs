//! Writers of `.npz`, `.npy` and `.safetensors`.
//!
//! What will be written is described first, all arrays in order; then their bytes are streamed, so that a file may be
//! larger than memory. The result depends on the arrays alone: no time, no name of a machine.
//! - `.npz`: stored members, each array's elements at a multiple of 64 bytes (an extra field of the local header takes
//!   up the slack), zip64 where sizes or offsets need it. Opens in NumPy with `allow_pickle=False`. bfloat16 has no
//!   NumPy dtype and is written as `V2`: `x.view(np.uint16)`, or `x.view(ml_dtypes.bfloat16)`, gives its elements.
//! - `.safetensors`: data begin at a multiple of 64 bytes; put first the array that should be aligned, as the format
//!   allows no gaps. Text becomes U32 code points and a metadata entry (see [`super::safetensors`]).

use super::archive::Format;
use super::map::refused;
use super::npy;
use super::pending::PendingFile;
use super::read::{MAX_ARRAYS, MAX_NAME};
use super::safetensors;
use super::tensor::{ArrayView, ElementType, Order, Shape};
use crate::error::{Error, Label, Result};
use std::collections::BTreeSet;
use std::io::{BufWriter, Cursor, Seek, SeekFrom, Write};
use std::path::Path;

/// Elements begin at multiples of this many bytes: a cache line, and more than any vector register needs.
pub const ALIGNMENT: usize = 64;

/// An array that is going to be written.
#[derive(Clone, Debug)]
pub struct ArraySpec {
    /// Its name, without `.npy`.
    pub name: String,
    /// The element type.
    pub element: ElementType,
    /// The shape.
    pub shape: Shape,
    /// The order in which the elements will be given.
    pub order: Order,
}

impl ArraySpec {
    /// The length of the elements in bytes; [`Error::WrongLength`] if it is beyond `usize`.
    pub fn len_bytes(&self) -> Result<usize> {
        let length = self.shape.elements().checked_mul(self.element.size());
        length.ok_or(Error::WrongLength { what: "an array", expected: usize::MAX, actual: self.shape.elements() })
    }

    fn check(&self, format: Format) -> Result<()> {
        let unsupported = |reason, found: &str| {
            Err(Error::ArrayUnsupported { array: Label::new(&self.name), reason, found: Label::new(found) })
        };
        let name = &self.name;
        let longest = if format == Format::Npz { MAX_NAME - ".npy".len() } else { MAX_NAME };
        if format != Format::Npy && (name.is_empty() || name.len() > longest || name.chars().any(char::is_control)) {
            return unsupported("its name must be 1 to 252 bytes without control characters", "name");
        }
        if let ElementType::Unicode(width) = self.element
            && (width == 0 || width > npy::MAX_UNICODE)
        {
            return unsupported("its texts must be 1 to 1048576 code points wide", "width");
        }
        if format == Format::Safetensors {
            if name.contains(['"', '\\']) || name == safetensors::METADATA {
                return unsupported("safetensors has no place for such a name here", "name");
            }
            if self.order == Order::ColumnMajor && self.shape.rank() > 1 {
                return unsupported("safetensors holds row-major arrays only", "column-major");
            }
        }
        self.len_bytes().map(drop)
    }
}

impl From<&ArrayView<'_>> for ArraySpec {
    fn from(view: &ArrayView<'_>) -> Self {
        ArraySpec { name: view.name().into(), element: view.element(), shape: view.shape(), order: view.order() }
    }
}

/// The bytes of a unicode array with these texts, and its element type: as wide as the longest of them.
pub fn unicode<T: AsRef<str>>(texts: &[T]) -> (ElementType, Vec<u8>) {
    let width = texts.iter().map(|text| text.as_ref().chars().count()).max().unwrap_or(0).max(1);
    let mut bytes = Vec::with_capacity(texts.len() * width * 4);
    for (index, text) in texts.iter().enumerate() {
        bytes.extend(text.as_ref().chars().flat_map(|character| u32::from(character).to_le_bytes()));
        bytes.resize((index + 1) * width * 4, 0);
    }
    (ElementType::Unicode(width as u32), bytes)
}

/// Writes a file beside its target and renames it: the target is the old file or the new one, never half of it.
pub fn save(path: impl AsRef<Path>, format: Format, arrays: &[ArrayView<'_>]) -> Result<()> {
    let file = BufWriter::new(PendingFile::create(path)?);
    let file = write_all(file, format, arrays)?;
    let file = file.into_inner().map_err(|error| refused("write", error.error()))?;
    file.finish()
}

/// The same file in memory.
pub fn to_bytes(format: Format, arrays: &[ArrayView<'_>]) -> Result<Vec<u8>> {
    Ok(write_all(Cursor::new(Vec::new()), format, arrays)?.into_inner())
}

fn write_all<W: Write + Seek>(output: W, format: Format, arrays: &[ArrayView<'_>]) -> Result<W> {
    let mut writer = ArchiveWriter::new(output, format, arrays.iter().map(ArraySpec::from).collect())?;
    for array in arrays {
        writer.write(array.bytes())?;
    }
    writer.finish()
}

/// Streams the elements of arrays that were described beforehand.
#[derive(Debug)]
pub struct ArchiveWriter<W: Write + Seek> {
    output: W,
    format: Format,
    specs: Vec<ArraySpec>,
    // The array being written (specs.len() when all are) and the bytes it still lacks.
    current: usize,
    left: usize,
    position: u64,
    checksum: crc32fast::Hasher,
    // Per array, for the directory of a .npz.
    members: Vec<Member>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    start: u64,
    length: u64,
    checksum: u32,
}

impl<W: Write + Seek> ArchiveWriter<W> {
    /// Begins a file at the start of `output`. A `.npy` takes exactly one array, whose name is not written.
    ///
    /// Errors: [`Error::ArrayUnsupported`] for what the format cannot hold, [`Error::CapacityExceeded`] for more than
    /// 4096 arrays, [`Error::WrongLength`], [`Error::File`].
    pub fn new(output: W, format: Format, specs: Vec<ArraySpec>) -> Result<Self> {
        if format == Format::Npy && specs.len() != 1 {
            return Err(Error::WrongLength { what: "the list of arrays", expected: 1, actual: specs.len() });
        }
        if specs.len() > MAX_ARRAYS {
            return Err(Error::CapacityExceeded {
                what: "arrays of a file",
                capacity: MAX_ARRAYS,
                actual: specs.len(),
            });
        }
        let mut names = BTreeSet::new();
        for spec in &specs {
            spec.check(format)?;
            if !names.insert(spec.name.as_str()) {
                let reason = "two arrays have this name";
                let (array, found) = (Label::new(&spec.name), Label::new("name"));
                return Err(Error::ArrayUnsupported { array, reason, found });
            }
        }
        let (checksum, members) = (crc32fast::Hasher::new(), Vec::new());
        let mut writer = ArchiveWriter { output, format, specs, current: 0, left: 0, position: 0, checksum, members };
        if format == Format::Safetensors {
            writer.emit(&tensors_header(&writer.specs)?)?;
        }
        writer.begin()?;
        Ok(writer)
    }

    /// Takes the next elements, of one array or of several in order. [`Error::WrongLength`] past the last.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.current == self.specs.len() {
                return Err(Error::WrongLength {
                    what: "what follows the last array",
                    expected: 0,
                    actual: bytes.len(),
                });
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.left));
            self.checksum.update(now);
            self.emit(now)?;
            self.left -= now.len();
            bytes = later;
            if self.left == 0 {
                self.end()?;
                self.current += 1;
                self.begin()?;
            }
        }
        Ok(())
    }

    /// Completes the file and gives the output back. [`Error::WrongLength`] if an array is not complete.
    pub fn finish(mut self) -> Result<W> {
        if let Some(spec) = self.specs.get(self.current) {
            let expected = spec.len_bytes()?;
            return Err(Error::WrongLength { what: "the bytes of an array", expected, actual: expected - self.left });
        }
        if self.format == Format::Npz {
            self.directory()?;
        }
        self.output.flush().map_err(|error| refused("write", &error))?;
        Ok(self.output)
    }

    /// Everything that comes before the elements of the current array; arrays without elements are done at once.
    fn begin(&mut self) -> Result<()> {
        while let Some(spec) = self.specs.get(self.current) {
            self.left = spec.len_bytes()?;
            let header = npy_header(spec);
            match self.format {
                Format::Safetensors => {}
                Format::Npy => self.emit(&header)?,
                Format::Npz => {
                    let length = header.len() as u64 + self.left as u64;
                    let member = Member { start: self.position, length, checksum: 0 };
                    let local = local_header(&spec.name, &member);
                    self.members.push(member);
                    self.checksum = crc32fast::Hasher::new();
                    self.checksum.update(&header);
                    self.emit(&local)?;
                    self.emit(&header)?;
                }
            }
            if self.left > 0 {
                return Ok(());
            }
            self.end()?;
            self.current += 1;
        }
        Ok(())
    }

    /// Goes back to write the checksum, which comes before the data it is of.
    fn end(&mut self) -> Result<()> {
        if self.format == Format::Npz
            && let Some(member) = self.members.last_mut()
        {
            member.checksum = std::mem::take(&mut self.checksum).finalize();
            let (place, bytes) = (member.start + 14, member.checksum.to_le_bytes());
            let end = self.position;
            let output = &mut self.output;
            let patched = output
                .seek(SeekFrom::Start(place))
                .and_then(|_| output.write_all(&bytes))
                .and_then(|()| output.seek(SeekFrom::Start(end)));
            patched.map_err(|error| refused("write", &error))?;
        }
        Ok(())
    }

    fn emit(&mut self, bytes: &[u8]) -> Result<()> {
        self.output.write_all(bytes).map_err(|error| refused("write", &error))?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// The central directory and the end records of a `.npz`.
    fn directory(&mut self) -> Result<()> {
        let start = self.position;
        let mut bytes = Vec::new();
        for (spec, member) in self.specs.iter().zip(&self.members) {
            central_header(&mut bytes, &spec.name, member);
        }
        let size = bytes.len() as u64;
        let count = self.members.len() as u64;
        if start >= u64::from(u32::MAX) {
            // Zip64 end record: its own length, versions, disks, counts, directory; then its locator.
            put(&mut bytes, &[0x0606_4b50, 44, 0]);
            put16(&mut bytes, &[45, 45]);
            put(&mut bytes, &[0, 0]);
            put64(&mut bytes, &[count, count, size, start]);
            put(&mut bytes, &[0x0706_4b50, 0]);
            put64(&mut bytes, &[start + size]);
            put(&mut bytes, &[1]);
        }
        put(&mut bytes, &[0x0605_4b50, 0]);
        put16(&mut bytes, &[count as u16; 2]);
        put(&mut bytes, &[narrow(size), narrow(start)]);
        put16(&mut bytes, &[0]);
        self.emit(&bytes)
    }
}

fn put16(bytes: &mut Vec<u8>, values: &[u16]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn put(bytes: &mut Vec<u8>, values: &[u32]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn put64(bytes: &mut Vec<u8>, values: &[u64]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// The value, or the mark that says "see the zip64 field".
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

// 1 January 1980, the first day that the format knows, at midnight: files must not depend on when they were made.
const DOS_TIME_AND_DATE: u32 = 0x0021_0000;

fn is_wide(value: u64) -> bool {
    value >= u64::from(u32::MAX)
}

/// What local and central header share, from the version to the two sizes.
fn common_header(bytes: &mut Vec<u8>, name: &str, member: &Member) {
    // Version 4.5 where zip64 is used, else 2.0; flag 11 says UTF-8; method 0 is stored.
    let version = if is_wide(member.length) || is_wide(member.start) { 45 } else { 20 };
    let flags = if name.is_ascii() { 0 } else { 1 << 11 };
    put16(bytes, &[version, flags, 0]);
    put(bytes, &[DOS_TIME_AND_DATE, member.checksum, narrow(member.length), narrow(member.length)]);
}

fn local_header(name: &str, member: &Member) -> Vec<u8> {
    let file_name = format!("{name}.npy");
    let mut extra = Vec::new();
    if is_wide(member.length) {
        put16(&mut extra, &[1, 16]);
        put64(&mut extra, &[member.length, member.length]);
    }
    // An extra field is at least four bytes long. 0xd935 is the number by which alignment is known in other archives;
    // it begins with the alignment, two bytes.
    let before = member.start as usize + 30 + file_name.len() + extra.len();
    if !before.is_multiple_of(ALIGNMENT) {
        let content = (before + 6).next_multiple_of(ALIGNMENT) - before - 4;
        put16(&mut extra, &[0xd935, content as u16, ALIGNMENT as u16]);
        extra.resize(extra.len() + content - 2, 0);
    }
    let mut bytes = Vec::new();
    put(&mut bytes, &[0x0403_4b50]);
    common_header(&mut bytes, name, member);
    put16(&mut bytes, &[file_name.len() as u16, extra.len() as u16]);
    bytes.extend_from_slice(file_name.as_bytes());
    bytes.extend_from_slice(&extra);
    bytes
}

fn central_header(bytes: &mut Vec<u8>, name: &str, member: &Member) {
    let file_name = format!("{name}.npy");
    let mut wide = Vec::new();
    if is_wide(member.length) {
        put64(&mut wide, &[member.length, member.length]);
    }
    if is_wide(member.start) {
        put64(&mut wide, &[member.start]);
    }
    let mut extra = Vec::new();
    if !wide.is_empty() {
        put16(&mut extra, &[1, wide.len() as u16]);
        extra.extend_from_slice(&wide);
    }
    put(bytes, &[0x0201_4b50]);
    put16(bytes, &[45]);
    common_header(bytes, name, member);
    // No comment, the first disk, no attributes.
    put16(bytes, &[file_name.len() as u16, extra.len() as u16, 0, 0, 0]);
    put(bytes, &[0, narrow(member.start)]);
    bytes.extend_from_slice(file_name.as_bytes());
    bytes.extend_from_slice(&extra);
}

/// The header of a `.npy`, whose length is a multiple of 64.
fn npy_header(spec: &ArraySpec) -> Vec<u8> {
    let fortran_order = if spec.order == Order::ColumnMajor && spec.shape.rank() > 1 { "True" } else { "False" };
    let descr = npy::descr(spec.element);
    let dict = format!("{{'descr': '{descr}', 'fortran_order': {fortran_order}, 'shape': {}, }}", spec.shape);
    let length = (10 + dict.len() + 1).next_multiple_of(ALIGNMENT) - 10;
    let mut header = npy::MAGIC.to_vec();
    header.extend_from_slice(&[1, 0]);
    put16(&mut header, &[length as u16]);
    header.extend_from_slice(dict.as_bytes());
    header.resize(10 + length - 1, b' ');
    header.push(b'\n');
    header
}

/// The length and the header of a `.safetensors`, together a multiple of 64 bytes.
fn tensors_header(specs: &[ArraySpec]) -> Result<Vec<u8>> {
    let mut json = String::from("{");
    let texts: Vec<String> = specs
        .iter()
        .filter(|spec| matches!(spec.element, ElementType::Unicode(_)))
        .map(|spec| format!("\"{}.dtype\":\"{}\"", spec.name, npy::descr(spec.element)))
        .collect();
    let texts = texts.join(",");
    if texts.len() + 2 > safetensors::MAX_METADATA {
        let (capacity, actual) = (safetensors::MAX_METADATA, texts.len() + 2);
        return Err(Error::CapacityExceeded { what: "metadata of a file", capacity, actual });
    }
    if !texts.is_empty() {
        json += &format!("\"{}\":{{{texts}}},", safetensors::METADATA);
    }
    let mut offset = 0;
    for spec in specs {
        let mut dimensions = spec.shape.dimensions().to_vec();
        if let ElementType::Unicode(width) = spec.element {
            dimensions.push(width as usize);
        }
        if dimensions.len() > super::tensor::MAX_DIMENSIONS {
            let reason = "texts have one dimension more in safetensors, and that is more than 8";
            let (array, found) = (Label::new(&spec.name), Label::new("dimensions"));
            return Err(Error::ArrayUnsupported { array, reason, found });
        }
        let end = offset + spec.len_bytes()?;
        let dtype = safetensors::dtype(spec.element);
        json += &format!(
            "\"{}\":{{\"dtype\":\"{dtype}\",\"shape\":{dimensions:?},\"data_offsets\":[{offset},{end}]}},",
            spec.name
        );
        offset = end;
    }
    if json.ends_with(',') {
        json.pop();
    }
    json.push('}');
    let length = (8 + json.len()).next_multiple_of(ALIGNMENT) - 8;
    if length > safetensors::MAX_HEADER {
        return Err(Error::CapacityExceeded { what: "the header", capacity: safetensors::MAX_HEADER, actual: length });
    }
    let mut header = (length as u64).to_le_bytes().to_vec();
    header.extend_from_slice(json.as_bytes());
    header.resize(8 + length, b' ');
    Ok(header)
}

#[cfg(all(test, unix, target_pointer_width = "64"))]
mod tests {
    use super::*;
    use crate::weights::Archive;
    use crate::weights::map::Bytes;

    #[test]
    fn zip64_past_four_gigabytes() {
        // Holes instead of data: the file is 5 GB long and takes a few kilobytes of disk.
        let long = 5usize << 30;
        let spec = |name: &str, length| ArraySpec {
            name: name.to_string(),
            element: ElementType::U8,
            shape: Shape::new(&[length]).expect("it fits"),
            order: Order::RowMajor,
        };
        let path = std::env::temp_dir().join(format!("argpick-zip64-{}.npz", std::process::id()));
        let file = PendingFile::create(&path).expect("the folder is writable");
        let specs = vec![spec("short", 3), spec("long", long), spec("last", 5)];
        let mut writer = ArchiveWriter::new(file, Format::Npz, specs).expect("the specs are sound");
        writer.write(&[1, 2, 3]).expect("the disk is not full");
        writer.position += long as u64;
        writer.output.seek(SeekFrom::Start(writer.position)).expect("files can be this long");
        writer.left = 0;
        writer
            .end()
            .and_then(|()| {
                writer.current += 1;
                writer.begin()
            })
            .expect("the disk is not full");
        writer.write(&[4, 5, 6, 7, 8]).expect("the disk is not full");
        writer.finish().and_then(PendingFile::finish).expect("the disk is not full");
        let opened = Bytes::map(&path);
        std::fs::remove_file(&path).expect("it is ours");
        let (bytes, state) = opened.expect("the address space is large enough");
        assert!(state.length > long as u64);
        let archive = Archive::parse(&bytes).expect("our own files are sound");
        assert_eq!(archive.find("long").expect("it is there").bytes().len(), long);
        assert_eq!(archive.find("last").expect("it is there").bytes(), [4, 5, 6, 7, 8]);
        let last = archive.entry("last").expect("it is there");
        assert!(last.offset() > long && last.offset().is_multiple_of(ALIGNMENT));
        assert_eq!(last.verify(), Ok(true));
    }
}
