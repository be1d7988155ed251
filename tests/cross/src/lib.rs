//! The corpus, for programs of any target.
#![no_std]

pub mod corpus;
pub mod environment;
#[cfg(target_arch = "wasm32")]
mod wasm;
