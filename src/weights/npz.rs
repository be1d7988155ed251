//! NumPy's `.npz`: a zip archive of `.npy` members, used in place where they are stored uncompressed.
//!
//! The central directory at the end is the truth and everything else must agree with it:
//! ```text
//! end record (zip64 too) -> directory, exactly before it -> each member: local header = directory entry,
//! data inside the file and before the directory, no two members overlap, no name twice
//! ```
//! What concerns the archive refuses it as a whole; what concerns one member (compressed, encrypted, pickled, not an
//! array) refuses that member alone, so that `W` and `b` can be used beside a pickled vocabulary.

use super::archive::Entry;
use super::npy;
use super::read::{MAX_ARRAYS, MAX_NAME, NameFilter, slice_at, u16_at, u32_at, u64_at};
use crate::error::{Error, Label, Result};

const END_SIGNATURE: u32 = 0x0605_4b50;
const END_LENGTH: usize = 22;
const END64_SIGNATURE: u32 = 0x0606_4b50;
const END64_LENGTH: usize = 56;
const LOCATOR_SIGNATURE: u32 = 0x0706_4b50;
const LOCATOR_LENGTH: usize = 20;
const CENTRAL_SIGNATURE: u32 = 0x0201_4b50;
const CENTRAL_LENGTH: usize = 46;
const LOCAL_SIGNATURE: u32 = 0x0403_4b50;
const LOCAL_LENGTH: usize = 30;
const ZIP64_FIELD: u16 = 1;

const FLAG_ENCRYPTED: u16 = 1;
const FLAG_DESCRIPTOR: u16 = 1 << 3;
const FLAG_UTF8: u16 = 1 << 11;

/// A checked zip archive.
#[derive(Clone, Copy, Debug)]
pub struct Npz<'a> {
    bytes: &'a [u8],
    // The central directory, in bytes of the file.
    directory: usize,
    directory_end: usize,
}

/// One entry of the central directory, with the place of its data.
#[derive(Clone, Copy, Debug)]
struct Member<'a> {
    // Without `.npy`, if it had that.
    name: &'a str,
    is_npy: bool,
    flags: u16,
    method: u16,
    checksum: u32,
    stored_bytes: usize,
    array_bytes: u64,
    // Local header, data.
    start: usize,
    data: usize,
}

impl Member<'_> {
    fn end(&self) -> usize {
        self.data + self.stored_bytes
    }
}

fn malformed(offset: usize, value: impl TryInto<u64>, reason: &'static str) -> Error {
    named("", offset, value, reason)
}

fn named(name: &str, offset: usize, value: impl TryInto<u64>, reason: &'static str) -> Error {
    let value = value.try_into().unwrap_or(u64::MAX);
    Error::FileMalformed { array: Label::new(name), offset: offset as u64, value, reason }
}

