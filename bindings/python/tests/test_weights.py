"""The sparse head: files, arrays, training, steps on it."""

import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

import argpick


def arrays(vocab: int = 30, features: int = 12) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    W = np.asfortranarray(generator.normal(size=(vocab, features)).astype(np.float32))
    return W, generator.normal(size=vocab).astype(np.float32)


def test_arrays_are_used_where_they_lie() -> None:
    W, b = arrays()
    weights = argpick.Weights.from_arrays(W, b)
    assert weights.matrix is W and weights.bias is b and weights.shape == (30, 12)
    row = weights.logits([3, 5, 3], [0.5, -1.0, 2.0])
    expected = b + W[:, 3] * np.float32(0.5)
    expected = expected + W[:, 5] * np.float32(-1.0)
    expected = expected + W[:, 3] * np.float32(2.0)
    assert row.tobytes() == expected.tobytes()
    W[:] = 0
    assert weights.logits([3]).tobytes() == b.tobytes()
    out = np.empty(30, np.float32)
    assert weights.logits([], out=out) is out and out.tobytes() == b.tobytes()
    with pytest.raises(TypeError, match="memory of the weights"):
        weights.logits([1], out=W[:, 0])
    again = pickle.loads(pickle.dumps(weights))
    assert again.matrix.flags.f_contiguous and again.logits([1]).tobytes() == b.tobytes()


def test_a_step_on_the_head_is_one_on_its_row() -> None:
    W, b = arrays()
    weights = argpick.Weights.from_arrays(W, b)
    flags = np.arange(30) % 3 > 0
    for fields in ({"mode": "greedy"}, {"top_k": 4}, {"top_p": 0.8, "repetition_penalty": 1.5}):
        sparse, dense = (argpick.Decoder(30, seed=2, metrics="all", **fields) for _ in range(2))
        for step in range(8):
            columns, values = [step % 12, 4], [1.0, step / 2]
            row = weights.logits(columns, values)
            assert sparse.evaluate_sparse(weights, columns, values, flags) == dense.evaluate(row, flags)
            assert sparse.decode_sparse(weights, columns, values, flags) == dense.decode(row, flags)


def test_training_learns_and_matches_a_plain_computation() -> None:
    weights = argpick.Weights(6, 3)
    step = weights.train_step([0, 2], 4, 0.5, [1.0, 2.0])
    assert abs(step.loss - np.log(6)) < 1e-6 and (step.argmax, step.correct) == (0, False)
    gradient = np.full(6, 1 / 6) - np.eye(6)[4]
    assert np.abs(step.gradient - gradient).max() < 1e-6
    assert np.abs(weights.bias + 0.5 * gradient).max() < 1e-6
    assert np.abs(weights.matrix[:, 2] + gradient).max() < 1e-6 and not weights.matrix[:, 1].any()
    for _ in range(100):
        weights.train_step([0], 1, 0.5)
        weights.train_step([1], 2, 0.5)
    assert weights.score([0], 1)[1:] == (1, True) and weights.score([1], 2)[0] < 0.2
    saved = weights.matrix.copy()
    with pytest.raises(argpick.UpdateOverflow):
        weights.train_step([0], 3, 3e38, [10.0])
    for call, kind in (
        (lambda: weights.train_step([3], 0, 0.1), argpick.ColumnOutOfRange),
        (lambda: weights.train_step([0], 6, 0.1), argpick.TokenOutOfRange),
        (lambda: weights.train_step([0], 0, 0.0), argpick.InvalidParameter),
        (lambda: weights.train_step([0], 0, 0.1, [np.nan]), argpick.InvalidParameter),
        (lambda: weights.train_step([0], 0, 0.1, [1.0, 2.0]), argpick.WrongLength),
        (lambda: weights.logits([7]), argpick.ColumnOutOfRange),
        (lambda: weights.logits([0], out=np.zeros(5, np.float32)), argpick.WrongLength),
        (lambda: weights.prefetch([9]), argpick.ColumnOutOfRange),
        (lambda: argpick.Weights(0, 3), argpick.InvalidParameter),
        (lambda: argpick.Decoder(5).decode_sparse(weights, [0]), argpick.WrongLength),
    ):
        with pytest.raises(kind):
            call()
    assert np.array_equal(weights.matrix, saved)


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_files(tmp_path: Path, ending: str) -> None:
    W, b = arrays()
    path = tmp_path / f"head.{ending}"
    argpick.Weights.from_arrays(W, b).save(path)
    expected = argpick.Weights.from_arrays(W, b).logits([1, 4], [0.5, 2.0]).tobytes()
    for weights in (
        argpick.Weights.open(path),
        argpick.Weights.open(str(path), copy=True, verify=ending == "npz"),
        argpick.Weights.from_bytes(path.read_bytes()),
    ):
        assert weights.shape == (30, 12) and weights.is_in_place and not weights.is_trainable and weights.notes == []
        weights.prefetch([1, 2])
        assert weights.logits([1, 4], [0.5, 2.0]).tobytes() == expected and not weights.has_changed()
        for call in (lambda: weights.matrix, lambda: weights.bias, lambda: weights.train_step([1], 1, 0.1)):
            with pytest.raises(argpick.ReadOnly):
                call()
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(weights)
    name = "W" if ending == "npz" else "W.T"
    assert argpick.inspect(path)[name][0] == "f32" and argpick.inspect(path)["b"] == ("f32", (30,))
    with pytest.raises(argpick.InvalidParameter, match="format"):
        argpick.Weights.from_arrays(W, b).save(tmp_path / "head.bin")


