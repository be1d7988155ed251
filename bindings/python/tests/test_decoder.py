"""The decoder, piece by piece, as a user sees it."""

import copy
import pickle

import numpy as np
import pytest

import argpick

ROW = np.array([0.1, 2.0, -1.0, 2.5, -np.inf, 1.0], np.float32)


def test_a_step_is_recorded_and_can_be_taken_back(row: np.ndarray) -> None:
    decoder = argpick.Decoder(6, seed=7, temperature=0.8, metrics="all")
    decoder.prompt([5, 1])
    first = decoder.evaluate(row)
    assert decoder.position == 0
    assert decoder.decode(row).token == first.token and decoder.history.tolist() == [5, 1, first.token]
    second = decoder.decode(row)
    assert decoder.position == 2
    decoder.undo()
    assert decoder.decode(row) == second
    decoder.undo(2)
    assert (decoder.position, decoder.history.tolist()) == (0, [5, 1])
    again = decoder.decode(row)
    assert again.token == first.token and again.logprob == first.logprob
    decoder.reset()
    assert decoder.position == 0 and decoder.history.size == 0
    with pytest.raises(argpick.UndoTooFar) as caught:
        decoder.undo(3)
    assert (caught.value.index, caught.value.value) == (0, 3)


def test_accept_records_what_the_host_picked(row: np.ndarray) -> None:
    decoder = argpick.Decoder(6, max_tokens=3)
    decoder.accept(np.array([1, 2], np.int64))
    assert decoder.position == 2 and decoder.finish is argpick.Finish.NONE
    with pytest.raises(argpick.Finished):
        decoder.accept([1, 1])
    decoder.accept((3,))
    assert decoder.finish is argpick.Finish.LENGTH
    with pytest.raises(argpick.Finished):
        decoder.decode(row)


def test_the_fields_of_a_pick(row: np.ndarray) -> None:
    decoder = argpick.Decoder(6, mode="greedy", metrics=argpick.Metrics.RANK)
    pick = decoder.decode(row)
    assert (pick.token, pick.argmax, pick.rank, pick.kept, pick.margin) == (3, 3, 0, None, 0.5)
    assert np.isnan(pick.entropy) and pick.finish is argpick.Finish.NONE and not pick.finish
    assert list(pick.to_dict()) == [
        "token", "argmax", "finish", "rank", "kept", "loop_period", "loop_repeats", "margin", "top1_probability", "entropy",
        "logprob_raw", "logprob", "kept_mass", "cumulative_logprob", "temperature", "flip_argmax", "flip_kept", "flip_token",
        "loop_score",
    ]  # fmt: skip
    assert repr(pick) == "Pick(token=3, argmax=3, rank=0, margin=0.5, temperature=1.0)"
    assert eval(repr(pick), {"Pick": argpick.Pick}) == pick and hash(pickle.loads(pickle.dumps(pick))) == hash(pick)
    assert pick != argpick.Pick(3, 3, rank=1, margin=0.5, temperature=1.0) and pick != 3
    with pytest.raises(AttributeError):
        pick.token = 4  # type: ignore[misc]


def test_lists_change_what_is_picked(row: np.ndarray) -> None:
    decoder = argpick.Decoder(6, mode="greedy")
    for biases in ({5: 9.0}, [(5, 9.0)], [(np.int32(5), np.float32(9))]):
        decoder.set_bias(biases)
        assert decoder.evaluate(row).token == 5
        decoder.set_bias({})
    decoder.set_bias(np.array([5, 1]), np.array([9.0, 0.5]))
    assert decoder.evaluate(row).token == 5
    decoder.set_bias([], [])
    decoder.set_bans([3])
    assert decoder.evaluate(row).token == 1
    decoder.set_bans([])
    decoder.set_forced({1: 0})
    assert [decoder.decode(row).token for _ in range(3)] == [3, 0, 3]
    decoder.set_forced({})
    decoder.set_bad_sequences([[3, 3]])
    assert decoder.evaluate(row).token == 1
    decoder.set_bad_sequences([])
    decoder.set_sequence_bias({(3, 2): 10.0})
    assert decoder.evaluate(row).token == 2
    decoder.set_sequence_bias([])
    decoder.set_end_tokens([3])
    assert decoder.decode(row).finish is argpick.Finish.END_TOKEN and decoder.finish is argpick.Finish.END_TOKEN
    decoder.reset()
    decoder.set_end_tokens([])
    decoder.set_stops([[3, 3]])
    assert [int(decoder.decode(row).finish) for _ in range(2)] == [0, 3]
    decoder.reset(dry_multiplier=5.0, dry_allowed_length=1)
    decoder.set_stops([])
    decoder.prompt([3, 3, 3])
    assert decoder.evaluate(row).token == 1
    decoder.set_breakers([[3]])
    assert decoder.evaluate(row).token == 3


