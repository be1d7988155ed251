//! Weight files: named attacks, round trips, files of other programs, memory.
#![cfg(feature = "std")]

mod attacks;
mod files;
mod round_trip;
mod support;
