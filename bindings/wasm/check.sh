#!/usr/bin/env bash
# Builds the package and tests it: in Node, in headless Chromium, its types with the README's example, and what it would
# publish. What cannot be tried is printed as skipped. Exit code 3: it cannot even be built here.
set -euo pipefail
cd "$(dirname "$0")"
source ../../tests/cross/tools.sh
install_missing node=nodejs chromium=chromium
have node "the package for JavaScript" nodejs || exit 3
node layout.mjs --check
node report-module.mjs --check
./build.sh
node report-module.mjs --compare "${CARGO_TARGET_DIR:-../../target}/wasm/argpick/report.wasm"
node --test test/*.test.mjs
node test/readme.mjs
code=0
node test/browser.mjs || code=$?
[ "$code" -eq 0 ] || [ "$code" -eq 3 ] || { echo "FAILED: the golden steps in a browser"; exit 1; }
# The types, by the compiler of TypeScript (from npm, kept among the tools).
tsc=$tools/npm/node_modules/.bin/tsc
if [ -x "$tsc" ] || { command -v npm >/dev/null &&
    timeout 120 npm install --silent --no-fund --no-audit --prefix "$tools/npm" typescript@5.9 >/dev/null 2>&1; }; then
    "$tsc" --noEmit --strict --target es2022 --module nodenext --lib es2022,dom test/types.ts
    echo "the types accept and refuse what they must"
else
    echo "skipped: the types for JavaScript (no TypeScript from npm)"
fi
# What a user would download has everything that it imports.
if command -v npm >/dev/null; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    npm pack --silent --pack-destination "$scratch" >/dev/null
    mkdir -p "$scratch/node_modules/argpick"
    tar -xzf "$scratch"/argpick-*.tgz -C "$scratch/node_modules/argpick" --strip-components 1
    (cd "$scratch" && node --input-type=module -e "
        import { load } from 'argpick';
        const pick = (await load()).decoder({ mode: 'greedy' }, 3).decode([1, 3, 2]);
        if (pick.token !== 1) throw new Error(JSON.stringify(pick));
    ")
    echo "the packed package works: $(stat -c %s "$scratch"/argpick-*.tgz) bytes"
else
    echo "skipped: the packed package for JavaScript (no npm)"
fi
