"""`argpick.sweep`: a model of Python's, on every executor; files that are interrupted, torn, wrong."""

import concurrent.futures
import json
import multiprocessing
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY, recipe_row

import argpick
from argpick import sandbox

VOCAB = 50


class Table:
    """A model that is a table: the row depends on the last two tokens."""

    identity = "table 1"
    vocab = VOCAB
    end_tokens = [7]

    def token(self, text):
        return int(text[1:]) if text.startswith("t") and text[1:].isdigit() and int(text[1:]) < VOCAB else None

    def begin(self, prompt):
        if isinstance(prompt, str):
            if prompt == "refused":
                raise KeyError("no such word")
            prompt = [ord(letter) % VOCAB for letter in prompt]
        return TableText(list(prompt))


class TableText:
    def __init__(self, tokens):
        self.tokens = tokens
        self.all = list(tokens)

    def row(self):
        if self.all[-1] == 33:
            raise RuntimeError("33 is too much")
        row = recipe_row("normal", 1000 * self.all[-1] + self.all[-2], VOCAB) * np.float32(2)
        row[33] = -20.0
        return row

    def advance(self, token):
        self.all.append(token)
        return f" t{token}"


SWEEP: dict[str, Any] = {
    "prompts": ["alpha", "beta", {"name": "ids", "tokens": [3, 1, 4]}],
    "seeds": [1, 2],
    "max_tokens": 24,
    "parameter_sets": [
        {"preset": "greedy"},
        {"temperature": 0.9, "top_k": 20},
        {"temperature": 1.2, "repetition_penalty": 1.3, "loop_repeats": 3, "loop_period": 8},
        {"top_p": 0.7},
    ],
}


def plain(results):
    """What may not depend on how it was done."""
    return [{key: value for key, value in run.items() if key != "seconds_per_token"} for run in results.runs]


@pytest.fixture(scope="module")
def expected():
    return plain(argpick.sweep(Table(), SWEEP))


def test_a_run_is_what_a_decoder_does(expected):
    assert len(expected) == 3 * 4 * 2
    for run in expected:
        text = Table().begin([3, 1, 4] if run["prompt_text"] is None else run["prompt_text"])
        fields = {**run["parameters"], "seed": run["seed"], "stream": run["stream"], "metrics": "all"}
        decoder = argpick.Decoder(VOCAB, **fields)
        decoder.set_end_tokens([7])
        decoder.prompt(text.tokens)
        for step, token in enumerate(run["tokens"]):
            pick = decoder.decode(text.row())
            assert pick.token == token
            assert np.float32(run["entropy"][step]) == np.float32(pick.entropy)
            assert np.float32(run["margin"][step]) == np.float32(pick.margin)
            assert run["rank"][step] == pick.rank
            text.advance(token)
        assert decoder.finish.name.lower() == run["finish"]
        assert run["text"] == "".join(f" t{token}" for token in run["tokens"] if token != 7)
    assert {run["finish"] for run in expected} >= {"length", "end_token"}


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_batch_decides_nothing(expected, size):
    assert plain(argpick.sweep(Table(), SWEEP, max_batch_size=size)) == expected


def executors():
    yield concurrent.futures.ThreadPoolExecutor(3)
    yield concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


def test_the_executor_decides_nothing(expected):
    for executor in executors():
        with executor:
            assert plain(argpick.sweep(Table(), SWEEP, executor=executor, max_batch_size=5)) == expected


@pytest.mark.real_models
@pytest.mark.filterwarnings("default")
def test_dask_decides_nothing(expected):
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.run(path_of_the_tests, str(Path(__file__).parent))
        executor = client.get_executor()
        assert plain(argpick.sweep(Table(), SWEEP, executor=executor, max_batch_size=4)) == expected


def path_of_the_tests(path):
    import sys

    sys.path.insert(0, path)


def test_progress_and_results_in_a_file(tmp_path, expected):
    path, seen = tmp_path / "out.jsonl", []
    argpick.sweep(Table(), SWEEP, results=path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 24) for done in range(1, 25)]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(line["run"] for line in lines) == list(range(24))
    # Nothing is left to do.
    again = argpick.sweep(Table(), SWEEP, results=path, progress=lambda *_: pytest.fail("it was all done"))
    assert plain(again) == expected and len(path.read_text().splitlines()) == 24


