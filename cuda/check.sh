#!/usr/bin/env bash
# The CUDA path on a GPU machine, from this tree alone, in under ten minutes: builds it, holds the device's bits against the
# CPU's, looks for bad accesses and races with compute-sanitizer, measures it beside its peers, and writes a record.
#
#   cuda/check.sh [--build-only] [--quick] [--out FOLDER]
#
#   --build-only   stops before anything needs a GPU. What was built lies in target/cuda and can be carried, with the tree, to
#                  a GPU machine that has no Rust, no nvcc or no network: there it is used as it is.
#   --quick        fewer input sets and replays.
#   --out FOLDER   where the record is written; benches/record without it.
#
# nvcc is found as build.rs finds it: CUDA_HOME, PATH, NVIDIA's wheels in the Python at hand, /usr/local/cuda; if there is none,
# the wheels are installed into target/cuda-venv where PyPI can be reached. The exit status is 0 if everything passed, 1 if
# anything failed, 3 if there is no GPU. What could not be tried is printed as skipped.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
begun=$SECONDS
built=$root/target/cuda
out=$root/benches/record
build_only=no
quick=
while [ $# -gt 0 ]; do
    case $1 in
        --build-only) build_only=yes ;;
        --quick) quick=--quick ;;
        --out) out=${2:?--out FOLDER}; shift ;;
        *) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
    shift
done
mkdir -p "$built"

say() { echo; echo "=== $1 ($((SECONDS - begun)) s)"; }
skip() { echo "skipped: $1"; }

# CUDA_HOME of the nvcc that build.rs would take, or nothing.
find_cuda() {
    if [ -n "${CUDA_HOME:-}" ]; then echo "$CUDA_HOME"; return; fi
    local nvcc python folder
    if nvcc=$(command -v nvcc); then dirname "$(dirname "$(readlink -f "$nvcc")")"; return; fi
    for python in ${VIRTUAL_ENV:+"$VIRTUAL_ENV/bin/python3"} python3 "$root/target/cuda-venv/bin/python3"; do
        folder=$("$python" -c "import importlib.util as u; s = u.find_spec('nvidia'); print(*(s.submodule_search_locations if s else []), sep='\n')" 2>/dev/null) || continue
        while read -r folder; do
            for nvcc in "$folder"/cu*/bin/nvcc; do
                [ -x "$nvcc" ] && { dirname "$(dirname "$nvcc")"; return; }
            done
        done <<<"$folder"
    done
    [ ! -x /usr/local/cuda/bin/nvcc ] || echo /usr/local/cuda
}

say "nvcc"
home=$(find_cuda)
if [ -z "$home" ] && [ ! -e "$built/complete" ]; then
    # shellcheck source=install-nvcc.sh
    "$root/cuda/install-nvcc.sh" "$root/target/cuda-venv" && home=$(find_cuda)
fi
if [ -n "$home" ]; then
    "$home/bin/nvcc" --version | grep release
    export CUDA_HOME=$home
else
    echo "there is none here"
fi

say "build"
build() {
    [ -n "$home" ] || { echo "without nvcc nothing is built"; return 1; }
    command -v cargo >/dev/null || { echo "without cargo nothing is built"; return 1; }
    local log=$built/build.log test
    # In one go, so that nvcc runs once.
    cargo build --locked --release --package argpick --package argpick-c --features argpick/cuda,argpick/capi,argpick-c/cuda \
        --lib --test cuda --message-format json >"$built/built.json" 2>"$log" || { tail -n 20 "$log"; return 1; }
    test=$(sed -nE 's/.*"executable":"([^"]*\/cuda-[^"]*)".*/\1/p' "$built/built.json" | tail -n 1)
    [ -x "$test" ] || { echo "cargo built no test"; return 1; }
    rm -f "$built/complete"
    cp target/release/libargpick.so "$built/libargpick.so.0"
    cp "$test" "$built/test"
    strip --strip-debug "$built/libargpick.so.0" "$built/test"
    ln -sf libargpick.so.0 "$built/libargpick.so"
    # shellcheck disable=SC2016 # $ORIGIN is the loader's
    local options=(-std=c++17 -O2 -I include -I bindings/cpp -L "$built" -largpick -L "$home/lib64" -L "$home/lib" -cudart static
        -Xlinker -rpath -Xlinker '$ORIGIN')
    "$home/bin/nvcc" "${options[@]}" -gencode=arch=compute_80,code='[sm_80,compute_80]' -gencode=arch=compute_90,code=sm_90 \
        benches/cuda/measure.cu -o "$built/measure" &&
        "$home/bin/nvcc" "${options[@]}" examples/cuda_decode.cpp -o "$built/cuda_decode" || return 1
    git rev-parse --short HEAD >"$built/complete" 2>/dev/null || echo unknown >"$built/complete"
}
if build; then
    echo "built in target/cuda: $(cat "$built/complete")"
elif [ -e "$built/complete" ]; then
    echo "taking what was built before and carried here: $(cat "$built/complete")"
else
    echo "FAILED: nothing could be built, and target/cuda holds nothing that was; run cuda/check.sh --build-only on another machine"
    exit 1
fi
# Carried files may have lost their links and modes.
chmod +x "$built"/{test,measure,cuda_decode}
[ -e "$built/libargpick.so" ] || cp "$built/libargpick.so.0" "$built/libargpick.so"
if [ "$build_only" = yes ]; then
    du -ch "$built"/{libargpick.so.0,test,measure,cuda_decode} | tail -n 1
    exit 0
