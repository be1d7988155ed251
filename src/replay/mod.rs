//! Recording a run and executing it again: a [`Recorder`] beside a decoder writes a trace, a [`Replay`] runs it and names the
//! first difference.
//!
//! Conductors as the decoder is, one step further right: they know the decoder, and it does not know them, so a step that
//! nobody records costs what it did.

#[cfg(feature = "std")]
mod file;
mod player;
mod recorder;

#[cfg(feature = "std")]
pub use file::TraceFile;
pub use player::{Difference, Digests, Replay};
pub use recorder::{Recorder, TraceParts};
