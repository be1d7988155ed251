//! What one step leaves behind: the pick and the numbers about it.

pub(crate) mod metrics;
mod pick;

pub use pick::{Finish, Pick};
