//! One file per instruction set: how sixteen lanes add, compare and load there. Apart from `dispatch` and the mapping of
//! files, this is the only room with `unsafe`.

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
pub mod environment;
pub mod portable;
pub mod scalar;
#[cfg(target_arch = "x86_64")]
pub mod x86;
