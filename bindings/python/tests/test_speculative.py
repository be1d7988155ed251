"""Verification of drafts: the tokens of plain decoding, chains and trees, bad input."""

import numpy as np
import pytest

import argpick

VOCAB = 40


def model(tokens: list[int]) -> np.ndarray:
    """A row that is a function of the last tokens."""
    seed = hash(tuple(tokens[-2:])) & 0xFFFF
    return np.random.default_rng(seed).normal(0, 2, VOCAB).astype(np.float32)


def plain(config: argpick.Config, count: int) -> list[int]:
    decoder, tokens = argpick.Decoder(VOCAB, config), [0, 0]
    for _ in range(count):
        tokens.append(decoder.decode(model(tokens)).token)
    return tokens[2:]


@pytest.mark.parametrize("fields", [{}, {"mode": "greedy"}, {"top_k": 5, "temperature": 0.8}, {"repetition_penalty": 1.3}])
def test_matching_gives_the_tokens_of_plain_decoding(fields: dict) -> None:
    config = argpick.Config(seed=11, metrics="all", **fields)
    expected = plain(config, 60)
    decoder, tokens, accepted = argpick.Decoder(VOCAB, config), [0, 0], 0
    while len(tokens) < 62:
        # Drafts that are right for a while, and then wrong.
        drafts = [int(token) for token in expected[len(tokens) - 2 :][:2]] + [39, 1]
        rows = [model(tokens + drafts[:i]) for i in range(len(drafts) + 1)]
        verified = argpick.verify(decoder, drafts, rows)
        assert verified.emitted == len(verified.picks) and verified.finish is argpick.Finish.NONE
        assert verified.node == (verified.accepted - 1 if verified.accepted else None)
        accepted += verified.accepted
        tokens += [pick.token for pick in verified.picks]
    assert tokens[2:62] == expected and decoder.position == len(tokens) - 2 and accepted >= 30


def test_a_tree_of_drafts() -> None:
    config = argpick.Config(mode="greedy")
    expected = plain(config, 4)
    #      root -> wrong | right -> wrong | right -> right
    drafts = [(expected[0] + 1) % VOCAB, expected[0], (expected[1] + 1) % VOCAB, expected[1], expected[2]]
    parents = [None, None, 1, 1, 3]
    paths: list[list[int]] = [[]]
    for draft, parent in zip(drafts, parents):
        paths.append((paths[parent + 1] if parent is not None else []) + [draft])
    rows = np.stack([model([0, 0] + path) for path in paths])
    for given in (parents, [argpick.ROOT if p is None else p for p in parents], np.array([2**32 - 1, 2**32 - 1, 1, 1, 3])):
        decoder = argpick.Decoder(VOCAB, config)
        verified = argpick.verify(decoder, drafts, rows, parents=given)
        assert (verified.accepted, verified.emitted, verified.node) == (3, 4, 4)
        assert [pick.token for pick in verified.picks] == expected and decoder.position == 4


def test_drawn_drafts_keep_the_distribution() -> None:
    target_row, draft_row = model([1, 2]), model([3, 4])
    p = argpick.Decoder(VOCAB).probabilities(target_row.copy()).astype(np.float64)
    counts = np.zeros(VOCAB)
    rounds = 8_000
    for seed in range(rounds):
        drafter = argpick.Decoder(VOCAB, seed=seed, stream=1)
        draft = drafter.decode(draft_row).token
        drafter.undo()
        target = argpick.Decoder(VOCAB, seed=seed)
        verified = argpick.verify(
            target, [draft], [target_row, target_row], acceptance="drawn", draft_decoder=drafter, draft_rows=[draft_row]
        )
        counts[verified.picks[0].token] += 1
        assert drafter.position == target.position == verified.emitted
    expected = p * rounds
    common = expected > 20
    chi = ((counts - expected) ** 2 / expected)[common].sum()
    assert chi < 2 * common.sum(), chi


def test_bad_input() -> None:
    decoder = argpick.Decoder(VOCAB, mode="greedy")
    rows = np.stack([model([0, i]) for i in range(3)])
    saved = decoder.save()
    with pytest.raises(argpick.WrongLength):
        argpick.verify(decoder, [1, 2], rows[:2])
    with pytest.raises(argpick.TokenOutOfRange):
        argpick.verify(decoder, [1, VOCAB], rows)
    with pytest.raises(argpick.InvalidParameter) as caught:
        argpick.verify(decoder, [1, 2], rows, parents=[None, 1])
    assert caught.value.name == "parent"
    with pytest.raises(argpick.InvalidParameter) as caught:
        argpick.verify(decoder, [1, 2], rows, acceptance="perhaps")
    assert caught.value.name == "acceptance"
    with pytest.raises(argpick.Busy, match="the same decoder is given twice"):
        argpick.verify(decoder, [1, 2], rows, acceptance="drawn", draft_decoder=decoder, draft_rows=rows)
    with pytest.raises(argpick.WrongLength):
        argpick.verify(argpick.Decoder(VOCAB), [1, 2], rows, acceptance="drawn", draft_decoder=argpick.Decoder(VOCAB))
    with pytest.raises(argpick.CapacityExceeded):
        argpick.verify(decoder, [1] * 65, np.tile(rows[0], (66, 1)))
    with pytest.raises(argpick.WrongLength):
        argpick.verify(decoder, [1, 2], rows, masks=[None])
    with pytest.raises(TypeError, match="draft_decoder"):
        argpick.verify(decoder, [1, 2], rows, draft_rows=rows)
    bad = rows.copy()
    bad[0, 0] = np.nan
    with pytest.raises(argpick.InvalidLogit):
        argpick.verify(decoder, [1, 2], bad)
    assert decoder.save() == saved
    assert argpick.verify(decoder, [], rows[:1]).emitted == 1