def test_stop_strings(row: np.ndarray) -> None:
    decoder = argpick.Decoder(6)
    decoder.set_stop_strings(["end", b"\n\n"])
    decoder.decode(row)
    assert decoder.push_bytes("the e") == (None, 1)
    assert decoder.push_bytes(b"nd.") == argpick.TextMatch(stop=0, held_back=4)
    assert decoder.finish is argpick.Finish.STOP
    with pytest.raises(TypeError):
        decoder.set_stop_strings("end")
    with pytest.raises(argpick.InvalidParameter):
        decoder.set_stop_strings([""])


def test_the_state_of_adaptive_samplers(row: np.ndarray) -> None:
    decoder = argpick.Decoder(6, mirostat=2, mirostat_tau=1.5)
    assert decoder.mirostat_mu == 3.0 and np.isnan(decoder.adaptive_target)
    decoder.decode(row)
    assert decoder.mirostat_mu != 3.0
    decoder.undo(1)
    assert decoder.mirostat_mu == 3.0
    decoder = argpick.Decoder(6, adaptive_target=0.5)
    assert decoder.adaptive_target == 0.5 and np.isnan(decoder.mirostat_mu)
    decoder.decode(row)
    assert decoder.adaptive_target != 0.5


def test_masks_are_words_or_bools(row: np.ndarray) -> None:
    decoder = argpick.Decoder(6, mode="greedy")
    flags = np.array([1, 0, 1, 0, 1, 1], bool)
    words = np.packbits(flags, bitorder="little").astype(np.uint32)
    assert decoder.decode(row, flags).token == decoder.decode(row, words).token == 5
    assert decoder.decode(row, words.view(np.int32)).token == 5
    vocab = 100
    generator = np.random.default_rng(1)
    long = generator.normal(size=vocab).astype(np.float32)
    for _ in range(20):
        flags = generator.random(vocab) < 0.3
        decoder = argpick.Decoder(vocab, mode="greedy")
        best = max(np.flatnonzero(flags), key=lambda token: long[token])
        assert decoder.decode(long, flags).token == best
    # Every place of a word, and bytes that are neither 0 nor 1.
    for vocab in (1, 7, 31, 32, 33, 63, 64, 65, 257):
        flat = np.arange(vocab, dtype=np.float32)
        for place in range(vocab):
            flags = np.zeros(vocab, bool)
            flags[place] = True
            assert argpick.Decoder(vocab).decode(flat, flags).token == place
            odd = np.zeros(vocab, np.uint8)
            odd[place] = 0x80 >> place % 8
            assert argpick.Decoder(vocab).decode(flat, odd.view(bool)).token == place
    decoder, flags = argpick.Decoder(100), np.ones(100, bool)
    with pytest.raises(argpick.WrongLength):
        decoder.decode(long, flags[:99])
    with pytest.raises(TypeError, match="mask is float32"):
        decoder.decode(long, long)
    with pytest.raises(TypeError, match="contiguous"):
        decoder.decode(long, np.zeros(8, np.uint32)[::2])
    with pytest.raises(argpick.EverythingMasked):
        decoder.decode(long, np.zeros(4, np.uint32))


def test_a_model_with_a_padded_vocabulary() -> None:
    row = np.array([0.0, 1.0, np.nan, np.inf], np.float32)
    decoder = argpick.Decoder(4, mode="greedy", valid_vocab=2)
    assert decoder.decode(row).token == 1
    with pytest.raises(argpick.WrongLength) as caught:
        decoder.decode(row[:2])
    assert (caught.value.index, caught.value.value) == (4, 2)
    with pytest.raises(argpick.InvalidLogit):
        argpick.Decoder(4).decode(row)


