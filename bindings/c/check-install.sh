#!/usr/bin/env bash
# Proves the installed package from an empty prefix: the example is compiled with plain cc, by pkg-config and by CMake,
# static and shared, with gcc and clang, and every program prints the same; a C++ program likewise. The libraries' sizes are
# printed, and a library that has grown past its limit fails. bindings/c/check-install.sh [PREFIX]
#
# With a PREFIX that has been installed to, that one is tried; without, it installs to a new one. Ends with 1 if anything
# fails; what this machine lacks is printed as skipped.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset ARGPICK_KERNEL

prefix=${1:-}
if [ -z "$prefix" ]; then
    prefix=$scratch/prefix
    "$here/install.sh" "$prefix"
fi
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
example=$root/examples/decode.c
warnings="-std=c99 -Wall -Wextra -Wpedantic -Werror"

tried=0
expect() {
    name=$1
    shift
    "$@" >"$scratch/printed.raw"
    # Valgrind hides the widest instructions; the tokens are the same.
    sed "s/kernels: .*/kernels: any/" "$scratch/printed.raw" >"$scratch/printed"
    if [ ! -f "$scratch/expected" ]; then
        grep -q "^argpick $version, kernels: " "$scratch/printed" || { cat "$scratch/printed"; exit 1; }
        cp "$scratch/printed" "$scratch/expected"
    fi
    diff -u "$scratch/expected" "$scratch/printed" || { echo "FAILED: $name prints something else"; exit 1; }
    tried=$((tried + 1))
    echo "ok: $name"
}

for compiler in gcc clang; do
    command -v "$compiler" >/dev/null || { echo "skipped: $compiler is not here"; continue; }
    out=$scratch/$compiler
    mkdir "$out"
    # shellcheck disable=SC2086 # the flags are words
    $compiler $warnings "$example" -I"$prefix/include" -L"$prefix/lib" -largpick -o "$out/shared"
    readelf -d "$out/shared" | grep -q 'NEEDED.*\[libargpick\.so\.[0-9]*\]' || { echo "FAILED: not linked by SONAME"; exit 1; }
    expect "$compiler, shared" env LD_LIBRARY_PATH="$prefix/lib" "$out/shared"
    # shellcheck disable=SC2086
    $compiler $warnings "$example" -I"$prefix/include" "$prefix/lib/libargpick.a" -lpthread -ldl -lm -o "$out/static"
    if readelf -d "$out/static" | grep -q libargpick; then echo "FAILED: the static program needs libargpick.so"; exit 1; fi
    expect "$compiler, static" "$out/static"

    if command -v pkg-config >/dev/null; then
        [ "$(pkg-config --modversion argpick)" = "$version" ] || { echo "FAILED: argpick.pc has another version"; exit 1; }
        # shellcheck disable=SC2046
        $compiler -std=c99 "$example" $(pkg-config --cflags --libs argpick) -o "$out/pkg-shared"
        expect "$compiler, pkg-config, shared" env LD_LIBRARY_PATH="$prefix/lib" "$out/pkg-shared"
        # The archive by name, the rest as pkg-config says.
        # shellcheck disable=SC2046
        $compiler -std=c99 "$example" $(pkg-config --cflags argpick) \
            $(pkg-config --static --libs argpick | sed 's/-largpick/-l:libargpick.a/') -o "$out/pkg-static"
        if readelf -d "$out/pkg-static" | grep -q libargpick; then echo "FAILED: pkg-config --static linked the .so"; exit 1; fi
        expect "$compiler, pkg-config, static" "$out/pkg-static"
    else
        echo "skipped: pkg-config is not here"
    fi

    if command -v cmake >/dev/null; then
        mkdir "$out/cmake"
        cat >"$out/cmake/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.9)
project(example C)
find_package(argpick ${version%.*} REQUIRED)
add_executable(shared "$example")
target_link_libraries(shared argpick::argpick)
add_executable(static "$example")
target_link_libraries(static argpick::static)
CMAKE
        CC=$compiler cmake -S "$out/cmake" -B "$out/cmake/build" -DCMAKE_PREFIX_PATH="$prefix" >"$out/cmake/log" 2>&1 &&
            cmake --build "$out/cmake/build" >>"$out/cmake/log" 2>&1 || { cat "$out/cmake/log"; exit 1; }
        expect "$compiler, CMake, shared" "$out/cmake/build/shared"
        expect "$compiler, CMake, static" "$out/cmake/build/static"
        sed -i 's/find_package(argpick [0-9.]*/find_package(argpick 9.9/' "$out/cmake/CMakeLists.txt"
        if CC=$compiler cmake -S "$out/cmake" -B "$out/cmake/other" -DCMAKE_PREFIX_PATH="$prefix" >/dev/null 2>&1; then
            echo "FAILED: CMake found a version that is not there"
            exit 1
        fi
    else
        echo "skipped: cmake is not here"
    fi
