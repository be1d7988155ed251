"""Writes ../golden/{huggingface,llama_cpp,vllm}.jsonl: rows through the stages of three engines.

Usage: generate.py PROFILE ENGINE [STAGE]. ENGINE is `-` for huggingface (the installed package), the folder of libllama.so for
llama_cpp, the folder of the unpacked wheel for vllm. With a stage, nothing is written: the cases are only made and compared.
"""

import json
import pathlib
import sys

import numpy

import rules
from rows import Numbers, logits
from stages import LISTS, STAGES, TAME, expand_tokens, extreme, kinds_without, row, unmasked, vocabulary

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
EXPLICIT, SWEEPS, SWEEP_ROWS, EXTREMES = 170, 25, 80, 60
LISTED, SHOWN = 64, 8


# Comparing the judges.


def complete(case, offset=0):
    """A case as both judges get it: f32 parameters, every list present and expanded, number `offset` of a sweep."""
    full = dict(case)
    full["params"] = {k: float(numpy.float32(v)) if isinstance(v, float) else v for k, v in case["params"].items()}
    for name in LISTS:
        full[name] = expand_tokens(case.get(name, []), offset)
    if "row" in case:
        full["row"] = dict(case["row"], seed=case["row"]["seed"] + offset)
    return full


class Tally:
    def __init__(self):
        self.made = self.near = self.empty = self.ties = self.different = self.tokens = 0


def judge(profile, engine, case, tally):
    """(kept, probabilities) on which both judges agree; None if the case is dropped."""
    tally.made += 1
    row = logits(case)
    rule = rules.Rule(row)
    adjusted = rules.Rule(row)
    try:
        rules.CHAINS[profile](rule, case)
        kept, p = rule.answer()
    except rules.NothingLeft:
        tally.empty += 1
        return None
    if rule.near or rule.underflow:
        tally.near += 1
        return None
    with numpy.errstate(all="ignore"):
        final = engine(case, row)
    with numpy.errstate(invalid="ignore"):
        weights = numpy.exp(final.astype(numpy.float64) - numpy.max(final))
    theirs = numpy.flatnonzero(final > -numpy.inf)
    weights = weights / weights.sum()
    same = len(theirs) == len(kept)
    if same and set(theirs.tolist()) != set(kept.tolist()):
        # Equal logits at the boundary: the engine took other ids of the same size.
        source = final_logits(profile, case, row, adjusted)
        same = numpy.array_equal(numpy.sort(source[theirs]), numpy.sort(source[kept]))
        tally.ties += same
    same = same and numpy.allclose(numpy.sort(weights[theirs])[::-1], numpy.sort(p)[::-1], rtol=1e-4, atol=2e-6)
    if not same:
        tally.different += 1
        if tally.different <= 3:
            print(f"  DIFFERENT {json.dumps(case)}\n   engine {theirs.tolist()[:20]} {weights[theirs][:20]}\n"
                  f"   rule   {kept.tolist()[:20]} {p[:20]}")  # fmt: skip
        return None
    return kept, p


def final_logits(profile, case, row, rule):
    """The adjusted logits of a case without its filters, to compare equal ids."""
    bare = dict(case, params={k: v for k, v in case["params"].items() if k not in FILTERS})
    rules.CHAINS[profile](rule, bare)
    return rule.z


FILTERS = {
    "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "top_h", "top_n_sigma", "xtc_probability",
    "temperature", "dynatemp_range", "adaptive_target",
}  # fmt: skip


def token(profile, engine, case, tally):
    """What both judges pick of the case at temperature 0; None where the two highest are nearer than rounding."""
    row = logits(case)
    bare = rules.greedy(profile, case)
    rule = rules.Rule(row)
    rules.CHAINS[profile](rule, bare)
    if profile == "huggingface" and not rule.near:
        rule.temperature(0.0)
    if rule.near or rule.underflow:
        return None
    picked = int(rule.answer()[0][0])
    theirs = int(numpy.argmax(engine(bare, row)))
    source = rules.Rule(row)
    if theirs != picked and final_logits(profile, case, row, source)[theirs] != source.z[picked]:
        tally.different += 1
        print(f"  DIFFERENT {json.dumps(case)}\n   engine picks {theirs}, rule {picked}")
    tally.tokens += 1
    return picked


def digest(kept):
    """FNV-1a, 32 bits, of the ids as little-endian words."""
    value = 0x811C9DC5
    for byte in numpy.asarray(kept, dtype="<u4").tobytes():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def lacks(stage, lines):
    """Prints and returns whether a stage's lines miss a size of vocabulary or are too few rows."""
    sizes = {len(case["logits"]) if "logits" in case else case["row"]["vocab"] for case in lines}
    rows = sum(len(case.get("expect_each", case.get("steps", [0]))) for case in lines)
    missing = {4, 1_000, 151_936} - sizes
    if missing or rows < 2_000:
        print(f"  {stage}: {rows} rows; no vocabulary of {sorted(missing)}")
    return bool(missing) or rows < 2_000


