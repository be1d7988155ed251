//! Longer pages: the rules of the numbers, every parameter, the order of a step, the history, beam search, speculative
//! decoding, how far logits may move, traces, the lab.

#[doc = include_str!("numerics.md")]
pub mod numerics {}

#[doc = include_str!("parameters.md")]
pub mod parameters {}

#[doc = include_str!("profiles.md")]
pub mod profiles {}

#[doc = include_str!("order.md")]
pub mod order {}

#[doc = include_str!("history.md")]
pub mod history {}

#[doc = include_str!("beam.md")]
pub mod beam {}

#[doc = include_str!("speculative.md")]
pub mod speculative {}

#[doc = include_str!("flips.md")]
pub mod flips {}

#[doc = include_str!("replay.md")]
pub mod replay {}

#[doc = include_str!("lab.md")]
pub mod lab {}
