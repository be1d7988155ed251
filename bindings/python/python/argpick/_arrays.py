"""NumPy arrays that the library hands out."""

from typing import Any

import numpy as np

CANDIDATE = np.dtype([("token", np.uint32), ("logit", np.float32), ("logprob", np.float32)])
"""A token of a row: its logit after biases and masks, before temperature, and ln of its probability."""

CONTINUATION = np.dtype([("parent", np.uint32), ("token", np.uint32), ("score", np.float64)])
"""A beam and the token it goes on with, or ends with; score is the sum of the log-probabilities of its tokens."""

_KINDS = {
    "uint32": np.dtype(np.uint32),
    "float32": np.dtype(np.float32),
    "candidate": CANDIDATE,
    "continuation": CONTINUATION,
}


def zeros(shape: Any) -> "np.ndarray[Any, Any]":
    """Zeros of float32; called by the extension module."""
    return np.zeros(shape, np.float32)


def array(memory: bytearray, kind: str) -> "np.ndarray[Any, Any]":
    """An array that owns `memory`; called by the extension module."""
    return np.frombuffer(memory, _KINDS[kind])
