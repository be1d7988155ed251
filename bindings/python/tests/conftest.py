"""What the tests share: golden files, rows by their recipe, tensors that are none of torch's."""

import ctypes
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
GOLDEN = REPOSITORY / "tests" / "golden"
U64 = np.uint64


def words(seed: int, count: int) -> np.ndarray:
    """The first numbers of the SplitMix64 stream of a seed."""
    with np.errstate(over="ignore"):
        z = U64(seed & (2**64 - 1)) + np.arange(1, count + 1, dtype=U64) * U64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
        return z ^ (z >> U64(31))


def recipe_row(kind: str, seed: int, vocab: int) -> np.ndarray:
    """A row by its recipe (tests/conformance/README.md)."""
    x = words(seed, vocab)
    s = sum(((x >> U64(16 * part)) & U64(0xFFFF)).astype(np.int64) for part in range(4)) - 131070
    if kind == "normal":
        return (s / 16384).astype(np.float32)
    if kind == "flat":
        return (s / 131072).astype(np.float32)
    if kind == "peaked":
        w = words(seed ^ 0xA5A5A5A5A5A5A5A5, vocab)
        zeros = np.array([(int(v) & -int(v)).bit_length() - 1 if v else 64 for v in w], np.int64)
        return ((s + 40960 * zeros).astype(np.float32) / np.float32(32768)).astype(np.float32)
    if kind == "ties":
        return (s >> 14).astype(np.float32) / np.float32(2)
    assert kind == "bf16", kind
    bits = (s / 16384).astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
    return bits.view(np.float32)


def golden_json(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text())


def golden_lines(name: str) -> list[Any]:
    return [json.loads(line) for line in (GOLDEN / name).read_text().splitlines()]


class Tensor:
    """A tensor that speaks DLPack and nothing else, as torch's on the CPU, and counts how often it is held and given back.

    `elements` are (code, bits) of DLPack: (2, 32) float32, (4, 16) bfloat16, (6, 8) bool. The bytes are those of `array`.
    """

    def __init__(
        self,
        array: np.ndarray,
        code: int = 2,
        bits: int | None = None,
        device: tuple[int, int] = (1, 0),
        versioned: bool = False,
        read_only: bool = False,
        strides: list[int] | None = None,
    ) -> None:
        self.array = array
        self.code, self.bits = code, bits or array.itemsize * 8
        self.device, self.versioned, self.read_only, self.strides = device, versioned, read_only, strides
        self.held = 0
        self.released = 0
        self._keep: list[Any] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, **options: Any) -> Any:
        if options and not self.versioned:
            raise TypeError("no such option")
        rank = self.array.ndim
        size = self.array.itemsize
        strides = self.strides or [step // size for step in self.array.strides]
        shape, steps = (ctypes.c_int64 * rank)(*self.array.shape), (ctypes.c_int64 * rank)(*strides)
        tensor = DLTensor(
            self.array.ctypes.data, *self.device, rank, self.code, self.bits, 1, shape, steps, 0
        )
        if self.versioned:
            managed: Any = DLManagedVersioned(1, 0, None, DELETER(self._release), int(self.read_only), tensor)
            name = b"dltensor_versioned"
        else:
            managed = DLManaged(tensor, None, DELETER(self._release))
            name = b"dltensor"
        self._keep += [managed, shape, steps, name]
        self.held += 1
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return new(ctypes.addressof(managed), name, None)

    def _release(self, _: int) -> None:
        self.released += 1


DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32),
        ("device_number", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class DLManaged(ctypes.Structure):
    _fields_ = [("tensor", DLTensor), ("context", ctypes.c_void_p), ("deleter", DELETER)]


class DLManagedVersioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", DELETER),
        ("flags", ctypes.c_uint64),
        ("tensor", DLTensor),
    ]


@pytest.fixture
def row() -> np.ndarray:
    return np.array([0.1, 2.0, -1.0, 2.5, -np.inf, 1.0], np.float32)
