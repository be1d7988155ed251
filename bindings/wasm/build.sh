#!/usr/bin/env bash
# Builds argpick.wasm (simd128) and argpick-scalar.wasm from the C library without std, with those functions that the files
# beside this call and no others, and prints their sizes. It needs wasm-ld (of lld or of Rust) and either Rust with the target
# wasm32-unknown-unknown (`rustup target add`) or, on Debian, Debian's own Rust, which is downloaded and unpacked.
# Exit code 3: the tools cannot be had here (it says why).
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
source "$root/tests/cross/tools.sh"
unset RUSTFLAGS
target=${CARGO_TARGET_DIR:-$root/target}/wasm
triple=wasm32-unknown-unknown

# The linker.
install_missing wasm-ld-22=lld-22
linker=
for candidate in wasm-ld-22 wasm-ld "$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/gcc-ld/wasm-ld"; do
    command -v "$candidate" >/dev/null && linker=$candidate && break
done
[ -n "$linker" ] || { echo "skipped: WebAssembly (no wasm-ld; its Debian package: lld-22)"; exit 3; }

# Rust: the one in use if it knows the target, else Debian's with a core library built here.
options=()
if [ -n "$(ls "$(rustc --print target-libdir --target $triple)" 2>/dev/null)" ]; then
    echo "with $(rustc --version)"
elif get_rust && fetch_core $triple; then
    export RUSTC=$rustc RUSTC_BOOTSTRAP=1 CARGO_NET_OFFLINE=true
    options=(-Zbuild-std=core)
    echo "with Debian's $("$rustc" --version)"
else
    echo "skipped: WebAssembly (Rust has not the target $triple, and Debian's cannot be downloaded)"
    exit 3
fi

exports=$(cat argpick.js library.js decoder.js beam.js values.js | grep -oE '\bargpick_[a-z0-9_]+' | sort -u | sed 's/^/--export=/')
build() {
    local file=$1 features=$2
    RUSTFLAGS="-Ctarget-feature=$features" cargo rustc --quiet --locked --profile freestanding \
        --target-dir "$target/$file" --manifest-path "$root/Cargo.toml" -p argpick-c --no-default-features \
        --features freestanding --lib --crate-type staticlib --target $triple "${options[@]}"
    "$linker" --no-entry --gc-sections --strip-all --stack-first -z stack-size=262144 --fatal-warnings \
        $exports --export=__heap_base "$target/$file/$triple/freestanding/libargpick.a" -o "$file.wasm"
    echo "$file.wasm: $(stat -c %s "$file.wasm") bytes, $(gzip -9c "$file.wasm" | wc -c) compressed"
}
build argpick +simd128
build argpick-scalar -simd128
