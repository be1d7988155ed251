"""argpick behind transformers, on a small GPT-2 with random weights: nothing is downloaded."""

import dataclasses
import pickle

import numpy as np
import pytest

import argpick

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from argpick.transformers import Model, Processor, generate  # noqa: E402

pytestmark = [pytest.mark.real_models, pytest.mark.filterwarnings("default")]

VOCAB = 120
PROMPTS = [[5, 17, 40, 3], [99, 2, 2, 61, 8, 30], [7]]


def tiny(end=None, vocab=VOCAB):
    torch.manual_seed(1)
    torch.set_num_threads(1)
    config = transformers.GPT2Config(
        vocab_size=vocab,
        n_positions=96,
        n_embd=48,
        n_layer=2,
        n_head=4,
        bos_token_id=None,
        eos_token_id=end,
        initializer_range=0.4,
    )
    return transformers.GPT2LMHeadModel(config).eval()


@pytest.fixture(scope="module")
def model():
    return tiny()


def padded(prompts):
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(tokens)) + tokens for tokens in prompts])
    mask = torch.tensor([[0] * (longest - len(tokens)) + [1] * len(tokens) for tokens in prompts])
    return {"input_ids": ids, "attention_mask": mask}


def own(model, prompts, **options):
    """What transformers generates: the new tokens of each row."""
    given = padded(prompts)
    options = {"pad_token_id": 0, "max_new_tokens": 24, **options}
    return model.generate(**given, **options)[:, given["input_ids"].shape[1] :].tolist()


def test_greedy_is_that_of_transformers(model):
    expected = own(model, PROMPTS, do_sample=False)
    found = generate(model, PROMPTS, max_new_tokens=24, temperature=0)
    assert [made.tokens for made in found] == expected
    assert all(made.finish == argpick.Finish.LENGTH and len(made.picks) == 24 for made in found)
    # Tensors with a mask are the same as lists.
    given = padded(PROMPTS)
    again = generate(model, given["input_ids"], attention_mask=given["attention_mask"], max_new_tokens=24, temperature=0)
    assert [made.tokens for made in again] == expected
    assert [made.prompt for made in again] == PROMPTS
    assert own(model, PROMPTS, do_sample=False, logits_processor=[Processor(temperature=0, pad_token_id=0)]) == expected


def test_greedy_with_penalties_is_that_of_transformers(model):
    rules = {"repetition_penalty": 1.4, "no_repeat_ngram_size": 3}
    expected = [own(model, [prompt], do_sample=False, **rules)[0] for prompt in PROMPTS]
    assert expected != [own(model, [prompt], do_sample=False)[0] for prompt in PROMPTS]
    found = generate(
        model, PROMPTS, max_new_tokens=24, temperature=0, profile="huggingface", repetition_penalty=1.4, no_repeat_ngram=3
    )
    assert [made.tokens for made in found] == expected


@pytest.mark.parametrize("early_stopping", [False, True, "never"])
@pytest.mark.parametrize("length_penalty", [1.0, 0.3])
def test_beams_are_those_of_transformers(early_stopping, length_penalty):
    model = tiny(end=11)
    options = {"num_beams": 4, "num_return_sequences": 3, "length_penalty": length_penalty, "early_stopping": early_stopping}
    for prompt in PROMPTS:
        answer = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            pad_token_id=0,
            max_new_tokens=16,
            do_sample=False,
            output_scores=True,
            return_dict_in_generate=True,
            **options,
        )
        expected = []
        for tokens in answer.sequences[:, len(prompt) :].tolist():
            end = tokens.index(11) + 1 if 11 in tokens else len(tokens)
            expected.append(tokens[:end])
        found = generate(model, [prompt], max_new_tokens=16, **options)
        assert [made.tokens for made in found] == expected
        assert [made.score for made in found] == pytest.approx(answer.sequences_scores.tolist(), rel=1e-4)
        assert [made.finish == argpick.Finish.END_TOKEN for made in found] == [11 in tokens for tokens in expected]