fi

say "the example, with or without a GPU"
"$built/cuda_decode" | tee "$built/example.txt"
if grep -q '^No GPU is used' "$built/example.txt"; then
    for what in "bits of the device against the CPU" "compute-sanitizer" "measurements" "peers on the GPU"; do
        skip "$what: there is no GPU here"
    done
    exit 3
fi
[ "$(sed 's/.*all of them: //' "$built/example.txt" | sort -u | wc -l)" = 1 ] || { echo "FAILED: GPU and CPU differ"; exit 1; }

say "bits of the device against the CPU"
# Real rows, where they are here: beside the tree, or carried with what was built.
for rows in "$built/rows.npy" "$root/shared/data/logits/gemma3_270m_16x262144_f32.npy" "$root/../shared/data/logits/gemma3_270m_16x262144_f32.npy"; do
    [ ! -f "$rows" ] || export ARGPICK_REAL_ROWS=${ARGPICK_REAL_ROWS:-$rows}
done
timeout 120 "$built/test" --test-threads=1 --show-output | tee "$built/test.txt" | grep -vE '^$|^successes|^    '
grep -qE '^test result: ok\. [1-9]' "$built/test.txt"

failed=no
say "compute-sanitizer"
sanitizer=$(command -v compute-sanitizer || ls "${CUDA_HOME:-/usr/local/cuda}"/bin/compute-sanitizer /usr/local/cuda/bin/compute-sanitizer 2>/dev/null | head -n 1 || true)
if [ -n "$sanitizer" ]; then
    until=$((SECONDS + 120))
    for tool in memcheck racecheck initcheck synccheck; do
        for test in sequences sparse rows_can the_golden; do
            result=0
            left=$((until - SECONDS))
            [ "$left" -gt 0 ] || { skip "$tool, $test: the two minutes for the sanitizer are over"; continue; }
            timeout "$((left < 40 ? left : 40))" "$sanitizer" --tool "$tool" --error-exitcode 9 "$built/test" --test-threads=1 "$test" \
                >"$built/$tool-$test.txt" 2>&1 || result=$?
            # Hazards are told, but are no errors to the tool.
            ! grep -qE 'RACECHECK SUMMARY: [1-9]' "$built/$tool-$test.txt" || result=9
            case $result in
                0) echo "$tool, $test: $(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$built/$tool-$test.txt" | tail -n 1 | sed 's/=* *//')" ;;
                124) skip "$tool, $test: it did not end in time" ;;
                *)
                    if grep -qE 'ERROR SUMMARY: [1-9]|hazard' "$built/$tool-$test.txt" || [ "$result" = 9 ]; then
                        echo "FAILED: $tool, $test"; grep '^=====' "$built/$tool-$test.txt" | head -n 20; failed=yes
                    else
                        skip "$tool, $test: it does not run here: $(grep -m 1 -iE 'error|not supported' "$built/$tool-$test.txt")"
                    fi ;;
            esac
        done
    done 2>&1 | tee "$built/sanitizer.txt"
    ! grep -q '^FAILED' "$built/sanitizer.txt" || failed=yes
else
    skip "compute-sanitizer is not here" | tee "$built/sanitizer.txt"
fi

say "measurements"
# shellcheck disable=SC2086 # one word or none
timeout 150 "$built/measure" $quick --json "$built/measure.jsonl" | tee "$built/measure.md" || { echo "FAILED: measure"; failed=yes; }

say "peers"
if command -v python3 >/dev/null; then
    # shellcheck disable=SC2086
    timeout 110 python3 benches/cuda/peers.py $quick --ours "$built/measure.jsonl" 2>"$built/peers.err" | tee "$built/peers.md" ||
        { skip "peers: $(tail -n 1 "$built/peers.err")" | tee -a "$built/peers.md"; }
    if python3 -c 'import torch' 2>/dev/null; then
        ARGPICK_LIBRARY=$built/libargpick.so python3 examples/cuda_torch.py | tee "$built/torch.txt" || { echo "FAILED: cuda_torch.py"; failed=yes; }
    else
        skip "examples/cuda_torch.py: PyTorch is not here" | tee "$built/torch.txt"
    fi
else
    skip "peers: python3 is not here" | tee "$built/peers.md"
    : >"$built/torch.txt"
fi

say "record"
name=$(sed -nE 's/^(.*), compute capability.*/\1/p' "$built/measure.md" | head -n 1 | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9-')
record=$out/$(date +%F)-cuda-${name:-gpu}.md
mkdir -p "$out"
{
    echo "# A token on a GPU: $(date +%F), $(sed -nE 's/^(.*), compute capability.*/\1/p' "$built/measure.md" | head -n 1), commit $(cat "$built/complete")"
    echo
    echo "\`cuda/check.sh${quick:+ $quick}\`"
    echo
    cat "$built/measure.md"
    echo
    echo "## Peers, in the same run"
    echo
    cat "$built/peers.md"
    echo
    echo "## Bits of the device against the CPU"
    echo
    echo '```text'
    cat "$built/example.txt" "$built/torch.txt"
    grep -E '^test |steps have|rows have|real rows|^skipped|^test result' "$built/test.txt"
    echo '```'
    echo
    echo "## compute-sanitizer"
    echo
    echo '```text'
    cat "$built/sanitizer.txt"
    echo '```'
} >"$record"
echo "$record"
[ "$failed" = no ] || { echo "FAILED (after $((SECONDS - begun)) s)"; exit 1; }
echo "All of it passed in $((SECONDS - begun)) s."
