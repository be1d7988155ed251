"""Licences of all dependencies: reads `cargo metadata` and fails on one that is not on the list."""

import json
import re
import sys

ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "MIT",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Zlib",
}


def accepts(expression):
    """Whether a licence expression (SPDX; AND binds closer than OR, `/` is an old OR) can be met from the list."""
    tokens = re.findall(r"[()]|[^\s()/]+|/", expression)
    at = 0

    def take():
        nonlocal at
        if at == len(tokens):
            raise ValueError(f"unexpected end of {expression!r}")
        at += 1
        return tokens[at - 1]

    def licence():
        nonlocal at
        token = take()
        if token == "(":
            value = either()
            if take() != ")":
                raise ValueError(f"unbalanced parentheses in {expression!r}")
            return value
        if at < len(tokens) and tokens[at] == "WITH":
            at += 1
            token = f"{token} WITH {take()}"
        return token in ALLOWED

    def both():
        nonlocal at
        value = licence()
        while at < len(tokens) and tokens[at] == "AND":
            at += 1
            value = licence() and value
        return value

    def either():
        nonlocal at
        value = both()
        while at < len(tokens) and tokens[at] in ("OR", "/"):
            at += 1
            value = both() or value
        return value

    value = either()
    if at != len(tokens):
        raise ValueError(f"cannot read {expression!r}")
    return value


# Also for what only tests use and nothing contains: the generator of the C header is under the MPL.
TOOLS_OF_TESTS = {"MPL-2.0"}


def built_in(metadata):
    """The packages that a library or the tool contains or is built by: all that is reached without dev-dependencies."""
    nodes = {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}
    reached, waiting = set(), list(metadata["workspace_members"])
    while waiting:
        package = waiting.pop()
        if package not in reached:
            reached.add(package)
            for dependency in nodes[package]:
                if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                    waiting.append(dependency["pkg"])
    return reached


def main():
    # The reader of expressions is tried on itself first.
    assert accepts("MIT OR GPL-3.0-only") and accepts("(MIT OR Apache-2.0) AND Unicode-3.0") and accepts("MIT/Foo")
    assert not accepts("GPL-3.0-only") and not accepts("MIT AND GPL-3.0-only") and not accepts("Foo OR Bar AND MIT")
    with open(sys.argv[1], encoding="utf-8") as file:
        metadata = json.load(file)
    packages = metadata["packages"]
    built = built_in(metadata)
    assert any(package["id"] in built for package in packages if package["name"] == "half")
    assert not any(package["id"] in built for package in packages if package["name"] in ("cbindgen", "criterion"))
    refused = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        try:
            if package["id"] not in built and package["license"] in TOOLS_OF_TESTS:
                continue
            if not accepts(package["license"] or ""):
                refused.append(f"{name}: {package['license']}")
        except ValueError as error:
            refused.append(f"{name}: {error}")
    for line in refused:
        print(line)
    print(f"{len(packages)} packages, {len(refused)} refused")
    sys.exit(1 if refused or len(packages) < 10 else 0)


main()