impl<'a> Npz<'a> {
    /// Checks the archive: directory, local headers, ranges, overlaps, names. Members are looked at when asked for.
    pub fn parse(bytes: &'a [u8]) -> Result<Npz<'a>> {
        let (archive, count) = Npz::locate(bytes)?;
        let mut names = NameFilter::new();
        let mut position = archive.directory;
        let mut last_end = 0;
        let mut ascending = true;
        for _ in 0..count {
            let here = position;
            let member = archive.member(&mut position)?;
            if names.insert(member.name) && archive.members_before(here).any(|other| other.name == member.name) {
                return Err(named(member.name, here, here, "the name occurs twice in the archive"));
            }
            ascending &= member.start >= last_end;
            last_end = member.end();
        }
        if position != archive.directory_end {
            return Err(malformed(position, count, "the directory has not as many entries as the end record says"));
        }
        if !ascending {
            archive.refuse_overlap()?;
        }
        Ok(archive)
    }

    /// Finds the central directory and the number of its entries.
    fn locate(bytes: &'a [u8]) -> Result<(Npz<'a>, usize)> {
        let end = find_end(bytes)?;
        let field16 = |offset| u16_at(bytes, end + offset).unwrap_or(0);
        let field32 = |offset| u32_at(bytes, end + offset).unwrap_or(0);
        let mut disk = [u32::from(field16(4)), u32::from(field16(6))];
        let mut counts = [u64::from(field16(8)), u64::from(field16(10))];
        let mut size = u64::from(field32(12));
        let mut offset = u64::from(field32(16));
        let mut after = end;
        let locator = end.checked_sub(LOCATOR_LENGTH).filter(|&at| u32_at(bytes, at) == Some(LOCATOR_SIGNATURE));
        let saturated = size == 0xffff_ffff || offset == 0xffff_ffff || counts.contains(&0xffff);
        if let Some(locator) = locator {
            let place = u64_at(bytes, locator + 8).unwrap_or(u64::MAX);
            let record = locator.checked_sub(END64_LENGTH).filter(|&at| at as u64 == place);
            let record =
                record.ok_or_else(|| malformed(locator, place, "the zip64 end record is not before its locator"))?;
            let parts = u32_at(bytes, locator + 16);
            if u32_at(bytes, locator + 4) != Some(0) || parts != Some(1) {
                return Err(malformed(locator, parts.unwrap_or(0), "the archive is spread over several files"));
            }
            let length = u64_at(bytes, record + 4).unwrap_or(0);
            if u32_at(bytes, record) != Some(END64_SIGNATURE) || length != (END64_LENGTH - 12) as u64 {
                return Err(malformed(record, length, "the zip64 end record has the wrong signature or length"));
            }
            let field64 = |offset| u64_at(bytes, record + offset).unwrap_or(u64::MAX);
            let disk64 = [u32_at(bytes, record + 16).unwrap_or(1), u32_at(bytes, record + 20).unwrap_or(1)];
            let wide = [field64(24), field64(32), field64(40), field64(48)];
            let narrow = [counts[0], counts[1], size, offset];
            for (index, limit) in [0xffff, 0xffff, 0xffff_ffff, 0xffff_ffff].into_iter().enumerate() {
                if narrow[index] != limit && narrow[index] != wide[index] {
                    return Err(malformed(record, wide[index], "the zip64 end record disagrees with the end record"));
                }
            }
            (disk, counts, size, offset, after) = (disk64, [wide[0], wide[1]], wide[2], wide[3], record);
        } else if saturated {
            return Err(malformed(end, size, "the end record points to a zip64 end record that is not there"));
        }
        if disk != [0, 0] || counts[0] != counts[1] {
            return Err(malformed(end, counts[1], "the archive is spread over several files"));
        }
        if offset.checked_add(size) != Some(after as u64) {
            return Err(malformed(end, offset, "the directory does not end where the end record begins"));
        }
        if counts[0] > MAX_ARRAYS as u64 {
            return Err(malformed(end, counts[0], "the archive has more than 4096 members"));
        }
        // Both fit: their sum is an offset in the file.
        Ok((Npz { bytes, directory: offset as usize, directory_end: after }, counts[0] as usize))
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.members_before(self.directory_end).count()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.directory == self.directory_end
    }

    /// The members in directory order, each with its array or the reason why it is none.
    pub fn entries(&self) -> Entries<'a> {
        Entries { archive: *self, position: self.directory }
    }

