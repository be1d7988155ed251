"""Beam search by transformers' generate() on models that are tables: writes ../golden/beam.jsonl."""

import itertools
import json
import math
import pathlib
import sys
import warnings

import numpy
import torch
import transformers
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from rows import Numbers, build, mix

GAP = 1.0e-4
OUT = pathlib.Path(__file__).resolve().parent.parent / "golden" / "beam.jsonl"


def table_row(table, tokens):
    """The logits after `tokens`: keyed by the last two of them and by how many there are."""
    seed = mix(mix(mix(table["seed"] + tokens[-1]) + tokens[-2]) + len(tokens))
    row = build({"kind": table["kind"], "seed": seed, "vocab": table["vocab"]})
    for token in table["raised"]:
        row[token] += numpy.float32(table["raise"])
    for token in table["masked"]:
        row[token] = -numpy.inf
    return row


class Table(PreTrainedModel, GenerationMixin):
    """A causal model without weights."""

    config_class = PretrainedConfig

    def __init__(self, table):
        super().__init__(PretrainedConfig(vocab_size=table["vocab"]))
        self.table = table
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids, **_):
        rows = [table_row(self.table, tokens) for tokens in input_ids.tolist()]
        return CausalLMOutput(logits=torch.from_numpy(numpy.stack(rows))[:, None, :])

    def prepare_inputs_for_generation(self, input_ids, **_):
        return {"input_ids": input_ids}


def by_engine(case):
    model = Table(case["table"])
    prompt = torch.tensor([case["prompt"]])
    params = case["params"]
    config = GenerationConfig(
        num_beams=case["num_beams"],
        num_return_sequences=case["num_return_sequences"],
        length_penalty=case["length_penalty"],
        early_stopping=case["early_stopping"],
        eos_token_id=case["end_tokens"] or None,
        pad_token_id=case["table"]["vocab"],
        max_new_tokens=case["max_new_tokens"],
        max_length=None,
        min_new_tokens=params.get("min_tokens"),
        repetition_penalty=params.get("repetition_penalty"),
        no_repeat_ngram_size=params.get("no_repeat_ngram"),
        do_sample=False,
        use_cache=False,
        return_dict_in_generate=True,
        output_scores=True,
    )
    with torch.no_grad():
        out = model.generate(prompt, generation_config=config)
    sequences = []
    for tokens in out.sequences.tolist():
        generated = tokens[len(case["prompt"]) :]
        while generated and generated[-1] == case["table"]["vocab"]:
            generated.pop()
        sequences.append(generated)
    return sequences, out.sequences_scores.tolist()


def log_softmax(row):
    row = row.astype(numpy.float64)
    top = row.max()
    return row - top - math.log(numpy.exp(row - top).sum())


def adjusted(case, tokens):
    """The log-probabilities of a beam after the processors, in float64."""
    scores = log_softmax(table_row(case["table"], tokens))
    params = case["params"]
    prompt = len(case["prompt"])
    penalty = params.get("repetition_penalty", 1.0)
    if penalty != 1.0:
        for token in set(tokens):
            scores[token] *= penalty if scores[token] < 0 else 1.0 / penalty
    size = params.get("no_repeat_ngram", 0)
    if size and len(tokens) + 1 >= size:
        tail = tokens[len(tokens) - size + 1 :]
        for start in range(len(tokens) - size + 1):
            if tokens[start : start + size - 1] == tail:
                scores[tokens[start + size - 1]] = -math.inf
    if len(tokens) - prompt < params.get("min_tokens", 0):
        for token in case["end_tokens"]:
            scores[token] = -math.inf
    return scores


