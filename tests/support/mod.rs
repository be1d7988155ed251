//! The judges: independent implementations of the written rules, inputs to try them on, and reports of what differs.
//!
//! Nothing here shares code with `src/`; the library is only called through its public items. Each test binary uses
//! a part of this folder, hence the `dead_code` allowance.
#![allow(dead_code)]

pub mod exact;
pub mod filters;
pub mod generators;
pub mod history_oracle;
pub mod laws;
pub mod oracle;
pub mod report;
