//! What is done to the row before anything is cut: history → biases → masks.
//!
//! Nothing is written into the row. Adjusted tokens become a sorted list of overrides, which every kernel lays over the
//! blocks it reads; the bitmask is applied by the kernels themselves.

pub(crate) mod adjust;
pub(crate) mod rules;

pub(crate) use adjust::{Adjustments, adjust, first_invalid};
pub(crate) use rules::{EndRule, Rules};