    fn members_before(&self, end: usize) -> impl Iterator<Item = Member<'a>> {
        let archive = *self;
        let mut position = self.directory;
        core::iter::from_fn(move || if position < end { archive.member(&mut position).ok() } else { None })
    }

    /// Only needed if members do not lie in directory order, which is allowed but rare.
    fn refuse_overlap(&self) -> Result<()> {
        let mut position = self.directory;
        while position < self.directory_end {
            let here = position;
            let member = self.member(&mut position)?;
            let meets = |other: &Member<'_>| other.start < member.end() && member.start < other.end();
            if self.members_before(here).any(|other| meets(&other)) {
                return Err(named(member.name, member.start, member.end(), "the member overlaps another"));
            }
        }
        Ok(())
    }

    /// Reads the directory entry at `position`, checks it against its local header, and moves on.
    fn member(&self, position: &mut usize) -> Result<Member<'a>> {
        let (bytes, here) = (self.bytes, *position);
        let left = self.directory_end - here;
        if left < CENTRAL_LENGTH || u32_at(bytes, here) != Some(CENTRAL_SIGNATURE) {
            return Err(malformed(here, left, "a directory entry is cut off or lacks its signature"));
        }
        let field16 = |offset: usize| u16_at(bytes, here + offset).unwrap_or(0);
        let field32 = |offset: usize| u32_at(bytes, here + offset).unwrap_or(0);
        let (flags, method, checksum) = (field16(8), field16(10), field32(16));
        let (name_length, extra_length) = (usize::from(field16(28)), usize::from(field16(30)));
        let length = CENTRAL_LENGTH + name_length + extra_length + usize::from(field16(32));
        if left < length {
            return Err(malformed(here, length, "a directory entry goes past the end of the directory"));
        }
        *position = here + length;
        let file_name = member_name(bytes, here + CENTRAL_LENGTH, name_length, flags)?;
        let (name, is_npy) = match file_name.strip_suffix(".npy") {
            Some(name) => (name, true),
            None => (file_name, false),
        };
        let extra = slice_at(bytes, here + CENTRAL_LENGTH + name_length, extra_length).unwrap_or(&[]);
        let mut wide = Zip64::find(extra).map_err(|()| named(name, here, extra_length, "an extra field is cut off"))?;
        let cut = || named(name, here, extra_length, "the zip64 field lacks a number");
        let array_bytes = wide.widen(field32(24)).ok_or_else(cut)?;
        let stored = wide.widen(field32(20)).ok_or_else(cut)?;
        let start = wide.widen(field32(42)).ok_or_else(cut)?;
        let disk = field16(34);
        if disk != 0 {
            return Err(named(name, here, disk, "the member lies in another file"));
        }
        let (local, local_data) = self.local(name, start)?;
        let stored_bytes = usize::try_from(stored)
            .ok()
            .filter(|&stored| local_data.checked_add(stored).is_some_and(|end| end <= self.directory))
            .ok_or_else(|| named(name, here, stored, "the data of the member goes past the start of the directory"))?;
        let member =
            Member { name, is_npy, flags, method, checksum, stored_bytes, array_bytes, start: local, data: local_data };
        self.check_local(&member, file_name)?;
        Ok(member)
    }

    /// The places of the local header and of the data after it.
    fn local(&self, name: &str, start: u64) -> Result<(usize, usize)> {
        let outside = || named(name, self.directory, start, "the local header is outside the file");
        let local = usize::try_from(start).ok().filter(|&at| at < self.directory).ok_or_else(outside)?;
        if u32_at(self.bytes, local) != Some(LOCAL_SIGNATURE) {
            return Err(named(name, local, start, "there is no local header where the directory says"));
        }
        let name_length = u16_at(self.bytes, local + 26).ok_or_else(outside)?;
        let extra_length = u16_at(self.bytes, local + 28).ok_or_else(outside)?;
        let data = local + LOCAL_LENGTH + usize::from(name_length) + usize::from(extra_length);
        if data > self.directory { Err(outside()) } else { Ok((local, data)) }
    }

    /// Refuses a local header that says something else than the directory.
    fn check_local(&self, member: &Member<'_>, file_name: &str) -> Result<()> {
        let (bytes, local) = (self.bytes, member.start);
        let disagrees = |value: u64| named(member.name, local, value, "the local header disagrees with the directory");
        let field16 = |offset: usize| u16_at(bytes, local + offset).unwrap_or(0);
        let field32 = |offset: usize| u32_at(bytes, local + offset).unwrap_or(0);
        let name_length = usize::from(field16(26));
        if slice_at(bytes, local + LOCAL_LENGTH, name_length) != Some(file_name.as_bytes()) {
            return Err(disagrees(name_length as u64));
        }
        if field16(6) != member.flags || field16(8) != member.method {
            return Err(disagrees(u64::from(field16(6))));
        }
        // With a data descriptor the sizes come after the data; such a member is refused when it is asked for.
        if member.flags & FLAG_DESCRIPTOR != 0 {
            return Ok(());
        }
        let extra = slice_at(bytes, local + LOCAL_LENGTH + name_length, usize::from(field16(28))).unwrap_or(&[]);
        let mut wide = Zip64::find(extra).map_err(|()| disagrees(extra.len() as u64))?;
        let array_bytes = wide.widen(field32(22)).ok_or_else(|| disagrees(0))?;
        let stored = wide.widen(field32(18)).ok_or_else(|| disagrees(0))?;
        if field32(14) != member.checksum {
            return Err(disagrees(u64::from(field32(14))));
        }
        if array_bytes != member.array_bytes || stored != member.stored_bytes as u64 {
            return Err(disagrees(stored));
        }
        Ok(())
    }
}

