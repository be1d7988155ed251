"""Recording a run and executing it again."""

import gc
import io
import weakref
from pathlib import Path

import numpy as np
import pytest

import argpick

ROWS = np.random.default_rng(5).normal(0, 2, (30, 50)).astype(np.float32)
FLAGS = np.random.default_rng(6).random((30, 50)) < 0.6


def run(recorder: argpick.Recorder) -> list[argpick.Pick]:
    """Everything that can be recorded."""
    recorder.note("a run")
    recorder.prompt([1, 2, 3])
    recorder.set_bias({4: 1.5})
    recorder.set_bans(np.array([9]))
    picks = [recorder.decode(row, mask) for row, mask in zip(ROWS[:10], FLAGS[:10])]
    picks.append(recorder.evaluate(ROWS[10]))
    recorder.undo(2)
    recorder.accept([7, 8])
    recorder.seek(100)
    assert recorder.push_bytes("text") == (None, 0)
    picks += [recorder.decode(row) for row in ROWS[11:20]]
    bad = ROWS[20].copy()
    bad[3] = np.nan
    with pytest.raises(argpick.InvalidLogit):
        recorder.decode(bad)
    recorder.reset(top_k=5, seed=9, history_capacity=9000, metrics="all")
    recorder.decoder.set_end_tokens([3])
    recorder.state()
    picks += [recorder.decode(row) for row in ROWS[21:25]]
    recorder.reset()
    return picks


def replay_rows() -> list[np.ndarray]:
    bad = ROWS[20].copy()
    bad[3] = np.nan
    return [*ROWS[:20], bad, *ROWS[21:25]]


def test_a_run_is_executed_again() -> None:
    recorder = argpick.Recorder(argpick.Decoder(50, seed=4, metrics="all", temperature=0.9))
    picks = run(recorder)
    data = recorder.finish()
    assert isinstance(data, bytes)
    with pytest.raises(argpick.Finished):
        recorder.decode(ROWS[0])
    replay = argpick.Replay(data)
    assert (replay.steps, replay.is_complete, replay.vocab) == (25, True, 50)
    found = []
    for step, row in zip(replay, replay_rows()):
        assert replay.next_step() == step
        assert replay.check(row) is None
        if step.pick is not None:
            found.append(step.pick)
        else:
            assert step.status is argpick.Status.INVALID_LOGIT
    assert found == picks and replay.next_step() is None
    assert replay.decoder().save() == recorder.decoder.save()

    trace = argpick.Trace(data)
    kinds = [record.kind for record in trace.records()]
    assert kinds[0] == "state" and {"note", "prompt", "biases", "bans", "mask", "undo", "accept", "seek", "bytes", "configure", "reset"} < set(kinds)
    assert (trace.steps, trace.vocab, trace.is_complete, trace.config.temperature) == (25, 50, True, 0.9)
    values = {record.kind: record.value for record in trace.records()}
    assert values["note"] == "a run" and values["prompt"].tolist() == [1, 2, 3] and values["biases"] == {4: 1.5}
    assert values["configure"].top_k == 5 and values["seek"] == 100 and values["bytes"] == b"text"
    steps = [record.value for record in trace.records() if record.kind == "step"]
    assert [step.step for step in steps] == list(range(25)) and steps[0].mask_digest and not steps[11].mask_digest


def test_what_differs_is_named() -> None:
    recorder = argpick.Recorder(argpick.Decoder(50, seed=4, metrics="confidence"))
    recorder.decode(ROWS[0])
    recorder.decode(ROWS[1], FLAGS[1])
    data = recorder.finish()
    assert data
    replay = argpick.Replay(data)
    replay.next_step()
    other = ROWS[0].copy()
    other[0] += 0.25
    difference = replay.check(other)
    assert difference and difference.step == 0 and difference.row and difference.row[0] != difference.row[1]
    assert difference.field and difference.field[0] == "top1_probability" and difference.mask is None
    replay.next_step()
    flags = FLAGS[1].copy()
    flags[0] ^= True
    difference = replay.check(ROWS[1], flags)
    assert difference and difference.mask
    with pytest.raises(argpick.Finished):
        replay.check(ROWS[0])


