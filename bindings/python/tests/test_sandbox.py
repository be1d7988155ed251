"""The sandbox: the default model, its rules, its trainer."""

from pathlib import Path

import numpy as np
import pytest

import argpick
from argpick import sandbox


@pytest.fixture(scope="module")
def model() -> sandbox.Model:
    return sandbox.Model.default()


def test_the_default_model_says_what_the_readme_says(model: sandbox.Model) -> None:
    assert (model.vocab, model.features) == (181, 950) and model.words[model.class_of("sea")] == "sea"
    assert model.class_of("argpick") is None
    text = model.run("The sea and the sky")[0]
    assert text.text == "was blue and the sky was blue and the sky was blue and the sky was blue and the sky"
    assert (text.stop, text.error, text.unknown, text.prompt[:2]) == ("steps", None, 0, ["the", "sea"])
    first = text.steps[0]
    assert (first.word, first.rank) == ("was", 0) and [word for word, _ in first.top[:2]] == ["was", "is"]
    assert abs(first.margin - 0.144) < 1e-3 and abs(first.entropy - 2.048) < 1e-3
    assert sandbox.find_loop(text.tokens) == (0, 5, 20) and sandbox.find_loop([1, 2, 3]) is None
    assert model.run("The sea and the sky", mode="greedy", no_repeat_window=5)[0].text == "was blue and the sky is dark."


def test_a_loop_with_the_decoder_alone_gives_the_same(model: sandbox.Model) -> None:
    """What a student writes first: rows from the model, tokens from the decoder."""
    decoder = argpick.Decoder(model.vocab, mode="greedy")
    context = "the sea and the sky"
    for _ in range(10):
        context += " " + model.words[decoder.decode(model.logits(context)).token]
    assert context == "the sea and the sky was blue and the sky was blue and the sky"
    classes = [model.class_of(word) for word in sandbox.tokens("the sea and")]
    assert model.logits(classes).tobytes() == model.logits("the sea and").tobytes()
    columns = model.columns("the sea and")
    assert decoder.evaluate_sparse(model, columns) == decoder.evaluate(model.logits("the sea and"))


def test_rules_seeds_and_streams(model: sandbox.Model) -> None:
    rules = sandbox.Rules(ban=["was"], stop_punct=False, min_steps=3)
    assert "was" not in model.run("The sea and the sky", rules=rules)[0].text.split()
    texts = model.run(sandbox.CONTEXTS[:2] * 2, seed=3, temperature=1.0, steps=12)
    assert [text.stream for text in texts] == [0, 1, 2, 3] and texts[0].text != texts[2].text
    assert model.run(sandbox.CONTEXTS[0], seed=3, stream=2, steps=12)[0].text == texts[2].text
    assert all(len(step.top) <= 3 for step in model.run("In winter", top=3)[0].steps)
    with pytest.raises(argpick.InvalidParameter):
        model.run("In winter", top_p=2.0)
    with pytest.raises(TypeError):
        model.run(7)  # type: ignore[arg-type]


def test_a_recorded_session_is_executed_again(model: sandbox.Model) -> None:
    texts, trace = model.run(sandbox.CONTEXTS, record=True, seed=1)
    replay = argpick.Replay(trace)
    steps = 0
    while replay.next_step() is not None:
        assert replay.check_sparse(model) is None
        steps += 1
    assert steps == sum(len(text.steps) for text in texts) == argpick.Trace(trace).steps > 20


def test_beams(model: sandbox.Model) -> None:
    best = model.search("The sea and the sky", beams=4, max_tokens=12)
    assert len(best) == 4 and best[0].score >= best[1].score and best[0].text
    alone = model.search("The sea and the sky", beams=1, max_tokens=20)[0]
    assert alone.text == model.run("The sea and the sky")[0].text
    with pytest.raises(argpick.InvalidParameter):
        model.search("In winter", beams=0)


def test_training_gives_the_default_model_bit_for_bit(model: sandbox.Model, tmp_path: Path) -> None:
    text, out = tmp_path / "story.txt", tmp_path / "story.npz"
    text.write_text(sandbox.TEXT)
    seen: list[sandbox.Progress] = []
    options = dict(vocab=180, d2=256, d3=512, epochs=24, learning_rate=0.15, seed=1, dtype="float16")
    report = sandbox.train(text, out, **options, progress=seen.append)
    assert len(report.epochs) == 24 and report.classes == 181 and not report.interrupted
    assert report.epochs[-1].loss < report.epochs[0].loss and report.epochs[-1].held_out
    assert {progress.stage for progress in seen} >= {"learning"}
    trained = sandbox.Model.open(out)
    for context in sandbox.CONTEXTS:
        assert trained.logits(context).tobytes() == model.logits(context).tobytes()

    stopped = sandbox.train(text, tmp_path / "other.npz", **options, progress=lambda seen: seen.epoch < 3)
    assert stopped.interrupted and len(stopped.epochs) == 2

    def failing(seen: sandbox.Progress) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        sandbox.train(text, tmp_path / "third.npz", **options, progress=failing)
    assert not (tmp_path / "third.npz").exists()


def test_bad_input(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("one two three . " * 20)
    for options, name in (
        ({"vocab": 0}, "vocab"), ({"d2": 0}, "d2"), ({"learning_rate": -1.0}, "lr"), ({"dtype": "int8"}, "dtype"),
        ({"hold_out": 1}, "hold-out"),
    ):  # fmt: skip
        with pytest.raises(argpick.InvalidParameter) as caught:
            sandbox.train(text, tmp_path / "out.npz", **{"vocab": 3, **options})
        assert caught.value.name == name
    with pytest.raises(argpick.FileMalformed, match="too few"):
        sandbox.train(text, tmp_path / "out.npz", vocab=9)
    with pytest.raises(argpick.FileError) as missing:
        sandbox.train(tmp_path / "none.txt", tmp_path / "out.npz")
    assert missing.value.errno == 2
    with pytest.raises(argpick.Error, match="none.npz"):
        sandbox.Model.open(tmp_path / "none.npz")
    with pytest.raises(argpick.FileMalformed):
        sandbox.Model.from_bytes(b"nonsense", origin="my bytes")
    model = sandbox.Model.default()
    with pytest.raises(argpick.TokenOutOfRange):
        model.logits([181])
    with pytest.raises(argpick.WrongLength):
        model.logits("the sea", out=np.zeros(3, np.float32))
