//! The C libraries of argpick, `libargpick.so` and `libargpick.a`; the functions themselves live in `argpick::capi`.
#![cfg_attr(all(feature = "freestanding", not(feature = "std")), no_std)]

// Named here, so that the functions become part of the libraries.
pub use argpick_core as core_library;

/// Where a panic ends in a program without a system: nothing can be told to anybody, and nothing may go on.
#[cfg(all(feature = "freestanding", not(feature = "std")))]
#[panic_handler]
fn stop(_: &core::panic::PanicInfo<'_>) -> ! {
    // There it is an exception of the host's.
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    loop {
        core::hint::spin_loop();
    }
}
