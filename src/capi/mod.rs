//! The C ABI: everything the core can do, behind `include/argpick.h`.
//!
//! One file per C type, and four of plumbing: `guard` (every call runs in it), `fault` (what can be refused at the
//! border), `last_error` (the text of it), `abi` (versions, struct sizes). The rules, in one page:
//!
//! - Every function is `unsafe extern "C"`, takes raw pointers and returns a status, unless it cannot fail. NULL, a
//!   misaligned pointer, an impossible count and a struct of another release are statuses, not crashes.
//! - Outputs are written on success only, after everything that can fail.
//! - Nothing unwinds across the border: a panic becomes `ARGPICK_ERR_PANIC`, and the handle it happened in answers
//!   `ARGPICK_ERR_POISONED` from then on. (Without `std` a panic ends the program, by the panic handler of the library.)
//! - A handle has a gate: a second thread that comes while a call is running gets `ARGPICK_ERR_BUSY` and changes nothing.
//! - A failure allocates nothing: its text goes to a fixed buffer.
//!
//! The doc comments here are the header's, so they speak to C programmers; "# Safety" lists what no library can check.
//! Adding a function touches its file here, `include/argpick.symbols`, the header (`UPDATE=1 cargo test --test header`)
//! and one C program in `tests/capi`.
#![allow(unsafe_code, non_camel_case_types)]
#![allow(rustdoc::broken_intra_doc_links, reason = "`logits[i]` in these comments is C")]

pub mod abi;
pub mod batch;
pub mod beam;
pub mod beam_step;
pub mod config;
pub mod cuda;
#[cfg(feature = "cuda")]
mod cuda_host;
pub mod decoder;
pub mod explain;
mod fault;
mod guard;
#[cfg(feature = "capi-test-hooks")]
pub mod hooks;
pub mod kernels;
pub mod last_error;
pub mod lists;
pub mod logits;
mod memory;
pub mod pick;
pub mod query;
#[cfg(feature = "alloc")]
pub mod replay;
pub mod saved;
pub mod score;
pub mod speculative;
pub mod status;
pub mod step;
mod sweep;
#[cfg(feature = "alloc")]
pub mod trace;
#[cfg(feature = "alloc")]
pub mod trace_step;
pub mod weights;
