//! argpick: an embeddable token decoder. Logits in, token out.
//!
//! A host hands a row of logits to a [`Decoder`], which applies biases and masks, temperature and truncation, picks a token
//! (greedy or drawn) and says how sure the row was. The same input gives the same bits on every kernel level; bad input is
//! an [`Error`] that changes nothing; a step allocates nothing and costs about one read of the row.
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use argpick::{Config, Decoder, Metrics};
//!
//! let config = Config { temperature: 0.7, top_p: 0.9, seed: 1, metrics: Metrics::CONFIDENCE, ..Config::default() };
//! let mut decoder = Decoder::new(&config, 5)?;
//! let pick = decoder.decode(&[2.0, -1.0, 4.0, 3.5, f32::NEG_INFINITY], None)?;
//! assert!(pick.token == 2 || pick.token == 3);
//! assert_eq!((pick.argmax, pick.margin), (2, 0.5));
//! # }
//! # Ok::<(), argpick::Error>(())
//! ```
//!
//! # The map
//!
//! The source lies in the order in which the data flows. A room knows only what is above it; a test keeps it so.
//!
//! | room | what it holds |
//! |---|---|
//! | [`types`], [`error`] | token ids and rows; the one error enum |
//! | [`numeric`], [`rng`] | the rules of the numbers: weights, masses, order; counter-based random numbers |
//! | `kernels` | algorithms on sixteen lanes, written once, compiled for each [`Level`], chosen at run time ([`Kernels`]) |
//! | `plan` | [`Config`], [`Mode`], [`Metrics`], and what a decoder compiles from them |
//! | [`weights`] | weight files: `.npz`, `.npy`, `.safetensors`, read where they lie |
//! | [`logits`] | the sparse head and its training; the first read of a row |
//! | `history` | the tokens so far: counts, repetitions, loops, stops, with undo |
//! | `constrain` | penalties, biases, bans, end tokens, bitmask: what adjusts single logits |
//! | `distribution` | temperature, top-k, top-p, min-p |
//! | `selection` | the two draws |
//! | `trace` | [`Pick`]: the token and the numbers about it; [`Trace`]: the bytes of a recorded run |
//! | `decoder` | [`Decoder`], [`decode_batch`], [`softmax`], [`score`]: the conductors |
//! | `beam` | [`BeamSearch`]: several sequences side by side |
//! | `speculative` | [`verify`]: drafted tokens against the target's rows |
//! | `replay` | [`Recorder`], [`Replay`]: a run written down, and executed again |
//! | `cuda` | with its feature: the same decode on the GPU that holds the logits |
//! | `capi` | with its feature: the C ABI, at the rim |
//! | `sandbox` | with its feature: a small n-gram model, its rules of text, its trainer; a client of all the above |
//! | `lab` | with its feature: sweeps of prompts and parameter sets, their results, calibration; a client as well |
//!
//! Longer pages: [the rules of the numbers](docs::numerics), [every parameter](docs::parameters), [the order of a
//! step](docs::order), [profiles](docs::profiles), [the history](docs::history), [beam search](docs::beam), [speculative
//! decoding](docs::speculative), [traces and what each filter leaves](docs::replay), [the lab](docs::lab).
//!
//! # Features
//!
//! | feature | adds | costs |
//! |---|---|---|
//! | none | the decoder in memory of the caller, parsers of weight files over bytes | nothing: no std, no heap |
//! | `alloc` | `Decoder::new`, text arrays of weight files | a heap |
//! | `std` (default) | weight files by path, writers, `ARGPICK_KERNEL` | memmap2, libc, crc32fast |
//! | `sandbox` | the n-gram model, its trainer, the default model | sha2; 0.4 MB if the default model is used |
//! | `lab` | sweep files, their runs, results and comparison; calibration | `sandbox`, serde_json, yaml-rust2 |
//! | `cli` | the tool `argpick` | `lab`, `parallel`, clap, ctrlc, indicatif, plotters |
//! | `parallel` | `decode_batch_parallel`: a batch on several threads | rayon |
//! | `capi` | the C ABI (`include/argpick.h`); the libraries come from `bindings/c` | exported symbols in whatever links it |
//! | `cuda` | the module `cuda`: batches on the GPU that holds the logits | nvcc to build, a driver to run |
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![deny(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

/// The examples of README.md are compiled and run as tests.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
pub struct Readme;

pub mod error;
pub mod numeric;
pub mod rng;
pub mod types;

#[doc(hidden)]
pub mod kernels;

mod plan;

pub mod weights;

pub mod logits;

mod history;

mod constrain;

mod distribution;

mod selection;

mod trace;

mod decoder;

mod beam;

mod speculative;

mod replay;

#[cfg(feature = "cuda")]
pub mod cuda;

#[cfg(feature = "capi")]
pub mod capi;

#[cfg(feature = "sandbox")]
pub mod sandbox;

#[cfg(feature = "lab")]
pub mod lab;

pub mod docs;

pub use beam::{BeamConfig, BeamSearch, BeamStep, Continuation, EarlyStopping, Hypothesis};
#[cfg(feature = "parallel")]
pub use decoder::decode_batch_parallel;
pub use decoder::{
    Candidate, Decoder, Diagnosis, DiagnosisLimits, Memory, RowDiagnosis, RowScore, StageReport, Verdict, decode_batch,
    score, softmax, sweep_words,
};
pub use error::{Error, Result};
pub use history::TextMatch;
pub use kernels::{Kernels, Level};
pub use plan::{Config, Metrics, Mirostat, Mode, PenaltyScope, Profile};
#[cfg(feature = "std")]
pub use replay::TraceFile;
pub use replay::{Difference, Digests, Recorder, Replay, TraceParts};
pub use speculative::{Acceptance, DraftModel, Drafts, MAX_DRAFT, MAX_SIBLINGS, ROOT, Verified, verify};
pub use trace::{
    Biases, Columns, FieldDifference, FieldValue, Finish, MaskWords, Pick, Record, Records, StepRecord, Tokens, Trace,
    TraceBuffer, TraceSink,
};
pub use types::{BLOCK, Dtype, MAX_VOCAB, Row, TokenId};
