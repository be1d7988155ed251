//! The decoder sandbox: a small additive n-gram model and the rules of a text game around the core decoder.
//!
//! A client of the public API, as a host would be: it makes rows of logits and bitmasks, the core picks and measures.
//!
//! ```text
//! text -> tokens (text) -> three columns (features) -> logits (model) -> bitmask (rules) -> Decoder -> trace
//! ```

pub mod error;
pub mod corpus;
pub mod features;
pub mod text;
pub mod train;

pub use error::{Error, Result};
