//! Versions, and structs that grow: which sizes have been released, and how one of an older release is read.
//!
//! A growing struct begins with `struct_size`, has no padding and only ever gets longer. A host compiled against an older
//! header passes a shorter struct: what it lacks reads as its default, and what it has no room for is not written. A
//! longer one is of a later release, whose new fields this library would silently ignore, so it is refused.

use super::fault::Fault;
use super::guard::readable;

/// The first number of the version of this header, to be compared with argpick_version.
pub const ARGPICK_VERSION_MAJOR: u32 = 0;
/// The second number of the version of this header.
pub const ARGPICK_VERSION_MINOR: u32 = 1;
/// The third number of the version of this header.
pub const ARGPICK_VERSION_PATCH: u32 = 0;
/// The ABI this header describes. A library with another one must not be used with it; it has another SONAME, too.
pub const ARGPICK_ABI_VERSION: u32 = 0;
/// The numerics this header was released with: the tokens of a seed are the same as long as this number is.
pub const ARGPICK_NUMERICS_VERSION: u32 = 0;
/// Memory for argpick_decoder_init and argpick_weights_init is aligned to this many bytes.
pub const ARGPICK_MEMORY_ALIGNMENT: u32 = 16;

/// The ABI of the library in use; compare it with ARGPICK_ABI_VERSION after loading one at run time.
#[unsafe(no_mangle)]
pub extern "C" fn argpick_abi_version() -> u32 {
    ARGPICK_ABI_VERSION
}

/// The numerics of the library in use. Two libraries with the same number pick the same tokens for the same seed.
#[unsafe(no_mangle)]
pub extern "C" fn argpick_numerics_version() -> u32 {
    ARGPICK_NUMERICS_VERSION
}

/// The version of the library in use: major * 65536 + minor * 256 + patch, as ARGPICK_VERSION is of the header.
#[unsafe(no_mangle)]
pub extern "C" fn argpick_version() -> u32 {
    ARGPICK_VERSION_MAJOR << 16 | ARGPICK_VERSION_MINOR << 8 | ARGPICK_VERSION_PATCH
}

/// A struct that begins with `struct_size` and grows at its end.
///
/// # Safety
/// - `repr(C)`, without padding, its first field a `u32`, and any bytes are a value of it.
pub(super) unsafe trait Growing: Copy {
    /// Its name in messages.
    const NAME: &'static str;
    /// Every size that was ever released, the first one first; the last is today's.
    const RELEASED: &'static [u32];
    /// What fields are that an older struct lacks.
    const DEFAULT: Self;
}

/// Refuses a size that no release had.
pub(super) fn check_size<T: Growing>(given: u32) -> Result<(), Fault> {
    if T::RELEASED.contains(&given) {
        return Ok(());
    }
    Err(Fault::StructSize { what: T::NAME, given, known: size_of::<T>() as u32 })
}

/// The `struct_size` of a struct of the caller's, checked.
///
/// # Safety
/// `pointer`, unless NULL or misaligned, points to a struct whose first field can be read.
pub(super) unsafe fn size_of_given<T: Growing>(pointer: *const T) -> Result<u32, Fault> {
    readable(pointer, T::NAME)?;
    // SAFETY: not NULL and aligned; the first field of a growing struct is its size.
    let size = unsafe { pointer.cast::<u32>().read() };
    check_size::<T>(size)?;
    Ok(size)
}

/// Reads a struct of this or an older release.
///
/// # Safety
/// `pointer`, unless NULL or misaligned, points to a struct that is as long as its first field says.
pub(super) unsafe fn read<T: Growing>(pointer: *const T) -> Result<T, Fault> {
    // SAFETY: the caller's part is the same.
    let size = unsafe { size_of_given(pointer) }? as usize;
    let mut value = T::DEFAULT;
    // SAFETY: the size is a released one, so at most that of T; the source is that long by the caller's word, and any
    // bytes are a T.
    unsafe { core::ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut value).cast::<u8>(), size) };
    Ok(value)
}

