"""The golden vectors through Python: every bit of tests/golden/decode.json, and what other engines keep of a row."""

import itertools
from typing import Any

import numpy as np
import pytest
from conftest import Tensor, golden_json, golden_lines, recipe_row, words

import argpick

FLOATS = {
    "temperature", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "top_n_sigma", "top_a", "tfs_z", "top_h",
    "xtc_probability", "xtc_threshold", "dynatemp_range", "dynatemp_exponent", "mirostat_tau", "mirostat_eta",
    "adaptive_target", "adaptive_decay",
}  # fmt: skip


def f32(bits: int) -> np.float32:
    return np.uint32(bits).view(np.float32)


def bits(value: float) -> int:
    return int(np.float32(value).view(np.uint32))


def unroll(runs: list[list[int]]) -> np.ndarray:
    counts, values = zip(*runs)
    return np.repeat(np.array(values, np.uint32), counts).view(np.float32)


def row_of(step: dict[str, Any]) -> tuple[Any, np.ndarray]:
    """The row as it is handed over, and in float32."""
    if "row_f16" in step:
        row = np.array(step["row_f16"], np.uint16).view(np.float16)
        return row, row.astype(np.float32)
    if "row_bf16" in step:
        halves = np.array(step["row_bf16"], np.uint16)
        return Tensor(halves, code=4), (halves.astype(np.uint32) << 16).view(np.float32)
    row = unroll(step["row_runs"]) if "row_runs" in step else np.array(step["row_bits"], np.uint32).view(np.float32)
    return row, row


def decoder_of(step: dict[str, Any], vocab: int) -> argpick.Decoder:
    fields = {
        name: (float(f32(value)) if name in FLOATS else int(value)) for name, value in step["config"].items()
    }
    if "keep_ties" in fields:
        fields["keep_ties"] = bool(fields["keep_ties"])
    decoder = argpick.Decoder(vocab, argpick.Config.from_dict(fields), metrics="all")
    decoder.set_bias([(token, float(f32(amount))) for token, amount in step["bias"]])
    decoder.set_bans(step["bans"])
    decoder.accept(step["generated"])
    decoder.seek(int(step["position"]))
    return decoder


def refusal(error: argpick.Error) -> dict[str, Any]:
    known: dict[str, Any] = {"status": int(error.status), "name": type(error).__name__}
    if isinstance(error, argpick.InvalidLogit):
        known |= {"index": error.index, "value": str(np.float32(error.value))}
    return known


def same_error(expected: dict[str, Any], error: argpick.Error) -> bool:
    found = refusal(error)
    return all(str(expected[name]) == str(found[name]) for name in expected if name in found and name != "value")


def test_every_bit_of_the_golden_steps() -> None:
    steps = golden_json("decode.json")
    assert len(steps) > 200
    refused = rewritten = 0
    for step in steps:
        given, row = row_of(step)
        mask = None if step["mask"] is None else np.array(step["mask"], np.uint32)
        decoder = decoder_of(step, len(row))
        if "error" in step:
            with pytest.raises(argpick.Error) as caught:
                decoder.evaluate(given, mask)
            assert same_error(step["error"], caught.value), step["name"]
            refused += 1
            continue
        for pick in (decoder.evaluate(given, mask), decoder.copy().decode(given, mask)):
            for name, value in step["expected"].items():
                found = getattr(pick, name)
                if name in ("token", "argmax", "rank", "kept", "finish"):
                    assert found == value, (step["name"], name)
                else:
                    assert bits(found) == value, (step["name"], name)
        if "probabilities_runs" not in step:
            continue
        rewritten += 1
        probabilities = decoder.probabilities(row.copy(), mask)
        assert np.array_equal(probabilities.view(np.uint32), unroll(step["probabilities_runs"]).view(np.uint32))
        if isinstance(step["process_runs"], dict):
            with pytest.raises(argpick.Error) as caught:
                decoder.process(row.copy(), mask)
            assert same_error(step["process_runs"]["error"], caught.value), step["name"]
        else:
            processed = decoder.process(row.copy(), mask)
            assert np.array_equal(processed.view(np.uint32), unroll(step["process_runs"]).view(np.uint32))
    assert refused >= 3 and rewritten > 100