def test_questions(row: np.ndarray) -> None:
    decoder = argpick.Decoder(6, top_k=2, temperature=0.5)
    assert decoder.top(row, 3)["token"].tolist() == [3, 1, 5]
    assert decoder.top(row, 99).dtype == argpick.CANDIDATE and len(decoder.top(row, 99)) == 5
    decoder.set_bias({5: 9.0})
    assert decoder.top(row, 1)["token"].tolist() == [5] and decoder.top_raw(row, 1)["token"].tolist() == [3]
    decoder.set_bias({})
    kept = decoder.kept(row)
    assert kept["token"].tolist() == [1, 3] and abs(np.exp(kept["logprob"]).sum() - 1) < 1e-6
    assert decoder.probability_of(row, 0) == 0
    assert abs(decoder.probability_of(row, 3) - np.exp(kept["logprob"][1])) < 1e-6
    stages = decoder.explain(row)
    assert [(stage.name, stage.kept) for stage in stages] == [("row", 5), ("top_k", 2)]
    assert [(stage.name, stage.kept) for stage in argpick.Decoder(6, mode="greedy").explain(row)][1] == ("greedy", 1)
    vocab = 3000
    flat = np.zeros(vocab, np.float32)
    assert argpick.Decoder(vocab).kept(flat)["token"].tolist() == list(range(vocab))
    with pytest.raises(argpick.TokenOutOfRange):
        decoder.probability_of(row, 6)


def test_sweep_is_one_decoder_for_each_configuration(row: np.ndarray) -> None:
    base = argpick.Config(seed=3, metrics=argpick.Metrics.ALL ^ argpick.Metrics.LOOP, repetition_penalty=1.2)
    decoder = argpick.Decoder(6, base)
    decoder.prompt([3])
    configs = [base.replace(top_k=k, temperature=t, seed=s) for k in (0, 2) for t in (0.0, 0.7) for s in range(5)]
    picks, kept = decoder.sweep(row, configs, kept=True)
    assert kept.shape == (20, 1) and kept.dtype == np.uint32
    for config, pick, words in zip(configs, picks, kept):
        alone = argpick.Decoder(6, config)
        alone.prompt([3])
        assert pick == alone.evaluate(row)
        assert [t for t in range(6) if words[0] >> t & 1] == alone.kept(row)["token"].tolist()
    wrong = decoder.sweep(row, [base, base.replace(repetition_penalty=1.3), base.replace(valid_vocab=9)])
    assert isinstance(wrong[0], argpick.Pick)
    assert isinstance(wrong[1], argpick.InvalidParameter) and wrong[1].name == "repetition_penalty"
    assert isinstance(wrong[2], argpick.InvalidParameter) and wrong[2].name == "valid_vocab"
    assert decoder.sweep(row, []) == []
    with pytest.raises(argpick.WrongLength):
        decoder.sweep(row[:3], [base])
    with pytest.raises(TypeError):
        decoder.sweep(row, [{"top_k": 3}])  # type: ignore[list-item]


def test_score_and_diagnose(row: np.ndarray) -> None:
    loss, rank, argmax, *_ = argpick.score(row, 1)
    p = np.exp(row.astype(np.float64) - 2.5)
    assert (rank, argmax) == (1, 3) and abs(loss + np.log(p[1] / p.sum())) < 1e-6
    assert argpick.score(row, 4).loss == np.inf
    bad = row.copy()
    bad[0] = np.nan
    good, refused = argpick.score_batch([row, bad], [1, 1])
    assert good == argpick.score(row, 1) and isinstance(refused, argpick.InvalidLogit)
    with pytest.raises(argpick.WrongLength):
        argpick.score_batch([row], [1, 2])
    flat, saturated = np.zeros(6, np.float32), np.array([0, 50, 0, 0, 0, 0], np.float32)
    decoder = argpick.Decoder(6, top_k=1)
    found = decoder.diagnose(np.stack([row, flat, saturated]), [3, 0, 1])
    assert found.verdicts == [argpick.Verdict.HEALTHY, argpick.Verdict.FLAT, argpick.Verdict.SATURATED]
    assert (found.rows, found.greedy_accuracy, found.expected_accuracy) == (3, 1.0, 1.0)
    assert found.details[0][:3] == argpick.score(row, 3)[:3]
    assert decoder.position == 0 and decoder.diagnose([], []).rows == 0
    with pytest.raises(argpick.InvalidParameter) as caught:
        decoder.diagnose([row], [1], top_k=0)
    assert caught.value.name == "top_k"


