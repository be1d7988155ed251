"""The decoder sandbox: a small additive n-gram model, its rules of text and its trainer, for whoever has no model at hand.

>>> from argpick import sandbox
>>> model = sandbox.Model.default()
>>> text = model.run("The sea and the sky")[0]
>>> text.text, text.stop
('was blue and the sky was blue and the sky was blue and the sky was blue and the sky', 'steps')
>>> sandbox.find_loop(text.tokens)
(0, 5, 20)
"""

import dataclasses
import os
from collections.abc import Callable

from . import _argpick
from ._argpick import Model
from ._types import BeamText, Epoch, HeldOut, Progress, SandboxStep, TrainReport, Transcript

__all__ = [
    "CONTEXTS",
    "TEXT",
    "BeamText",
    "Epoch",
    "HeldOut",
    "Model",
    "Progress",
    "Rules",
    "SandboxStep",
    "TrainReport",
    "Transcript",
    "find_loop",
    "tokens",
    "train",
]

TEXT: str
"""The story that the default model was trained on."""
CONTEXTS: list[str]
"""Prompts that suit the default model."""
TEXT, CONTEXTS = _argpick._sandbox_texts()

tokens = _argpick._sandbox_tokens
find_loop = _argpick._sandbox_find_loop


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules of the text game. By default only `no_dangling` and `stop_punct` are on."""

    min_steps: int = 0
    """Before this step a text cannot end."""
    ban: list[str] = dataclasses.field(default_factory=list)
    """Words that are never picked."""
    no_repeat: bool = False
    """The last generated token is not picked again at once."""
    no_repeat_window: int = 0
    """None of the last so many generated tokens is picked again; 0: off, else it replaces `no_repeat`."""
    det_a_an: bool = False
    """What follows "a" and "an" is what English allows, judged by the first letter."""
    topic_lock: bool = False
    """Only the prompt's words, `topic_keep` and the ends of a sentence."""
    topic_keep: list[str] = dataclasses.field(
        default_factory=lambda: ["is", "a", "an", "of", "in", "and", "has", "are", "the"]
    )
    """The words that `topic_lock` leaves besides."""
    topic_topn: int = 24
    """With `topic_lock`, only so many of the best; 0: all."""
    no_dangling: bool = True
    """A sentence does not end on an article, a preposition and the like."""
    stop_punct: bool = True
    """. ! and ? end the text."""


def train(
    text: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    vocab: int = 1000,
    d2: int = 4096,
    d3: int = 4096,
    epochs: int = 10,
    learning_rate: float = 0.1,
    seed: int = 1,
    hold_out: int = 20,
    shuffle: int = 1 << 16,
    dtype: str = "float32",
    progress: Callable[[Progress], bool | None] | None = None,
) -> TrainReport:
    """Trains a model on a text file and writes it to `out` (a .npz) after every whole epoch.

    `vocab` words are learned, with `d2` columns for pairs of tokens and `d3` for triples. The learning rate falls to a tenth
    over the epochs. Every `hold_out`-th sentence is not learned but measured (0: none). `shuffle` observations wait in a buffer
    that makes the order random. `progress` is called often; when it returns False the run ends, and `out` holds the last whole
    epoch or is untouched. The same text, options and seed give the same file, bit for bit, everywhere.
    """
    return _argpick._sandbox_train(
        text,
        out,
        vocab=vocab,
        d2=d2,
        d3=d3,
        epochs=epochs,
        learning_rate=learning_rate,
        seed=seed,
        hold_out=hold_out,
        shuffle=shuffle,
        dtype=dtype,
        progress=progress,
    )
