"""Reads what callgrind dumped for each step and compares it with the record.

instructions.py FOLDER INSTRUCTIONS_JSON VOCABULARY COMPILER
"""

import json
import os
import re
import sys

# A step may cost this much more than the record says: what the C library does (copies, the allocator) is another's code.
TOLERANCE = 0.02


def read(folder):
    """Instructions per token by step, in the order of the steps."""
    dumps = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            text = file.read()
        label = re.search(r"^desc: Trigger: Client Request: (.*) / (\d+)$", text, re.M)
        total = re.search(r"^totals: (\d+)$", text, re.M)
        if label and total:
            number = int(name.rsplit(".", 1)[1])
            dumps[number] = (label[1], round(int(total[1]) / int(label[2])))
    return dict(dumps[number] for number in sorted(dumps))


def main():
    folder, path, vocab, compiler = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    counts = read(folder)
    if len(counts) < 20 or min(counts.values()) < vocab // 64:
        sys.exit(f"FAILED: the counts are incomplete: {counts}")
    if os.environ.get("UPDATE"):
        record = {"compiler": compiler, "level": "avx2", "vocab": vocab, "tolerance": TOLERANCE}
        record["instructions_per_token"] = counts
        with open(path, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=2)
            file.write("\n")
    with open(path, encoding="utf-8") as file:
        record = json.load(file)
    comparable = record["compiler"] == compiler and record["vocab"] == vocab
    before = record["instructions_per_token"]
    dearer, cheaper = [], []
    print(f"{'instructions of a token, AVX2':<38} {'count':>12} {'per logit':>9}  against the record")
    for name in list(counts) + [name for name in before if name not in counts]:
        count, old = counts.get(name), before.get(name)
        if count is None or old is None:
            verdict = "not counted any more" if count is None else "not in the record"
            dearer.append(name)
        else:
            verdict = f"{count / old - 1:+.2%}"
            if count > old * (1 + record["tolerance"]):
                dearer.append(name)
            if count < old * (1 - record["tolerance"]):
                cheaper.append(name)
        print(f"{name:<38} {count or 0:>12} {(count or 0) / vocab:>9.3f}  {verdict}")
    if not comparable:
        print(f"skipped: instructions of a step: the record is of {record['compiler']}, this is {compiler}")
        sys.exit(3)
    if cheaper:
        print(f"cheaper than the record, which may be renewed (UPDATE=1 tests/cross/instructions): {', '.join(cheaper)}")
    if dearer:
        print(f"FAILED: dearer by more than {record['tolerance']:.0%}, or not recorded: {', '.join(dearer)}")
        print("if that is meant: UPDATE=1 tests/cross/instructions, and say why in the commit")
        sys.exit(1)


main()