def test_files_of_numpy(tmp_path: Path) -> None:
    W, b = arrays()
    path = tmp_path / "head.npz"
    np.savez(path, W=np.ascontiguousarray(W), b=b)
    weights = argpick.Weights.open(path)
    assert not weights.is_in_place and "transposed" in weights.notes[0]
    assert weights.logits([2]).tobytes() == (b + W[:, 2]).tobytes()
    for name, kind in (("float16", np.float16), ("float64", np.float64)):
        np.savez(path, W=W.astype(kind), b=b.astype(kind))
        row = argpick.Weights.open(path, copy=True).logits([2])
        assert np.abs(row - (b + W[:, 2])).max() < 2e-2, name
    np.savez_compressed(path, W=W, b=b)
    with pytest.raises(argpick.ArrayError, match="savez_compressed") as caught:
        argpick.Weights.open(path)
    assert caught.value.status is argpick.Status.ARRAY_COMPRESSED and caught.value.name == "W"
    assert isinstance(argpick.inspect(path)["W"], argpick.ArrayError)
    np.savez(path, W=W)
    with pytest.raises(argpick.ArrayError) as caught:
        argpick.Weights.open(path)
    assert caught.value.status is argpick.Status.ARRAY_MISSING and str(path) in str(caught.value)
    path.write_bytes(b"nonsense")
    with pytest.raises(argpick.FileFormat):
        argpick.Weights.open(path)
    with pytest.raises(argpick.FileError) as missing:
        argpick.Weights.open(tmp_path / "none.npz")
    assert missing.value.errno == 2 and isinstance(missing.value, OSError) and "none.npz" in str(missing.value)
    again = pickle.loads(pickle.dumps(missing.value))
    assert (again.errno, str(again), again.status) == (2, str(missing.value), argpick.Status.FILE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda W, b: (np.ascontiguousarray(W), b), "asfortranarray"),
        (lambda W, b: (W.astype(np.float64), b), "float64"),
        (lambda W, b: (W, b.astype(np.float16)), "float16"),
        (lambda W, b: (W[0], b), "1 dimensions"),
        (lambda W, b: (W, b.reshape(-1, 1)), "2 dimensions"),
        (lambda W, b: (W, b[::-1]), "contiguous"),
    ],
)
def test_arrays_of_the_wrong_kind(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TypeError, match=message):
        argpick.Weights.from_arrays(*make(*arrays()))


def test_read_only_arrays_and_lengths() -> None:
    W, b = arrays()
    with pytest.raises(argpick.WrongLength):
        argpick.Weights.from_arrays(W, b[:-1].copy())
    W.flags.writeable = False
    with pytest.raises(TypeError, match="read-only"):
        argpick.Weights.from_arrays(W, b)


def test_training_needs_the_weights_alone() -> None:
    weights = argpick.Weights(1 << 20, 2)
    busy, errors = [], []
    start = threading.Barrier(2)

    def work() -> None:
        start.wait()
        for _ in range(15):
            try:
                weights.train_step([0, 1], 5, 0.1)
            except argpick.Busy as error:
                busy.append(error)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert busy and not errors and "weights" in str(busy[0])
