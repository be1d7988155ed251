"""Compares what a program of this folder printed with tests/golden/bits.json: compare.py BITS_JSON PRINTED NAME"""

import json
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        golden = json.load(file)["hashes"]
    with open(sys.argv[2], encoding="utf-8") as file:
        printed = [line.rsplit(" ", 2) for line in file.read().splitlines()]
    wrong = []
    for key, cases, hash_ in printed:
        expected = golden.pop(key, None)
        if expected != [int(cases), hash_]:
            wrong.append(f"{key}: {cases} cases {hash_}, expected {expected}")
    wrong += [f"{key}: not printed" for key in golden]
    if wrong or len(printed) < 100:
        print(f"FAILED: {sys.argv[3]}: {len(wrong)} of {len(printed)} hashes differ")
        print("\n".join(wrong[:8]))
        print("`bits --unit NAME --cases` on two levels shows the first case that differs")
        sys.exit(1)
    print(f"same bits: {sys.argv[3]}, {sum(int(cases) for _, cases, _ in printed)} cases in {len(printed)} hashes")


main()
