//! argpick: an embeddable token decoder. Logits in, token out.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![deny(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod error;
pub mod numeric;
pub mod rng;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod types;
pub mod weights;

#[doc(hidden)]
pub mod kernels;

pub mod logits;

mod constrain;
mod distribution;
mod selection;
mod trace;

mod plan;

mod decoder;

#[cfg(feature = "capi")]
pub mod capi;

pub use decoder::{
    Candidate, Decoder, Diagnosis, DiagnosisLimits, Memory, RowDiagnosis, RowScore, Verdict, decode_batch, score,
    softmax,
};
pub use error::{Error, Result};
pub use kernels::{Kernels, Level};
pub use plan::{Config, Metrics, Mode};
pub use trace::{Finish, Pick};
pub use types::{BLOCK, Dtype, MAX_VOCAB, Row, TokenId};
