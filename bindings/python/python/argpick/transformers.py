"""argpick behind Hugging Face transformers: a logits processor for `generate`, and a generate loop of its own.

>>> from argpick.transformers import Processor, generate                                    # doctest: +SKIP
>>> processor = Processor(temperature=0.7, top_k=40, seed=7)                                # doctest: +SKIP
>>> model.generate(**inputs, logits_processor=[processor], do_sample=False)                 # doctest: +SKIP
>>> generate(model, inputs["input_ids"], tokenizer=tokenizer, max_new_tokens=40, top_p=0.9) # doctest: +SKIP

The rows are the model's own memory where that is a CPU's. `Model` makes a model for `argpick.sweep` of it.
"""

from __future__ import annotations

import collections
import functools
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Unpack

from . import _argpick
from ._config import Config, ConfigFields
from ._errors import Error
from ._generation import Beams, Generation, Sequence_, Text, check_vocab, config_of

try:
    import torch  # type: ignore[import-not-found, unused-ignore]
    import transformers as _transformers  # type: ignore[import-not-found, unused-ignore]
except ImportError as error:
    raise ImportError(
        f"argpick.transformers needs the packages transformers and torch ({error}): pip install transformers torch"
    ) from error

__all__ = ["Model", "Processor", "generate"]


def _on_cpu(tensor: Any, copy_to_cpu: bool, what: str) -> Any:
    if tensor.device.type == "cpu":
        return tensor.detach()
    if not copy_to_cpu:
        raise TypeError(
            f"{what} are on {tensor.device}; this build of argpick reads the memory of the CPU: pass copy_to_cpu=True to copy "
            "each row, or move the model with .cpu()"
        )
    return tensor.detach().cpu()


class Processor(_transformers.LogitsProcessor):  # type: ignore[misc, unused-ignore]
    """A logits processor for `generate` of transformers, one for each call.

    With ``picks=True`` argpick picks: the scores become 0 for the token that it picks and -inf elsewhere, so that `generate`
    takes it, greedy or sampling. The draws are argpick's: the same tokens for a seed, whatever the batch; row i of the batch has
    the stream ``config.stream + i``. With ``picks=False`` the scores become the logits that are drawn from, as
    `Decoder.process` makes them, and torch draws; give `generate` ``temperature=1.0, top_k=0, top_p=1.0`` then, since it has
    filters of its own (and a top-k of 50 if nothing is said).

    Each row has a decoder with the tokens of the row as its prompt and history. `pad_token_id`: tokens on the left that are no
    part of a prompt. `end_tokens`: a row that has one is left alone. `known_vocab`: ids that the tokenizer knows, where the
    model's rows are longer. Beams may change their places from step to step: their histories go with them.

    After a step with ``picks=True``, `last` has the `argpick.Pick` of each row (None for a row that has ended).
    """

    supports_continuous_batching = False

    def __init__(
        self,
        config: Config | None = None,
        *,
        picks: bool = True,
        pad_token_id: int | None = None,
        end_tokens: Iterable[int] = (),
        known_vocab: int | None = None,
        copy_to_cpu: bool = False,
        **fields: Unpack[ConfigFields],
    ) -> None:
        self.config = config_of(config, fields)
        self.picks = picks
        self.pad_token_id = pad_token_id
        self.end_tokens = frozenset(end_tokens)
        self.known_vocab = known_vocab
        self.copy_to_cpu = copy_to_cpu
        self.decoders: list[Any] = []
        self.last: list[Any] = []
        self._seen: list[list[int]] = []

    def reset(self) -> None:
        """Forgets every row, for another call of `generate`."""
        self.decoders, self.last, self._seen = [], [], []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Rewrites the scores of a step. Raises `argpick.Error` for a row that is refused, with its number in `row`."""
        rows = _on_cpu(scores, self.copy_to_cpu, "the scores")
        ids = input_ids.tolist()
        if self.decoders:
            self._follow(ids)
        else:
            self._begin(ids, rows.shape[-1])
        made = torch.full_like(rows, -torch.inf) if self.picks else rows.float().clone().contiguous()
        self.last = [None] * len(ids)
        for number, decoder in enumerate(self.decoders):
            if self._has_ended(number):
                made[number] = rows[number]
                continue
            try:
                if self.picks:
                    pick = self.last[number] = decoder.decode(rows[number])
                    made[number, pick.token] = 0.0
                else:
                    decoder.process(made[number])
            except Error as error:
                error.row = number
                self._withdraw(number)
                raise
        return made.to(device=scores.device, dtype=scores.dtype)

    def _begin(self, ids: list[list[int]], vocab: int) -> None:
        config = check_vocab(self.config, vocab, self.known_vocab)
        for number, tokens in enumerate(ids):
            start = 0
            while self.pad_token_id is not None and start < len(tokens) - 1 and tokens[start] == self.pad_token_id:
                start += 1
            decoder = _argpick.Decoder(vocab, config.replace(stream=(config.stream + number) % 2**64))
            decoder.prompt(tokens[start:])
            self.decoders.append(decoder)
        self._prompts = [len(tokens) for tokens in ids]
        self._seen = ids

    def _withdraw(self, number: int) -> None:
        """Takes back the picks of a step that a later row has ended."""
        for earlier in range(number):
            if self.last[earlier] is not None:
                self.decoders[earlier].undo(1)
                self.last[earlier] = None

    def _follow(self, ids: list[list[int]]) -> None:
        """Records what `generate` has done since the last step."""
        decoders: list[tuple[int, int]] = []
        before = {tuple(tokens): number for number, tokens in reversed(list(enumerate(self._seen)))}
        for number, tokens in enumerate(ids):
            # A row's own history first: rows may have the same one.
            parent: int | None = number if number < len(self._seen) and self._seen[number] == tokens[:-1] else None
            parent = before.get(tuple(tokens[:-1])) if parent is None else parent
            if parent is None:
                raise ValueError(
                    f"row {number} does not continue a row of the step before; a Processor is for one call of generate: make a "
                    "new one, or reset() it"
                )
            decoders.append((parent, tokens[-1]))
        uses = collections.Counter(parent for parent, _ in decoders)
        made = []
        for parent, token in decoders:
            decoder = self.decoders[parent]
            if uses[parent] > 1:
                decoder = decoder.copy()
            pick = self.last[parent] if self.picks else None
            if pick is None or pick.token != token:
                if pick is not None:
                    decoder.undo(1)
                if not self._has_ended(parent):
                    decoder.accept([token])
            made.append(decoder)
        self._prompts = [self._prompts[parent] for parent, _ in decoders]
        self.decoders, self._seen = made, ids

    def _has_ended(self, number: int) -> bool:
        return any(token in self.end_tokens for token in self._seen[number][self._prompts[number] :])


class _Tokens:
    """What a tokenizer of transformers knows about tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __len__(self) -> int:
        return len(self.tokenizer)

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer(text)["input_ids"])

    def text(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False))


