"""llama.cpp's samplers that remember what was picked: mirostat v1 and v2, adaptive-p.

The engine picks; its pick is part of the case, and the state after it is compared. A case is dropped whole where one of its
steps is near a boundary.
"""

import json
import math

import numpy

import engine_llama
import rules
from generate import complete, digest, lacks
from rows import Numbers, build
from stages import number, row

CASES, STEPS = 480, 5


def mirostat_1(n):
    params = {"mirostat": 1}
    if n.chance(2):
        params["mirostat_tau"] = n.pick([2.0, 3.0, 4.0])
    if n.chance(2):
        params["mirostat_eta"] = n.pick([0.05, 0.3, 1.0])
    if n.chance(3):
        params["temperature"] = number(n, 0.6, 1.5, 2)
    return params, n.pick([4, 16, 40, 120, 300, 1_000])


def mirostat_2(n):
    params, _ = mirostat_1(n)
    params["mirostat"] = 2
    return params, n.pick([4, 8, 16, 40, 64, 300, 1_000])


def adaptive_p(n):
    params = {"adaptive_target": n.pick([0.0, 0.05, 0.2, 0.5, 0.8, 1.0])}
    if n.chance(2):
        params["adaptive_decay"] = n.pick([0.0, 0.5, 0.99])
    if n.chance(2):
        params["min_p"] = n.pick([0.02, 0.1])
    if n.chance(3):
        params["top_k"] = n.pick([3, 10, 40])
    if n.chance(3):
        params["temperature"] = number(n, 0.6, 1.5, 2)
    return params, n.pick([4, 8, 16, 40, 64, 300, 1_000])


def walk(lib, case):
    """The steps of a case; None where one is near a boundary; a text where the judges differ."""
    full = complete(case)
    full["engine_seed"] = case["engine_seed"]
    params = full["params"]
    chain = engine_llama.Chain(lib, full)
    tau, eta = params.get("mirostat_tau", 5.0), params.get("mirostat_eta", 0.1)
    decay = params.get("adaptive_decay", 0.9)
    target = params.get("adaptive_target", 0.0)
    state = {"mu": 2 * tau, "sum": target / (1 - decay), "weight": 1 / (1 - decay)}
    steps = []
    for step in range(STEPS):
        values = build(dict(case["row"], seed=case["row"]["seed"] + step))
        rule = rules.Rule(values)
        state["mean"] = state["sum"] / state["weight"]
        rules.llama_cpp(rule, full, state)
        kept, p = rule.answer()
        if rule.near or rule.underflow:
            return None
        final, token = chain.run(values)
        theirs = numpy.flatnonzero(final > -numpy.inf)
        weights = numpy.exp(final[theirs].astype(numpy.float64) - final.max())
        weights /= weights.sum()
        ours = dict(zip(kept.tolist(), p.tolist()))
        if set(theirs.tolist()) != set(ours):
            equal = sorted(values[theirs].tolist()) == sorted(values[kept].tolist())
            if not equal:
                return f"step {step}: engine keeps {theirs.tolist()[:20]}, rule {kept.tolist()[:20]}"
            return None
        if max(abs(w - ours[t]) for t, w in zip(theirs.tolist(), weights)) > 5e-6:
            return f"step {step}: probabilities differ"
        if "mirostat" in params:
            state["mu"] -= eta * (-math.log2(ours[token]) - tau)
            after, engine_after = state["mu"], chain.mu(params["mirostat"])
        else:
            source = rules.Rule(values)
            bare = {k: v for k, v in params.items() if k != "adaptive_target"}
            rules.llama_cpp(source, dict(full, params=bare))
            state["sum"] = source.probabilities()[token] + decay * state["sum"]
            state["weight"] = 1 + decay * state["weight"]
            chain.accept(token)
            after, engine_after = state["sum"] / state["weight"], chain.mean()
        if abs(after - engine_after) > 2e-5 * max(1.0, abs(after)):
            return f"step {step}: state {engine_after} by the engine, {after} by the rule"
        squares = round(float((p * p).sum()), 7)
        steps.append([token, len(kept), digest(kept), round(float(p[0]), 7), squares, round(after, 6)])
    chain.close()
    return steps


def lines(lib):
    found, wrong = [], False
    for stage in (mirostat_1, mirostat_2, adaptive_p):
        name = stage.__name__
        n = Numbers(digest([ord(c) for c in f"llama_cpp {name}"]))
        near = different = 0
        written = []
        for index in range(CASES):
            params, vocab = stage(n)
            case = {"profile": "llama_cpp", "stages": [name], "params": params}
            kinds = ["normal", "normal", "bf16", "peaked"]
            if index in (7, 107, 207):
                # Few enough kept that a test finds the picked one among its draws.
                vocab, kinds = 151_936, ["peaked"]
                if stage is adaptive_p:
                    params["top_k"] = 40
            case["row"] = row(n, vocab, kinds, tame=True)
            case["row"].pop("patch", None)
            steps = walk(lib, dict(case, engine_seed=index))
            if steps is None:
                near += 1
            elif isinstance(steps, str):
                different += 1
                if different <= 3:
                    print(f"  DIFFERENT {json.dumps(case)}: {steps}")
            else:
                case["steps"] = steps
                case = dict({"id": f"llama_cpp-{name}-{index:03}"}, **case, tolerance=1.0e-5)
                written.append(case)
        found += [json.dumps(case, separators=(",", ":")) for case in written]
        share = near / CASES
        wrong |= share > 0.1 or different > 0 or lacks(name, written)
        print(f"llama_cpp {name}: {CASES} runs of {STEPS} steps, {near} near a boundary ({share:.1%}), {different} different")
    return found, wrong
