# What the scripts for other targets need, for `source`: programs of Debian's packages and Debian's own Rust, which has what
# rustup's has not got where only crates.io and Debian can be reached: a standard library for aarch64, and the source of the
# core library. Programs are installed with apt-get if this is root; Rust is unpacked into a folder, because it cannot be
# installed beside rustup's. The folder is kept: ARGPICK_TOOLS, or argpick in the user's cache.
tools=${ARGPICK_TOOLS:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/argpick}

# Installs the packages of those programs that are missing: install_missing PROGRAM=PACKAGE[,PACKAGE] ...
install_missing() {
    local pair packages=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || packages+=($(tr ',' ' ' <<<"${pair#*=}"))
    done
    [ ${#packages[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ] || return 0
    local get=(env DEBIAN_FRONTEND=noninteractive timeout 600 apt-get install -qq -y --no-install-recommends)
    "${get[@]}" "${packages[@]}" >/dev/null 2>&1 && return 0
    timeout 120 apt-get update -qq >/dev/null 2>&1
    "${get[@]}" "${packages[@]}" >/dev/null 2>&1 && return 0
    # One that cannot be had must not take the others with it.
    for pair in "${packages[@]}"; do
        "${get[@]}" "$pair" >/dev/null 2>&1 || true
    done
}

# Whether a program is there; says so if not.
have() {
    command -v "$1" >/dev/null && return 0
    echo "skipped: $2 (no $1; its Debian package: $3)"
    return 1
}

# Unpacks Debian's Rust below $tools unless it is there, and sets `rustc`: a program that runs it. False if it cannot be had.
get_rust() {
    rustc=$tools/rust/rustc
    mkdir -p "$tools"
    (
        flock 9
        [ -e "$tools/rust/complete" ] || download_rust
    ) 9>"$tools/lock"
    [ -e "$tools/rust/complete" ] && "$rustc" --version >/dev/null 2>&1
}

download_rust() {
    [ "$(uname -sm)" = "Linux x86_64" ] && command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    local rust=$tools/rust lists=$tools/lists package
    rm -rf "$rust" "$lists"
    mkdir -p "$rust/packages" "$lists/partial"
    # Lists of its own: the system's need not know the packages for arm64.
    local options=(-qq -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o "Dir::State::Lists=$lists"
        -o APT::Sandbox::User=root)
    timeout 120 apt-get "${options[@]}" update >/dev/null 2>&1 || return 1
    local library
    library=$(apt-cache "${options[@]:1}" depends libstd-rust-web-dev 2>/dev/null | sed -nE 's/^ *Depends: (libstd-rust-web-[0-9.]+)$/\1/p')
    local llvm
    llvm=$(apt-cache "${options[@]:1}" depends "$library" 2>/dev/null | sed -nE 's/^ *Depends: (libllvm[0-9]+)$/\1/p')
    (cd "$rust/packages" && timeout 300 apt-get "${options[@]}" download rustc-web rust-web-src libstd-rust-web-dev $library $llvm \
        libstd-rust-web-dev:arm64 >/dev/null 2>&1) || return 1
    for package in "$rust"/packages/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$rust" --no-wildcards-match-slash --exclude './usr/share/doc' \
            --exclude './usr/src/rustc-*/src' --exclude './usr/src/rustc-*/compiler' || return 1
    done
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s/usr/lib/x86_64-linux-gnu exec %s/usr/bin/rustc "$@"\n' "$rust" "$rust" >"$rust/rustc"
    chmod +x "$rust/rustc"
    rm -rf "$rust/packages" "$lists"
    touch "$rust/complete"
}

# What Rust's core library is built with (-Zbuild-std) must be downloaded once. False if it cannot be.
fetch_core() {
    local manifest=$tools/rust/usr/lib/rustlib/src/rust/library/sysroot/Cargo.toml offline
    for offline in true false; do
        RUSTC=$rustc RUSTC_BOOTSTRAP=1 CARGO_NET_OFFLINE=$offline \
            cargo fetch --quiet --locked --manifest-path "$manifest" --target "$1" 2>/dev/null && return 0
    done
    return 1
}