class _Growing:
    """The bytes that each token adds to a text. A token alone may be half a character, or lose its space."""

    def __init__(self, tokens: _Tokens) -> None:
        self._tokens = tokens
        self._all: list[int] = []
        self._shown = 0
        self._begin = 0

    def __call__(self, token: int) -> bytes:
        self._all.append(token)
        # The last few tokens are enough context for those that follow.
        begin = max(0, self._begin)
        before = self._tokens.text(self._all[begin : self._shown])
        now = self._tokens.text(self._all[begin:])
        if now.endswith("\ufffd"):  # half a character: wait for the rest
            return b""
        self._begin = max(begin, len(self._all) - 8) if len(self._all) - begin > 16 else begin
        self._shown = len(self._all)
        return now[len(before) :].encode()


def _prompts_of(input_ids: Any, attention_mask: Any) -> list[list[int]]:
    """Tensors or lists as one list of tokens for each row, without padding."""
    if hasattr(input_ids, "tolist"):
        if input_ids.dim() == 1:
            input_ids = input_ids[None]
        rows = input_ids.tolist()
        if attention_mask is not None:
            marks = attention_mask.tolist()
            return [[token for token, mark in zip(row, of, strict=True) if mark] for row, of in zip(rows, marks, strict=True)]
        return [list(row) for row in rows]
    rows = [list(map(int, row)) for row in input_ids] if input_ids and not isinstance(input_ids[0], int) else [list(input_ids)]
    return rows


