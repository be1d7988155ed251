//! Kernels: slices in, numbers out. They know nothing of stages, configurations or decoders.
//!
//! Each algorithm is written once in `generic`, over the sixteen-lane machine of `lanes`; a file in `isa` says how sixteen
//! lanes compute on one instruction set; `dispatch` compiles the algorithms for each set and chooses at run time. All
//! levels give the same bits, because every operation is an exactly rounded IEEE operation in the same order.
//!
//! Adding a kernel touches three places: its file in `generic`, the list in `dispatch`, `tests/differential.rs`.
//! Adding an instruction set touches `isa` and `dispatch` only.

#[allow(unsafe_code)]
pub(crate) mod dispatch;
pub mod generic;
#[allow(unsafe_code)]
pub(crate) mod isa;
pub mod lanes;

pub use dispatch::{Kernels, Level};
pub use generic::{
    Band, Bracket, COLUMN_TILE, Collected, ColumnSum, ColumnType, Cut, Distances, FirstPass, Kept, Moments, Override,
    Rewrite, Rings, RowView, Scale, Source, Span, Sums, distance_key, moments_of_tokens, sums_of_tokens, total,
};
pub use isa::environment::with_default_environment;