done
[ "$tried" -ge 2 ] || { echo "FAILED: nothing was tried"; exit 1; }

# The C++ header that was installed beside the C one: by plain c++, by pkg-config's flags and by CMake.
cat >"$scratch/hello.cpp" <<'CPP'
#include <argpick.hpp>
#include <cstdio>
#include <vector>
int main() {
  argpick::config config;
  config.mode = ARGPICK_MODE_GREEDY;
  auto decoder = argpick::decoder::create(config, 4);
  const float row[4] = {0.5f, 2.5f, -1.0f, 2.0f};
  std::printf("token %u\n", static_cast<unsigned>(decoder.decode(std::vector<float>(row, row + 4)).token));
}
CPP
for compiler in g++ clang++; do
    command -v "$compiler" >/dev/null || { echo "skipped: $compiler is not here"; continue; }
    out=$scratch/$compiler
    mkdir "$out"
    greets() {
        [ "$(LD_LIBRARY_PATH=$prefix/lib "$2")" = "token 1" ] || { echo "FAILED: $1"; exit 1; }
        echo "ok: $1"
    }
    $compiler -std=c++17 -Wall -Wextra -Wpedantic -Werror "$scratch/hello.cpp" -I"$prefix/include" -L"$prefix/lib" -largpick -o "$out/plain"
    greets "$compiler, argpick.hpp" "$out/plain"
    if command -v pkg-config >/dev/null; then
        # shellcheck disable=SC2046
        $compiler -std=c++17 "$scratch/hello.cpp" $(pkg-config --cflags --libs argpick) -o "$out/pkg"
        greets "$compiler, argpick.hpp, pkg-config" "$out/pkg"
    fi
    if command -v cmake >/dev/null; then
        mkdir "$out/cmake"
        cat >"$out/cmake/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.9)
project(hello CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(argpick ${version%.*} REQUIRED)
add_executable(shared "$scratch/hello.cpp")
target_link_libraries(shared argpick::argpick)
add_executable(static "$scratch/hello.cpp")
target_link_libraries(static argpick::static)
CMAKE
        CXX=$compiler cmake -S "$out/cmake" -B "$out/cmake/build" -DCMAKE_PREFIX_PATH="$prefix" >"$out/cmake/log" 2>&1 &&
            cmake --build "$out/cmake/build" >>"$out/cmake/log" 2>&1 || { cat "$out/cmake/log"; exit 1; }
        greets "$compiler, argpick.hpp, CMake, shared" "$out/cmake/build/shared"
        greets "$compiler, argpick.hpp, CMake, static" "$out/cmake/build/static"
    fi
done

# What the libraries cost. The limit is what was measured and a little more: a step past it should be meant.
limit=1240000
size() { stat -Lc %s "$1" 2>/dev/null || stat -Lf %z "$1"; }
bytes=$(size "$prefix/lib/libargpick.so")
echo "libargpick.so, stripped: $bytes bytes (limit $limit)"
echo "libargpick.a, without debug information: $(size "$prefix/lib/libargpick.a") bytes"
if [ "$bytes" -gt "$limit" ]; then
    echo "FAILED: libargpick.so has grown past $limit bytes; bindings/c/README.md says what it is made of"
    exit 1
fi

# Nothing else is exported, and every name is in the list.
nm -D --defined-only "$prefix/lib/libargpick.so" | awk '{print $NF}' | sort >"$scratch/exported"
sed -e 's/#.*//' -e '/^ *$/d' -e 's/ .*//' "$root/include/argpick.symbols" | sort >"$scratch/listed"
diff -u "$scratch/listed" "$scratch/exported" || { echo "FAILED: the exported names are not those of argpick.symbols"; exit 1; }
echo "ok: $(wc -l <"$scratch/exported") exported names are those of argpick.symbols"

if command -v valgrind >/dev/null; then
    expect "valgrind of the installed library" \
        env LD_LIBRARY_PATH="$prefix/lib" valgrind -q --error-exitcode=9 --leak-check=full "$scratch/gcc/shared" 2>/dev/null ||
        { echo "FAILED: valgrind"; exit 1; }
fi