/// The members of an archive.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    archive: Npz<'a>,
    position: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        if self.position >= self.archive.directory_end {
            return None;
        }
        // Every entry was checked when the archive was parsed.
        let member = self.archive.member(&mut self.position).ok()?;
        let data = slice_at(self.archive.bytes, member.data, member.stored_bytes)?;
        Some(Entry::new(member.name, array(&member, data), data, member.data, Some(member.checksum)))
    }
}

fn array<'a>(member: &Member<'a>, data: &'a [u8]) -> Result<super::tensor::ArrayView<'a>> {
    let (name, array) = (member.name, Label::new(member.name));
    let unsupported = |reason, found| Error::ArrayUnsupported { array, reason, found: Label::new(found) };
    if member.flags & FLAG_ENCRYPTED != 0 {
        return Err(unsupported("encrypted members are not read", "encrypted"));
    }
    if member.method != 0 {
        return Err(Error::ArrayCompressed { array });
    }
    if member.flags & FLAG_DESCRIPTOR != 0 {
        let reason = "its size comes after its data: save to a file, not to a stream that cannot seek";
        return Err(unsupported(reason, "data descriptor"));
    }
    if !member.is_npy {
        return Err(unsupported("it is no NumPy array: its name does not end in .npy", "other file"));
    }
    if member.array_bytes != data.len() as u64 {
        return Err(named(name, member.start, member.array_bytes, "a stored member has two different sizes"));
    }
    npy::parse(name, data)
}

fn find_end(bytes: &[u8]) -> Result<usize> {
    let last =
        bytes.len().checked_sub(END_LENGTH).ok_or_else(|| malformed(0, bytes.len(), "the archive is cut off"))?;
    // The end record may carry a comment of up to 65,535 bytes; it must reach exactly to the end.
    for at in (last.saturating_sub(0xffff)..=last).rev() {
        if u32_at(bytes, at) == Some(END_SIGNATURE) && u16_at(bytes, at + 20).map(usize::from) == Some(last - at) {
            return Ok(at);
        }
    }
    Err(malformed(last, bytes.len(), "the archive has no end record: it is cut off, or something follows it"))
}

fn member_name(bytes: &[u8], at: usize, length: usize, flags: u16) -> Result<&str> {
    if length == 0 || length > MAX_NAME {
        return Err(malformed(at, length, "a member's name is not 1 to 256 bytes long"));
    }
    let text = slice_at(bytes, at, length).unwrap_or(&[]);
    let name = core::str::from_utf8(text).map_err(|_| malformed(at, length, "a member's name is not UTF-8"))?;
    if (flags & FLAG_UTF8 == 0 && !name.is_ascii()) || name.chars().any(char::is_control) {
        return Err(malformed(at, length, "a member's name has characters that are not plain text"));
    }
    Ok(name)
}

/// The numbers of a zip64 extra field, in the order of the fields that are saturated.
struct Zip64<'a> {
    rest: &'a [u8],
}

impl<'a> Zip64<'a> {
    fn find(mut extra: &'a [u8]) -> core::result::Result<Zip64<'a>, ()> {
        while let (Some(id), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
            let end = 4 + usize::from(length);
            let field = extra.get(4..end).ok_or(())?;
            if id == ZIP64_FIELD {
                return Ok(Zip64 { rest: field });
            }
            extra = &extra[end..];
        }
        Ok(Zip64 { rest: &[] })
    }

    fn widen(&mut self, narrow: u32) -> Option<u64> {
        if narrow != 0xffff_ffff {
            return Some(u64::from(narrow));
        }
        let wide = u64_at(self.rest, 0)?;
        self.rest = &self.rest[8..];
        Some(wide)
    }
}
