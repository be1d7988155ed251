//! Why the sandbox refused something. One line of text each, naming what, where and the bad value.

use std::fmt;

/// An error of the decoder sandbox.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    File {
        /// What was tried, and on which path: `cannot read contexts.json`.
        action: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file was read, but its content is not what it should be.
    Content {
        /// What was read: a path, or `the embedded default model`.
        origin: String,
        /// What is wrong with it, with the name of the array and the values found and needed.
        reason: String,
    },
    /// An option is outside its range.
    Option {
        /// The option's name.
        name: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// The decoder refused a step.
    Decode(crate::Error),
}

/// The result of every sandbox call that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Content that is not what it should be.
    pub fn content(origin: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::Content { origin: origin.into(), reason: reason.into() }
    }

    /// A file that could not be read or written; `verb` is the action: `read`, `write`.
    pub fn file(verb: &str, path: &std::path::Path, source: std::io::Error) -> Self {
        Error::File { action: format!("cannot {verb} {}", path.display()), source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::File { action, source } => write!(f, "{action}: {source}"),
            Error::Content { origin, reason } => write!(f, "{origin}: {reason}"),
            Error::Option { name, reason } => write!(f, "{name}: {reason}"),
            Error::Decode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::File { source, .. } => Some(source),
            Error::Decode(error) => Some(error),
            _ => None,
        }
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        Error::Decode(error)
    }
}
