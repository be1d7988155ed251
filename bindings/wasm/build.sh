#!/usr/bin/env bash
# Builds argpick.wasm (simd128) and argpick-scalar.wasm from the C library without std, with those functions that the files
# beside this call and no others, and prints their sizes. `build.sh --report` also puts a new module for the pages of `argpick
# report` in its place (report-module.mjs says when that is due). It needs wasm-ld (of lld or of Rust) and either Rust with the target
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

exports() {
    cat "$@" | grep -oE '\bargpick_[a-z0-9_]+' | sort -u
}
# Links a module with these functions: link ARCHIVE FILE FUNCTION ...
link() {
    local archive=$1 file=$2
    shift 2
    "$linker" --no-entry --gc-sections --strip-all --stack-first -z stack-size=262144 --fatal-warnings \
        "${@/#/--export=}" --export=__heap_base "$archive" -o "$file"
    echo "$(basename "$file"): $(stat -c %s "$file") bytes, $(gzip -9c "$file" | wc -c) compressed"
}
build() {
    local file=$1 features=$2
    RUSTFLAGS="-Ctarget-feature=$features" cargo rustc --quiet --locked --profile freestanding \
        --target-dir "$target/$file" --manifest-path "$root/Cargo.toml" -p argpick-c --no-default-features \
        --features freestanding --lib --crate-type staticlib --target $triple "${options[@]}"
    link "$target/$file/$triple/freestanding/libargpick.a" "$file.wasm" \
        $(exports argpick.js values.js library.js decoder.js beam.js)
}
build argpick +simd128
build argpick-scalar -simd128

# The pages of the tool neither search, nor sweep, nor verify.
fresh=$target/argpick/report.wasm
link "$target/argpick/$triple/freestanding/libargpick.a" "$fresh" \
    $(exports values.js library.js decoder.js | grep -vE '^argpick_(sweep|verify)')
if command -v node >/dev/null; then
    node report-module.mjs --stamp "$fresh" "$("${RUSTC:-rustc}" --version)"
    [ "${1:-}" != --report ] || cp "$fresh" "$root/src/bin/argpick/report_page/page/argpick.wasm"
fi
