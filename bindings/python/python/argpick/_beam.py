"""`BeamConfig`: everything that decides what a beam search does."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from . import _argpick
from ._config import choice, from_mapping, plain, shown_fields
from ._enums import EarlyStopping, Profile

_CHOICES: dict[str, Any] = {"profile": Profile, "early_stopping": EarlyStopping}


class BeamConfigFields(TypedDict, total=False):
    """The fields of a `BeamConfig`, for functions that take them as keywords."""

    profile: Profile | int | str
    beams: int
    groups: int
    diversity_penalty: float
    length_penalty: float
    temperature: float
    early_stopping: EarlyStopping | int | str
    min_tokens: int
    max_tokens: int
    n_best: int
    valid_vocab: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class BeamConfig:
    """Everything that decides what a beam search does. By default four beams, up to 256 tokens, nothing else.

    The fields have the names, the defaults and the ranges of `argpick_beam_config` in C; the end tokens are given to
    `BeamSearch` itself. As in `Config`, choices may be given by name, and what is out of range is refused at once.

    >>> BeamConfig(beams=8, length_penalty=0.6).replace(beams=4)
    BeamConfig(length_penalty=0.6)
    """

    profile: Profile = Profile.CANON
    """Whose rules of scoring and ending hold: canon, huggingface or vllm."""
    beams: int = 4
    """Sequences that are followed side by side, 1 to 1024."""
    groups: int = 1
    """Groups of equal size that the beams are divided into; later ones avoid the tokens of earlier ones. 0: 1."""
    diversity_penalty: float = 0.0
    """What a candidate loses, when it is chosen, for each beam of an earlier group with the same token; 0 or more."""
    length_penalty: float = 0.0
    """A hypothesis is ranked by its sum of log-probabilities divided by its length to this power, -16 to 16."""
    temperature: float = 1.0
    """Divides the logits: finite, above 0; 1 where the profile is not canon."""
    early_stopping: EarlyStopping = EarlyStopping.NEVER
    """When the search ends before max_tokens."""
    min_tokens: int = 0
    """End tokens are masked until so many tokens are generated."""
    max_tokens: int = 256
    """Beams that are so long are hypotheses, 1 to 2^20."""
    n_best: int = 0
    """Hypotheses that are told about, up to beams. 0: beams."""
    valid_vocab: int = 0
    """Only ids below this take part, up to the vocabulary. 0: all."""

    if TYPE_CHECKING:
        # Choices may be given by number or name.
        def __init__(self, **fields: Unpack[BeamConfigFields]) -> None: ...

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if type(value) is not choices:
                object.__setattr__(self, name, choice(name, choices, value))
        for name, value in _argpick._normal_beam_config(self).items():
            if name not in _CHOICES:
                object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return shown_fields(self)

    def replace(self, **fields: Unpack[BeamConfigFields]) -> "BeamConfig":
        """The same configuration with these fields replaced."""
        return dataclasses.replace(self, **fields)  # type: ignore[arg-type]

    def to_dict(self, *, defaults: bool = True) -> dict[str, Any]:
        """The fields as plain numbers, which JSON has; with ``defaults=False`` only those that differ from the default."""
        return {
            field.name: plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if defaults or getattr(self, field.name) != field.default
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "BeamConfig":
        """A configuration from a mapping. A key that is no field is a TypeError which names it."""
        made: BeamConfig = from_mapping(cls, fields)
        return made

