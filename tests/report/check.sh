#!/usr/bin/env bash
# The pages of `argpick report` in headless Chromium: what they show, and that their sliders pick what the tool picks.
# With a folder as argument, pictures of the pages are left there. Exit code 3: it cannot be tried here (it says why).
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/cross/tools.sh
install_missing node=nodejs chromium=chromium
have node "the pages of argpick report" nodejs || exit 3
tool=${CARGO_TARGET_DIR:-target}/release/argpick
[ -x "$tool" ] || cargo build --release --quiet --locked --features cli --bin argpick
node tests/report/pages.mjs "$(realpath "$tool")" "${1:-}"