@pytest.mark.parametrize("way", ["exception", "torn", "thread pool"])
def test_an_interrupted_sweep_goes_on(tmp_path, expected, way):
    path = tmp_path / "out.jsonl"

    class Enough(BaseException):
        pass

    def interrupt(done, total):
        if done == 10:
            raise Enough

    executor = concurrent.futures.ThreadPoolExecutor(2) if way == "thread pool" else None
    with pytest.raises(Enough):
        argpick.sweep(Table(), SWEEP, results=path, progress=interrupt, max_batch_size=3, executor=executor)
    assert len(path.read_text().splitlines()) >= 10
    if way == "torn":
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size - 17)
    results = argpick.sweep(Table(), SWEEP, results=path)
    assert plain(results) == expected
    assert (results.torn > 0) == (way == "torn")


def test_ctrl_c_in_a_model_ends_the_sweep_and_no_run(tmp_path):
    class Interrupted(Table):
        calls = 0

        def begin(self, prompt):
            text = super().begin(prompt)
            row = text.row

            def slow():
                Interrupted.calls += 1
                if Interrupted.calls == 60:
                    raise KeyboardInterrupt
                return row()

            text.row = slow
            return text

    path = tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        argpick.sweep(Interrupted(), SWEEP, results=path, max_batch_size=2)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(line["finish"] != "error" for line in lines)
    assert len(lines) < 24


def test_a_run_that_fails_says_why_and_the_sweep_goes_on(tmp_path):
    broken = {**SWEEP, "prompts": ["alpha", "refused", "beta"], "max_tokens": 60}
    path = tmp_path / "out.jsonl"
    results = argpick.sweep(Table(), broken, results=path)
    refused = [run for run in results.runs if run["prompt_name"] == "refused"]
    assert all(run["finish"] == "error" and "KeyError: 'no such word'" in run["error"] for run in refused)
    assert results.failed == refused and len(refused) == 8
    assert all(run["finish"] != "error" for run in results.runs if run["prompt_name"] == "alpha")
    assert "no such word" in str(results)

    class Repaired(Table):
        def begin(self, prompt):
            return super().begin("gamma" if prompt == "refused" else prompt)

    assert argpick.sweep(Repaired(), broken, results=path, retry_errors=True).failed == []


def test_rows_that_are_none(tmp_path):
    class Wrong(Table):
        def begin(self, prompt):
            text = super().begin(prompt)
            bad = {"alpha": np.zeros(VOCAB, np.float64), "beta": np.zeros(VOCAB - 1, np.float32)}
            nan = np.zeros(VOCAB, np.float32)
            nan[3] = np.nan
            text.row = lambda: bad.get(str(prompt), nan)
            return text

    results = argpick.sweep(Wrong(), SWEEP)
    said = {run["prompt_name"]: run["error"] for run in results.runs}
    assert "float64" in said["alpha"]
    assert "49" in said["beta"] and "50" in said["beta"]
    assert "token 3 is NaN" in said["ids"]


def test_a_padded_vocabulary_is_never_picked():
    class Padded(Table):
        vocab = VOCAB + 14
        known_vocab = VOCAB

        def begin(self, prompt):
            text = super().begin(prompt)
            row = text.row
            text.row = lambda: np.concatenate([row(), np.full(14, np.nan, np.float32)])
            return text

    results = argpick.sweep(Padded(), SWEEP)
    assert [run["tokens"] for run in results.runs] == [run["tokens"] for run in argpick.sweep(Table(), SWEEP).runs]
    assert results.failed == []


def test_half_precision_rows():
    class Half(Table):
        def begin(self, prompt):
            text = super().begin(prompt)
            row = text.row
            text.row = lambda: row().astype(np.float16)
            return text

    class Widened(Table):
        def begin(self, prompt):
            text = super().begin(prompt)
            row = text.row
            text.row = lambda: row().astype(np.float16).astype(np.float32)
            return text

    assert plain(argpick.sweep(Half(), SWEEP)) == plain(argpick.sweep(Widened(), SWEEP))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"temprature": 1}, "temprature"),
        ({"parameter_sets": [{"top_p": 1.5}]}, "top_p"),
        ({"prompts": []}, "prompts"),
        ({"prompts": [{"tokens": [VOCAB]}]}, "below the model's vocabulary"),
        ({"end_tokens": ["nothing"]}, "one token of the model"),
        ({"seeds": [1, 1]}, "seeds"),
    ],
)
def test_what_is_no_sweep_is_refused(change, says):
    with pytest.raises(argpick.SweepError, match=says):
        argpick.sweep(Table(), {**SWEEP, **change})