def digest(ids: np.ndarray) -> int:
    value = 0x811C9DC5
    for byte in ids.astype("<u4").tobytes():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def ids_of(value: Any, offset: int) -> list[int]:
    if not isinstance(value, dict):
        return value or []
    return [int(word % value["below"]) for word in words(value["seed"] + offset, value["length"])]


def real(value: Any) -> float:
    return float(value)


CASE = {
    "id", "profile", "stages", "params", "row", "logits", "prompt", "history", "bias", "bans", "allowed", "forced",
    "end_tokens", "sequence_bias", "bad_sequences", "breakers", "tolerance", "count", "skip", "expect_each", "steps",
    "expect", "engine",
}  # fmt: skip


def only(value: dict[str, Any], known: set[str]) -> None:
    """A case with a field that is not read must not pass."""
    assert set(value) <= known, f"fields that nobody reads: {sorted(set(value) - known)}"


def check_fields(case: dict[str, Any]) -> None:
    only(case, CASE)
    assert ("row" in case) != ("logits" in case), case["id"]
    assert sum(name in case for name in ("steps", "expect", "expect_each")) == 1, case["id"]
    only(case.get("row", {}), {"kind", "seed", "vocab", "patch"})
    for name in ("prompt", "history"):
        if isinstance(case.get(name), dict):
            only(case[name], {"seed", "length", "below"})
    if "expect" in case:
        listed = {"token", "kept", "probabilities"}
        only(case["expect"], {"token", "count", "digest", "first", "last", "probabilities"} if "count" in case["expect"] else listed)
    if "engine" in case:
        # What the engine does instead of the rule; it stands there for whoever asks.
        assert case["id"].startswith("llama_cpp-exception-"), case["id"]
        only(case["engine"], {"version", "reason", "kept", "probabilities"})


def row_of_case(case: dict[str, Any], offset: int) -> np.ndarray:
    if "logits" in case:
        return np.array([real(value) for value in case["logits"]], np.float32)
    recipe = case["row"]
    row = recipe_row(recipe["kind"], recipe["seed"] + offset, recipe["vocab"])
    for token, value in recipe.get("patch", []):
        row[token] = real(value)
    return row


def decoder_of_case(case: dict[str, Any], vocab: int, offset: int, **changed: float) -> argpick.Decoder:
    config = argpick.Config.from_dict({"profile": case["profile"], **case["params"], **changed})
    decoder = argpick.Decoder(vocab, config)
    decoder.set_bias([(token, real(bias)) for token, bias in case.get("bias", [])])
    decoder.set_bans(case.get("bans", []))
    decoder.set_forced([(place, token) for place, token in case.get("forced", [])])
    decoder.set_end_tokens(case.get("end_tokens", []))
    decoder.set_bad_sequences(case.get("bad_sequences", []))
    decoder.set_sequence_bias([(tokens, real(bias)) for tokens, bias in case.get("sequence_bias", [])])
    decoder.set_breakers(case.get("breakers", []))
    decoder.prompt(ids_of(case.get("prompt"), offset))
    decoder.accept(ids_of(case.get("history"), offset))
    return decoder


