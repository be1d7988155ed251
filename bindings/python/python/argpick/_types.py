"""Small results, as named tuples."""

from typing import Any, NamedTuple

import numpy as np

from ._enums import Finish, Verdict


class TextMatch(NamedTuple):
    """What `Decoder.push_bytes` found."""

    stop: int | None
    """The number of the stop string that the text contains, or None."""
    held_back: int
    """How many bytes at the end of the text are not to be shown."""


class Score(NamedTuple):
    """How a row did on a target, at temperature 1."""

    loss: float
    """-ln of the target's probability, in nats; inf for a masked target."""
    rank: int
    """How many tokens stand before the target in the order of logits."""
    argmax: int
    """The highest logit's token, the lowest id among equals."""
    entropy: float
    """Entropy of the row, in nats."""
    top1_probability: float
    """Probability of the argmax."""
    tokens: int
    """Tokens that are not masked."""


class RowDiagnosis(NamedTuple):
    """One row of a diagnosis."""

    loss: float
    """-ln of the target's probability at temperature 1, in nats."""
    rank: int
    """How many tokens stand before the target in the order of logits."""
    argmax: int
    """The greedy pick."""
    entropy: float
    """Entropy at temperature 1, in nats."""
    top1_probability: float
    """Probability of the argmax at temperature 1."""
    tokens: int
    """Tokens that are not masked."""
    expected_accuracy: float
    """The probability with which the decoder, as configured, picks the target."""


class Diagnosis(NamedTuple):
    """What a batch of rows looks like to a trainer; each figure is the mean over its rows, 0 for an empty batch."""

    rows: int
    """Rows looked at."""
    flat: float
    """Fraction of flat rows."""
    saturated: float
    """Fraction of saturated rows."""
    healthy: float
    """Fraction of the rest."""
    loss: float
    """Mean loss, in nats."""
    entropy: float
    """Mean entropy at temperature 1, in nats."""
    top1_probability: float
    """Mean probability of the argmax at temperature 1."""
    greedy_accuracy: float
    """Fraction of rows whose argmax is the target."""
    top_k_accuracy: float
    """Fraction of rows whose target is among the first k."""
    expected_accuracy: float
    """The accuracy that draws as configured would have on average."""
    verdicts: list[Verdict]
    """What each row looks like."""
    details: list[RowDiagnosis]
    """The figures of each row."""


class Stage(NamedTuple):
    """What is left of a row after a stage. The kept tokens are a run of the order, from `first` to `last`."""

    name: str
    """The parameter that puts the stage there; "row" before the first, "greedy" in greedy mode."""
    parameter: float
    """The parameter as the stage uses it; NaN where there is none."""
    kept: int
    """How many tokens are kept."""
    kept_mass: float
    """Their probability in the whole row, at the temperature in force."""
    temperature: float
    """The temperature in force after the stage."""
    first_token: int
    """Where the run begins: the token. It need not be one of the row."""
    first_logit: float
    """Where the run begins: the logit."""
    last_token: int
    """Where the run ends: the token."""
    last_logit: float
    """Where the run ends: the logit."""
