"""`Config`: everything that decides what a decoder does with a row."""

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from . import _argpick
from ._enums import Metrics, Mirostat, Mode, PenaltyScope, Profile

_CHOICES: dict[str, Any] = {
    "profile": Profile,
    "mode": Mode,
    "mirostat": Mirostat,
    "penalty_scope": PenaltyScope,
    "metrics": Metrics,
}


class ConfigFields(TypedDict, total=False):
    """The fields of a `Config`, for functions that take them as keywords."""

    profile: Profile | int | str
    seed: int
    stream: int
    mode: Mode | int | str
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    history_capacity: int
    no_repeat_window: int
    max_tokens: int
    min_keep: int
    valid_vocab: int
    metrics: Metrics | int | str | Iterable[str]
    adjustment_capacity: int
    typical_p: float
    epsilon_cutoff: float
    eta_cutoff: float
    top_n_sigma: float
    top_a: float
    tfs_z: float
    top_h: float
    xtc_probability: float
    xtc_threshold: float
    keep_ties: bool
    dynatemp_range: float
    dynatemp_exponent: float
    mirostat: Mirostat | int | str
    mirostat_tau: float
    mirostat_eta: float
    adaptive_target: float
    adaptive_decay: float
    repetition_penalty: float
    frequency_penalty: float
    presence_penalty: float
    penalty_window: int
    penalty_scope: PenaltyScope | int | str
    dry_multiplier: float
    dry_base: float
    dry_allowed_length: int
    dry_window: int
    no_repeat_ngram: int
    min_tokens: int
    length_decay_start: int
    length_decay_factor: float
    loop_period: int
    loop_repeats: int
    sequence_capacity: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides what a decoder does with a row. The default is "off" everywhere: draw from the softmax of the
    row as it is.

    The fields have the names, the defaults and the ranges of `argpick_config` in C. Choices and flags are given as their
    enumeration, its number, or the name (``mode="greedy"``, ``metrics="all"`` or ``metrics=["confidence", "rank"]``). A value
    outside its range is `InvalidParameter` with `name` and `value`, at once (only whether `valid_vocab` fits is known when a
    decoder is made). The library computes with 32-bit floats; a field holds the shortest number that is the same one, so 0.1
    stays 0.1, and configurations that do the same are equal.

    >>> config = Config(temperature=0.8, top_k=40, seed=7)
    >>> config.replace(top_k=0)
    Config(seed=7, temperature=0.8)
    """

    profile: Profile = Profile.CANON
    """Whose order and rules hold."""
    seed: int = 0
    """Seed of the random numbers, 0 to 2^64 - 1."""
    stream: int = 0
    """Stream of the random numbers: one for each sequence that shares a seed."""
    mode: Mode = Mode.SAMPLE
    """By a draw, or the argmax."""
    temperature: float = 1.0
    """Divides the logits: finite, at least 0. 1 leaves them; 0 means mode greedy with metrics at temperature 1, but under the
    profile llama_cpp the first token of what typical and XTC leave, or a temperature that follows the entropy."""
    top_k: int = 0
    """Keeps the so many highest logits, the lower id first among equals. 0, or at least the vocabulary: off."""
    top_p: float = 1.0
    """Keeps the smallest prefix of the order with this much probability, 0 to 1; the token that crosses stays. 1: off."""
    min_p: float = 0.0
    """Keeps what is at least this likely relative to the likeliest, 0 to 1. 0: off."""
    history_capacity: int = 0
    """Tokens that the history holds, up to 2^24; past it the oldest leave. 0: 4096."""
    no_repeat_window: int = 0
    """Masks the generated ones among the last so many tokens, up to history_capacity. 0: off."""
    max_tokens: int = 0
    """Ends the sequence after so many generated tokens. 0: no limit."""
    min_keep: int = 0
    """Each filter keeps at least so many, the first of its order. 0: 1."""
    valid_vocab: int = 0
    """Only ids below this take part, up to the vocabulary; the row may be longer (a padded model). 0: all."""
    metrics: Metrics = Metrics.NONE
    """What to report beside token, argmax, margin and finish. Each costs up to a pass of the row."""
    adjustment_capacity: int = 0
    """Room for so many biases, and as many bans, up to 2^22. 0: 1024."""
    typical_p: float = 1.0
    """Keeps the tokens whose surprise is nearest the entropy, up to this probability, 0 to 1. 1: off."""
    epsilon_cutoff: float = 0.0
    """Removes tokens less likely than this, 0 to 1. 0: off."""
    eta_cutoff: float = 0.0
    """Removes tokens less likely than the lesser of this and its root times exp(-entropy), 0 to 1. 0: off."""
    top_n_sigma: float = 0.0
    """Keeps logits within so many standard deviations of the highest, finite, at least 0. 0: off."""
    top_a: float = 0.0
    """Removes tokens less likely than this times the square of the largest probability, 0 to 1. 0: off."""
    tfs_z: float = 1.0
    """Tail-free: keeps this share of the curvature of the sorted probabilities, 0 to 1. 1: off."""
    top_h: float = 0.0
    """Keeps the prefix with this share of the entropy of the first 100 tokens, 0 to 1. 0: off."""
    xtc_probability: float = 0.0
    """How often the likeliest tokens are removed ("exclude top choices"), 0 to 1. 0: off."""
    xtc_threshold: float = 0.1
    """What counts as a top choice: this likely; all but the least likely of them go. Above 0.5: off."""
    keep_ties: bool = False
    """Top-k keeps all tokens that equal the k-th."""
    dynatemp_range: float = 0.0
    """Half the range of a temperature that follows the entropy, finite, at least 0. 0: off."""
    dynatemp_exponent: float = 1.0
    """The exponent of that curve, finite, at least 0."""
    mirostat: Mirostat = Mirostat.OFF
    """Mirostat in place of all filters."""
    mirostat_tau: float = 5.0
    """Mirostat's target surprise in bits, finite, at least 0."""
    mirostat_eta: float = 0.1
    """Mirostat's learning rate, finite, at least 0."""
    adaptive_target: float = -1.0
    """Adaptive-p: prefers tokens whose probability is near this, up to 1. Negative: off."""
    adaptive_decay: float = 0.9
    """Adaptive-p: how slowly the mean of what was picked forgets, 0 to 0.99."""
    repetition_penalty: float = 1.0
    """Divides positive and multiplies negative logits of tokens in the history; finite, above 0. 1: off."""
    frequency_penalty: float = 0.0
    """Subtracted once for each time a token stands in the history; finite. 0: off."""
    presence_penalty: float = 0.0
    """Subtracted if a token stands in the history; finite. 0: off."""
    penalty_window: int = 0
    """The penalties see so many of the last tokens, up to history_capacity. 0: all that the history holds."""
    penalty_scope: PenaltyScope = PenaltyScope.PROFILE
    """Whether the penalties count the prompt."""
    dry_multiplier: float = 0.0
    """DRY: the penalty of a token that would prolong a repetition; finite, at least 0. 0: off."""
    dry_base: float = 1.75
    """DRY: by how much each further token of the repetition multiplies the penalty; finite, at least 1."""
    dry_allowed_length: int = 2
    """DRY: repetitions up to this length are free."""
    dry_window: int = 0
    """DRY sees so many of the last tokens, up to history_capacity. 0: all that the history holds."""
    no_repeat_ngram: int = 0
    """Masks what would complete an n-gram of this length that stands in the history. 0: off."""
    min_tokens: int = 0
    """Masks the end tokens until so many tokens are generated. 0: off."""
    length_decay_start: int = 0
    """From so many generated tokens on, the logits of the end tokens rise."""
    length_decay_factor: float = 1.0
    """By how much: |logit| * (factor^(tokens past the start) - 1) is added; finite, above 0. 1: off."""
    loop_period: int = 0
    """The longest period of a loop that is looked for, up to history_capacity. 0: 64 where loops are asked for."""
    loop_repeats: int = 0
    """Ends the sequence when its end repeats so many times. 0: never."""
    sequence_capacity: int = 0
    """Room for so many tokens of end tokens, stop sequences, breakers, bad and biased sequences, of each kind, up to 2^16.
    0: 256."""

    if TYPE_CHECKING:
        # Choices may be given by number or name.
        def __init__(self, **fields: Unpack[ConfigFields]) -> None: ...

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if type(value) is not choices:
                object.__setattr__(self, name, choice(name, choices, value))
        for name, value in _argpick._normal_config(self).items():
            if name not in _CHOICES:
                object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return shown_fields(self)

    def replace(self, **fields: Unpack[ConfigFields]) -> "Config":
        """The same configuration with these fields replaced."""
        return dataclasses.replace(self, **fields)  # type: ignore[arg-type]

    def to_dict(self, *, defaults: bool = True) -> dict[str, Any]:
        """The fields as plain numbers, which JSON has; with ``defaults=False`` only those that differ from the default.

        ``Config(**config.to_dict())`` is the same configuration.
        """
        return {
            field.name: plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if defaults or getattr(self, field.name) != field.default
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Config":
        """A configuration from a mapping, as a file of JSON or YAML has it. A key that is no field is a TypeError which names
        it."""
        made: Config = from_mapping(cls, fields)
        return made


def from_mapping(cls: Any, fields: Mapping[str, Any]) -> Any:
    """An object of a dataclass; a key that is no field is named."""
    known = {field.name for field in dataclasses.fields(cls)}
    unknown = [str(name) for name in fields if name not in known]
    if unknown:
        raise TypeError(f"no field of {cls.__name__}: {', '.join(unknown)}")
    return cls(**fields)


def plain(value: Any) -> Any:
    """A field's value without its enumeration."""
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def shown(value: Any) -> str:
    """A field's value as it is written in Python: choices by their names."""
    if isinstance(value, Metrics):
        return "'all'" if value == Metrics.ALL else repr([str(flag.name).lower() for flag in value])
    if isinstance(value, enum.Enum):
        return repr(value.name.lower())
    return repr(value)


def shown_fields(config: Any) -> str:
    """A configuration as it is written in Python."""
    fields = (
        f"{field.name}={shown(getattr(config, field.name))}"
        for field in dataclasses.fields(config)
        if getattr(config, field.name) != field.default
    )
    return f"{type(config).__name__}({', '.join(fields)})"


def choice(name: str, choices: Any, value: Any) -> Any:
    """The member of an enumeration for a member, a number, a name, or (of flags) several names."""
    if isinstance(value, str):
        return _named(name, choices, value)
    if choices is Metrics and isinstance(value, Iterable) and not isinstance(value, int):
        flags = Metrics.NONE
        for flag in value:
            flags |= choice(name, choices, flag)
        return flags
    try:
        number = value.__index__()
    except AttributeError:
        raise TypeError(f"{name} must be {choices.__name__}, a number or a name, not {type(value).__name__}") from None
    if choices is Metrics:
        known = 0 <= number <= int(Metrics.ALL)
    else:
        known = number in set(map(int, choices))
    if not known:
        from ._errors import InvalidParameter

        raise InvalidParameter(f"parameter {name} is {number}, outside its range", value=float(number), name=name)
    return choices(number)


def _named(name: str, choices: Any, value: str) -> Any:
    try:
        return choices[value.upper()]
    except KeyError:
        names = ", ".join(member.lower() for member in choices.__members__)
        from ._errors import InvalidParameter

        raise InvalidParameter(f"parameter {name} is {value!r}; it is one of {names}", name=name) from None
