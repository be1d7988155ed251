//! Nothing to do yet: with the feature `cuda` this will compile `cuda/`; it never writes outside `OUT_DIR`.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
