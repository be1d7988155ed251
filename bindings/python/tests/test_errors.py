"""The exceptions: one base, the numbers of C, particulars, pickles."""

import pickle
import re

import numpy as np
import pytest
from conftest import REPOSITORY

import argpick


def test_the_statuses_are_those_of_c() -> None:
    header = (REPOSITORY / "include" / "argpick.h").read_text()
    in_c = {name: int(number) for name, number in re.findall(r"#define ARGPICK_ERR_(\w+) (\d+)", header)}
    assert in_c | {"OK": 0} == {status.name: int(status) for status in argpick.Status}


def test_the_choices_are_those_of_c() -> None:
    header = (REPOSITORY / "include" / "argpick.h").read_text()
    prefixes = {
        "PROFILE_": argpick.Profile, "MODE_": argpick.Mode, "PENALTY_SCOPE_": argpick.PenaltyScope,
        "METRIC_": argpick.Metrics, "FINISH_": argpick.Finish, "ACCEPTANCE_": argpick.Acceptance,
        "EARLY_STOPPING_": argpick.EarlyStopping, "VERDICT_": argpick.Verdict,
    }  # fmt: skip
    for prefix, kind in prefixes.items():
        in_c = {name: int(number) for name, number in re.findall(rf"#define ARGPICK_{prefix}(\w+) (\d+)", header)}
        in_python = {name: int(member) for name, member in kind.__members__.items()}
        assert in_c == {name: number for name, number in in_python.items() if (kind, name) != (argpick.Metrics, "NONE")}


def test_every_error_is_one_of_argpick(row: np.ndarray) -> None:
    decoder = argpick.Decoder(6, max_tokens=4, adjustment_capacity=2, sequence_capacity=2)
    bad = row.copy()
    bad[2] = np.inf
    cases = [
        (lambda: decoder.decode(bad), argpick.InvalidLogit, 2, np.inf),
        (lambda: decoder.decode(row, np.zeros(1, np.uint32)), argpick.EverythingMasked, None, None),
        (lambda: decoder.decode(row[:5]), argpick.WrongLength, 6, 5),
        (lambda: decoder.prompt([1, 6]), argpick.TokenOutOfRange, 6, 6),
        (lambda: decoder.prompt([-1]), argpick.InvalidParameter, None, -1),
        (lambda: decoder.prompt(np.array([2**40])), argpick.InvalidParameter, None, 2**40),
        (lambda: decoder.set_bias([(1, 1.0), (1, 2.0)]), argpick.DuplicateToken, 1, None),
        (lambda: decoder.set_bias([(1, float("nan"))]), argpick.InvalidParameter, None, None),
        (lambda: decoder.set_bias([1, 2], [1.0]), argpick.WrongLength, 2, 1),
        (lambda: decoder.set_bans([1, 2, 3]), argpick.CapacityExceeded, 2, 3),
        (lambda: decoder.set_stops([[]]), argpick.InvalidParameter, None, 0),
        (lambda: decoder.set_end_tokens([1, 2, 3]), argpick.CapacityExceeded, 2, 3),
        (lambda: decoder.set_forced([(1, 1), (1, 2)]), argpick.InvalidParameter, None, 1),
        (lambda: decoder.seek(-1), argpick.InvalidParameter, None, -1),
        (lambda: decoder.accept([1] * 5), argpick.Finished, None, None),
        (lambda: decoder.undo(1), argpick.UndoTooFar, 0, 1),
        (lambda: decoder.undo(-1), argpick.InvalidParameter, None, -1),
        (lambda: decoder.top(row, -1), argpick.InvalidParameter, None, -1),
        (lambda: argpick.BeamSearch(6, beams=2).beam_score(-1), argpick.InvalidParameter, None, -1),
        (lambda: decoder.load(b"nonsense"), argpick.BadState, None, None),
        (lambda: argpick.Config(top_p=7.0), argpick.InvalidParameter, None, 7),
        (lambda: argpick.score(row, 9), argpick.TokenOutOfRange, 9, 6),
    ]  # fmt: skip
    saved = decoder.save()
    for call, kind, index, value in cases:
        with pytest.raises(kind) as caught:
            call()
        error = caught.value
        assert isinstance(error, argpick.Error) and isinstance(error, ValueError)
        assert error.status is kind.status and error.index == index
        assert value is None or error.value == value
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error) and str(error)
        assert (again.index, again.status, again.name) == (error.index, error.status, error.name)
        assert decoder.save() == saved, kind


@pytest.mark.parametrize("tokens", ["12", [1.5], [None], 7, np.array([1.0]), np.array([[1]]), [[1]], np.array([True])])
def test_tokens_of_the_wrong_type(tokens: object) -> None:
    decoder = argpick.Decoder(8)
    for call in (decoder.prompt, decoder.accept, decoder.set_bans, decoder.set_end_tokens):
        with pytest.raises(TypeError):
            call(tokens)  # type: ignore[arg-type]


@pytest.mark.parametrize("pairs", [[1, 2], [(1,)], [(1, 2, 3)], 7, {"a": 1.0}, {1: "b"}, "ab"])
def test_pairs_of_the_wrong_type(pairs: object) -> None:
    with pytest.raises(TypeError):
        argpick.Decoder(8).set_bias(pairs)  # type: ignore[arg-type]


def test_tokens_of_every_integer_type() -> None:
    for kind in (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64):
        decoder = argpick.Decoder(8)
        decoder.prompt(np.array([1, 7], kind))
        assert decoder.history.tolist() == [1, 7]
    decoder.prompt(range(3))
    decoder.prompt(iter([np.uint8(4)]))
    assert decoder.history.tolist() == [1, 7, 0, 1, 2, 4]
    # A list that is no array of contiguous memory is refused, not guessed at.
    with pytest.raises(TypeError, match="contiguous"):
        decoder.prompt(np.arange(8)[::2])
