"""NumPy, torch and transformers beside argpick: the same rows, the same work, the same run.

Each library does what its user writes: NumPy and torch in a few lines each, transformers with its own warpers as
`generate` applies them to a batch of one. Everything runs on one thread. argpick and the bare reading of the row come from
`argpick bench` on the same file, called before and after each row; of every series the shortest time counts.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers.generation import logits_process as warpers

TEMPERATURE, TOP_K, TOP_P, MIN_P, TYPICAL = 0.8, 40, 0.95, 0.05, 0.9

# Name in the table, and the stage of `argpick bench` that does the same.
TASKS = {
    "greedy": "greedy",
    "draw, temperature 0.8": "full",
    "top-k 40, top-p 0.95, min-p 0.05, temperature 0.8": "chain",
    "top-p 0.95, temperature 0.8": "top-p",
    "typical 0.9, temperature 0.8": "typical",
}

generator = np.random.default_rng(7)


def numpy_softmax(logits):
    weights = np.exp((logits - logits.max()) / np.float32(TEMPERATURE))
    return weights / weights.sum()


def numpy_pick(probabilities):
    running = np.cumsum(probabilities)
    return int(np.searchsorted(running, generator.random(dtype=np.float32) * running[-1], side="right"))


def numpy_chain(row):
    candidates = np.argpartition(row, -TOP_K)[-TOP_K:]
    candidates = candidates[np.argsort(-row[candidates])]
    probabilities = numpy_softmax(row[candidates])
    count = int(np.searchsorted(np.cumsum(probabilities), TOP_P)) + 1
    kept = probabilities[:count]
    kept = kept[kept >= MIN_P * kept[0]]
    return int(candidates[numpy_pick(kept)])


def numpy_top_p(row):
    order = np.argsort(-row)
    probabilities = numpy_softmax(row[order])
    count = int(np.searchsorted(np.cumsum(probabilities), TOP_P)) + 1
    return int(order[numpy_pick(probabilities[:count])])


def numpy_typical(row):
    probabilities = numpy_softmax(row)
    surprise = -np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    order = np.argsort(np.abs(surprise - (probabilities * surprise).sum()))
    count = int(np.searchsorted(np.cumsum(probabilities[order]), TYPICAL)) + 1
    kept = order[:count]
    return int(kept[numpy_pick(probabilities[kept])])


def torch_draw(logits):
    return int(torch.multinomial(torch.softmax(logits, -1), 1))


def torch_chain(row):
    values, tokens = torch.topk(row, TOP_K)
    probabilities = torch.softmax(values / TEMPERATURE, -1)
    before = torch.cumsum(probabilities, -1) - probabilities
    keep = (before < TOP_P) & (probabilities >= MIN_P * probabilities[0])
    return int(tokens[torch.multinomial(torch.where(keep, probabilities, 0.0), 1)])


def torch_top_p(row):
    values, tokens = torch.sort(row, descending=True)
    probabilities = torch.softmax(values / TEMPERATURE, -1)
    before = torch.cumsum(probabilities, -1) - probabilities
    return int(tokens[torch.multinomial(torch.where(before < TOP_P, probabilities, 0.0), 1)])


def torch_typical(row):
    logprobs = torch.log_softmax(row / TEMPERATURE, -1)
    probabilities = logprobs.exp()
    entropy = -(probabilities * logprobs).nansum()
    _, order = torch.sort((-logprobs - entropy).abs())
    sorted_probabilities = probabilities[order]
    before = torch.cumsum(sorted_probabilities, -1) - sorted_probabilities
    return int(order[torch.multinomial(torch.where(before < TYPICAL, sorted_probabilities, 0.0), 1)])


def transformers_call(*chain):
    processors = transformers.LogitsProcessorList([warpers.TemperatureLogitsWarper(TEMPERATURE), *chain])
    prompt = torch.zeros((1, 1), dtype=torch.long)

    def call(row):
        scores = processors(prompt, row[None])
        return int(torch.multinomial(torch.softmax(scores, -1), 1))

    return call


PARTIES = {
    f"NumPy {np.__version__}": [
        lambda row: int(np.argmax(row)),
        lambda row: numpy_pick(numpy_softmax(row)),
        numpy_chain,
        numpy_top_p,
        numpy_typical,
    ],
    f"torch {torch.__version__}": [
        lambda row: int(torch.argmax(row)),
        lambda row: torch_draw(row / TEMPERATURE),
        torch_chain,
        torch_top_p,
        torch_typical,
    ],
    f"transformers {transformers.__version__}": [
        lambda row: int(torch.argmax(row[None], -1)),
        transformers_call(),
        transformers_call(
            warpers.TopKLogitsWarper(TOP_K), warpers.TopPLogitsWarper(TOP_P), warpers.MinPLogitsWarper(MIN_P)
        ),
        transformers_call(warpers.TopPLogitsWarper(TOP_P)),
        transformers_call(warpers.TypicalLogitsWarper(TYPICAL)),
    ],
}


def durations(call, row, rounds, limit):
    """Nanoseconds of the second of two calls, so that nobody pays for the caches that another has filled."""
    found, spent = [], 0
    while len(found) < rounds and (spent < limit or len(found) < 5):
        begun = time.perf_counter_ns()
        call(row)
        middle = time.perf_counter_ns()
        call(row)
        ended = time.perf_counter_ns()
        found.append(ended - middle)
        spent += ended - begun
    return found


def check(task, row, party, token):
    """Whether a party did the work at all: the argmax where that is asked for, else a token that could be drawn."""
    before = int((row > row[token]).sum())
    most = {"greedy": 1, "chain": TOP_K}.get(TASKS[task], len(row))
    if before >= most:
        sys.exit(f"{party}: {before} tokens are likelier than its pick, for {task}")


def argpick(tool, file, rounds):
    """Shortest and median nanoseconds of each stage, and of the bare reading beside it."""
    command = [tool, "bench", "--row", file, "--rounds", str(rounds), "--json"]
    for stage in TASKS.values():
        command += ["--stage", stage]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return {line["stage"]: (line["time"], line["floor"]) for line in json.loads(out)["lines"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--argpick", required=True, help="the tool to run for argpick's own figures")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--limit-ms", type=int, default=1500, help="the most that one call is repeated for")
    options = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for vocab in (32_000, 262_144):
            file = Path(folder) / f"normal_{vocab}.npy"
            np.save(file, np.random.default_rng(vocab).normal(0, 3, vocab).astype(np.float32))
            rows.append(("N(0,3)", file, 0))
        real = Path(__file__).resolve().parents[3] / "../shared/data/logits/gemma3_270m_16x262144_f32.npy"
        if real.exists():
            rows += [(f"Gemma 3, row {index}", real, index) for index in (0, 13)]
        else:
            print("skipped: no real rows here", file=sys.stderr)

        print("One thread each; `x` are ratios of the shortest times. argpick is called from Rust.\n")
        print("| row | tokens | task | party | min us | median us | x floor | x argpick |")
        print("|:--|--:|:--|:--|--:|--:|--:|--:|")
        for name, file, index in rows:
            array = np.load(file)
            array = np.ascontiguousarray(array if array.ndim == 1 else array[index])
            tensor = torch.from_numpy(array.copy())
            before = argpick(options.argpick, f"{file}:{index}", options.rounds)
            measured = {}
            for position, task in enumerate(TASKS):
                for party, calls in PARTIES.items():
                    print(f"{name}, {len(array)} tokens, {task}: {party}", file=sys.stderr)
                    row = array if party.startswith("NumPy") else tensor
                    check(task, array, party, calls[position](row))
                    measured[task, party] = durations(calls[position], row, options.rounds, options.limit_ms * 1_000_000)
            after = argpick(options.argpick, f"{file}:{index}", options.rounds)
            for task, stage in TASKS.items():
                floor = min(before[stage][1]["min_ns"], after[stage][1]["min_ns"])
                own = min(before[stage][0]["min_ns"], after[stage][0]["min_ns"])
                median = min(before[stage][0]["median_ns"], after[stage][0]["median_ns"])
                lines = [("argpick", own, median)]
                lines += [
                    (party, min(measured[task, party]), float(np.median(measured[task, party]))) for party in PARTIES
                ]
                for party, least, middle in lines:
                    print(
                        f"| {name} | {len(array)} | {task} | {party} | {least / 1000:.2f} | {middle / 1000:.2f} "
                        f"| {least / floor:.2f} | {least / own:.2f} |"
                    )


if __name__ == "__main__":
    main()
