//! argpick: an embeddable token decoder. Logits in, token out.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![deny(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod error;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod types;
pub mod weights;

pub use error::{Error, Result};
pub use types::{BLOCK, Dtype, MAX_VOCAB, Row, TokenId};
