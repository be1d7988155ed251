//! Speculative verification: against an oracle of integers, against the distributions it claims to keep, against plain
//! decoding, and against bad input.

#[path = "../support/mod.rs"]
mod support;

mod bits;
mod laws;
mod oracle;
mod refusals;
mod statistics;
mod worlds;