def by_rule(case):
    """The rule in float64, and how near any choice came to going the other way (relative)."""
    beams, alpha = case["num_beams"], case["length_penalty"]
    early, ends, limit = case["early_stopping"], set(case["end_tokens"]), case["max_new_tokens"]
    nearest = math.inf

    def near(a, b):
        nonlocal nearest
        if math.isfinite(a) and math.isfinite(b):
            nearest = min(nearest, abs(a - b) / max(1.0, abs(a), abs(b)))

    def first(scored, count):
        """The best `count`, ordered; notes how far the last of them is from the first one left out."""
        ordered = sorted(scored, key=lambda item: -item[0])
        if len(ordered) > count:
            near(ordered[count - 1][0], ordered[count][0])
        return ordered[:count]

    running = [(0.0, list(case["prompt"]))]
    finished = []
    for length in itertools.count(1):
        candidates = []
        for score, tokens in running:
            for token, value in enumerate(adjusted(case, tokens)):
                if value > -math.inf:
                    candidates.append((score + value, tokens + [token]))
        keep = max(2, 1 + len(ends)) * beams
        if len(candidates) < keep:
            return None, None, 0.0
        done = lambda item: item[1][-1] in ends or length == limit
        # An end counts only among the best `beams` of all; who goes on is decided among those that have not ended.
        finished += [
            (score / length**alpha, tokens[len(case["prompt"]) :])
            for score, tokens in filter(done, first(candidates, beams))
        ]
        finished = first(finished, beams)
        running = first(itertools.filterfalse(done, candidates), beams)
        if length == limit:
            break
        full = len(finished) == beams
        if full:
            if early is True:
                break
            reach = limit if early == "never" and alpha > 0 else length
            possible = running[0][0] / reach**alpha
            near(possible, finished[-1][0])
            if possible <= finished[-1][0]:
                break
    count = case["num_return_sequences"]
    for (a, _), (b, _) in itertools.pairwise(finished[:count]):
        near(a, b)
    return [tokens for _, tokens in finished[:count]], [score for score, _ in finished[:count]], nearest


def cases():
    numbers = Numbers(0xBEA7)
    penalties = [-1.0, 0.0, 0.5, 1.0, 2.0]
    stops = [True, False, "never"]
    for index in range(660):
        alpha, early = penalties[index % 5], stops[index // 5 % 3]
        beams = numbers.pick([1, 2, 2, 3, 4, 5, 8])
        if beams == 1:
            beams = 2
        ends_count = numbers.pick([0, 1, 1, 1, 2, 3])
        keep = max(2, 1 + ends_count) * beams
        vocab = keep + numbers.pick([4, 7, 19, 40, 100])
        table = {
            "kind": numbers.pick(["normal", "normal", "normal", "peaked", "peaked", "bf16", "flat"]),
            "seed": numbers.below(1 << 50),
            "vocab": vocab,
            "raised": [],
            "raise": 0.0,
            "masked": [],
        }
        ends = []
        while len(ends) < ends_count:
            token = numbers.below(vocab)
            if token not in ends:
                ends.append(token)
        table["raised"] = ends
        table["raise"] = numbers.pick([0.0, 1.5, 3.0, 4.5])
        for _ in range(numbers.pick([0, 0, 1, 3])):
            token = numbers.below(vocab)
            if token not in ends and token not in table["masked"]:
                table["masked"].append(token)
        params = {}
        if index % 4 == 3:
            if numbers.chance(2):
                params["repetition_penalty"] = numbers.pick([1.25, 1.5, 0.75])
            if numbers.chance(2):
                params["no_repeat_ngram"] = numbers.pick([1, 2, 3])
            if ends and numbers.chance(2):
                params["min_tokens"] = numbers.between(1, 5)
        limit = numbers.between(1, 12)
        if params.get("no_repeat_ngram") == 1:
            limit = min(limit, 4)
        yield {
            "id": f"beam-{index:04}",
            "profile": "huggingface",
            "stages": ["beam"],
            "table": table,
            "prompt": [numbers.below(vocab) for _ in range(numbers.between(2, 5))],
            "num_beams": beams,
            "length_penalty": alpha,
            "early_stopping": early,
            "end_tokens": ends,
            "max_new_tokens": limit,
            "num_return_sequences": numbers.between(1, beams),
            "params": params,
        }


def main():
    assert transformers.__version__ == "5.23.0", transformers.__version__
    transformers.logging.set_verbosity_error()
    warnings.filterwarnings("ignore", message="Unfeasible length")
    written, near, scarce, wrong = [], 0, 0, 0
    total = 0
    for case in cases():
        total += 1
        sequences, scores, nearest = by_rule(case)
        if sequences is None:
            scarce += 1
            continue
        if nearest < GAP:
            near += 1
            continue
        got, got_scores = by_engine(case)
        if got != sequences or any(abs(a - b) > 1e-5 * max(1.0, abs(b)) for a, b in zip(got_scores, scores)):
            wrong += 1
            print(f"{case['id']}: the engine has {got} {got_scores}, the rule {sequences} {scores}", file=sys.stderr)
            continue
        case["expect"] = {"sequences": got, "scores": scores}
        case["tolerance"] = 1.0e-5
        written.append(json.dumps(case, separators=(",", ":")))
    OUT.write_text("\n".join(written) + "\n")
    print(f"beam: {total} made, {len(written)} written, {near} near a boundary, {scarce} short of candidates, {wrong} disagree")


if __name__ == "__main__":
    main()
