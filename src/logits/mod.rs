//! A row of logits after its first read: what every later stage may rely on.
//!
//! The first read keeps one maximum per block of 64 tokens. With them, the argmax, the runner-up and all thresholds need
//! only a few blocks more.

mod surface;

pub(crate) use surface::{Prepared, Surface, prepare};