/// Writes a struct of `size` bytes, which `size_of_given` or `check_size` has accepted; the size itself is set to that.
///
/// # Safety
/// `pointer` points to `size` bytes that can be written, aligned for T.
pub(super) unsafe fn write<T: Growing>(pointer: *mut T, size: u32, value: &T) {
    debug_assert!(T::RELEASED.contains(&size), "{size} is no size of {}", T::NAME);
    // SAFETY: the size is at most that of T, and the target is that long by the caller's word.
    unsafe {
        core::ptr::copy_nonoverlapping((&raw const *value).cast::<u8>(), pointer.cast::<u8>(), size as usize);
        pointer.cast::<u32>().write(size);
    }
}

/// Fails to compile unless the struct's size is the last released one, all sizes ascend by multiples of 8, and the fields
/// follow each other without a gap.
macro_rules! assert_layout {
    ($type:ident { $($field:ident: $size:expr),* $(,)? }) => {
        const _: () = {
            let mut end = 0;
            $(
                assert!(core::mem::offset_of!($type, $field) == end, "a gap before a field");
                end += $size;
            )*
            assert!(size_of::<$type>() == end, "padding at the end");
            let released = <$type as $crate::capi::abi::Growing>::RELEASED;
            let mut i = 0;
            while i < released.len() {
                assert!(released[i].is_multiple_of(8) && (i == 0 || released[i] > released[i - 1]), "sizes do not grow by 8s");
                i += 1;
            }
            assert!(released[released.len() - 1] as usize == end, "a size that was not released");
        };
    };
}
pub(super) use assert_layout;

const _: () = assert!(ARGPICK_NUMERICS_VERSION == crate::numeric::NUMERICS_VERSION);

// The version stands in one place, Cargo.toml; these are its parts.
const _: () = {
    const fn number(text: &str) -> u32 {
        let (bytes, mut value, mut i) = (text.as_bytes(), 0, 0);
        while i < bytes.len() {
            value = 10 * value + (bytes[i] - b'0') as u32;
            i += 1;
        }
        value
    }
    assert!(ARGPICK_VERSION_MAJOR == number(env!("CARGO_PKG_VERSION_MAJOR")));
    assert!(ARGPICK_VERSION_MINOR == number(env!("CARGO_PKG_VERSION_MINOR")));
    assert!(ARGPICK_VERSION_PATCH == number(env!("CARGO_PKG_VERSION_PATCH")));
};

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Sample {
        struct_size: u32,
        first: u32,
        second: u64,
    }

    // SAFETY: repr(C), 4 + 4 + 8 bytes, integers only.
    unsafe impl Growing for Sample {
        const NAME: &'static str = "sample";
        const RELEASED: &'static [u32] = &[8, 16];
        const DEFAULT: Self = Sample { struct_size: 16, first: 1, second: 2 };
    }
    assert_layout!(Sample { struct_size: 4, first: 4, second: 8 });

    #[test]
    fn an_older_struct_is_read_with_defaults_and_written_no_further_than_it_reaches() {
        let mut given = Sample { struct_size: 8, first: 7, second: 9 };
        // SAFETY: `given` is a Sample.
        let read = unsafe { read(&raw const given) }.ok().unwrap();
        assert_eq!(read, Sample { struct_size: 8, first: 7, second: 2 });
        // SAFETY: `given` has 8 bytes and more.
        unsafe { write(&raw mut given, 8, &Sample { struct_size: 16, first: 3, second: 4 }) };
        assert_eq!(given, Sample { struct_size: 8, first: 3, second: 9 });
        for size in [0, 4, 12, 24, u32::MAX] {
            given.struct_size = size;
            // SAFETY: the size is read first, and nothing else if it is refused.
            let refused = unsafe { super::read(&raw const given) };
            assert!(matches!(refused, Err(Fault::StructSize { given, known: 16, .. }) if given == size));
        }
    }
}
