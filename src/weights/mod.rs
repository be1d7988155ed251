//! Weight files: NumPy archives (`.npz`) and arrays (`.npy`), and `.safetensors`.
//!
//! ```text
//! bytes (mapped, copied, in flash) -> Archive: structure checked -> ArrayView: element type, shape, bytes
//!                                                                -> HeadSource: W and b fit each other -> SparseHead
//! ```
//! Every file is hostile until checked: headers are bounded, all arithmetic is checked, every range lies in the file
//! and meets no other, dtype and shape account for every byte, nothing is unpickled. A refusal names the array, the
//! place and the bad value. The parsers need neither `std` nor a heap; with `std` come the mapping (`Weights`,
//! `map`), the writers (`write`) and `pack`, which rewrites a file so that it needs no copy.
//!
//! | | in place | otherwise |
//! |---|---|---|
//! | `.npz`, `.npy` | stored members; `W` column-major, or `W.T` row-major | row-major `W` is transposed once into memory; compressed or pickled members are refused by name |
//! | `.safetensors` | `W.T`, shape (features, vocabulary) | `W` is row-major by definition, transposed once |
//!
//! f64, f32, f16 and bf16 weights, little-endian, at any alignment. NumPy has no bfloat16: `.npz` holds it as `V2`, as
//! the `ml_dtypes` package saves it.

pub mod archive;
#[cfg(feature = "std")]
mod convert;
pub mod head;
#[cfg(feature = "std")]
pub mod map;
pub mod npy;
pub mod npz;
#[cfg(feature = "std")]
mod open;
#[cfg(feature = "std")]
pub mod pack;
#[cfg(feature = "std")]
mod pending;
mod read;
pub mod safetensors;
pub mod tensor;
#[cfg(feature = "alloc")]
mod values;
#[cfg(feature = "std")]
pub mod write;

pub use archive::{Archive, Entry, Format};
pub use head::HeadSource;
#[cfg(feature = "std")]
pub use open::{Open, Weights};
#[cfg(feature = "std")]
pub use pending::PendingFile;
pub use read::{MAX_ARRAYS, MAX_NAME};
pub use tensor::{ArrayView, Column, ColumnMatrix, ElementType, MAX_DIMENSIONS, Order, Shape, SparseHead};
