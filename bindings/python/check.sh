#!/usr/bin/env bash
# Builds the wheel in an environment of its own, installs it, and runs the tests on what was installed. Prints the wheel's size
# and what could not be tried (as "skipped: ..."). Exit code 3: nothing can be tried here (it says why).
#
#   ./check.sh              everything, about two minutes on two cores the first time
#   ./check.sh -k beam      arguments go to pytest
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
target=${CARGO_TARGET_DIR:-$root/target}/python
unset RUSTFLAGS VIRTUAL_ENV ARGPICK_KERNEL
export PIP_DISABLE_PIP_VERSION_CHECK=1

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "skipped: the Python package (it needs Python 3.11, this is $(python3 --version))"; exit 3; }
venv=$target/venv
python=$venv/bin/python
if ! { [ -x "$python" ] && "$python" -c 'import maturin, mypy, numpy, pytest' 2>/dev/null; }; then
    rm -rf "$venv"
    mkdir -p "$target"
    if ! { python3 -m venv "$venv" && timeout 300 "$python" -m pip install --quiet "maturin>=1.9,<2" "numpy>=1.26" \
        "pytest>=8" "mypy>=1.15"; } >"$target/pip.log" 2>&1; then
        tail -n 3 "$target/pip.log" || true
        rm -rf "$venv"
        echo "skipped: the Python package (maturin, pytest and numpy cannot be had from PyPI here)"
        exit 3
    fi
fi

# bfloat16 for NumPy, where it can be had; the tests say so where it cannot.
"$python" -c 'import ml_dtypes' 2>/dev/null || timeout 60 "$python" -m pip install --quiet ml_dtypes >/dev/null 2>&1 || true

echo "+ the extension module: format, clippy"
cargo fmt --check
CARGO_TARGET_DIR=$target/build cargo clippy --locked --quiet --release -- -D warnings

echo "+ the wheel"
rm -rf "$target/wheels"
CARGO_TARGET_DIR=$target/build "$venv/bin/maturin" build --release --locked --quiet --interpreter "$python" --out "$target/wheels"
wheel=$(ls "$target"/wheels/argpick-*.whl)
"$python" -m pip install --quiet --force-reinstall --no-deps "$wheel"

echo "+ the tests, on the installed wheel"
# From elsewhere, so that nothing but the wheel can be imported; -p no:cacheprovider leaves nothing behind.
folder=$PWD
cd "$target"
"$python" -B -m pytest -p no:cacheprovider -c "$folder/pyproject.toml" --rootdir "$folder" -rs "$@" "$folder/tests" | tee "$target/tests.log"
sed -nE 's/^SKIPPED \[[0-9]+\] [^:]*:[0-9]+: (.*)$/skipped: \1 (the Python package)/p' "$target/tests.log" | sort -u
"$python" -B "$folder/benchmarks/overhead.py" --rounds 1000
echo "wheel: $(basename "$wheel"), $(stat -c %s "$wheel") bytes"
