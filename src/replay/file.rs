//! A trace in a file.

use crate::error::{Error, Result};
use crate::trace::TraceSink;
use crate::weights::PendingFile;
use std::io::{BufWriter, IntoInnerError, Write};
use std::path::Path;

/// A trace that is written to a file. The file stands at its place once [`TraceFile::finish`] is called on what
/// [`Recorder::finish`](crate::Recorder::finish) hands back: whole, or not at all.
#[derive(Debug)]
pub struct TraceFile(BufWriter<PendingFile>);

impl TraceFile {
    /// Begins a trace that will stand at `path`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn create(path: impl AsRef<Path>) -> Result<TraceFile> {
        Ok(TraceFile(BufWriter::new(PendingFile::create(path)?)))
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn finish(self) -> Result<()> {
        self.0.into_inner().map_err(IntoInnerError::into_error).map_err(refused)?.finish()
    }
}

impl TraceSink for TraceFile {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write_all(bytes).map_err(refused)
    }
}

fn refused(error: std::io::Error) -> Error {
    Error::File { operation: "write", code: error.raw_os_error().unwrap_or(0) }
}