def test_process_and_softmax_work_in_place(row: np.ndarray) -> None:
    decoder = argpick.Decoder(6, top_k=2, temperature=0.5)
    work = row.copy()
    assert decoder.process(work) is work
    assert work.tolist() == [-np.inf, 4.0, -np.inf, 5.0, -np.inf, -np.inf]
    assert argpick.softmax(work) is work
    assert work.tobytes() == decoder.probabilities(row.copy()).tobytes()
    before = row.copy()
    before[0] = np.nan
    broken = before.copy()
    with pytest.raises(argpick.InvalidLogit):
        decoder.process(broken)
    assert broken.tobytes() == before.tobytes()
    read_only = row.copy()
    read_only.flags.writeable = False
    for call in (decoder.process, decoder.probabilities, argpick.softmax):
        with pytest.raises(TypeError, match="read-only"):
            call(read_only)
        with pytest.raises(TypeError, match="float16"):
            call(row.astype(np.float16))
    with pytest.raises(TypeError, match="same memory"):
        decoder.process(row, row.view(np.uint32)[:1])
    with pytest.raises(argpick.InvalidParameter):
        argpick.softmax(row, 0.0)


def test_saving_copying_pickling(row: np.ndarray) -> None:
    decoder = argpick.Decoder(6, seed=1, metrics="all", mirostat=2)
    decoder.set_bias({1: 0.5})
    decoder.prompt([3, 3])
    for _ in range(5):
        decoder.decode(row)
    saved = decoder.save()
    others = [
        decoder.copy(),
        copy.copy(decoder),
        copy.deepcopy(decoder),
        pickle.loads(pickle.dumps(decoder)),
        argpick.Decoder.from_saved(saved),
    ]
    small = argpick.Decoder(6, history_capacity=8)
    small.load(bytearray(saved))
    picks = [decoder.decode(row) for _ in range(20)]
    for other in [*others, small]:
        assert [other.decode(row) for _ in range(20)] == picks
        assert other.save() == decoder.save() and other.config == decoder.config
    for wrong in (b"", saved[:-1], saved + b"x", b"\0" * len(saved), saved[:3]):
        with pytest.raises(argpick.BadState):
            argpick.Decoder.from_saved(wrong)
        with pytest.raises(argpick.BadState):
            decoder.load(wrong)
    assert decoder.save() == other.save()
    with pytest.raises(argpick.BadState, match="vocabulary"):
        argpick.Decoder(7).load(saved)


def test_reset_takes_a_configuration_or_fields(row: np.ndarray) -> None:
    decoder = argpick.Decoder(6, seed=5, top_k=3)
    decoder.reset(argpick.Config(seed=6))
    assert decoder.config == argpick.Config(seed=6)
    decoder.reset(top_k=2, history_capacity=100_000)
    assert decoder.config == argpick.Config(seed=6, top_k=2, history_capacity=100_000)
    decoder.accept(np.arange(90_000) % 6)
    assert len(decoder.history) == 90_000
    with pytest.raises(argpick.InvalidParameter):
        decoder.reset(top_p=3.0)
    assert decoder.position == 90_000


def test_a_subclass_of_the_decoder(row: np.ndarray) -> None:
    class Mine(argpick.Decoder):
        """With a method of its own."""

        def decode(self, row, mask=None):  # type: ignore[no-untyped-def]
            return super().decode(row, mask).token

    assert Mine(6, mode="greedy").decode(row) == 3
    assert type(Mine.from_saved(Mine(6).save())) is Mine


def test_kernels_and_versions() -> None:
    assert argpick.kernel() in argpick.kernels() and "scalar" in argpick.kernels()
    assert argpick.NUMERICS_VERSION == 0 and argpick.MAX_VOCAB == 1 << 22
    assert argpick.__version__.count(".") == 2


def test_the_kernel_level_is_chosen_by_the_environment() -> None:
    import subprocess
    import sys

    def run(level: str) -> str:
        code = "import argpick\ntry: print(argpick.kernel())\nexcept argpick.Error as e: print(type(e).__name__)"
        return subprocess.run(
            [sys.executable, "-c", code], env={"ARGPICK_KERNEL": level}, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert run("scalar") == "scalar" and run("fastest") == "UnknownKernel"
