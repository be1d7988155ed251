//! The C libraries of argpick; the functions themselves live in `argpick::capi`.
pub use argpick;
