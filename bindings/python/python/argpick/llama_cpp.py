"""argpick behind llama.cpp, through llama-cpp-python: its logits are read where llama.cpp has them, without a copy.

>>> from argpick import llama_cpp                                                      # doctest: +SKIP
>>> model = llama_cpp.Model("gemma-3-270m-q4_k_m.gguf", n_ctx=512)                     # doctest: +SKIP
>>> llama_cpp.generate(model, "The sea and the sky", temperature=0.7, top_k=40).text   # doctest: +SKIP

`Model` takes a path, or a `llama_cpp.Llama` that the program has anyway. It is also a model for `argpick.sweep`.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Unpack

import numpy as np

from ._config import Config, ConfigFields
from ._errors import Error
from ._generation import Beams, Generation, Sequence_, Text, check_vocab, config_of

try:
    import llama_cpp as _llama  # type: ignore[import-not-found, import-untyped, unused-ignore]
except ImportError as error:
    raise ImportError(
        "argpick.llama_cpp needs the package llama-cpp-python, which cannot be imported here: pip install llama-cpp-python"
    ) from error

__all__ = ["ContextFull", "LlamaText", "Model", "beam_search", "generate"]


class ContextFull(RuntimeError):
    """llama.cpp has no room for another token. `generation` is what there was before."""

    generation: Generation | None = None


class Model:
    """A model of llama.cpp.

    ``Model(path, n_ctx=512)`` loads a file; ``Model(llama)`` borrows a `llama_cpp.Llama`. Contexts are made as they are needed:
    texts of one model have nothing in common, so what is generated does not depend on how many there are.

    `extra_buffers` lets llama.cpp repack the weights for special instructions; it is off because its AMX routines crash on some
    machines. `n_threads` is by default half of the processors. A model that was loaded from a file can be pickled; the other
    process loads the file again.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Any,
        *,
        n_ctx: int = 512,
        n_batch: int = 512,
        n_threads: int | None = None,
        extra_buffers: bool = False,
        verbose: bool = False,
    ) -> None:
        self._arguments: dict[str, Any] = {
            "n_ctx": n_ctx,
            "n_batch": n_batch,
            "n_threads": n_threads,
            "extra_buffers": extra_buffers,
        }
        self._pool: list[_Context] = []
        self._lock = threading.Lock()
        self.n_ctx = n_ctx
        if isinstance(model, (str, os.PathLike)):
            self.path = os.fspath(model)
            if not os.path.isfile(self.path):
                raise FileNotFoundError(f"there is no model file {self.path}")
            _quiet(verbose)
            _backend()
            parameters = _llama.llama_model_default_params()
            parameters.use_extra_bufts = extra_buffers
            self._model = _llama.llama_model_load_from_file(os.fsencode(self.path), parameters)
            if not self._model:
                raise ValueError(f"llama.cpp cannot load {self.path}")
            weakref.finalize(self, _llama.llama_model_free, self._model).atexit = False
            self._owner: Any = None
        else:
            if not hasattr(model, "model_path") or not hasattr(model, "model"):
                raise TypeError(f"a model is a path or a llama_cpp.Llama, not {type(model).__name__}")
            self.path = model.model_path
            self._model, self._owner = model.model, model
            self.n_ctx = model.n_ctx()
        threads = n_threads or max(1, (os.cpu_count() or 1) // 2)
        self._parameters = _llama.llama_context_default_params()
        self._parameters.n_ctx = self.n_ctx
        self._parameters.n_batch = self._parameters.n_ubatch = min(n_batch, self.n_ctx)
        self._parameters.n_threads = self._parameters.n_threads_batch = threads
        self._vocabulary = _llama.llama_model_get_vocab(self._model)
        self.vocab: int = _llama.llama_vocab_n_tokens(self._vocabulary)
        """Logits in a row."""

    def __reduce__(self) -> tuple[Any, ...]:
        if self._owner is not None:
            raise TypeError("a Model that borrows a llama_cpp.Llama cannot be pickled; make it from the path")
        return functools.partial(Model, self.path, **self._arguments), ()

    @functools.cached_property
    def identity(self) -> str:
        """The same text for the same weights: what results of a sweep are told apart by."""
        with open(self.path, "rb") as file:
            return f"gguf {hashlib.file_digest(file, 'sha256').hexdigest()[:32]}"

    @functools.cached_property
    def end_tokens(self) -> list[int]:
        """The tokens that end a text."""
        return [token for token in range(self.vocab) if _llama.llama_vocab_is_eog(self._vocabulary, token)]

    @functools.cached_property
    def known_vocab(self) -> int:
        """Ids that have a text: converters fill a padded vocabulary up with tokens named [PAD...]."""
        known = self.vocab
        while known > 1:
            text = _llama.llama_vocab_get_text(self._vocabulary, known - 1)
            unused = _llama.llama_vocab_get_attr(self._vocabulary, known - 1) & _llama.LLAMA_TOKEN_ATTR_UNUSED
            if not unused or not text.startswith(b"[PAD"):
                break
            known -= 1
        return known

    def encode(self, text: str, *, add_special: bool = True) -> list[int]:
        """The tokens of a text, by default with the model's token for the beginning."""
        given = text.encode()
        room = (_llama.llama_token * (len(given) + 8))()
        count = _llama.llama_tokenize(self._vocabulary, given, len(given), room, len(room), add_special, False)
        if count < 0:
            raise ValueError(f"llama.cpp cannot tokenize {text!r}")
        return list(room[:count])

    def piece(self, token: int) -> bytes:
        """The bytes that a token adds to the text."""
        room = ctypes.create_string_buffer(64)
        count = _llama.llama_token_to_piece(self._vocabulary, token, room, len(room), 0, False)
        if count < 0:
            room = ctypes.create_string_buffer(-count)
            count = _llama.llama_token_to_piece(self._vocabulary, token, room, len(room), 0, False)
        return room.raw[:count]

    def token(self, text: str) -> int | None:
        """The token of a text, if it is exactly one."""
        tokens = self.encode(text, add_special=False)
        return tokens[0] if len(tokens) == 1 else None

    def begin(self, prompt: str | Sequence[int]) -> LlamaText:
        """Begins a text."""
        tokens = self.encode(prompt) if isinstance(prompt, str) else [int(token) for token in prompt]
        if not tokens:
            raise ValueError("a prompt needs at least one token")
        if len(tokens) >= self.n_ctx:
            raise ContextFull(f"the prompt has {len(tokens)} tokens; the context has room for {self.n_ctx}")
        context = self._take()
        context.clear()
        return LlamaText(self, context, tokens, list(tokens))

    def _take(self) -> _Context:
        with self._lock:
            context = self._pool.pop() if self._pool else None
        return context or _Context(self)


class _Context:
    """A context of llama.cpp, empty."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.pointer = _llama.llama_init_from_model(model._model, model._parameters)
        if not self.pointer:
            raise ValueError("llama.cpp cannot make a context")
        weakref.finalize(self, _llama.llama_free, self.pointer).atexit = False

    def clear(self) -> None:
        _llama.llama_memory_clear(_llama.llama_get_memory(self.pointer), True)

    def evaluate(self, tokens: Sequence[int]) -> None:
        step = self.model._parameters.n_batch
        for start in range(0, len(tokens), step):
            part = tokens[start : start + step]
            array = (_llama.llama_token * len(part))(*part)
            answer = _llama.llama_decode(self.pointer, _llama.llama_batch_get_one(array, len(part)))
            if answer == 1:
                raise ContextFull(f"the context of {self.model.n_ctx} tokens is full")
            if answer != 0:
                raise RuntimeError(f"llama_decode answered {answer}")

    def take_over(self, other: _Context) -> None:
        size = _llama.llama_state_seq_get_size(other.pointer, 0)
        state = (ctypes.c_uint8 * size)()
        written = _llama.llama_state_seq_get_data(other.pointer, state, size, 0)
        self.clear()
        if written != size or _llama.llama_state_seq_set_data(self.pointer, state, size, 0) != size:
            raise RuntimeError("llama.cpp cannot copy the state of a context")

    def row(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        pointer = _llama.llama_get_logits_ith(self.pointer, -1)
        return np.ctypeslib.as_array(pointer, shape=(self.model.vocab,))


class LlamaText:
    """A text of a model: give it tokens, ask it for the next row."""

    def __init__(self, model: Model, context: _Context, tokens: list[int], waiting: list[int]) -> None:
        self.tokens = tokens
        """The prompt."""
        self._model, self._context = model, context
        self._waiting = waiting
        self._text = Text()
        weakref.finalize(self, _give_back, model._lock, model._pool, context).atexit = False

    def row(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The logits of the next token, where llama.cpp has them: valid until the next call."""
        if self._waiting:
            self._context.evaluate(self._waiting)
            self._waiting = []
        return self._context.row()

    def advance(self, token: int) -> str:
        """Takes up a token, and says which text it adds."""
        self._waiting.append(int(token))
        return self._text.push(self._model.piece(token))

    def copy(self) -> LlamaText:
        """A second text that goes on from here. It has no row until it takes up a token."""
        context = self._model._take()
        context.take_over(self._context)
        return LlamaText(self._model, context, self.tokens, list(self._waiting))


def _give_back(lock: Any, pool: list[_Context], context: _Context) -> None:
    with lock:
        pool.append(context)


def generate(
    model: Any,
    prompt: str | Sequence[int],
    config: Config | None = None,
    *,
    max_new_tokens: int | None = None,
    end_tokens: Iterable[int] | None = None,
    stop_strings: Sequence[str] = (),
    record: bool = False,
    prepare: Callable[[Any], None] | None = None,
    on_token: Callable[[int, str], Any] | None = None,
    **fields: Unpack[ConfigFields],
) -> Generation:
    """Generates a text: llama.cpp makes the rows, argpick picks.

    `model` is a `Model`, a `llama_cpp.Llama` or a path; `prompt` a text or tokens; `config` and `fields` are as for
    `argpick.Decoder`. It ends with one of `end_tokens` (by default the model's), a stop string, `max_new_tokens` (at most what
    the context has room for), or a loop, where `loop_repeats` is set. With `record`, the result has a trace. `prepare` gets the
    decoder before the first step, to set biases, bans and other lists; `on_token` sees each token and the text that it adds.

    Raises `argpick.Error` for a row that is refused, `ContextFull` where the context is too small; their attribute `generation`
    is what there was before.
    """
    if not isinstance(model, Model):
        model = Model(model)
    text = model.begin(prompt)
    config = check_vocab(config_of(config, fields), model.vocab, model.known_vocab)
    if max_new_tokens is not None:
        config = config.replace(max_tokens=max_new_tokens)
    sequence = Sequence_(
        text.tokens,
        model.vocab,
        config,
        end_tokens=model.end_tokens if end_tokens is None else end_tokens,
        stop_strings=stop_strings,
        piece=model.piece,
        record=record,
        prepare=prepare,
    )
    try:
        while not sequence.has_ended:
            token = sequence.step(text.row())
            piece = text.advance(token)
            if on_token is not None:
                on_token(token, piece)
    except (Error, ContextFull) as error:
        error.generation = sequence.end(error if isinstance(error, Error) else None)  # type: ignore[union-attr]
        raise
    return sequence.end()


class _Batch:
    """The texts of a beam search."""

    def __init__(self, text: LlamaText) -> None:
        self._texts = [text]

    def rows(self) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
        return [text.row() for text in self._texts]

    def advance(self, tokens: Sequence[int], parents: Sequence[int]) -> None:
        # The first that goes on from a text takes it; the others take copies of it as it was.
        texts = [self._texts[parent].copy() if parent in parents[:index] else None for index, parent in enumerate(parents)]
        self._texts = [copy or self._texts[parent] for copy, parent in zip(texts, parents, strict=True)]
        for text, token in zip(self._texts, tokens, strict=True):
            text.advance(token)


def beam_search(
    model: Any,
    prompt: str | Sequence[int],
    config: Config | None = None,
    *,
    num_beams: int = 4,
    num_return_sequences: int = 1,
    max_new_tokens: int = 20,
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
    end_tokens: Iterable[int] | None = None,
    prepare: Callable[[Any], None] | None = None,
    **fields: Unpack[ConfigFields],
) -> list[Generation]:
    """A beam search by the rules of transformers (profile `huggingface`): `num_return_sequences` results, best first.

    Penalties, bans and n-gram rules of `config` hold for each beam; `length_penalty` and `early_stopping` (False, True or
    "never") are those of transformers. Each beam has a context of its own.
    """
    if not isinstance(model, Model):
        model = Model(model)
    text = model.begin(prompt)
    return Beams(num_beams, num_return_sequences, length_penalty, early_stopping, max_new_tokens).search(
        _Batch(text),
        text.tokens,
        config_of(config, fields),
        model.known_vocab,
        model.end_tokens if end_tokens is None else list(end_tokens),
        prepare,
        lambda tokens: b"".join(map(model.piece, tokens)).decode("utf-8", "replace"),
    )


@functools.cache
def _backend() -> None:
    _llama.llama_backend_init()


@_llama.llama_log_callback  # type: ignore[untyped-decorator, unused-ignore]
def _errors_only(level: int, text: bytes, _data: Any) -> None:
    if level == 4:
        print(text.decode(errors="replace"), end="", file=sys.stderr)


@functools.cache
def _quiet(verbose: bool) -> None:
    if not verbose:
        _llama.llama_log_set(_errors_only, ctypes.c_void_p(0))