def test_beams_with_penalties_are_those_of_transformers(model):
    rules = {"num_beams": 3, "num_return_sequences": 1, "repetition_penalty": 1.5, "no_repeat_ngram_size": 2}
    for prompt in PROMPTS:
        expected = own(model, [prompt], do_sample=False, max_new_tokens=14, **rules)
        found = generate(
            model, [prompt], max_new_tokens=14, num_beams=3, repetition_penalty=1.5, no_repeat_ngram=2, profile="huggingface"
        )
        assert [made.tokens for made in found] == expected


@pytest.mark.parametrize("fields", [{"top_k": 20}, {"top_p": 0.9}, {"min_p": 0.02, "temperature": 1.4}, {"mirostat": 2}])
def test_draws_do_not_depend_on_the_batch(model, fields):
    fields = {"seed": 3, "repetition_penalty": 1.1, **fields}
    together = generate(model, PROMPTS, max_new_tokens=20, **fields)
    alone = [generate(model, [prompt], max_new_tokens=20, stream=row, **fields)[0] for row, prompt in enumerate(PROMPTS)]
    assert [made.tokens for made in together] == [made.tokens for made in alone]
    # The processor inside of transformers' own loop picks the same, greedy or sampling, whatever torch's generator does.
    for seed, do_sample in [(0, True), (1, True), (0, False)]:
        torch.manual_seed(seed)
        processor = Processor(pad_token_id=0, **fields)
        found = own(model, PROMPTS, do_sample=do_sample, max_new_tokens=20, logits_processor=[processor])
        assert found == [made.tokens for made in together]
        assert [pick.token for pick in processor.last] == [tokens[-1] for tokens in found]
    other = generate(model, PROMPTS, max_new_tokens=20, **{**fields, "seed": 4})
    assert [made.tokens for made in other] != [made.tokens for made in together]


def test_a_processor_that_filters_leaves_the_draw_to_torch(model):
    fields = {"top_k": 3, "temperature": 0.7, "repetition_penalty": 1.2}
    torch.manual_seed(5)
    options = {"do_sample": True, "top_k": 0, "max_new_tokens": 12, "output_scores": True, "return_dict_in_generate": True}
    processor = Processor(picks=False, **fields)
    answer = model.generate(torch.tensor([PROMPTS[0]]), logits_processor=[processor], pad_token_id=0, **options)
    decoder = argpick.Decoder(VOCAB, **fields)
    decoder.prompt(PROMPTS[0])
    tokens = answer.sequences[0].tolist()
    for step, scores in enumerate(answer.scores):
        with torch.no_grad():
            row = model(torch.tensor([tokens[: len(PROMPTS[0]) + step]])).logits[0, -1].clone()
        expected = decoder.process(row.numpy().copy())
        assert np.array_equal(np.isinf(expected), np.isinf(scores[0].numpy()))
        assert np.allclose(expected, scores[0].numpy(), atol=1e-3)
        assert torch.isfinite(scores[0]).sum() <= 3
        decoder.accept([tokens[len(PROMPTS[0]) + step]])


def test_end_tokens_end_and_the_others_go_on(model):
    whole = generate(model, PROMPTS, max_new_tokens=40, seed=1)
    end = next(token for token in whole[1].tokens[8:] if token not in whole[1].tokens[:8])
    ending = tiny(end=end)
    processor = Processor(seed=1, pad_token_id=0, end_tokens=[end])
    expected = own(ending, PROMPTS, do_sample=True, max_new_tokens=40, logits_processor=[processor])
    found = generate(ending, PROMPTS, max_new_tokens=40, seed=1)
    assert found[1].finish == argpick.Finish.END_TOKEN and found[1].tokens[-1] == end
    for made, tokens in zip(found, expected, strict=True):
        assert made.tokens == tokens[: len(made.tokens)]
        assert set(tokens[len(made.tokens) :]) <= {0}
        assert (made.tokens[-1] == end) == (made.finish == argpick.Finish.END_TOKEN)
    assert processor.last[1] is None


