//! Rows of logits: where they come from, and what every later stage may rely on after the first read.
//!
//! A row is the caller's, or the sparse head makes it ([`project`]): `z = b + sum_j a_j W[:, c_j]`.
//!
//! The first read keeps one maximum per block of 64 tokens. With them, the argmax, the runner-up and all thresholds need
//! only a few blocks more.

mod project;
mod surface;
pub mod train;

pub(crate) use project::column_sum;
pub use project::project;

pub(crate) use surface::{Surface, prepare};
