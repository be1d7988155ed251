"""argpick: a token decoder. Logits in, token out.

A host hands a row of logits to a `Decoder`, which applies penalties, biases and masks, temperature and truncation, picks a
token (greedy or drawn) and says how sure the row was. The same input gives the same bits on every machine; bad input is an
`Error` that changes nothing.

>>> import numpy as np, argpick
>>> decoder = argpick.Decoder(6, temperature=0.8, top_k=4, seed=7, metrics="confidence")
>>> row = np.array([0.1, 2.0, -1.0, 2.5, -np.inf, 1.0], np.float32)
>>> pick = decoder.decode(row)
>>> decoder.position, pick.argmax
(1, 3)
"""

from . import sandbox
from ._argpick import (
    MAX_DRAFT,
    MAX_SIBLINGS,
    MAX_VOCAB,
    NUMERICS_VERSION,
    ROOT,
    BeamSearch,
    Decoder,
    Pick,
    Recorder,
    Replay,
    Trace,
    Weights,
    __version__,
    decode_batch,
    inspect,
    kernel,
    kernels,
    score,
    score_batch,
    softmax,
    verify,
)
from ._arrays import CANDIDATE, CONTINUATION
from ._beam import BeamConfig, BeamConfigFields
from ._config import Config, ConfigFields
from ._enums import (
    Acceptance,
    EarlyStopping,
    Finish,
    Metrics,
    Mirostat,
    Mode,
    PenaltyScope,
    Profile,
    Status,
    Verdict,
)
from ._errors import (
    ArrayError,
    BadState,
    Broken,
    Busy,
    CapacityExceeded,
    ColumnOutOfRange,
    DuplicateToken,
    Error,
    EverythingMasked,
    FileError,
    FileFormat,
    FileMalformed,
    Finished,
    Interrupted,
    InvalidLogit,
    InvalidParameter,
    KernelUnavailable,
    NotInProfile,
    OutOfMemory,
    ReadOnly,
    TokenOutOfRange,
    UndoTooFar,
    UnknownKernel,
    UpdateOverflow,
    WrongLength,
)
from ._sweep import SweepError, SweepModel, SweepResults, SweepText, sweep
from ._types import (
    BeamStep,
    Diagnosis,
    Difference,
    Hypothesis,
    Record,
    RowDiagnosis,
    Score,
    Stage,
    StepRecord,
    TextMatch,
    TrainStep,
    Verified,
)

__all__ = [
    "Acceptance",
    "ArrayError",
    "BadState",
    "BeamConfig",
    "BeamConfigFields",
    "BeamSearch",
    "BeamStep",
    "Broken",
    "Busy",
    "CANDIDATE",
    "CONTINUATION",
    "CapacityExceeded",
    "ColumnOutOfRange",
    "Config",
    "ConfigFields",
    "Decoder",
    "Diagnosis",
    "Difference",
    "DuplicateToken",
    "EarlyStopping",
    "Error",
    "EverythingMasked",
    "FileError",
    "FileFormat",
    "FileMalformed",
    "Finish",
    "Finished",
    "Hypothesis",
    "Interrupted",
    "InvalidLogit",
    "InvalidParameter",
    "KernelUnavailable",
    "MAX_DRAFT",
    "MAX_SIBLINGS",
    "MAX_VOCAB",
    "Metrics",
    "Mirostat",
    "Mode",
    "NUMERICS_VERSION",
    "NotInProfile",
    "OutOfMemory",
    "PenaltyScope",
    "Pick",
    "Profile",
    "ROOT",
    "ReadOnly",
    "Record",
    "Recorder",
    "Replay",
    "RowDiagnosis",
    "Score",
    "Stage",
    "Status",
    "StepRecord",
    "SweepError",
    "SweepModel",
    "SweepResults",
    "SweepText",
    "TextMatch",
    "TokenOutOfRange",
    "Trace",
    "TrainStep",
    "UndoTooFar",
    "UnknownKernel",
    "UpdateOverflow",
    "Verdict",
    "Verified",
    "Weights",
    "WrongLength",
    "__version__",
    "decode_batch",
    "inspect",
    "kernel",
    "kernels",
    "sandbox",
    "score",
    "score_batch",
    "softmax",
    "sweep",
    "verify",
]

# What users see in messages and documentation.
for _thing in list(vars().values()):
    if isinstance(_thing, type) and _thing.__module__.startswith("argpick._"):
        _thing.__module__ = "argpick"
del _thing
