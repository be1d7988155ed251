//! The algorithms, each written once over sixteen lanes, without `unsafe`.

// Lanes are kept in small arrays and walked by index: an iterator that holds vector registers compiles to closures without
// the level's instructions.
#![allow(clippy::needless_range_loop, reason = "see above")]

mod block;
mod collect;
mod columns;
mod mass;
mod maxima;
mod write;

pub use block::{Band, Override, RowView, Source};
pub use collect::{
    Bracket, Collected, Distances, Rings, Span, bracket_histogram, collect, distance_histogram, distance_key,
    nth_equal, nucleus_histogram, runner_up,
};
pub use columns::{COLUMN_TILE, ColumnSum, ColumnType, add_scaled, write_sum};
pub use mass::{
    Cut, Kept, Moments, Scale, Sums, block_bounds, block_masses, bounds_below, kept_and_total_mass, kept_bits,
    kept_count, kept_masses, list_masses, moments, moments_of_tokens, sums, sums_of_tokens, total,
};
pub use maxima::{
    FirstPass, block_maxima, block_maximum, bound_for_count, count_at_least, find_at_least, find_equal, fold_maxima,
    largest, largest_finite,
};
pub use write::{Rewrite, multiply, write_logits, write_weights};
