//! The lines of the freestanding program, from a build with std: on every kernel level they are those of
//! `bare_metal/expected.txt`, which `bare_metal/run` compares with what the freestanding program prints.
//!
//! After a change of the numeric rules: `UPDATE=1 cargo test --test bare_metal`.

#[path = "bare_metal/src/case.rs"]
mod case;

use argpick::{Kernels, Level};

#[test]
fn a_build_with_std_prints_the_lines_of_the_freestanding_program() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bare_metal/expected.txt");
    let mut storage = vec![0; case::STORAGE_WORDS];
    let mut lines_on = |level| {
        let mut lines = String::new();
        let kernels = Kernels::new(level).inspect_err(|error| println!("skipped: {error}")).ok()?;
        case::run(kernels, &mut storage, &mut lines).expect("the case decodes");
        Some(lines)
    };
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, lines_on(Level::Scalar).expect("the scalar level")).expect("expected.txt can be written");
    }
    let expected = std::fs::read_to_string(path).expect("expected.txt");
    assert!(expected.lines().count() >= 20, "expected.txt is incomplete");
    for level in Level::ALL {
        if let Some(lines) = lines_on(level) {
            for (ours, theirs) in lines.lines().zip(expected.lines()) {
                assert_eq!(ours, theirs, "level {level}");
            }
            assert_eq!(lines.lines().count(), expected.lines().count(), "level {level}");
        }
    }
}
