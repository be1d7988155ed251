"""Beam search: transformers' own answers, the state of a search, bad input."""

from typing import Any

import numpy as np
import pytest
from conftest import golden_lines, recipe_row

import argpick

MASK = 2**64 - 1


def mix(x: int) -> int:
    z = (x + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


CASE = {
    "id", "profile", "stages", "table", "prompt", "num_beams", "length_penalty", "early_stopping", "end_tokens",
    "max_new_tokens", "num_return_sequences", "params", "expect", "tolerance",
}  # fmt: skip


def row_of(table: dict[str, Any], tokens: list[int]) -> np.ndarray:
    """The row after these tokens: a model that is a table."""
    seed = mix(table["seed"] + tokens[-1] & MASK)
    seed = mix(mix(seed + tokens[-2] & MASK) + len(tokens) & MASK)
    row = recipe_row(table["kind"], seed, table["vocab"])
    for token in table["raised"]:
        row[token] += np.float32(table["raise"])
    row[table["masked"]] = -np.inf
    return row


def test_the_sequences_are_those_of_transformers() -> None:
    """Every fifth case; tests/beam/golden.rs has them all."""
    stopping = {True: "full", False: "heuristic", "never": "never"}
    seen = with_processors = 0
    for case in golden_lines("beam.jsonl")[::5]:
        assert set(case) <= CASE, f"fields that nobody reads: {set(case) - CASE}"
        vocab, prompt, params = case["table"]["vocab"], case["prompt"], dict(case["params"])
        search = argpick.BeamSearch(
            vocab,
            profile="huggingface",
            beams=case["num_beams"],
            n_best=case["num_return_sequences"],
            max_tokens=case["max_new_tokens"],
            min_tokens=int(params.pop("min_tokens", 0)),
            length_penalty=case["length_penalty"],
            early_stopping=stopping[case["early_stopping"]],
            end_tokens=case["end_tokens"],
        )
        decoders = None
        if params or seen % 3 == 0:
            decoders = [argpick.Decoder(vocab, profile="huggingface", **params) for _ in range(case["num_beams"])]
            for decoder in decoders:
                decoder.prompt(prompt)
        beams = [prompt]
        while not search.is_finished:
            assert search.live == len(beams) and search.length == len(beams[0]) - len(prompt)
            step = search.step(np.stack([row_of(case["table"], beam) for beam in beams]), None, decoders)
            beams = [beams[parent] + [int(token)] for parent, token, _ in step.live]
            for index, beam in enumerate(beams):
                assert search.beam_tokens(index).tolist() == beam[len(prompt) :]
                assert search.beam_score(index) == step.live["score"][index]
        told = search.hypotheses()
        assert [hypothesis.tokens.tolist() for hypothesis in told] == case["expect"]["sequences"], case["id"]
        for hypothesis, score in zip(told, case["expect"]["scores"]):
            assert abs(hypothesis.score - score) <= case["tolerance"] * max(1, abs(score))
        seen += 1
        with_processors += bool(params)
    assert seen > 100 and with_processors > 5


def test_a_search_can_be_copied_and_started_anew() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 20)).astype(np.float32)
    search = argpick.BeamSearch(20, beams=3, max_tokens=4, end_tokens=[7])
    search.step(rows[:1])
    other = search.copy()
    first = [search.step(rows[1:4]).live.tolist() for _ in range(2)]
    assert [other.step(list(rows[1:4])).live.tolist() for _ in range(2)] == first
    search.reset()
    assert (search.live, search.length, search.config.beams) == (1, 0, 3) and search.end_tokens.tolist() == [7]
    search.reset(beams=30, max_tokens=9, end_tokens=[1, 2])
    assert search.config == argpick.BeamConfig(beams=30, max_tokens=9) and search.end_tokens.tolist() == [1, 2]
    search.reset(argpick.BeamConfig(beams=2))
    assert search.config.beams == 2 and search.outputs == 6
    assert eval(repr(search.config), {"BeamConfig": argpick.BeamConfig}) == search.config
    assert argpick.BeamConfig.from_dict(search.config.to_dict()) == search.config


