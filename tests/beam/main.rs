//! Beam search against its judge, against its laws, and against transformers.

mod golden;
mod laws;
mod oracle;
mod oracle_runs;
mod refusals;
mod tables;