def short(x):
    return float(f"{x:.7g}") if x >= 1e-7 else float(f"{x:.3g}")


def expectation(kept, p, token=None):
    """What is written of an answer; `token` as `token` has it."""
    picked = {} if token is None else {"token": token}
    if len(kept) > LISTED:
        return picked | {
            "count": len(kept),
            "digest": digest(kept),
            "first": kept[:4].tolist(),
            "last": kept[-2:].tolist(),
            "probabilities": [short(x) for x in p[:4]],
        }
    return picked | {"kept": kept.tolist(), "probabilities": [round(float(x), 7) for x in p[:SHOWN]]}


def make(profile, stage, n, index):
    vocab = vocabulary(n, index)
    params, lists, kinds = STAGES[profile][stage](n, vocab)
    case = {"profile": profile, "stages": [stage], "params": params}
    case["row"] = row(n, vocab, kinds, stage in TAME)
    if unmasked(profile, stage, params):
        case["row"].pop("patch", None)
    case.update({name: value for name, value in lists.items() if value != []})
    return case


def explicit(name, case, profile, engine, tally):
    """The line of one row, if both judges agree on it."""
    for name_of_list in LISTS:
        recipe = case.get(name_of_list)
        if isinstance(recipe, dict) and recipe["length"] <= LISTED:
            case[name_of_list] = expand_tokens(recipe)
    full = complete(case)
    agreed = judge(profile, engine, full, tally)
    if agreed is not None:
        case["expect"] = expectation(*agreed, token(profile, engine, full, tally))
        yield dict({"id": name}, **case, tolerance=1.0e-5)


def cases(profile, stage, engine, tally):
    n = Numbers(digest([ord(c) for c in f"{profile} {stage}"]))
    for index in range(EXPLICIT):
        yield from explicit(f"{profile}-{stage}-{index:03}", make(profile, stage, n, index), profile, engine, tally)
    for index in range(SWEEPS):
        case = make(profile, stage, n, 3 if index == 11 else 1)
        case["count"] = SWEEP_ROWS
        skip, each = [], []
        for offset in range(SWEEP_ROWS):
            agreed = judge(profile, engine, complete(case, offset), tally)
            if agreed is None:
                skip.append(offset)
            else:
                kept, p = agreed
                each.append([len(kept), digest(kept), round(float(p[0]), 6), round(float((p * p).sum()), 6)])
        if skip:
            case["skip"] = skip
        case["expect_each"] = each
        if not each:
            continue  # in none of its rows is anything left
        yield dict({"id": f"{profile}-{stage}-sweep-{index:02}"}, **case, tolerance=1.0e-5)
    n = Numbers(digest([ord(c) for c in f"{profile} {stage} extremes"]))
    for index in range(EXTREMES):
        kind, values = extreme(n, kinds_without(profile, stage))
        params, lists, _ = STAGES[profile][stage](n, len(values))
        case = {"profile": profile, "stages": [stage], "params": params, "logits": values}
        case.update({name: value for name, value in lists.items() if value != []})
        yield from explicit(f"{profile}-{stage}-{kind}-{index:02}", case, profile, engine, tally)


def main():
    profile, source = sys.argv[1:3]
    only = sys.argv[3] if len(sys.argv) > 3 else None
    if profile == "huggingface":
        import engine_huggingface
        import transformers

        import beam

        assert transformers.__version__ == engine_huggingface.VERSION, transformers.__version__
        transformers.logging.set_verbosity_error()
        engine_huggingface.check_order(beam.Table({"vocab": 16}))
        engine = engine_huggingface.run
    elif profile == "llama_cpp":
        import engine_llama

        lib = engine_llama.load(source)

        def engine(case, row):
            chain = engine_llama.Chain(lib, case)
            final, _ = chain.run(row)
            chain.close()
            return final
    else:
        import engine_vllm

        functions = engine_vllm.load(source)

        def engine(case, row):
            return engine_vllm.run(functions, case, row)

    lines, failed = [], False
    for stage in STAGES[profile]:
        if only and stage != only:
            continue
        tally = Tally()
        made = list(cases(profile, stage, engine, tally))
        lines += [json.dumps(case, separators=(",", ":")) for case in made]
        share = tally.near / tally.made
        failed |= share > 0.1 or tally.different > 0 or lacks(stage, made)
        print(
            f"{profile} {stage}: {tally.made} rows, {tally.made - tally.near - tally.empty - tally.different} written, "
            f"{tally.near} near a boundary ({share:.1%}), {tally.empty} with nothing left, {tally.ties} with other ids "
            f"of equal logits, {tally.tokens} picked at temperature 0, {tally.different} different",
            flush=True,
        )
    if profile == "llama_cpp" and not only:
        import exceptions
        import stateful

        more, wrong = stateful.lines(lib)
        lines += more
        failed |= wrong
        lines += exceptions.lines(engine)
    if failed:
        sys.exit("a stage differs or drops more than a tenth: nothing written")
    if not only:
        (GOLDEN / f"{profile}.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
