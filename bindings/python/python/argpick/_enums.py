"""The choices and flags of the library, with their permanent numbers (those of the C ABI)."""

import enum


class Profile(enum.IntEnum):
    """Whose order of stages and whose rules at ties and boundaries hold."""

    CANON = 0
    """argpick's own: every stage, one total order, exact boundaries."""
    HUGGINGFACE = 1
    """Hugging Face transformers."""
    LLAMA_CPP = 2
    """llama.cpp."""
    VLLM = 3
    """vLLM."""


class Mode(enum.IntEnum):
    """How a token is picked."""

    SAMPLE = 0
    """By a random draw from what the filters keep."""
    GREEDY = 1
    """The highest logit, the lowest id among equals; filters do not run."""


class Mirostat(enum.IntEnum):
    """Mirostat in place of all filters."""

    OFF = 0
    """Not used."""
    ONE = 1
    """Version 1."""
    TWO = 2
    """Version 2."""


class PenaltyScope(enum.IntEnum):
    """Which tokens of the history the penalties count."""

    PROFILE = 0
    """What the profile's engine counts; canon: prompt and generated tokens."""
    ALL = 1
    """Prompt and generated tokens."""
    GENERATED = 2
    """Generated tokens only."""


class Metrics(enum.IntFlag):
    """What a pick reports beside token, argmax, margin, temperature and finish. Each costs up to a pass of the row."""

    NONE = 0
    """Only what costs nothing."""
    CONFIDENCE = 1
    """top1_probability and entropy."""
    LOGPROB = 2
    """logprob and cumulative_logprob."""
    LOGPROB_RAW = 4
    """logprob_raw."""
    RANK = 8
    """rank."""
    KEPT = 16
    """kept."""
    KEPT_MASS = 32
    """kept_mass."""
    LOOP = 64
    """loop_period, loop_repeats and loop_score."""
    FLIP = 128
    """flip_argmax, flip_kept and flip_token."""
    ALL = 255
    """Everything."""


class Finish(enum.IntEnum):
    """Whether a sequence ends with a token, and why. `NONE` is false."""

    NONE = 0
    """The sequence goes on."""
    LENGTH = 1
    """max_tokens was reached."""
    END_TOKEN = 2
    """The token is one of the end tokens."""
    STOP = 3
    """A stop sequence or a stop string is complete."""
    LOOP = 4
    """The sequence runs in a circle: loop_repeats was reached."""


class Acceptance(enum.IntEnum):
    """How drafted tokens are judged, which must fit how they were made. In greedy mode all are the same."""

    MATCH = 0
    """A draft stands if it is the token that `decode` picks. For drafts made in any way."""
    CERTAIN = 1
    """The drafts were chosen without chance: one stands with its probability p."""
    DRAWN = 2
    """Each was drawn from the draft model's q, siblings independently: one stands with probability min(1, p/q)."""
    WITHOUT_REPLACEMENT = 3
    """The same with siblings drawn without replacement."""


class EarlyStopping(enum.IntEnum):
    """When a beam search ends before max_tokens."""

    NEVER = 0
    """When no beam can get among the best hypotheses any more. Nothing is lost by it."""
    HEURISTIC = 1
    """When no beam would be among them if it ended at its present length."""
    FULL = 2
    """When as many hypotheses have ended as there are beams."""


class Verdict(enum.IntEnum):
    """What a row looks like to someone who wants to know whether a model learns."""

    HEALTHY = 0
    """Neither of the others."""
    FLAT = 1
    """Nearly all tokens are equally likely."""
    SATURATED = 2
    """One token has nearly all the probability."""


class Status(enum.IntEnum):
    """The number of an error, `Error.status`; permanent. The names are those of the C ABI without ARGPICK_ERR_."""

    OK = 0
    INVALID_LOGIT = 1
    EVERYTHING_MASKED = 2
    WRONG_LENGTH = 3
    INVALID_PARAMETER = 4
    TOKEN_OUT_OF_RANGE = 5
    CAPACITY_EXCEEDED = 6
    STORAGE_TOO_SMALL = 7
    KERNEL_UNAVAILABLE = 8
    UNKNOWN_KERNEL = 9
    FINISHED = 10
    UNDO_TOO_FAR = 11
    COLUMN_OUT_OF_RANGE = 12
    DUPLICATE_TOKEN = 13
    UPDATE_OVERFLOW = 14
    BAD_STATE = 15
    NOT_IN_PROFILE = 16
    CUDA_UNAVAILABLE = 17
    CUDA_FAILED = 18
    ARRAY_MISSING = 100
    ARRAY_PICKLED = 101
    ARRAY_COMPRESSED = 102
    ARRAY_UNSUPPORTED = 103
    ARRAY_DTYPE = 104
    ARRAY_RANK = 105
    ARRAY_LENGTH = 106
    ARRAY_SIZE = 107
    ARRAY_VALUE = 108
    ARRAY_CHECKSUM = 109
    FILE_MALFORMED = 110
    FILE_FORMAT = 111
    FILE = 112
    INTERRUPTED = 113
    NULL = 200
    PANIC = 201
    POISONED = 202
    BUSY = 203
    ALIGNMENT = 204
    STRUCT_SIZE = 205
    RESERVED = 206
    OUT_OF_MEMORY = 207
    READ_ONLY = 208
    TEXT = 209
