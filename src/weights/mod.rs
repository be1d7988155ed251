//! Weight files: NumPy archives and arrays, safetensors; every file is hostile until checked.

pub mod tensor;

pub use tensor::{ArrayView, Column, ColumnMatrix, ElementType, MAX_DIMENSIONS, Order, Shape, SparseHead};
