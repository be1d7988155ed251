#!/usr/bin/env bash
# Proves on demand that `cargo cinstall` installs the C libraries: bindings/c/check-cargo-c.sh [FOLDER]
#
# The pinned cargo-c is built into FOLDER (default: target/cargo-c), which takes 13 to 20 minutes of processor time the first time;
# therefore this is no part of .ci/run. Then it installs to an empty prefix, and a program is compiled by the pkg-config file
# and run. Ends with 1 if anything fails.
set -euo pipefail
# The one for cargo 1.95; another cargo needs another.
pinned=0.10.24+cargo-0.98.0

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
folder=${1:-$root/target/cargo-c}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset ARGPICK_KERNEL
fail() { echo "FAILED: $*"; exit 1; }

if ! "$folder/bin/cargo-cinstall" --version 2>/dev/null | grep -q "${pinned%%+*}"; then
    echo "building cargo-c $pinned in $folder"
    nice -n 19 cargo install --quiet --locked --root "$folder" --target-dir "$folder/target" --version "$pinned" cargo-c
fi
export PATH=$folder/bin:$PATH
"$folder/bin/cargo-cinstall" --version

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
abi=$(sed -n 's/^#define ARGPICK_ABI_VERSION \([0-9]*\)$/\1/p' "$root/include/argpick.h")
prefix=$scratch/prefix
(cd "$here" && cargo cinstall --locked --profile library --target-dir "$folder/target-argpick" --prefix "$prefix" --libdir lib)

echo "installed:"
(cd "$prefix" && find . -type f -o -type l | sort | sed 's/^/  /')
cmp "$prefix/include/argpick.h" "$root/include/argpick.h" || fail "another header"
library=$prefix/lib/libargpick.so.$version
[ -f "$library" ] || fail "no $library"
[ "$(readlink -f "$prefix/lib/libargpick.so.$abi")" = "$(readlink -f "$library")" ] || fail "libargpick.so.$abi is another library"
readelf -d "$library" | grep -q "SONAME.*\[libargpick\.so\.$abi\]" || fail "the SONAME is not libargpick.so.$abi"
echo "ok: SONAME libargpick.so.$abi"
nm -D --defined-only "$library" | awk '{print $NF}' | sort >"$scratch/exported"
sed -e 's/#.*//' -e '/^ *$/d' -e 's/ .*//' "$root/include/argpick.symbols" | sort >"$scratch/listed"
diff -u "$scratch/listed" "$scratch/exported" || fail "the exported names are not those of argpick.symbols"
echo "ok: exports what argpick.symbols lists"

export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
[ "$(pkg-config --modversion argpick)" = "$version" ] || fail "argpick.pc has another version"
# shellcheck disable=SC2046 # the flags are words
cc -std=c99 "$root/examples/decode.c" $(pkg-config --cflags --libs argpick) -o "$scratch/shared"
LD_LIBRARY_PATH=$prefix/lib "$scratch/shared" | tee "$scratch/printed"
grep -q "^argpick $version, kernels: " "$scratch/printed" || fail "the example prints something else"
# shellcheck disable=SC2046
cc -std=c99 "$root/examples/decode.c" $(pkg-config --cflags argpick) \
    $(pkg-config --static --libs argpick | sed 's/-largpick/-l:libargpick.a/') -o "$scratch/static"
"$scratch/static" | diff "$scratch/printed" - || fail "the static program prints something else"
echo "ok: pkg-config, shared and static"
