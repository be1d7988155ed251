"""argpick behind llama.cpp, with real weights: ARGPICK_TEST_MODEL names a .gguf file (tests/real_models.sh has one)."""

import ctypes
import os
import pickle

import numpy as np
import pytest

import argpick

PATH = os.environ.get("ARGPICK_TEST_MODEL")
if not PATH:
    pytest.skip("ARGPICK_TEST_MODEL names no .gguf file", allow_module_level=True)
llama = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from argpick import llama_cpp  # noqa: E402

pytestmark = [pytest.mark.real_models, pytest.mark.filterwarnings("default")]

PROMPT = "The sea and the sky"


@pytest.fixture(scope="module")
def model():
    return llama_cpp.Model(PATH, n_ctx=128, n_threads=1)


def logits(model, tokens):
    """The row after some tokens, by a context that sees them at once."""
    text = model.begin(tokens)
    return text.row().copy()


def test_rows_are_not_copied(model):
    text = model.begin(PROMPT)
    row = text.row()
    pointer = llama.llama_get_logits_ith(text._context.pointer, -1)
    assert row.ctypes.data == ctypes.addressof(pointer.contents)
    assert row.shape == (model.vocab,) and row.dtype == np.float32
    assert np.isfinite(row).all()


def test_greedy_is_that_of_llama_cpp(model):
    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    llama.llama_sampler_chain_add(chain, llama.llama_sampler_init_greedy())
    text, expected = model.begin(PROMPT), []
    for _ in range(24):
        text.row()
        token = llama.llama_sampler_sample(chain, text._context.pointer, -1)
        expected.append(token)
        text.advance(token)
    llama.llama_sampler_free(chain)
    made = llama_cpp.generate(model, PROMPT, max_new_tokens=24, temperature=0, end_tokens=[])
    assert made.tokens == expected and made.finish == argpick.Finish.LENGTH
    assert made.text == b"".join(map(model.piece, expected)).decode()
    assert made.prompt == model.encode(PROMPT) and made.prompt[0] == 2


def test_draws_repeat(model):
    fields = {"max_new_tokens": 16, "temperature": 0.9, "top_k": 50, "seed": 4}
    made = llama_cpp.generate(model, PROMPT, **fields)
    assert llama_cpp.generate(model, PROMPT, **fields).tokens == made.tokens
    assert llama_cpp.generate(model, PROMPT, **{**fields, "seed": 5}).tokens != made.tokens


def test_a_trace_is_executed_on_the_same_rows(model):
    made = llama_cpp.generate(model, PROMPT, record=True, max_new_tokens=6, seed=4)
    replay, text = argpick.Replay(made.trace), model.begin(PROMPT)
    for token in made.tokens:
        assert replay.next_step() is not None
        assert replay.check(text.row()) is None
        text.advance(token)
    assert replay.next_step() is None


def test_texts_of_one_model_do_not_disturb_each_other(model):
    alone = llama_cpp.generate(model, PROMPT, max_new_tokens=8, temperature=0).tokens
    texts = [model.begin(PROMPT), model.begin("Once upon a time"), model.begin(PROMPT)]
    decoders = [argpick.Decoder(model.vocab, temperature=0) for _ in texts]
    found = [[], [], []]
    for _ in range(8):
        for text, decoder, tokens in zip(texts, decoders, found, strict=True):
            tokens.append(decoder.decode(text.row()).token)
            text.advance(tokens[-1])
    assert found[0] == found[2] == alone != found[1]


def test_a_copy_goes_on_from_where_the_text_is(model):
    text = model.begin(PROMPT)
    for token in llama_cpp.generate(model, PROMPT, max_new_tokens=4, temperature=0).tokens:
        text.row()
        text.advance(token)
    text.row()
    copy = text.copy()
    text.advance(100)
    copy.advance(200)
    assert not np.array_equal(text.row(), copy.row())
    again = text.copy()
    text.advance(300)
    again.advance(300)
    assert np.array_equal(text.row(), again.row())