def test_masks_and_what_ends() -> None:
    row = np.array([0.0, 1.0, 2.0, 3.0], np.float32)
    search = argpick.BeamSearch(4, beams=2, max_tokens=3, end_tokens=[3])
    step = search.step([row], [np.array([1, 1, 0, 1], bool)])
    assert step.live["token"].tolist() == [1, 0] and step.ended["token"].tolist() == [3] and not step.finished
    assert search.hypotheses()[0].finish is argpick.Finish.END_TOKEN
    step = search.step([row, row], np.full((2, 1), 0b0111, np.uint32))
    assert 3 not in step.live["token"]


def test_bad_input() -> None:
    rows = np.zeros((2, 4), np.float32)
    search = argpick.BeamSearch(4, beams=2, max_tokens=2)
    with pytest.raises(argpick.WrongLength):
        search.step(rows)
    search.step(rows[:1])
    bad = rows.copy()
    bad[1, 2] = np.nan
    with pytest.raises(argpick.InvalidLogit) as caught:
        search.step(bad)
    assert (caught.value.row, caught.value.index) == (1, 2) and "row 1" in str(caught.value)
    with pytest.raises(argpick.EverythingMasked):
        search.step(rows, np.zeros((2, 1), np.uint32))
    with pytest.raises(argpick.WrongLength):
        search.step(rows, [None])
    decoder = argpick.Decoder(4)
    with pytest.raises(argpick.Busy, match="the same decoder is given twice"):
        search.step(rows, None, [decoder, decoder])
    with pytest.raises(argpick.WrongLength):
        search.step(rows, None, [decoder])
    assert decoder.position == 0 and search.length == 1
    with pytest.raises(argpick.InvalidParameter) as caught_name:
        search.beam_tokens(2)
    assert caught_name.value.name == "beam"
    search.step(rows)
    assert search.is_finished
    with pytest.raises(argpick.Finished):
        search.step(rows)
    for fields, name in (
        ({"beams": 0}, "beams"), ({"groups": 3}, "groups"), ({"length_penalty": 17.0}, "length_penalty"),
        ({"temperature": 0.0}, "temperature"), ({"early_stopping": "soon"}, "early_stopping"), ({"max_tokens": 0}, "max_tokens"),
        ({"beams": 1.5}, "beams"), ({"n_best": 5}, "n_best"),
    ):  # fmt: skip
        with pytest.raises(argpick.InvalidParameter) as refused:
            argpick.BeamConfig(**fields)
        assert refused.value.name == name
    with pytest.raises(argpick.NotInProfile):
        argpick.BeamSearch(4, profile="llama_cpp")
    with pytest.raises(argpick.TokenOutOfRange):
        argpick.BeamSearch(4, end_tokens=[4])
    with pytest.raises(argpick.DuplicateToken):
        argpick.BeamSearch(4, end_tokens=[1, 1])
    with pytest.raises(TypeError, match="width"):
        argpick.BeamSearch(4, width=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Config"):
        argpick.BeamSearch(4, argpick.Config())  # type: ignore[arg-type]


def test_decoders_may_end_as_many_beams_as_go_on() -> None:
    """transformers looks at twice the beams also without end tokens: stops may end the first half of them."""
    search = argpick.BeamSearch(9, profile="huggingface", beams=3, max_tokens=4, length_penalty=2.0)
    decoders = [argpick.Decoder(9, profile="huggingface") for _ in range(3)]
    decoders[0].set_stops([[0], [1], [2]])
    step = search.step(-0.5 * np.arange(9, dtype=np.float32)[None], None, decoders)
    assert [token for _, token, _ in step.live] == [3, 4, 5]
    assert [token for _, token, _ in step.ended] == [0, 1, 2]
