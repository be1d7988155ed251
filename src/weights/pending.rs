//! A file that appears whole or not at all: written beside its target, then renamed onto it.

use super::map::refused;
use crate::error::Result;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file in the making. Until [`PendingFile::finish`] the target is untouched; dropped before that, nothing is left.
///
/// The bytes go to a hidden file in the target's folder, because only a rename within one file system is atomic. A
/// target that is a symbolic link is followed; one that exists and is no regular file is refused; the permissions of
/// an existing target are kept.
#[derive(Debug)]
pub struct PendingFile {
    // None once finished.
    temporary: Option<PathBuf>,
    target: PathBuf,
    file: File,
}

impl PendingFile {
    /// Begins a file that will stand at `target`. Errors ([`crate::Error::File`]): no such folder, no right to write.
    pub fn create(target: impl AsRef<Path>) -> Result<PendingFile> {
        // A link is followed to the file it means; a target that does not exist yet stands for itself.
        let target = target.as_ref();
        let target = std::fs::canonicalize(target).unwrap_or_else(|_| target.to_path_buf());
        let permissions = match std::fs::metadata(&target) {
            Ok(metadata) if metadata.is_dir() => return Err(refused("write", &io::ErrorKind::IsADirectory.into())),
            Ok(metadata) if !metadata.is_file() => return Err(refused("write", &io::ErrorKind::InvalidInput.into())),
            // A file that must not be written must not be replaced either, though renaming would be allowed.
            Ok(_) => {
                let existing =
                    OpenOptions::new().write(true).open(&target).map_err(|error| refused("write", &error))?;
                Some(existing.metadata().map_err(|error| refused("write", &error))?.permissions())
            }
            Err(_) => None,
        };
        if target.file_name().is_none() {
            return Err(refused("write", &io::ErrorKind::InvalidInput.into()));
        }
        let (temporary, file) = create_beside(&target)?;
        let pending = PendingFile { temporary: Some(temporary), target, file };
        if let Some(permissions) = permissions {
            pending.file.set_permissions(permissions).map_err(|error| refused("write", &error))?;
        }
        Ok(pending)
    }

    /// Puts the file in its place, replacing what was there, after its bytes have reached the disk.
    pub fn finish(mut self) -> Result<()> {
        self.file.sync_all().map_err(|error| refused("write", &error))?;
        if let Some(temporary) = &self.temporary {
            std::fs::rename(temporary, &self.target).map_err(|error| refused("write", &error))?;
        }
        self.temporary = None;
        Ok(())
    }
}

fn create_beside(target: &Path) -> Result<(PathBuf, File)> {
    let mut attempt = 0;
    loop {
        // Not made of the target's name, which may already be as long as names may be.
        let temporary = target.with_file_name(format!(".argpick-{}-{attempt}.part", std::process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            // Left by a process of the same number that was killed, or made by another thread.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 1000 => attempt += 1,
            Err(error) => return Err(refused("write", &error)),
        }
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nothing better can be done where it cannot be removed.
            let _ = std::fs::remove_file(temporary);
        }
    }
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for PendingFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}
