//! The history engine against a naive one that looks at everything again.

mod cases;
mod law;
#[path = "../support/mod.rs"]
mod support;
