//! Weight files: named attacks, round trips, files of other programs, memory.
#![cfg(feature = "std")]

mod attacks;
mod changes;
mod files;
#[path = "../support/laws.rs"]
mod laws;
mod round_trip;
mod support;
