"""The exceptions: one base class, `Error`, and a class for each status that a user may want to catch."""

import os
from typing import Any

from ._enums import Status


class Error(ValueError):
    """Why a call was refused. Nothing has changed: the decoder goes on as if the call had not been made.

    `status` says which error it is; `index` and `value` are its particulars as in C (`include/argpick.h` says beside each
    status what they are), None where there is none; `name` is the name of the parameter, list or array, where there is one;
    `row` is the row of a batch, where one is to blame.
    """

    status: Status = Status.OK
    index: int | None
    value: float | None
    name: str | None
    row: int | None

    def __init__(
        self,
        message: str = "",
        status: int | None = None,
        index: int | None = None,
        value: float | None = None,
        name: str | None = None,
        row: int | None = None,
    ) -> None:
        super().__init__(message)
        if status is not None:
            self.status = Status(status)
        self.index = index
        self.value = value
        self.name = name
        self.row = row

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), int(self.status), self.index, self.value, self.name, self.row)


class InvalidLogit(Error):
    """A logit that takes part is NaN or +inf, as given or after an adjustment. index: the token; value: its logit."""

    status = Status.INVALID_LOGIT


class EverythingMasked(Error):
    """No token is left: all are excluded by the mask, banned or at -inf."""

    status = Status.EVERYTHING_MASKED


class WrongLength(Error):
    """A row, mask or list has the wrong number of elements. index: elements needed; value: elements given."""

    status = Status.WRONG_LENGTH


class InvalidParameter(Error):
    """A parameter is outside its range. name: which; value: what it was."""

    status = Status.INVALID_PARAMETER


class TokenOutOfRange(Error):
    """A token id is not below the vocabulary. index: the token; value: the vocabulary."""

    status = Status.TOKEN_OUT_OF_RANGE


class CapacityExceeded(Error):
    """A list is longer than its capacity. index: entries there is room for; value: entries given."""

    status = Status.CAPACITY_EXCEEDED


class KernelUnavailable(Error):
    """The kernel level that ARGPICK_KERNEL asks for is not to be had on this processor."""

    status = Status.KERNEL_UNAVAILABLE


class UnknownKernel(Error):
    """ARGPICK_KERNEL names no kernel level."""

    status = Status.UNKNOWN_KERNEL


class Finished(Error):
    """The sequence (or the trace) has ended; `Decoder.reset` starts anew."""

    status = Status.FINISHED


class UndoTooFar(Error):
    """More tokens are to be undone than the history holds. index: tokens that can be undone; value: asked for."""

    status = Status.UNDO_TOO_FAR


class ColumnOutOfRange(Error):
    """A column is not in the weights. index: the column; value: the number of columns."""

    status = Status.COLUMN_OUT_OF_RANGE


class DuplicateToken(Error):
    """A token stands twice in a list that takes each once. index: the token."""

    status = Status.DUPLICATE_TOKEN


class UpdateOverflow(Error):
    """A training step would make a weight infinite or NaN. index: the token; value: the column, None for the bias."""

    status = Status.UPDATE_OVERFLOW


class BadState(Error):
    """The bytes are no saved decoder, or not one that fits here."""

    status = Status.BAD_STATE


class NotInProfile(Error):
    """A parameter is used that the profile has no stage for. name: which."""

    status = Status.NOT_IN_PROFILE


class ArrayError(Error):
    """An array of a weight file cannot be used; `status` says why. name: the array."""

    status = Status.ARRAY_UNSUPPORTED


class FileMalformed(Error):
    """A file or a trace contradicts itself or its format. index: the place in bytes; value: the bad value."""

    status = Status.FILE_MALFORMED


class FileFormat(Error):
    """The file is neither a NumPy archive or array nor safetensors."""

    status = Status.FILE_FORMAT


class FileError(Error, OSError):
    """The system refused a file operation. `errno` is the system's number, as of every OSError; value is the same."""

    status = Status.FILE

    def __init__(
        self,
        message: str = "",
        status: int | None = None,
        index: int | None = None,
        value: float | None = None,
        name: str | None = None,
        row: int | None = None,
    ) -> None:
        Error.__init__(self, message, status, index, value, name, row)
        if value:
            self.errno = int(value)
            self.strerror = os.strerror(self.errno)


class Interrupted(Error):
    """The caller asked for a stop."""

    status = Status.INTERRUPTED


class Broken(Error):
    """Something inside the library broke (status PANIC), or an earlier call on the object did (POISONED). A bug: report it."""

    status = Status.PANIC


class Busy(Error, RuntimeError):
    """Another thread is in a call on this object. Nothing has happened; call again later."""

    status = Status.BUSY


class OutOfMemory(Error, MemoryError):
    """There is no memory for it. index: bytes asked for."""

    status = Status.OUT_OF_MEMORY


class ReadOnly(Error):
    """These weights are those of a file and cannot be trained."""

    status = Status.READ_ONLY


_CLASSES: dict[int, type[Error]] = {
    int(kind.status): kind
    for kind in (
        InvalidLogit,
        EverythingMasked,
        WrongLength,
        InvalidParameter,
        TokenOutOfRange,
        CapacityExceeded,
        KernelUnavailable,
        UnknownKernel,
        Finished,
        UndoTooFar,
        ColumnOutOfRange,
        DuplicateToken,
        UpdateOverflow,
        BadState,
        NotInProfile,
        FileMalformed,
        FileFormat,
        FileError,
        Interrupted,
        Broken,
        Busy,
        OutOfMemory,
        ReadOnly,
    )
}
_CLASSES.update({status: ArrayError for status in Status if 100 <= status < Status.FILE_MALFORMED})
_CLASSES[Status.POISONED] = Broken


def make(
    status: int,
    message: str,
    index: int | None,
    value: float | None,
    name: str | None,
    row: int | None,
) -> Error:
    """The exception of a status; called by the extension module."""
    return _CLASSES.get(status, Error)(message, status, index, value, name, row)