def test_results_of_another_sweep_are_left_alone(tmp_path):
    path = tmp_path / "out.jsonl"
    argpick.sweep(Table(), SWEEP, results=path)
    before = path.read_bytes()
    with pytest.raises(argpick.SweepError, match="another sweep"):
        argpick.sweep(Table(), {**SWEEP, "seeds": [5, 2]}, results=path)

    class Other(Table):
        identity = "table 2"

    with pytest.raises(argpick.SweepError, match="the model"):
        argpick.sweep(Other(), SWEEP, results=path)
    assert path.read_bytes() == before
    with pytest.raises(OSError):
        argpick.sweep(Table(), SWEEP, results=tmp_path / "nowhere" / "out.jsonl")
    with pytest.raises(OSError):
        argpick.sweep(Table(), tmp_path / "nothing.yaml")
    with pytest.raises(argpick.SweepError, match="max_batch_size"):
        argpick.sweep(Table(), SWEEP, max_batch_size=0)
    with pytest.raises(argpick.SweepError, match="plain data"):
        argpick.sweep(Table(), {**SWEEP, "seeds": [object()]})


def test_a_yaml_file_is_the_same_sweep(tmp_path, expected):
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps(SWEEP))  # JSON is YAML
    assert plain(argpick.sweep(Table(), path)) == expected


def test_the_summary_tells_where_texts_part(expected):
    results = argpick.sweep(Table(), SWEEP)
    prompts = results.summary["prompts"]
    assert len(prompts) == 3
    greedy = [run["run"] for run in expected if run["prompt"] == 0 and run["parameter_set_name"] == "greedy"]
    assert any(set(greedy) <= set(group["runs"]) for group in prompts[0]["identical"])
    assert prompts[0]["partings"][0]["step"] >= 0
    assert "alpha" in str(results) and results.fingerprint.count("-") == 3


class Words:
    """The sandbox's model as a model of Python's: what `argpick sweep` runs on."""

    end_tokens: list[int] = []

    def __init__(self):
        self.model = sandbox.Model.default()
        self.identity, self.vocab = "words", self.model.vocab
        end = self.model.class_of("<EOS>")
        self.end_tokens = [] if end is None else [end]

    def token(self, text):
        return self.model.class_of(text)

    def begin(self, prompt):
        return WordsText(self.model, prompt)


class WordsText:
    def __init__(self, model, prompt):
        self.model = model
        self.text = prompt
        words = sandbox.tokens(prompt)
        self.tokens = [model.class_of(word) for word in words if model.class_of(word) is not None]
        self.is_begun = False

    def row(self):
        return self.model.logits(self.text)

    def advance(self, token):
        word = self.model.words[token]
        space = " " if self.is_begun and word not in ".!?" else ""
        self.is_begun = True
        self.text += " " + word
        return space + word


def test_it_is_the_sweep_of_the_tool(tmp_path):
    tool = os.environ.get("ARGPICK_TOOL", str(REPOSITORY / "target" / "release" / "argpick"))
    if not os.path.exists(tool):
        pytest.skip("the tool argpick is not built (cargo build --release --features cli)")
    file = {**SWEEP, "prompts": ["The sea and the sky", "the cat"]}
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(file))
    subprocess.run([tool, "sweep", str(path), "--out", str(tmp_path / "tool.jsonl")], check=True, capture_output=True)
    tools = [json.loads(line) for line in (tmp_path / "tool.jsonl").read_text().splitlines()]
    tools = {run.pop("run"): run for run in tools}
    for run in argpick.sweep(Words(), path).runs:
        other = tools[run.pop("run")]
        for volatile in ("seconds_per_token", "sweep"):
            run.pop(volatile), other.pop(volatile)
        if "input_tokens" in run:  # the tool counts words that the model cannot say, too
            run.pop("input_tokens"), other.pop("input_tokens")
        assert run == other
