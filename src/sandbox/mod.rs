//! The decoder sandbox: a small additive n-gram model and the rules of a text game around the core decoder.
//!
//! A client of the public API, as a host would be: it makes rows of logits and bitmasks, the core picks and measures.
//!
//! ```text
//! text -> tokens (text) -> three columns (features) -> logits (model) -> bitmask (rules) -> Decoder
//!      -> steps (session) -> files (trace), findings (patterns)
//! ```

pub mod beams;
pub mod contexts;
pub mod corpus;
pub mod default;
pub mod error;
pub mod features;
pub mod lists;
pub mod model;
pub mod patterns;
pub mod rules;
pub mod session;
pub mod text;
pub mod trace;
pub mod train;
mod trainer;

pub use default::default_model;
pub use error::{Error, Result};
pub use model::Model;
