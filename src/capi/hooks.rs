//! For the tests of the panic boundary: a call that breaks inside. Only with the feature `capi-test-hooks`.

use super::decoder::{argpick_decoder, enter};
use super::guard::call;
use super::status::argpick_status;
use super::weights::{argpick_weights, enter_shared};

/// Panics inside a decoder, or inside weights if the decoder is NULL.
///
/// # Safety
/// - decoder and weights are NULL or live handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_test_panic(
    decoder: *mut argpick_decoder,
    weights: *const argpick_weights,
) -> argpick_status {
    call("argpick_test_panic", || {
        // SAFETY: the caller's part is the same.
        unsafe {
            if decoder.is_null() {
                return enter_shared(weights, |_| panic!("on purpose"));
            }
            enter(decoder, |_| panic!("on purpose"))
        }
    })
}