class _Batch:
    """The model's side of a batch: rows out, tokens in, with a cache of keys and values; prompts are padded on the left."""

    def __init__(self, model: Any, prompts: list[list[int]], copy_to_cpu: bool) -> None:
        if not prompts or not all(prompts):
            raise ValueError("every prompt needs at least one token")
        self.model, self.copy_to_cpu = model, copy_to_cpu
        longest = max(map(len, prompts))
        device = model.device
        # What stands at the padding is masked, so any id will do.
        self._next = torch.tensor([[0] * (longest - len(tokens)) + tokens for tokens in prompts], device=device)
        self._mask = torch.tensor([[0] * (longest - len(tokens)) + [1] * len(tokens) for tokens in prompts], device=device)
        self._cache = None

    def rows(self) -> Any:
        """The logits of the next token of each row."""
        positions = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -self._next.shape[1] :]
        with torch.no_grad():
            answer = self.model(
                input_ids=self._next,
                attention_mask=self._mask,
                position_ids=positions,
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        self._cache = answer.past_key_values
        return _on_cpu(answer.logits[:, -1, :], self.copy_to_cpu, "the logits")

    def advance(self, tokens: Sequence[int], parents: Sequence[int] | None = None) -> None:
        """Takes up a token for each row; with `parents`, row i goes on from row ``parents[i]``."""
        if parents is not None and list(parents) != list(range(self._mask.shape[0])):
            index = torch.tensor(list(parents), device=self._mask.device)
            self._cache.batch_select_indices(index)  # type: ignore[attr-defined]
            self._mask = self._mask[index]
        self._next = torch.tensor(list(tokens), device=self._mask.device)[:, None]
        self._mask = torch.cat([self._mask, self._mask.new_ones((len(tokens), 1))], dim=1)


def _end_tokens_of(model: Any, end_tokens: Iterable[int] | int | None) -> list[int]:
    if end_tokens is None:
        end_tokens = getattr(model.generation_config, "eos_token_id", None)
    if end_tokens is None:
        return []
    return [end_tokens] if isinstance(end_tokens, int) else list(end_tokens)


def generate(
    model: Any,
    input_ids: Any,
    config: Config | None = None,
    *,
    attention_mask: Any = None,
    max_new_tokens: int = 20,
    tokenizer: Any = None,
    end_tokens: Iterable[int] | int | None = None,
    stop_strings: Sequence[str] = (),
    known_vocab: int | None = None,
    num_beams: int = 1,
    num_return_sequences: int = 1,
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
    record: bool = False,
    prepare: Callable[[Any], None] | None = None,
    copy_to_cpu: bool = False,
    on_error: str = "raise",
    **fields: Unpack[ConfigFields],
) -> list[Generation]:
    """Generates from a causal language model: the model makes the rows, argpick picks. A `Generation` for each prompt.

    `input_ids` is a tensor (with `attention_mask`, where prompts are padded) or a list of lists of tokens. Row i has the stream
    ``config.stream + i``, so that a prompt is continued the same way in every batch, as far as the model's rows are the same.
    It ends with one of `end_tokens` (by default those of the model's generation config), a stop string (with `tokenizer`), or
    `max_new_tokens`. `known_vocab` is by default the size of the tokenizer: ids past it, which fill up a padded model, are never
    picked. `record` adds a trace to each result. `prepare` gets each decoder before the first step.

    With `num_beams`, a beam search by the rules of the profile `huggingface`, `num_return_sequences` results for each prompt,
    best first; penalties, bans and n-gram rules of `config` hold for each beam, and `length_penalty` and `early_stopping` (False,
    True or "never", as there) are those of transformers.

    A row that is refused raises `argpick.Error` with the row's number in `row`; with ``on_error="keep"`` its result has the
    error, and the others go on.
    """
    if on_error not in ("raise", "keep"):
        raise ValueError(f'on_error is "raise" or "keep", not {on_error!r}')
    prompts = _prompts_of(input_ids, attention_mask)
    config = config_of(config, fields)
    tokens = None if tokenizer is None else _Tokens(tokenizer)
    if known_vocab is None and tokens is not None:
        known_vocab = len(tokens)
    ends = _end_tokens_of(model, end_tokens)
    if num_beams > 1:
        if stop_strings or record:
            raise ValueError("a beam search has no stop strings and no trace")
        beams = Beams(num_beams, num_return_sequences, length_penalty, early_stopping, max_new_tokens)
        text = None if tokens is None else tokens.text
        found = []
        for prompt in prompts:
            found += beams.search(_Batch(model, [prompt], copy_to_cpu), prompt, config, known_vocab, ends, prepare, text)
        return found
    config = config.replace(max_tokens=max_new_tokens)
    batch = _Batch(model, prompts, copy_to_cpu)
    sequences: list[Sequence_] = []
    while True:
        rows = batch.rows()
        if not sequences:
            config = check_vocab(config, rows.shape[-1], known_vocab)
            for number, prompt in enumerate(prompts):
                sequences.append(
                    Sequence_(
                        prompt,
                        rows.shape[-1],
                        config.replace(stream=(config.stream + number) % 2**64),
                        end_tokens=ends,
                        stop_strings=stop_strings,
                        piece=None if tokens is None else _Growing(tokens),
                        record=record,
                        prepare=prepare,
                    )
                )
        picked = []
        for number, sequence in enumerate(sequences):
            token = 0  # a row that has ended goes along
            if not sequence.has_ended:
                try:
                    token = sequence.step(rows[number])
                except Error as error:
                    if on_error == "raise":
                        error.row = number
                        error.generations = [sequence.end() for sequence in sequences]  # type: ignore[attr-defined]
                        raise
                    sequence.result.error = error
            picked.append(token)
        if all(sequence.has_ended for sequence in sequences):
            return [sequence.end(sequence.result.error) for sequence in sequences]
        batch.advance(picked)


class Model:
    """A causal language model of transformers as a model for `argpick.sweep`.

    Every text has a cache of its own and goes through the model alone: what is generated does not depend on how many are
    decoded together. A model that is made by a function can be pickled: ``Model.load(function, *arguments)``, where the function
    returns model and tokenizer; the other process calls it again.
    """

    def __init__(self, model: Any, tokenizer: Any = None, *, copy_to_cpu: bool = False, identity: str | None = None) -> None:
        self.model, self.copy_to_cpu = model, copy_to_cpu
        self._tokens = None if tokenizer is None else _Tokens(tokenizer)
        self._identity = identity
        self._made_by: tuple[Any, ...] | None = None
        self.vocab: int = model.get_output_embeddings().weight.shape[0]
        """Logits in a row."""
        self.known_vocab = self.vocab if self._tokens is None else min(self.vocab, len(self._tokens))
        self.end_tokens = _end_tokens_of(model, None)

    @classmethod
    def load(cls, function: Callable[..., tuple[Any, Any]], *arguments: Any, copy_to_cpu: bool = False) -> Model:
        """The model that a function makes."""
        made = cls(*function(*arguments), copy_to_cpu=copy_to_cpu)
        made._made_by = (function, arguments, copy_to_cpu)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        if self._made_by is None:
            raise TypeError("a Model that borrows a model cannot be pickled; make it by Model.load(function, ...)")
        function, arguments, copy_to_cpu = self._made_by
        return functools.partial(Model.load, function, *arguments, copy_to_cpu=copy_to_cpu), ()

    @functools.cached_property
    def identity(self) -> str:
        """The same text for the same weights."""
        if self._identity is not None:
            return self._identity
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return f"transformers {digest.hexdigest()[:32]}"

    def token(self, text: str) -> int | None:
        """The token of a text, if it is exactly one."""
        if self._tokens is None:
            return None
        tokens = self._tokens.tokenizer(text, add_special_tokens=False)["input_ids"]
        return int(tokens[0]) if len(tokens) == 1 else None

    def begin(self, prompt: str | Sequence[int]) -> ModelText:
        """Begins a text."""
        if isinstance(prompt, str):
            if self._tokens is None:
                raise ValueError("this model has no tokenizer: prompts are lists of tokens")
            prompt = self._tokens.encode(prompt)
        return ModelText(self, [int(token) for token in prompt])


class ModelText:
    """A text of a model: give it tokens, ask it for the next row."""

    def __init__(self, model: Model, tokens: list[int]) -> None:
        self.tokens = tokens
        """The prompt."""
        self._batch = _Batch(model.model, [tokens], model.copy_to_cpu)
        self._piece = None if model._tokens is None else _Growing(model._tokens)
        self._text = Text()
        self._row: Any = None

    def row(self) -> Any:
        """The logits of the next token."""
        if self._row is None:
            self._row = self._batch.rows()[0]
        return self._row

    def advance(self, token: int) -> str:
        """Takes up a token, and says which text it adds."""
        self._row = None
        self._batch.advance([token])
        return f" {token}" if self._piece is None else self._text.push(self._piece(token))
