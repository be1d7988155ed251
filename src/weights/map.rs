//! The bytes of a file: mapped into memory, or copied.
//!
//! **The rule of mapped files.** A mapped file is read when its bytes are used, not when it is opened. As long as it is
//! mapped nobody may shorten or overwrite it: a shortened file answers with a signal (SIGBUS), an overwritten one with
//! other numbers. Replacing a file by renaming another onto it is always safe, the mapping keeps the old one; our own
//! writers do so. Hosts that cannot promise this open a private copy ([`Bytes::read`]), which is independent of the
//! file from then on, and whoever wants to notice a change asks [`FileState::changed`].
//!
//! This is the only file of the room with `unsafe`, and all it does is map and give paging hints.
#![allow(unsafe_code)]

use crate::error::{Error, Result};
use memmap2::Mmap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::ops::{Deref, Range};
use std::path::Path;

/// The bytes of a whole file, or of one that never was a file.
#[derive(Debug)]
pub struct Bytes(Inner);

#[derive(Debug)]
enum Inner {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Bytes {
    /// Maps a file; see the rule above. Nothing is read yet.
    pub fn map(path: &Path) -> Result<(Bytes, FileState)> {
        let (file, state) = open(path)?;
        if state.length == 0 {
            // Some systems refuse to map nothing.
            return Ok((Bytes(Inner::Owned(Vec::new())), state));
        }
        // SAFETY: the mapping is read-only and private to this value; that nobody shortens or overwrites the file
        // meanwhile is what the head of this file asks of the host.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| refused("map", &error))?;
        Ok((Bytes(Inner::Mapped(map)), state))
    }

    /// Reads a whole file into memory.
    pub fn read(path: &Path) -> Result<(Bytes, FileState)> {
        let (mut file, state) = open(path)?;
        let length = usize::try_from(state.length).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| refused("read", &io::ErrorKind::OutOfMemory.into()))?;
        file.read_to_end(&mut bytes).map_err(|error| refused("read", &error))?;
        Ok((Bytes(Inner::Owned(bytes)), state))
    }

    /// Bytes that are already in memory.
    pub fn from_vec(bytes: Vec<u8>) -> Bytes {
        Bytes(Inner::Owned(bytes))
    }

    /// Whether these bytes are a mapped file.
    pub fn is_mapped(&self) -> bool {
        matches!(self.0, Inner::Mapped(_))
    }

    /// Tells the system how a range of the bytes will be used. A hint: it changes no byte, and where the system knows
    /// no such hints, or the bytes are not mapped, it does nothing. The range is cut at the end of the file.
    pub fn advise(&self, range: Range<usize>, advice: Advice) {
        if let Inner::Mapped(map) = &self.0 {
            let end = range.end.min(map.len());
            if range.start < end {
                advise(&map[range.start..end], advice);
            }
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Mapped(map) => map,
            Inner::Owned(bytes) => bytes,
        }
    }
}

/// How a range of a mapped file will be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// As the system does by default.
    Normal,
    /// Here and there: reading ahead is useless. For weights of which a step uses few columns.
    Random,
    /// From front to back.
    Sequential,
    /// Soon: start reading now. For the columns of the next step.
    WillNeed,
    /// Not again soon: the pages may be given back. They are read anew when they are used after all.
    DontNeed,
}

#[cfg(unix)]
fn advise(bytes: &[u8], advice: Advice) {
    let advice = match advice {
        Advice::Normal => libc::MADV_NORMAL,
        Advice::Random => libc::MADV_RANDOM,
        Advice::Sequential => libc::MADV_SEQUENTIAL,
        Advice::WillNeed => libc::MADV_WILLNEED,
        Advice::DontNeed => libc::MADV_DONTNEED,
    };
    // SAFETY: sysconf reads a constant of the system.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0);
    if !page.is_power_of_two() {
        return;
    }
    let before = bytes.as_ptr() as usize % page;
    let start = bytes.as_ptr().wrapping_sub(before).cast_mut().cast::<libc::c_void>();
    // SAFETY: `bytes` lies in a mapping of ours that starts at a page, so rounding its start down to a page stays in
    // it; the mapping is read-only and of a file, so even DONTNEED only makes the same bytes be read again.
    unsafe { libc::madvise(start, bytes.len() + before, advice) };
}

#[cfg(not(unix))]
fn advise(_bytes: &[u8], _advice: Advice) {}

/// What a file looked like when it was opened: enough to notice that it was changed or replaced since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    /// Length in bytes.
    pub length: u64,
    /// Last modification in nanoseconds since 1970, negative before; 0 if the system does not say.
    pub modified_nanoseconds: i128,
    /// The device of the file system; 0 where there is none.
    pub device: u64,
    /// The number of the file on that device; 0 where there is none.
    pub inode: u64,
}

impl FileState {
    /// The state of the file that is at this path now.
    pub fn of(path: &Path) -> Result<FileState> {
        let metadata = std::fs::metadata(path).map_err(|error| refused("look at", &error))?;
        Ok(FileState::from_metadata(&metadata))
    }

    /// Whether the file at this path is no longer the one this state was taken of: other content, another file under
    /// the same name, or none at all.
    pub fn changed(&self, path: &Path) -> bool {
        FileState::of(path) != Ok(*self)
    }

    fn from_metadata(metadata: &Metadata) -> FileState {
        let modified_nanoseconds =
            metadata.modified().map_or(0, |time| match time.duration_since(std::time::UNIX_EPOCH) {
                Ok(after) => after.as_nanos() as i128,
                Err(before) => -(before.duration().as_nanos() as i128),
            });
        let (device, inode) = identity(metadata);
        FileState { length: metadata.len(), modified_nanoseconds, device, inode }
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_metadata: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// Opens a regular file. Anything else is refused before it is opened, as opening a pipe would wait for its writer.
fn open(path: &Path) -> Result<(File, FileState)> {
    let metadata = std::fs::metadata(path).map_err(|error| refused("open", &error))?;
    if metadata.is_dir() {
        return Err(refused("open", &io::ErrorKind::IsADirectory.into()));
    }
    if !metadata.is_file() {
        return Err(refused("open", &io::ErrorKind::InvalidInput.into()));
    }
    let file = File::open(path).map_err(|error| refused("open", &error))?;
    let metadata = file.metadata().map_err(|error| refused("open", &error))?;
    Ok((file, FileState::from_metadata(&metadata)))
}

/// The error of a file operation. Kinds that come without a number get the system's own for them.
pub(super) fn refused(operation: &'static str, error: &io::Error) -> Error {
    let code = error.raw_os_error().unwrap_or(match error.kind() {
        #[cfg(unix)]
        io::ErrorKind::IsADirectory => libc::EISDIR,
        #[cfg(unix)]
        io::ErrorKind::InvalidInput => libc::EINVAL,
        #[cfg(unix)]
        io::ErrorKind::OutOfMemory => libc::ENOMEM,
        _ => 0,
    });
    Error::File { operation, code }
}
