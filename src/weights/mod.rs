//! Weight files: NumPy archives and arrays, safetensors; every file is hostile until checked.

pub mod archive;
pub mod npy;
pub mod npz;
mod read;
pub mod safetensors;
pub mod tensor;

pub use archive::{Archive, Entry, Format};
pub use tensor::{ArrayView, Column, ColumnMatrix, ElementType, MAX_DIMENSIONS, Order, Shape, SparseHead};
