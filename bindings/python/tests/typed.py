"""A program that is typed, for mypy: what users write is accepted, and each line with an ignore is refused. It also runs."""

from typing import assert_type

import numpy as np
import numpy.typing as npt

import argpick
from argpick import sandbox

row = np.zeros(8, np.float32)
config = argpick.Config(temperature=0.5, metrics="all")
decoder = argpick.Decoder(8, config.replace(top_k=3), seed=4)
pick = decoder.decode(row, np.ones(8, bool))
assert_type(pick, argpick.Pick)
assert_type(pick.rank, int | None)
assert_type(pick.finish, argpick.Finish)
assert_type(decoder.process(row), np.ndarray[tuple[int], np.dtype[np.float32]])
decoder.set_bias({1: 0.5})
decoder.set_bias(np.array([1]), [0.5])
decoder.set_stops([[1, 2], (3,)])
assert_type(argpick.decode_batch([decoder], [row]), list[argpick.Pick | argpick.Error])
assert_type(decoder.sweep(row, [config], kept=False), list[argpick.Pick | argpick.Error])
picks, kept = decoder.sweep(row, [config], kept=True)
assert_type(kept, npt.NDArray[np.uint32])
weights = argpick.Weights(8, 2)
assert_type(weights.logits([1]), npt.NDArray[np.float32])
assert_type(weights.train_step([0], 1, 0.1).loss, float)
search = argpick.BeamSearch(8, beams=2, end_tokens=[1])
assert_type(search.hypotheses(), list[argpick.Hypothesis])
with argpick.Recorder(decoder) as recorder:
    recorder.decode(row)
text = sandbox.Model.default().run("the sea", temperature=0.7)[0]
assert_type(text.text, str)


def refused() -> None:
    """Not run: each of these is an error to the type checker."""
    decoder.decode([1.0, 2.0])  # type: ignore[arg-type]
    decoder.decode(3.0)  # type: ignore[arg-type]
    argpick.Decoder(8, topk=3)  # type: ignore[call-arg]
    argpick.Decoder(8, top_k="3")  # type: ignore[arg-type]
    argpick.Config(1)  # type: ignore[call-arg]
    pick.token = 3  # type: ignore[misc]
    decoder.set_bias([1, 2])  # type: ignore[list-item]
