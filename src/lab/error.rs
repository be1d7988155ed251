//! Why the lab refused something. One line of text each, naming what, where, the bad value, and what is allowed.

use std::fmt;

/// An error of the lab.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    File {
        /// What was tried, and on which path: `cannot read sweep.yaml`.
        action: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A sweep file is not what it should be.
    Sweep {
        /// The file.
        origin: String,
        /// The line, from 1; 0 if it is not known (JSON that reads well has no lines).
        line: usize,
        /// Where in the file: `parameter_sets[1].top_p`; empty for the file as a whole.
        path: String,
        /// What is wrong, with the value found and what is allowed.
        reason: String,
    },
    /// A file of results is no such file, or that of another sweep.
    Results {
        /// The file.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A sweep does not fit the model.
    Model(String),
}

/// The result of every call of the lab that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A file that could not be read or written; `verb` is the action: `read`, `write`.
    pub(super) fn file(verb: &str, path: &std::path::Path, source: std::io::Error) -> Self {
        Error::File { action: format!("cannot {verb} {}", path.display()), source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::File { action, source } => write!(f, "{action}: {source}"),
            Error::Sweep { origin, line, path, reason } => {
                f.write_str(origin)?;
                if *line > 0 {
                    write!(f, ", line {line}")?;
                }
                if path.is_empty() { write!(f, ": {reason}") } else { write!(f, ": {path} {reason}") }
            }
            Error::Results { origin, reason } => write!(f, "{origin}: {reason}"),
            Error::Model(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::File { source, .. } => Some(source),
            _ => None,
        }
    }
}
