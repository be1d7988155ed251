"""What `argpick.transformers` and `argpick.llama_cpp` have in common: one sequence from the prompt to its end."""

from __future__ import annotations

import codecs
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from . import _argpick
from ._beam import BeamConfig
from ._config import Config
from ._enums import EarlyStopping, Finish, Profile
from ._errors import Error


@dataclasses.dataclass(slots=True)
class Generation:
    """A sequence that was generated."""

    prompt: list[int]
    """Tokens of the prompt."""
    tokens: list[int] = dataclasses.field(default_factory=list)
    """Tokens generated, an end token among them."""
    text: str | None = None
    """Their text without the end token, up to a stop string; None where there is no tokenizer."""
    finish: Finish = Finish.NONE
    """Why it ended; `Finish.NONE` where the caller stopped it or an error did."""
    stop: int | None = None
    """The number of the stop string that ended it."""
    picks: list[Any] = dataclasses.field(default_factory=list)
    """The `argpick.Pick` of each step; empty for a beam."""
    score: float | None = None
    """A beam's score: the sum of its log-probabilities over a power of its length."""
    error: Error | None = None
    """What stopped it, where errors do not stop the call."""
    trace: bytes | None = None
    """The trace, where one was asked for: see `argpick.Replay`."""


def config_of(config: Config | None, fields: Any) -> Config:
    """The configuration of a call that takes one, or fields of one, or one with fields replaced."""
    if config is None:
        return Config(**fields)
    return config.replace(**fields) if fields else config


def check_vocab(config: Config, rows: int, known: int | None) -> Config:
    """A configuration for rows of this length, of which a tokenizer knows `known` ids.

    Models pad their vocabulary to a round number; what stands there has no text and must not be picked.
    """
    if known is None or known >= rows or config.valid_vocab != 0:
        return config
    return config.replace(valid_vocab=known)


class Sequence_:
    """One sequence: its decoder, its text and what came of it."""

    def __init__(
        self,
        prompt: Sequence[int],
        vocab: int,
        config: Config,
        *,
        end_tokens: Iterable[int] = (),
        stop_strings: Sequence[str] = (),
        piece: Callable[[int], bytes] | None = None,
        record: bool = False,
        prepare: Callable[[Any], None] | None = None,
    ) -> None:
        self.result = Generation(list(prompt))
        self.decoder = _argpick.Decoder(vocab, config)
        end_tokens = list(end_tokens)
        if end_tokens:
            self.decoder.set_end_tokens(end_tokens)
        if stop_strings:
            if piece is None:
                raise TypeError("stop_strings need a tokenizer: argpick is handed the bytes of each token")
            self.decoder.set_stop_strings([text.encode() for text in stop_strings])
        if prepare is not None:
            prepare(self.decoder)
        self._piece = piece
        self._bytes = bytearray()
        self._held_back = 0
        self._steps: Any = self.decoder
        self._recorder: Any = None
        if record:
            self._recorder = self._steps = _argpick.Recorder(self.decoder)
        self._steps.prompt(self.result.prompt)

    @property
    def has_ended(self) -> bool:
        return self.result.finish != Finish.NONE or self.result.error is not None

    def step(self, row: Any, mask: Any = None) -> int:
        """Picks the next token from a row. Raises what the decoder raises; nothing has changed then."""
        result = self.result
        pick = self._steps.decode(row, mask)
        result.picks.append(pick)
        result.tokens.append(pick.token)
        result.finish = pick.finish
        if self._piece is not None and pick.finish != Finish.END_TOKEN:
            piece = self._piece(pick.token)
            self._bytes += piece
            match = self._steps.push_bytes(piece)
            self._held_back = match.held_back
            if match.stop is not None:
                result.stop = match.stop
                result.finish = Finish.STOP
        return int(pick.token)

    def text_so_far(self) -> bytes:
        """The bytes that may be shown: what may yet become a stop string is held back."""
        return bytes(self._bytes[: len(self._bytes) - self._held_back])

    def end(self, error: Error | None = None) -> Generation:
        """What came of it."""
        result = self.result
        result.error = error
        if self._piece is not None:
            shown = self._bytes
            if result.stop is not None:
                shown = shown[: len(shown) - self._held_back]
            result.text = shown.decode("utf-8", "replace")
        if self._recorder is not None:
            result.trace = self._recorder.finish()
        return result


class Text:
    """Bytes of tokens as text: a character whose bytes come with several tokens appears with the last of them."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, piece: bytes) -> str:
        return self._decode.decode(piece)


class Beams:
    """Beam searches by the rules of the profile `huggingface`: a model's rows in, hypotheses out."""

    def __init__(
        self, beams: int, returned: int, length_penalty: float, early_stopping: Any, max_tokens: int | None
    ) -> None:
        if not 1 <= returned <= beams:
            raise ValueError(f"num_return_sequences is {returned}; there are {beams} beams")
        stopping = {True: EarlyStopping.FULL, False: EarlyStopping.HEURISTIC, "never": EarlyStopping.NEVER}
        if early_stopping not in stopping:
            raise ValueError(f'early_stopping is True, False or "never", not {early_stopping!r}')
        fields: Any = {} if max_tokens is None else {"max_tokens": max_tokens}
        self.config = BeamConfig(
            profile=Profile.HUGGINGFACE,
            beams=beams,
            n_best=returned,
            length_penalty=length_penalty,
            early_stopping=stopping[early_stopping],
            **fields,
        )

    def search(
        self,
        batch: Any,
        prompt: list[int],
        config: Config,
        known_vocab: int | None,
        end_tokens: Sequence[int],
        prepare: Callable[[Any], None] | None,
        text: Callable[[list[int]], str] | None,
    ) -> list[Generation]:
        """`batch` has the model: ``rows()`` of the live beams, and ``advance(tokens, parents)``."""
        rows = batch.rows()
        vocab = len(rows[0])
        config = check_vocab(config, vocab, known_vocab)
        search = _argpick.BeamSearch(
            vocab,
            self.config.replace(valid_vocab=config.valid_vocab, min_tokens=config.min_tokens),
            end_tokens=list(end_tokens),
        )
        decoders = []
        for _ in range(self.config.beams):
            decoder = _argpick.Decoder(vocab, config.replace(profile=Profile.HUGGINGFACE, min_tokens=0, max_tokens=0))
            if prepare is not None:
                prepare(decoder)
            decoder.prompt(prompt)
            decoders.append(decoder)
        while True:
            step = search.step(rows, decoders=decoders)
            if search.is_finished:
                break
            batch.advance(step.live["token"].tolist(), step.live["parent"].tolist())
            rows = batch.rows()
        found = []
        for best in search.hypotheses():
            tokens = best.tokens.tolist()
            made = Generation(list(prompt), tokens, finish=best.finish, score=best.score)
            if text is not None:
                made.text = text(tokens[:-1] if best.finish == Finish.END_TOKEN else tokens)
            found.append(made)
        return found