def test_sinks(tmp_path: Path) -> None:
    def decoder() -> argpick.Decoder:
        return argpick.Decoder(50, seed=4, metrics="all", temperature=0.9)

    kept = argpick.Recorder(decoder())
    run(kept)
    data = kept.finish()
    memory = io.BytesIO()
    with argpick.Recorder(decoder(), memory) as recorder:
        run(recorder)
    assert memory.getvalue() == data
    pieces: list[bytes] = []
    recorder = argpick.Recorder(decoder(), pieces.append)
    run(recorder)
    assert recorder.finish() is None and b"".join(pieces) == data and len(pieces) > 20
    path = tmp_path / "run.trace"
    recorder = argpick.Recorder(decoder(), path)
    run(recorder)
    assert not path.exists()
    assert recorder.finish() is None
    assert path.read_bytes() == data and argpick.Replay(path).steps == argpick.Trace(str(path)).steps == 25

    # A sink that fails does not disturb the run; finishing says so.
    class Full:
        left = 3

        def write(self, data: bytes) -> None:
            self.left -= 1
            if self.left < 0:
                raise OSError(28, "No space left on device")

    failing = argpick.Recorder(decoder(), Full())
    whole = argpick.Recorder(decoder())
    assert run(failing) == run(whole)
    with pytest.raises(OSError, match="No space"):
        failing.finish()
    with pytest.raises(argpick.FileError) as caught:
        argpick.Recorder(decoder(), tmp_path / "missing" / "run.trace")
    assert isinstance(caught.value, OSError) and caught.value.errno == 2 and "missing" in str(caught.value)
    with pytest.raises(TypeError, match="sink"):
        argpick.Recorder(decoder(), 7)  # type: ignore[arg-type]


def test_a_sink_that_holds_its_recorder_is_collected() -> None:
    class Sink:
        recorder: argpick.Recorder

        def write(self, data: bytes) -> None:
            pass

    sink = Sink()
    gone = weakref.ref(sink)
    sink.recorder = argpick.Recorder(argpick.Decoder(50), sink)
    del sink
    gc.collect()
    assert gone() is None


def test_damaged_traces(tmp_path: Path) -> None:
    recorder = argpick.Recorder(argpick.Decoder(50))
    run(recorder)
    data = recorder.finish()
    assert data
    for wrong in (b"", b"nonsense", data[:20], data[:-9] + b"\0" + data[-8:], data + b"x"):
        for kind in (argpick.Trace, argpick.Replay):
            with pytest.raises(argpick.FileMalformed) as caught:
                kind(wrong)
            assert caught.value.index is not None
    cut = argpick.Replay(data[: len(data) // 2])
    assert not cut.is_complete and 0 < cut.steps < 25
    with pytest.raises(argpick.FileError):
        argpick.Trace(tmp_path / "none")
    with pytest.raises(TypeError):
        argpick.Trace(7)  # type: ignore[arg-type]


def test_sparse_steps() -> None:
    weights = argpick.Weights(50, 8)
    weights.matrix[:] = np.random.default_rng(1).normal(size=(50, 8))
    recorder = argpick.Recorder(argpick.Decoder(50, seed=1, metrics="all"))
    recorder.decode_sparse(weights, [1, 2])
    recorder.evaluate_sparse(weights, [3], [0.5], FLAGS[0])
    recorder.columns([4])
    recorder.decode(weights.logits([4]))
    data = recorder.finish()
    assert data
    replay = argpick.Replay(data)
    steps = 0
    while (step := replay.next_step()) is not None:
        assert step.has_columns and replay.check_sparse(weights) is None
        steps += 1
    assert steps == 3 and argpick.Trace(data).steps_with_columns == 3