def test_beams_are_those_of_a_search_that_reads_everything_anew(model):
    """The same search, each beam evaluated from its first token on in each step: nothing of a cache is copied."""

    def row(tokens):
        text = model.begin(PROMPT)
        for token in tokens:
            text.row()
            text.advance(token)
        return text.row().copy()

    found = llama_cpp.beam_search(model, PROMPT, num_beams=3, num_return_sequences=3, max_new_tokens=6, end_tokens=[])
    search = argpick.BeamSearch(
        model.vocab, profile="huggingface", beams=3, length_penalty=1.0, max_tokens=6, early_stopping="heuristic"
    )
    beams = [[]]
    while not search.is_finished:
        step = search.step([row(tokens) for tokens in beams])
        live = zip(step.live["parent"], step.live["token"], strict=True)
        beams = [beams[parent] + [int(token)] for parent, token in live]
    assert [(made.tokens, made.score) for made in found] == [(best.tokens.tolist(), best.score) for best in search.hypotheses()]


def test_stops_and_ends(model):
    whole = llama_cpp.generate(model, PROMPT, max_new_tokens=12, temperature=0)
    stop = whole.text[10:14]
    seen = []
    made = llama_cpp.generate(
        model, PROMPT, max_new_tokens=12, temperature=0, stop_strings=[stop], on_token=lambda token, text: seen.append(text)
    )
    assert made.finish == argpick.Finish.STOP and made.stop == 0
    assert made.text == whole.text[: whole.text.index(stop)]
    assert "".join(seen) == whole.text[: len("".join(seen))]
    made = llama_cpp.generate(model, PROMPT, max_new_tokens=12, temperature=0, end_tokens=[whole.tokens[5]])
    assert made.finish == argpick.Finish.END_TOKEN
    assert made.tokens == whole.tokens[: whole.tokens.index(whole.tokens[5]) + 1]
    assert whole.text.startswith(made.text)


def test_a_full_context_loses_nothing():
    small = llama_cpp.Model(PATH, n_ctx=16, n_threads=1)
    with pytest.raises(llama_cpp.ContextFull) as caught:
        llama_cpp.generate(small, PROMPT, temperature=0, end_tokens=[])
    made = caught.value.generation
    assert len(made.tokens) > 8 and made.text
    with pytest.raises(llama_cpp.ContextFull):
        small.begin([5] * 400)


def test_a_refused_row_is_an_error_with_what_was_before(model):
    def bans_later(decoder):
        decoder.set_forced([(3, 9)])
        decoder.set_bans([])

    decoderless = llama_cpp.generate(model, PROMPT, max_new_tokens=5, temperature=0, prepare=bans_later)
    assert decoderless.tokens[3] == 9
    with pytest.raises(argpick.EverythingMasked) as caught:
        llama_cpp.generate(model, PROMPT, max_new_tokens=5, valid_vocab=5, prepare=lambda decoder: decoder.set_bans(range(5)))
    assert caught.value.generation.tokens == []


def test_models(model):
    assert model.known_vocab <= model.vocab and 1 in model.end_tokens
    assert model.token(" the") is not None and model.token("the lighthouse keeper") is None
    assert model.piece(model.token(" the")) == b" the"
    loaded = pickle.loads(pickle.dumps(model))
    assert loaded.identity == model.identity
    assert np.array_equal(logits(loaded, [2, 5]), logits(model, [2, 5]))
    with pytest.raises(FileNotFoundError):
        llama_cpp.Model("nothing.gguf")
    with pytest.raises(TypeError, match="Llama"):
        llama_cpp.Model(3)
    with pytest.raises(ValueError, match="at least one token"):
        model.begin([])


def test_a_llama_of_llama_cpp_python_is_borrowed():
    owner = llama.Llama(PATH, n_ctx=64, n_threads=1, verbose=False)
    made = llama_cpp.generate(owner, PROMPT, max_new_tokens=4, temperature=0)
    loaded = llama_cpp.Model(PATH, n_ctx=64, n_threads=1)
    assert made.tokens == llama_cpp.generate(loaded, PROMPT, max_new_tokens=4, temperature=0).tokens
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(llama_cpp.Model(owner))
