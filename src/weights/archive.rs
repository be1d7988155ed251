//! One face for the three formats: parse the bytes of a file, list its arrays, find one by name.

use super::npy;
use super::npz::{self, Npz};
use super::safetensors::{self, Safetensors};
use super::tensor::ArrayView;
use crate::error::{Error, Label, Result};

/// The format of a weight file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// One NumPy array.
    Npy,
    /// A NumPy archive: stored zip members.
    Npz,
    /// A JSON header and the tensors.
    Safetensors,
}

impl Format {
    /// The name, which is also the usual extension: `npy`, `npz`, `safetensors`.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Npy => "npy",
            Format::Npz => "npz",
            Format::Safetensors => "safetensors",
        }
    }

    /// The format of a file that begins with these bytes; [`Error::FileFormat`] if it is none of the three.
    pub fn detect(bytes: &[u8]) -> Result<Format> {
        if bytes.starts_with(npy::MAGIC) {
            Ok(Format::Npy)
        } else if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
            Ok(Format::Npz)
        } else if bytes.get(8) == Some(&b'{') {
            Ok(Format::Safetensors)
        } else {
            let mut magic = [0; 8];
            let count = bytes.len().min(8);
            magic[..count].copy_from_slice(&bytes[..count]);
            Err(Error::FileFormat { magic: u64::from_be_bytes(magic) })
        }
    }
}

/// A file whose structure has been checked; its arrays are views into the bytes it was parsed from.
///
/// Parsing needs no heap and reads headers only, so it is as quick for a large file as for a small one. It refuses a
/// file that contradicts itself; arrays that merely cannot be used (pickled, compressed, an unknown dtype) leave the
/// others alone and answer with their reason when asked for.
#[derive(Clone, Copy, Debug)]
pub enum Archive<'a> {
    /// A bare `.npy`: one array whose name is empty.
    Npy(Entry<'a>),
    /// A `.npz`.
    Npz(Npz<'a>),
    /// A `.safetensors`.
    Safetensors(Safetensors<'a>),
}

impl<'a> Archive<'a> {
    /// Checks the bytes of a whole file. Errors: [`Error::FileFormat`], [`Error::FileMalformed`]; for a bare `.npy`
    /// also those of its only array.
    pub fn parse(bytes: &'a [u8]) -> Result<Archive<'a>> {
        Ok(match Format::detect(bytes)? {
            Format::Npy => Archive::Npy(Entry::new("", Ok(npy::parse("", bytes)?), bytes, 0, None)),
            Format::Npz => Archive::Npz(Npz::parse(bytes)?),
            Format::Safetensors => Archive::Safetensors(Safetensors::parse(bytes)?),
        })
    }

    /// The format.
    pub const fn format(&self) -> Format {
        match self {
            Archive::Npy(_) => Format::Npy,
            Archive::Npz(_) => Format::Npz,
            Archive::Safetensors(_) => Format::Safetensors,
        }
    }

    /// The arrays in file order, also those that cannot be used.
    pub fn entries(&self) -> ArchiveEntries<'a> {
        ArchiveEntries(match self {
            Archive::Npy(entry) => Inner::Npy(Some(*entry)),
            Archive::Npz(npz) => Inner::Npz(npz.entries()),
            Archive::Safetensors(tensors) => Inner::Safetensors(tensors.entries()),
        })
    }

    /// The entry of this name, if there is one.
    pub fn entry(&self, name: &str) -> Option<Entry<'a>> {
        match self {
            // Quicker than viewing all tensors before it.
            Archive::Safetensors(tensors) => tensors.entry(name),
            other => other.entries().find(|entry| entry.name() == name),
        }
    }

    /// The array of this name; [`Error::ArrayMissing`], or the reason why it cannot be used.
    pub fn find(&self, name: &str) -> Result<ArrayView<'a>> {
        self.entry(name).ok_or_else(|| Error::ArrayMissing { array: Label::new(name) })?.array()
    }
}

/// One array of a file, or what is there in its stead.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    name: &'a str,
    array: Result<ArrayView<'a>>,
    data: &'a [u8],
    offset: usize,
    checksum: Option<u32>,
}

impl<'a> Entry<'a> {
    pub(super) fn new(
        name: &'a str,
        array: Result<ArrayView<'a>>,
        data: &'a [u8],
        offset: usize,
        checksum: Option<u32>,
    ) -> Self {
        Entry { name, array, data, offset, checksum }
    }

    /// The name, without `.npy`.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The array, or why it cannot be used.
    pub const fn array(&self) -> Result<ArrayView<'a>> {
        self.array
    }

    /// What the file holds for this entry: in a `.npz` the whole member, header included.
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Where the elements begin (or the member, if it is no usable array), in bytes from the start of the file.
    pub fn offset(&self) -> usize {
        // The elements are always the tail of the data.
        self.offset + self.array.map_or(0, |array| self.data.len() - array.bytes().len())
    }

    /// The CRC-32 of `data` that the file gives; only `.npz` has one.
    pub const fn checksum(&self) -> Option<u32> {
        self.checksum
    }

    /// Reads all the data and compares its CRC-32; [`Error::ArrayChecksum`] if it differs. Compressed members are not
    /// expanded, so theirs is not compared; the answer is whether a comparison was made.
    #[cfg(feature = "std")]
    pub fn verify(&self) -> Result<bool> {
        let Some(expected) = self.checksum else { return Ok(false) };
        if matches!(self.array, Err(Error::ArrayCompressed { .. } | Error::ArrayUnsupported { .. })) {
            return Ok(false);
        }
        let actual = crc32fast::hash(self.data);
        if actual != expected {
            return Err(Error::ArrayChecksum { array: Label::new(self.name), expected, actual });
        }
        Ok(true)
    }
}

/// The arrays of a file.
#[derive(Clone, Debug)]
pub struct ArchiveEntries<'a>(Inner<'a>);

#[derive(Clone, Debug)]
enum Inner<'a> {
    Npy(Option<Entry<'a>>),
    Npz(npz::Entries<'a>),
    Safetensors(safetensors::Entries<'a>),
}

impl<'a> Iterator for ArchiveEntries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        match &mut self.0 {
            Inner::Npy(entry) => entry.take(),
            Inner::Npz(entries) => entries.next(),
            Inner::Safetensors(entries) => entries.next(),
        }
    }
}
