"""Cases in which llama.cpp does not do what it documents: the rule is expected, what the engine does is beside it."""

import json

import numpy

import rules
from rows import Numbers, build

# Stage, parameters, what three entries of each row are, reason. llama.cpp leaves masked entries in its list of candidates.
REASONS = [
    ("typical_masked", {"typical_p": 0.5}, "-inf", "a masked entry makes the entropy NaN"),
    ("typical_masked", {"typical_p": 0.9}, "-inf", "a masked entry makes the entropy NaN"),
    (
        "dynamic_temperature_masked",
        {"temperature": 1.0, "dynatemp_range": 0.5},
        "-inf",
        "masked entries count in the largest entropy",
    ),
    (
        "xtc_masked",
        {"xtc_probability": 1.0, "xtc_threshold": 0.05, "min_keep": 4},
        "-inf",
        "masked entries count for min_keep",
    ),
    ("typical_underflow", {"typical_p": 0.5}, -200.0, "a probability that f32 rounds to 0 makes the entropy NaN"),
    ("typical_underflow", {"typical_p": 0.9}, -200.0, "a probability that f32 rounds to 0 makes the entropy NaN"),
]


def lines(engine):
    from generate import complete, expectation

    found = []
    for index, (stage, params, entry, reason) in enumerate(REASONS):
        n = Numbers(0xE0 + index)
        written = 0
        for _ in range(200):
            vocab = n.between(5, 24)
            masked = sorted({n.below(vocab) for _ in range(3)})
            row = {"kind": "normal", "seed": n.below(1 << 44), "vocab": vocab, "patch": [[t, entry] for t in masked]}
            case = {"profile": "llama_cpp", "stages": [stage], "params": params, "row": row}
            values = build(row)
            rule = rules.Rule(values)
            rules.llama_cpp(rule, complete(case))
            kept, p = rule.answer()
            if rule.near:
                continue
            final = engine(complete(case), values)
            theirs = numpy.flatnonzero(final > -numpy.inf)
            weights = numpy.exp(final[theirs].astype(numpy.float64) - final.max())
            weights /= weights.sum()
            same = set(theirs.tolist()) == set(kept.tolist())
            if same and numpy.allclose(numpy.sort(weights)[::-1], numpy.sort(p)[::-1], atol=1e-4):
                continue
            case["expect"] = expectation(kept, p)
            case["engine"] = {
                "version": "llama-cpp-python 0.3.36",
                "reason": reason,
                "kept": theirs.tolist(),
                "probabilities": [round(float(x), 7) for x in weights],
            }
            found.append(dict({"id": f"llama_cpp-exception-{index}-{written}"}, **case, tolerance=1.0e-5))
            written += 1
            if written == 5:
                break
        print(f"llama_cpp {stage}: {written} cases in which {reason}")
    return [json.dumps(case, separators=(",", ":")) for case in found]
