//! What the linker must know of libargpick.so: its SONAME, whose number is ARGPICK_ABI_VERSION, and the names it exports.
use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=argpick.map");
    let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux" | "android" | "freebsd") => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libargpick.so.0");
            println!("cargo::rustc-cdylib-link-arg=-Wl,--version-script={folder}/argpick.map");
        }
        Ok("macos") => println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libargpick.0.dylib"),
        _ => {}
    }
}
