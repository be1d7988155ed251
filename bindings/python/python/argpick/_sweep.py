"""`argpick.sweep`: prompts x parameter sets x seeds with any model, side by side, on any executor."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pickle
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from . import _argpick
from ._enums import Status
from ._errors import Error


class SweepError(Error):
    """A sweep file that is none, results of another sweep, or a model that does not fit. The message says where and why."""

    status = Status.INVALID_PARAMETER


class SweepText(Protocol):
    """A text that a `SweepModel` has begun."""

    tokens: Sequence[int]
    """Tokens of the prompt."""

    def row(self) -> Any:
        """The logits of the next token: anything that `Decoder.decode` takes."""

    def advance(self, token: int) -> str:
        """Takes up a token, and says which text it adds."""


class SweepModel(Protocol):
    """What `argpick.sweep` needs of a model. `argpick.transformers.Model` and `argpick.llama_cpp.Model` are such.

    A text's rows must depend on its tokens alone, so that results do not depend on what is decoded beside it. Texts may be used
    by several threads, each by one. An exception in a method ends the run that it belongs to, with its message.
    """

    identity: str
    """The same text for the same weights."""
    vocab: int
    """Logits in a row. With an attribute `known_vocab`, ids from there on are never picked."""
    end_tokens: Sequence[int]
    """Tokens that end a text where the sweep names none."""

    def token(self, text: str) -> int | None:
        """The token of a text, if it is exactly one."""

    def begin(self, prompt: str | Sequence[int]) -> SweepText:
        """Begins a text."""


@dataclasses.dataclass(frozen=True)
class SweepResults:
    """The results of a sweep. As text: the table of `argpick sweep`."""

    runs: list[dict[str, Any] | None]
    """What each run left behind, by the names in the file of results; None where it is not done."""
    summary: dict[str, Any]
    """Which texts of a prompt are the same, where they part, and how each parameter set does."""
    text: str
    """The same for a reader."""
    fingerprint: str
    """What decides the results, as hexadecimal digits."""
    torn: int
    """Bytes of a line that was cut off when the file was last written; its run was done again."""

    def __str__(self) -> str:
        return self.text

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The runs that ended with an error."""
        return [run for run in self.runs if run is not None and run["finish"] == "error"]


_Source = tuple[str, str, bool]


def _source_of(sweep: str | os.PathLike[str] | Mapping[str, Any]) -> _Source:
    """Origin, text, and whether it is JSON: what another process can read again."""
    if isinstance(sweep, Mapping):
        try:
            return "the sweep", json.dumps(dict(sweep)), True
        except (TypeError, ValueError) as error:
            raise SweepError(f"the sweep is no plain data: {error}") from error
    path = os.fspath(sweep)
    # Read once by the library, for its checks of what is no sweep at all.
    _argpick.SweepFile.read(path)
    with open(path, encoding="utf-8-sig") as file:
        return path, file.read(), path.lower().endswith(".json")


def _do(model: SweepModel | bytes, source: _Source, numbers: list[int], batch: int) -> list[str]:
    """Does some runs, in this process or in another; their lines."""
    lines: list[str] = []
    _argpick.SweepFile.parse(*source).run(_loaded(model), numbers, batch, lines.append)
    return lines


_loading = threading.Lock()
_last: tuple[bytes, SweepModel] | None = None


def _loaded(model: SweepModel | bytes) -> SweepModel:
    """A model, or one from its pickle, which is loaded once in a process."""
    global _last
    if not isinstance(model, bytes):
        return model
    with _loading:
        if _last is None or _last[0] != model:
            _last = None
            _last = model, pickle.loads(model)
        return _last[1]


def sweep(
    model: SweepModel,
    sweep: str | os.PathLike[str] | Mapping[str, Any],
    *,
    results: str | os.PathLike[str] | None = None,
    max_batch_size: int | None = None,
    executor: concurrent.futures.Executor | None = None,
    progress: Callable[[int, int], Any] | None = None,
    retry_errors: bool = False,
) -> SweepResults:
    """Decodes every prompt of a sweep under every parameter set with every seed, and compares what comes of it.

    `sweep` is a file (YAML or JSON) or a mapping of the same form; the page on the lab has the format. With `results`, a file of
    JSON lines, one for each run, which is appended to as runs end: a sweep that was interrupted goes on with the runs that are
    left. `max_batch_size`, by default the sweep's, runs are decoded together. `progress` is called with the runs that are
    done and the runs there are. `retry_errors`: runs that ended with an error are done again.

    `executor` is anything with the interface of `concurrent.futures`: a thread or process pool, Dask's
    ``client.get_executor()``, ``mpi4py.futures.MPIPoolExecutor()``. But for a thread pool, the model is pickled and loaded once in
    each process. Every run has a decoder of its own, so the results are the same for every executor and batch size, but for
    the time they took.

    What a single run cannot do ends that run, and its result says why. Raises `SweepError` for a sweep, results or a model
    that do not fit, and what an executor raises; the results of the runs that are done are in the file then.
    """
    source = _source_of(sweep)
    parsed = _argpick.SweepFile.parse(*source)
    batch = parsed.max_batch_size if max_batch_size is None else max_batch_size
    if not 1 <= batch <= 4096:
        raise SweepError(f"max_batch_size is {batch}; allowed: 1 to 4096")
    parsed.check(model)
    kept = _argpick.SweepLog(parsed, model.identity, results)
    try:
        left = kept.left(retry_errors)
        total = len(parsed)
        done = total - len(left)

        def keep(line: str) -> None:
            nonlocal done
            kept.add(line)
            done += 1
            if progress is not None:
                progress(done, total)

        if executor is None:
            parsed.run(model, left, batch, keep)
        else:
            _spread(executor, model, source, left, batch, keep)
        summary, text = kept.summary()
        lines = kept.lines()
        return SweepResults(
            runs=[None if line is None else json.loads(line) for line in lines],
            summary=json.loads(summary),
            text=text,
            fingerprint=kept.fingerprint,
            torn=kept.torn,
        )
    finally:
        kept.close()


def _spread(
    executor: concurrent.futures.Executor,
    model: SweepModel,
    source: _Source,
    left: list[int],
    batch: int,
    keep: Callable[[str], None],
) -> None:
    """Hands the runs to an executor, a batch at a time, and keeps results as they come."""
    shared: SweepModel | bytes = model
    if not isinstance(executor, concurrent.futures.ThreadPoolExecutor):
        shared = pickle.dumps(model)
    parts = [left[start : start + batch] for start in range(0, len(left), batch)]
    waiting = {executor.submit(_do, shared, source, part, batch) for part in parts}
    try:
        for future in concurrent.futures.as_completed(list(waiting)):
            waiting.discard(future)
            for line in future.result():
                keep(line)
    except BaseException:
        for future in waiting:
            future.cancel()
        # What ended meanwhile is not lost; the exception that is on its way says why the rest is.
        for future in waiting:
            if future.done() and not future.cancelled() and future.exception() is None:
                with contextlib.suppress(Exception):
                    for line in future.result():
                        keep(line)
        raise