def test_a_padded_vocabulary_is_left_alone():
    # The rows have 120 logits, the tokenizer knows 90 ids: what is past them may be anything.
    poisoned = tiny()
    with torch.no_grad():
        poisoned.lm_head.weight = torch.nn.Parameter(poisoned.lm_head.weight.clone())
        poisoned.lm_head.weight[90:] = float("nan")
    with pytest.raises(argpick.InvalidLogit) as caught:
        generate(poisoned, [[5, 6]], max_new_tokens=8)
    assert caught.value.index == 90 and caught.value.row == 0
    found = generate(poisoned, [[5, 6], [7]], max_new_tokens=30, known_vocab=90, temperature=2.0)
    assert all(max(made.tokens) < 90 for made in found)
    [tokens] = own(poisoned, [[5, 6]], logits_processor=[Processor(known_vocab=90, temperature=2.0)], do_sample=False)
    assert max(tokens) < 90


def test_beams_leave_a_padded_vocabulary_alone():
    poisoned = tiny()
    with torch.no_grad():
        poisoned.lm_head.weight = torch.nn.Parameter(poisoned.lm_head.weight.clone())
        poisoned.lm_head.weight[90:] = float("nan")
    beams = generate(poisoned, [[5, 6]], max_new_tokens=8, num_beams=3, known_vocab=90)
    assert max(beams[0].tokens) < 90


def test_a_row_that_is_refused_is_named_and_may_be_kept(model):
    def bans_everything_for_the_second(decoder):
        if decoder.config.stream == 1:
            decoder.set_bans(range(VOCAB))

    with pytest.raises(argpick.EverythingMasked) as caught:
        generate(model, PROMPTS, max_new_tokens=5, prepare=bans_everything_for_the_second)
    assert caught.value.row == 1 and len(caught.value.generations) == 3
    found = generate(model, PROMPTS, max_new_tokens=5, prepare=bans_everything_for_the_second, on_error="keep")
    assert isinstance(found[1].error, argpick.EverythingMasked) and found[1].tokens == []
    whole = generate(model, PROMPTS, max_new_tokens=5)
    assert [found[0].tokens, found[2].tokens] == [whole[0].tokens, whole[2].tokens]


def test_a_processor_is_for_one_call(model):
    processor = Processor(top_k=5)
    first = own(model, [PROMPTS[0]], logits_processor=[processor])
    with pytest.raises(ValueError, match="one call"):
        own(model, [PROMPTS[1]], logits_processor=[processor])
    processor.reset()
    assert own(model, [PROMPTS[0]], logits_processor=[processor]) == first


def test_a_refused_row_leaves_a_processor_as_it_was():
    rows = torch.randn(3, VOCAB, generator=torch.Generator().manual_seed(2))
    ids = torch.tensor([[1], [2], [3]])
    bad = rows.clone()
    bad[2, 8] = float("nan")
    processor, other = Processor(top_k=9), Processor(top_k=9)
    with pytest.raises(argpick.InvalidLogit) as caught:
        processor(ids, bad)
    assert (caught.value.row, caught.value.index) == (2, 8)
    assert [decoder.position for decoder in processor.decoders] == [0, 0, 0]
    processor.reset()
    assert torch.equal(processor(ids, rows), other(ids, rows))


def test_a_processor_follows_beams(model):
    # Under transformers' beam search, rows change places; the histories have to go with them.
    rules = {"num_beams": 4, "do_sample": False, "max_new_tokens": 10}
    plain = own(model, [PROMPTS[1]], no_repeat_ngram_size=2, **rules)
    processor = Processor(picks=False, no_repeat_ngram=2)
    assert own(model, [PROMPTS[1]], logits_processor=[processor], **rules) == plain
    assert own(model, [PROMPTS[1]], **rules) != plain