def bitmask(case: dict[str, Any], vocab: int) -> np.ndarray | None:
    if "allowed" not in case:
        return None
    words = np.zeros((vocab + 31) // 32, np.uint32)
    for token in case["allowed"]:
        words[token // 32] |= np.uint32(1 << token % 32)
    return words


def check_kept(case: dict[str, Any], decoder: argpick.Decoder, row: np.ndarray, mask: Any, expect: Any) -> None:
    kept = decoder.kept(row, mask)
    kept = kept[np.lexsort((kept["token"], -kept["logit"].astype(np.float64)))]
    ids, p = kept["token"], np.exp(kept["logprob"].astype(np.float64))
    if isinstance(expect, list):
        count, sum_of_ids, first, squares = expect
        assert (len(ids), digest(ids)) == (count, sum_of_ids), case["id"]
        assert abs(p[0] - first) <= case["tolerance"] and abs((p * p).sum() - squares) <= 2 * case["tolerance"], case["id"]
        return
    if "count" in expect:
        assert (len(ids), digest(ids)) == (expect["count"], expect["digest"]), case["id"]
    else:
        assert ids.tolist() == expect["kept"], case["id"]
    known = np.array(expect["probabilities"])
    assert np.abs(p[: len(known)] - known).max(initial=0) <= case["tolerance"], case["id"]


def check_case(case: dict[str, Any], offset: int, expect: Any) -> None:
    row = row_of_case(case, offset)
    mask = bitmask(case, len(row))
    check_kept(case, decoder_of_case(case, len(row), offset), row, mask, expect)
    if isinstance(expect, dict) and "token" in expect:
        greedy = decoder_of_case(case, len(row), offset, temperature=0.0, dynatemp_range=0.0)
        assert greedy.decode(row, mask).token == expect["token"], case["id"]


def check_steps(case: dict[str, Any]) -> None:
    vocab = case["row"]["vocab"]
    decoder = decoder_of_case(case, vocab, 0)
    for index, (token, *expect, _) in enumerate(case["steps"]):
        row = row_of_case(case, index)
        check_kept(case, decoder, row, None, expect)
        if index + 1 == len(case["steps"]):
            break
        # By some position's random numbers the token is drawn, since it has a probability.
        for position in itertools.count(decoder.position):
            decoder.seek(position)
            if decoder.evaluate(row).token == token:
                break
        decoder.decode(row)


def check_line(case: dict[str, Any], most: int) -> int:
    """Checks a line, of a sweep the first rows; how many rows."""
    check_fields(case)
    if "steps" in case:
        check_steps(case)
        return len(case["steps"])
    if "expect" in case:
        check_case(case, 0, case["expect"])
        return 1
    skipped = set(case.get("skip", []))
    offsets = [offset for offset in range(case["count"]) if offset not in skipped]
    rows = list(zip(offsets, case["expect_each"], strict=True))[:most]
    for offset, expect in rows:
        check_case(case, offset, expect)
    return len(rows)


@pytest.mark.parametrize("profile", ["huggingface", "llama_cpp", "vllm"])
def test_what_other_engines_keep(profile: str) -> None:
    """Every line, of a sweep the first rows; tests/conformance.rs has them all."""
    seen = sum(check_line(case, 5) for case in golden_lines(f"{profile}.jsonl"))
    print(f"{profile}: {seen} rows")
    assert seen > 2_000


def test_a_broken_case_does_not_pass() -> None:
    cases = golden_lines("huggingface.jsonl")
    listed = next(case for case in cases if len(case.get("expect", {}).get("kept", [])) > 2 and "token" in case["expect"])
    sweep = next(case for case in cases if "expect_each" in case)
    assert check_line(listed, 1) == 1 and check_line(sweep, 1) == 1
    kept, p = listed["expect"]["kept"], listed["expect"]["probabilities"]
    first = sweep["expect_each"][0]
    broken = [
        {**listed, "expect": {**listed["expect"], "kept": [kept[1], kept[0], *kept[2:]]}},
        {**listed, "expect": {**listed["expect"], "kept": kept[:-1]}},
        {**listed, "expect": {**listed["expect"], "probabilities": [p[0] + 3e-5, *p[1:]]}},
        {**listed, "expect": {**listed["expect"], "token": kept[1]}},
        {**listed, "expect": {**listed["expect"], "surprise": 1}},
        {**listed, "watermark": 1},
        {**listed, "params": {**listed["params"], "watermark": 1}},
        {**sweep, "expect_each": [[first[0], first[1] ^ 1, *first[2:]], *sweep["expect_each"][1:]]},
        {**sweep, "expect_each": sweep["expect_each"][1:]},
    ]
    for case in broken:
        with pytest.raises((AssertionError, ValueError, TypeError, argpick.Error)):
            check_line(case, 1)
