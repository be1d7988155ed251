//! The lab: many runs of a decoder beside each other, and what sets them apart.
//!
//! A client of the public API. Its parts take plain data, so that a host with a model of its own can use each alone:
//!
//! ```text
//! sweep file -> Sweep -> Run -> (a model and a decoder) -> RunRecord -> Results (JSON lines) -> Summary
//! rows and targets -> RowDiagnosis -> Assessment, Reliability
//! ```
//!
//! [The page on the lab](crate::docs::lab) has the file format and what each number means.

pub mod assessment;
pub mod calibration;
pub mod compare;
pub mod error;
mod parameters;
mod record;
mod results;
pub mod run;
mod sandbox_model;
pub mod summary;
mod summary_text;
pub mod sweep;
mod tree;

pub use assessment::Assessment;
pub use calibration::Reliability;
pub use error::{Error, Result};
pub use parameters::{Preset, allowed, in_force, in_words};
pub use record::{RunRecord, Steps, Termination};
pub use results::{Fingerprint, Results};
pub use run::Model;
pub use sandbox_model::{SandboxModel, SandboxText};
pub use summary::{Summary, summarise};
pub use summary_text::{to_json, write_text};
pub use sweep::{Ends, Input, ParameterSet, Prompt, Run, Sweep, TokenName};
