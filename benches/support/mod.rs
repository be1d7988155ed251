//! What is measured, and how: shared by the benchmarks and by `argpick bench`, so that both print the same figures.
//!
//! A *stage* is one way to use the library (greedy, a chain of filters, ...); a *subject* is a stage on a row, at a kernel
//! level. Wall-clock time is noisy, so no figure stands alone: in every round the bare reading of the same memory (the
//! *floor*) is timed right before the stage, and the ratio of the two is what can be compared between machines. A subject
//! whose result is not that of the scalar level, bit for bit, is not timed at all.

pub mod beams;
pub mod burden;
pub mod curves;
pub mod draws;
pub mod head;
pub mod machine;
pub mod measure;
pub mod reader;
pub mod rows;
pub mod stages;
pub mod subject;
pub mod table;
