//! Hostile files by chance, and every byte changed: none may panic.

use crate::attacks::{exercise, good, head, tensors_head};
use crate::laws;
use proptest::prelude::*;

proptest! {
    #![proptest_config(laws::config(400))]

    #[test]
    fn random_changes_never_panic(
        which in 0..3_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = vec![head(), tensors_head(), good()].swap_remove(which);
        for (place, value) in changes {
            let place = place.index(file.len());
            file[place] = value;
        }
        exercise(&file);
    }

    #[test]
    fn random_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..200), which in 0..4_usize) {
        let start: &[u8] = [&b"PK\x03\x04"[..], b"\x93NUMPY\x01\x00", b"\x10\0\0\0\0\0\0\0{\"", b""][which];
        exercise(&[start, &tail].concat());
    }

    #[test]
    fn random_cuts_and_repeats_never_panic(which in 0..3_usize, from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let file = vec![head(), tensors_head(), good()].swap_remove(which);
        let (from, to) = (from.index(file.len()), to.index(file.len()));
        exercise(&[&file[..from], &file[to..]].concat());
    }
}

#[test]
fn every_byte_changed_to_every_extreme() {
    for file in [head(), tensors_head(), good()] {
        for place in 0..file.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, file[place] ^ 1] {
                let mut changed = file.clone();
                changed[place] = value;
                exercise(&changed);
            }
        }
    }
}
