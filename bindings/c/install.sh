#!/usr/bin/env bash
# Builds the C libraries and puts them in place: bindings/c/install.sh PREFIX
#
#   PREFIX/include/argpick.h, argpick.hpp, argpick_beam.hpp, argpick_cuda.hpp, argpick_trace.hpp, argpick_values.hpp
#   PREFIX/lib/libargpick.a, libargpick.so -> libargpick.so.0 -> libargpick.so.VERSION
#   PREFIX/lib/pkgconfig/argpick.pc
#   PREFIX/lib/cmake/argpick/argpick-config.cmake, argpick-config-version.cmake
#   PREFIX/share/doc/argpick/LICENSE-*
#
# ARGPICK_FEATURES adds features of bindings/c: "cuda" builds the CUDA path, for which nvcc must be here (build.rs says where
# it is looked for). DESTDIR is put before PREFIX when files are copied, as packagers expect; LIBDIR (default: lib) is below PREFIX. Nothing is
# built in PREFIX, and a failed build leaves it alone.
set -euo pipefail

if [ $# -ne 1 ] || [ -z "$1" ] || [ "${1#-}" != "$1" ]; then
    echo "usage: $0 PREFIX" >&2
    exit 2
fi
case $1 in
    /*) prefix=$1 ;;
    *) prefix=$PWD/$1 ;;
esac
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/bindings/c
libdir=${LIBDIR:-lib}
target=${CARGO_TARGET_DIR:-$root/target}

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
abi=$(sed -n 's/^#define ARGPICK_ABI_VERSION \([0-9]*\)$/\1/p' "$root/include/argpick.h")
[ -n "$version" ] && [ -n "$abi" ] || { echo "install.sh: no version in Cargo.toml or argpick.h" >&2; exit 1; }

cd "$root"
# The libraries a static one needs beside itself are asked of the compiler, not guessed.
log=$(cargo rustc --locked --profile library --package argpick-c --features "std ${ARGPICK_FEATURES:-}" --target-dir "$target" \
    -- --print native-static-libs 2>&1) || { echo "$log" >&2; exit 1; }
needs=$(printf '%s\n' "$log" | sed -n 's/^note: native-static-libs: //p' | tail -n 1 | tr ' ' '\n' | awk 'NF && !seen[$0]++' | tr '\n' ' ')
# A build that was ready already says nothing; what it said the first time is kept beside it.
if [ -n "$needs" ]; then
    printf '%s\n' "$needs" >"$target/library/native-static-libs${ARGPICK_FEATURES:+-${ARGPICK_FEATURES// /-}}"
else
    needs=$(cat "$target/library/native-static-libs${ARGPICK_FEATURES:+-${ARGPICK_FEATURES// /-}}")
fi
needs=${needs% }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp "$target/library/libargpick.a" "$target/library/libargpick.so" "$scratch"
${STRIP:-strip} --strip-debug "$scratch/libargpick.a"
${STRIP:-strip} --strip-unneeded "$scratch/libargpick.so"

substitute() {
    sed -e "s|@PREFIX@|$prefix|g" -e "s|@LIBDIR@|$libdir|g" -e "s|@VERSION@|$version|g" -e "s|@ABI@|$abi|g" \
        -e "s|@NEEDS@|$needs|g" "$1" >"$2"
}
substitute "$here/argpick.pc.in" "$scratch/argpick.pc"
substitute "$here/cmake/argpick-config.cmake.in" "$scratch/argpick-config.cmake"
substitute "$here/cmake/argpick-config-version.cmake.in" "$scratch/argpick-config-version.cmake"

to=${DESTDIR:-}$prefix
install -d "$to/include" "$to/$libdir/pkgconfig" "$to/$libdir/cmake/argpick" "$to/share/doc/argpick"
install -m 644 "$root/include/argpick.h" "$root/bindings/cpp"/argpick{,_beam,_cuda,_trace,_values}.hpp "$to/include"
install -m 644 "$scratch/libargpick.a" "$to/$libdir"
install -m 755 "$scratch/libargpick.so" "$to/$libdir/libargpick.so.$version"
ln -sf "libargpick.so.$version" "$to/$libdir/libargpick.so.$abi"
ln -sf "libargpick.so.$abi" "$to/$libdir/libargpick.so"
install -m 644 "$scratch/argpick.pc" "$to/$libdir/pkgconfig"
install -m 644 "$scratch/argpick-config.cmake" "$scratch/argpick-config-version.cmake" "$to/$libdir/cmake/argpick"
for licence in "$root"/LICENSE*; do
    [ ! -e "$licence" ] || install -m 644 "$licence" "$to/share/doc/argpick"
done

size() { stat -c %s "$1" 2>/dev/null || stat -f %z "$1"; }
echo "argpick $version is in $to"
echo "libargpick.so.$version: $(size "$scratch/libargpick.so") bytes stripped"
echo "libargpick.a: $(size "$scratch/libargpick.a") bytes without debug information"
