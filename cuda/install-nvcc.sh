#!/usr/bin/env bash
# Installs nvcc and what it needs to compile the CUDA path, NVIDIA's wheels from PyPI (350 MB), into a virtual environment:
# cuda/install-nvcc.sh FOLDER. No GPU and no driver are needed. Exit status 3, with a line that begins with skipped:, if it
# cannot be had. A folder that has it already is left as it is.
set -euo pipefail
folder=${1:?FOLDER}
wheels=(nvidia-cuda-nvcc nvidia-cuda-runtime nvidia-cuda-crt nvidia-nvvm nvidia-cuda-cccl)
is_there() { compgen -G "$folder/lib/python3*/site-packages/nvidia/cu*/bin/nvcc" >/dev/null && [ -e "$folder/complete" ]; }
if is_there; then
    echo "nvcc is in $folder"
    exit 0
fi
if ! command -v python3 >/dev/null || ! python3 -m venv "$folder" 2>/dev/null; then
    echo "skipped: nvcc: no virtual environment can be made here"
    exit 3
fi
# The major version that was tried; wheels of another are laid out in another way.
if ! timeout 240 "$folder/bin/python3" -m pip install --quiet --disable-pip-version-check --no-deps "${wheels[@]/%/==13.*}" 2>"$folder/log"; then
    echo "skipped: nvcc: its wheels cannot be fetched from PyPI here ($(tail -n 1 "$folder/log"))"
    exit 3
fi
touch "$folder/complete"
is_there || { echo "the wheels have no nvcc"; exit 1; }
echo "nvcc is in $folder"