def test_a_device_that_cannot_be_read_is_refused():
    scores = torch.zeros(1, VOCAB, device="meta")
    with pytest.raises(TypeError, match="copy_to_cpu"):
        Processor()(torch.tensor([[1, 2]]), scores)


def test_bad_calls_are_refused(model):
    with pytest.raises(ValueError, match="at least one token"):
        generate(model, [[]])
    with pytest.raises(TypeError, match="tokenizer"):
        generate(model, [[1]], stop_strings=["x"])
    with pytest.raises(argpick.InvalidParameter, match="top_p"):
        generate(model, [[1]], top_p=1.5)
    with pytest.raises(ValueError, match="on_error"):
        generate(model, [[1]], on_error="ignore")
    with pytest.raises(ValueError, match="num_return_sequences"):
        generate(model, [[1]], num_beams=2, num_return_sequences=3)
    with pytest.raises(ValueError, match="early_stopping"):
        generate(model, [[1]], num_beams=2, early_stopping="sometimes")


class Letters:
    """A tokenizer of half letters: token t is one byte of a text in UTF-8."""

    def __len__(self):
        return VOCAB

    def __call__(self, text, add_special_tokens=True):
        return {"input_ids": [byte % VOCAB for byte in text.encode()]}

    def decode(self, tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False):
        # Ids from 100 on are continuation bytes, those from 60 on begin a letter of two bytes.
        return bytes(t + 28 if t >= 100 else (t + 135 if t >= 60 else t + 40) for t in tokens).decode("utf-8", "replace")


def test_stop_strings_and_texts(model):
    def only_ascii(decoder):
        decoder.set_bans(range(60, VOCAB))

    options = {"tokenizer": Letters(), "max_new_tokens": 40, "seed": 9, "prepare": only_ascii}
    whole = generate(model, [PROMPTS[0]], **options)[0]
    assert whole.text == Letters().decode(whole.tokens) and len(whole.text) == 40
    stop = whole.text[12:15]
    found = generate(model, [PROMPTS[0]], **options, stop_strings=["never", stop])[0]
    assert found.finish == argpick.Finish.STOP and found.stop == 1
    assert found.text == whole.text[: whole.text.index(stop)]
    assert found.tokens == whole.tokens[: whole.text.index(stop) + 3]


def test_letters_of_several_tokens(model):
    def forced(decoder):
        decoder.set_forced([(0, 20), (1, 60), (2, 100), (3, 61), (4, 119), (5, 21)])

    options = {"tokenizer": Letters(), "max_new_tokens": 6, "prepare": forced}
    assert generate(model, [[1]], **options)[0].text == "<\u00c0\u0113="
    found = generate(model, [[1]], **options, stop_strings=["\u0113"])[0]
    assert found.text == "<\u00c0" and found.stop == 0 and len(found.tokens) == 5


def test_a_model_for_sweeps_makes_the_rows_of_the_loop(model):
    wrapped = Model(model)
    assert wrapped.identity == Model(tiny()).identity != Model(tiny(vocab=121)).identity
    expected = generate(model, [PROMPTS[0]], max_new_tokens=10, top_k=9)[0].tokens
    text, decoder = wrapped.begin(PROMPTS[0]), argpick.Decoder(VOCAB, top_k=9)
    decoder.prompt(text.tokens)
    for token in expected:
        assert decoder.decode(text.row()).token == token
        text.advance(token)
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(wrapped)
    loaded = pickle.loads(pickle.dumps(Model.load(load_tiny)))
    assert loaded.identity == wrapped.identity
    with pytest.raises(ValueError, match="no tokenizer"):
        wrapped.begin("text")


def load_tiny():
    return tiny(), None


def test_results_are_plain(model):
    made = generate(model, [PROMPTS[0]], max_new_tokens=3)[0]
    assert dataclasses.asdict(dataclasses.replace(made, picks=[]))["tokens"] == made.tokens
