"""Rows are read where they lie: no copy, nothing kept, nothing leaked; what cannot be read is a clear TypeError."""

import array
import gc
import subprocess
import sys

import numpy as np
import pytest
from conftest import Tensor

import argpick

VOCAB = 1 << 20


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_no_copy_is_made_of_a_row() -> None:
    """The most memory that the process ever had does not rise by a step on a row of 16 MB, however it is handed over."""
    program = """
import numpy as np, argpick
def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
vocab = argpick.MAX_VOCAB
decoder = argpick.Decoder(vocab, mode="greedy")
small = np.zeros((2, vocab // 64), np.float32)
argpick.Decoder(vocab // 64).decode(small[0])
row = np.full(vocab, 0, np.float32)
row[5] = 1
class Tensor:
    def __dlpack__(self, **options): return row.__dlpack__(**options)
    def __dlpack_device__(self): return row.__dlpack_device__()
before = peak()
for given in (row, memoryview(row), Tensor(), row.view(np.float16)[:vocab]):
    decoder.evaluate(given)
    assert peak() - before < 2_000, (type(given), peak() - before)
argpick.decode_batch([decoder], row.reshape(1, -1))
decoder.probabilities(row)
assert peak() - before < 2_000 and row[5] == 1
# This is what a copy looks like.
copy = row.copy()
assert peak() - before > 14_000
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_row_itself_is_read_and_written() -> None:
    """What is written through another view is seen, and what is written here is seen through it."""
    decoder = argpick.Decoder(VOCAB, mode="greedy")
    memory = bytearray(4 * VOCAB)
    row, other = np.frombuffer(memory, np.float32), np.frombuffer(memory, np.float32)
    assert decoder.evaluate(row).token == 0
    other[77] = 1
    assert decoder.evaluate(row).token == 77 and decoder.evaluate(memoryview(row)).token == 77
    address = row.ctypes.data
    assert decoder.probabilities(row).ctypes.data == address and other[77] == 1 and other[76] == 0


def test_nothing_is_kept_and_nothing_leaks() -> None:
    decoder = argpick.Decoder(64, mode="greedy")
    row, mask = np.zeros(64, np.float32), np.full(2, 0xFFFFFFFF, np.uint32)
    tensor = Tensor(row)
    bad = row.astype(np.float64)
    counts = [sys.getrefcount(thing) for thing in (row, mask, tensor)]
    for round in range(20_000):
        decoder.evaluate(row, mask)
        decoder.evaluate(tensor)
        decoder.process(row)
        try:
            decoder.evaluate(bad)
        except TypeError:
            pass
        try:
            decoder.evaluate(row[:3])
        except argpick.WrongLength:
            pass
        row[:] = 0
        tensor._keep.clear()
        if round == 2_000:
            gc.collect()
            before = resident()
    gc.collect()
    assert counts == [sys.getrefcount(thing) for thing in (row, mask, tensor)]
    assert tensor.held == tensor.released == 20_000
    assert resident() - before < 2_000_000
    # A buffer that is held cannot be resized: this one is not.
    memory = bytearray(256)
    decoder.evaluate(memoryview(memory).cast("f"))
    memory.extend(b"more")


@pytest.mark.parametrize("versioned", [False, True])
def test_tensors_by_dlpack(versioned: bool) -> None:
    row = np.array([0.5, 2.0, 1.0, -np.inf], np.float32)
    decoder = argpick.Decoder(4, metrics="all", seed=3)
    expected = decoder.evaluate(row)
    assert decoder.evaluate(Tensor(row, versioned=versioned)) == expected
    half = decoder.evaluate(row.astype(np.float16))
    assert decoder.evaluate(Tensor(row.astype(np.float16), versioned=versioned)) == half == expected
    bf16 = Tensor((row.view(np.uint32) >> 16).astype(np.uint16), code=4, versioned=versioned)
    assert decoder.evaluate(bf16) == expected and bf16.released == 1
    work = row.copy()
    tensor = Tensor(work, versioned=versioned)
    assert decoder.probabilities(tensor) is tensor and abs(work.sum() - 1) < 1e-6
    mask = Tensor(np.array([1, 0, 1, 1], bool), code=6, versioned=versioned)
    assert argpick.Decoder(4, mode="greedy").decode(row, mask).token == 2
    words = Tensor(np.array([0b1101], np.int32), code=0, versioned=versioned)
    assert argpick.Decoder(4, mode="greedy").decode(row, words).token == 2
    assert argpick.Decoder(4, mode="greedy").decode(np.from_dlpack(_numpy_only(row))).token == 1


def _numpy_only(row: np.ndarray) -> np.ndarray:
    return row


def test_what_tensors_are_refused() -> None:
    row = np.zeros((4, 4), np.float32)
    decoder = argpick.Decoder(4)
    with pytest.raises(TypeError, match="cuda:1; argpick reads memory of the CPU: pass row.cpu()"):
        decoder.decode(Tensor(row[0], device=(2, 1)))
    with pytest.raises(TypeError, match="contiguous"):
        decoder.decode(Tensor(row[:, 0]))
    with pytest.raises(TypeError, match="float64"):
        decoder.decode(Tensor(row[0].astype(np.float64)))
    with pytest.raises(TypeError, match="dimensions"):
        decoder.decode(Tensor(row))
    read_only = Tensor(row[0], versioned=True, read_only=True)
    decoder.evaluate(read_only)
    with pytest.raises(TypeError, match="read-only"):
        decoder.process(read_only)
    assert read_only.held == read_only.released

    class Refusing(Tensor):
        def __dlpack__(self, **options: object) -> object:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")

    with pytest.raises(TypeError, match="tensor.detach") as caught:
        decoder.decode(Refusing(row[0]))
    assert isinstance(caught.value.__cause__, BufferError)

    class Lying(Tensor):
        def __dlpack__(self, **options: object) -> object:
            return 7

    with pytest.raises(TypeError, match="no DLPack capsule"):
        decoder.decode(Lying(row[0]))


def test_bfloat16_arrays_of_ml_dtypes() -> None:
    """By a class that is to NumPy's array what that package's arrays are: no buffer, an interface."""

    class Bf16:
        def __init__(self, halves: np.ndarray) -> None:
            self.halves = halves
            self.dtype = type("dtype", (), {"name": "bfloat16"})()

        @property
        def __array_interface__(self) -> dict[str, object]:
            return {**self.halves.__array_interface__, "typestr": "<V2"}

    row = np.array([0.5, 2.0, 1.0], np.float32)
    decoder = argpick.Decoder(3, mode="greedy")
    assert decoder.decode(Bf16((row.view(np.uint32) >> 16).astype(np.uint16))).token == 1
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert decoder.decode(row.astype(ml_dtypes.bfloat16)).token == 1


def test_a_device_that_nobody_can_name_is_a_type_error() -> None:
    class Nowhere:
        def __dlpack__(self, **options: object) -> object:
            raise AssertionError("it is not asked for")

        def __dlpack_device__(self) -> tuple[int, int]:
            raise ValueError("Unknown device type meta for Dlpack")

    with pytest.raises(TypeError, match="row cannot be read by DLPack: Unknown device type meta") as caught:
        argpick.Decoder(3).decode(Nowhere())  # type: ignore[arg-type]
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda row: row.astype(np.float64), r"row is float64.*row\.astype\(numpy\.float32\)"),
        (lambda row: row.astype(np.int32), "row is int32"),
        (lambda row: row.astype(">f4"), "row is of another type .*big-endian"),
        (lambda row: row.astype(np.complex64), "row is of another type .*complex"),
        (lambda row: np.ma.array(row, mask=[True] * 8), r"row is a masked array.*row\.filled\(-numpy\.inf\)"),
        (lambda row: row[::2], "not contiguous.*ascontiguousarray"),
        (lambda row: row[::-1], "not contiguous"),
        (lambda row: row.reshape(2, 4), r"2 dimensions, shape \[2, 4\]"),
        (lambda row: row[0], "0 dimensions"),
        (lambda row: np.frombuffer(b"\0" * 33, np.uint8)[1:].view(np.float32), "not aligned"),
        (lambda row: row.tolist(), "list is no array"),
        (lambda row: None, "NoneType is no array"),
        (lambda row: "0.1", "str is no array"),
        (lambda row: 3.0, "float is no array"),
        (lambda row: bytes(32), "row is uint8"),
        (lambda row: np.array(["a"]), "of another type"),
        (lambda row: row.astype(object), "of another type"),
    ],
)
def test_what_rows_are_refused(make, message: str) -> None:  # type: ignore[no-untyped-def]
    decoder = argpick.Decoder(8)
    saved = decoder.save()
    row = make(np.zeros(8, np.float32))
    for call in (decoder.decode, decoder.evaluate, decoder.kept, decoder.explain, lambda row: argpick.score(row, 1)):
        with pytest.raises(TypeError, match=message):
            call(row)
    assert decoder.save() == saved


def test_other_buffers_are_rows() -> None:
    row = array.array("f", [0.0, 3.0, 1.0])
    assert argpick.Decoder(3, mode="greedy").decode(row).token == 1
    read_only = np.array(row)
    read_only.flags.writeable = False
    assert argpick.Decoder(3, mode="greedy").decode(read_only).token == 1
    single = np.zeros((3, 1), np.float32)[:, 0]
    assert argpick.Decoder(3).decode(single).token in range(3)
    with pytest.raises(argpick.WrongLength):
        argpick.Decoder(3).decode(np.zeros(0, np.float32))


def test_torch_tensors() -> None:
    torch = pytest.importorskip("torch")
    row = torch.tensor([0.5, 2.0, 1.0, -1.0])
    decoder = argpick.Decoder(4, mode="greedy")
    for kind in (torch.float32, torch.float16, torch.bfloat16):
        assert decoder.decode(row.to(kind)).token == 1
    assert decoder.decode(row, torch.tensor([True, False, True, True])).token == 2
    assert decoder.probabilities(row) is row and row[1] == 1
    with pytest.raises(TypeError, match="float64"):
        decoder.decode(row.double())
    with pytest.raises(TypeError, match="detach"):
        decoder.decode(torch.ones(4, requires_grad=True))
    with pytest.raises(TypeError, match="contiguous"):
        decoder.decode(torch.ones(4, 2)[:, 0])
