"""Many rows, one decoder each."""

import numpy as np
import pytest
from conftest import Tensor

import argpick


def decoders(count: int, vocab: int) -> list[argpick.Decoder]:
    return [argpick.Decoder(vocab, seed=1, stream=i, top_p=0.9, metrics="all") for i in range(count)]


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_a_batch_is_its_rows(parallel: bool, kind: type) -> None:
    generator = np.random.default_rng(2)
    rows = generator.normal(0, 3, (17, 500)).astype(kind)
    flags = generator.random((17, 500)) < 0.5
    words = np.zeros((17, 16), np.uint32)
    packed = np.packbits(flags, axis=1, bitorder="little")
    words.view(np.uint8)[:, : packed.shape[1]] = packed
    alone = [decoder.decode(row, mask) for decoder, row, mask in zip(decoders(17, 500), rows, flags)]
    for masks in (flags, words, list(flags), [words[i] if i % 2 else flags[i] for i in range(17)]):
        for given in (rows, list(rows), tuple(rows), Tensor(rows)):
            assert argpick.decode_batch(decoders(17, 500), given, masks, parallel=parallel) == alone
    # Rows that are part of a larger array, with a step between them.
    wide = np.zeros((17, 800), kind)
    wide[:, :500] = rows
    assert argpick.decode_batch(decoders(17, 500), wide[:, :500], flags) == alone
    backwards = argpick.decode_batch(decoders(17, 500)[::-1], rows[::-1], flags[::-1], parallel=parallel)
    assert backwards == alone[::-1]


def test_a_row_that_fails_leaves_the_others_alone() -> None:
    rows = np.zeros((4, 8), np.float32)
    rows[:, 3] = 1
    rows[1, 2] = np.nan
    group = [argpick.Decoder(8, mode="greedy", max_tokens=1) for _ in range(4)]
    group[3].accept([0])
    masks = [None, None, np.zeros(1, np.uint32), None]
    results = argpick.decode_batch(group, rows, masks)
    assert isinstance(results[0], argpick.Pick) and results[0].token == 3
    assert [type(result) for result in results[1:]] == [argpick.InvalidLogit, argpick.EverythingMasked, argpick.Finished]
    assert results[1].index == 2 and [decoder.position for decoder in group] == [1, 0, 0, 1]


def test_what_does_not_fit() -> None:
    rows = np.zeros((3, 8), np.float32)
    group = decoders(3, 8)
    for given, masks in ((rows[:2], None), (rows, np.ones((2, 8), bool)), (rows, [None])):
        with pytest.raises(argpick.WrongLength):
            argpick.decode_batch(group, given, masks)
    with pytest.raises(argpick.WrongLength):
        argpick.decode_batch(group, rows, np.ones((3, 7), bool))
    for given in (rows.astype(np.float64), rows[:, ::2], rows[0], "rows", rows.astype(np.int64)):
        with pytest.raises(TypeError):
            argpick.decode_batch(group, given)
    with pytest.raises(TypeError, match="str"):
        argpick.decode_batch([group[0], "decoder", group[1]], rows)  # type: ignore[list-item]
    with pytest.raises(argpick.Busy, match="the same decoder is given twice"):
        argpick.decode_batch([group[0], group[1], group[0]], rows)
    assert all(decoder.position == 0 for decoder in group)
    assert argpick.decode_batch([], []) == [] and argpick.decode_batch([], np.zeros((0, 8), np.float32)) == []
    short = argpick.decode_batch(group, [rows[0], rows[0, :5], rows[0]])
    assert isinstance(short[1], argpick.WrongLength) and isinstance(short[2], argpick.Pick)


def test_a_decoder_that_is_in_the_batch_comes_back_after_an_error() -> None:
    group = decoders(2, 8)
    with pytest.raises(argpick.WrongLength):
        argpick.decode_batch(group, np.zeros((3, 8), np.float32))
    assert group[0].decode(np.zeros(8, np.float32)) == decoders(1, 8)[0].decode(np.zeros(8, np.float32))
