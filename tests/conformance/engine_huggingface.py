"""transformers' logits processors, in the order of its own generate()."""

import torch
import transformers
from transformers.generation import logits_process as lp

VERSION = "5.23.0"


def processors(case):
    params, ends, stage = case["params"], case["end_tokens"], case["stages"][0]
    least = max(1, params.get("min_keep", 1))
    prompt = len(case["prompt"])
    chain = []
    biases = {(t,): float("-inf") if v == "-inf" else float(v) for t, v in case["bias"]}
    biases.update({tuple(s): float(v) for s, v in case["sequence_bias"]})
    if biases:
        chain.append(lp.SequenceBiasLogitsProcessor(biases))
    if "repetition_penalty" in params:
        ignored = prompt if params.get("penalty_scope") == 2 else None
        chain.append(lp.RepetitionPenaltyLogitsProcessor(float(params["repetition_penalty"]), ignored))
    if "no_repeat_ngram" in params:
        chain.append(lp.NoRepeatNGramLogitsProcessor(params["no_repeat_ngram"]))
    if case["bad_sequences"]:
        chain.append(lp.NoBadWordsLogitsProcessor(case["bad_sequences"], ends or None))
    if "min_tokens" in params:
        # Two processors say the same in different words; either would show if they did not.
        chain.append(lp.MinLengthLogitsProcessor(prompt + params["min_tokens"], ends))
        chain.append(lp.MinNewTokensLengthLogitsProcessor(prompt, params["min_tokens"], ends))
    if case["allowed"]:
        chain.append(lp.PrefixConstrainedLogitsProcessor(lambda *_: case["allowed"], 1))
    for place, token in case["forced"]:
        if stage == "forced_begin":
            assert (place, prompt) == (0, 1)
            chain.append(lp.ForcedBOSTokenLogitsProcessor(token))
        else:
            chain.append(lp.ForcedEOSTokenLogitsProcessor(prompt + place + 1, token))
    if "length_decay_factor" in params:
        decay = (params.get("length_decay_start", 0), params["length_decay_factor"])
        chain.append(lp.ExponentialDecayLengthPenalty(decay, ends, prompt))
    if case["bans"] and stage == "begin_suppress":
        chain.append(lp.SuppressTokensAtBeginLogitsProcessor(case["bans"], prompt))
    elif case["bans"]:
        chain.append(lp.SuppressTokensLogitsProcessor(case["bans"]))
    # Temperature 0 is do_sample=False: no warper, and the highest is picked.
    if params.get("temperature", 1.0) not in (0.0, 1.0):
        chain.append(lp.TemperatureLogitsWarper(float(params["temperature"])))
    if "top_h" in params:
        chain.append(lp.TopHLogitsWarper(params["top_h"]))
    if "top_k" in params:
        chain.append(lp.TopKLogitsWarper(params["top_k"], min_tokens_to_keep=least))
    if "top_p" in params:
        chain.append(lp.TopPLogitsWarper(params["top_p"], min_tokens_to_keep=least))
    if "min_p" in params:
        chain.append(lp.MinPLogitsWarper(params["min_p"], min_tokens_to_keep=least))
    if "typical_p" in params:
        chain.append(lp.TypicalLogitsWarper(params["typical_p"], min_tokens_to_keep=least))
    if "epsilon_cutoff" in params:
        chain.append(lp.EpsilonLogitsWarper(params["epsilon_cutoff"], min_tokens_to_keep=least))
    if "eta_cutoff" in params:
        chain.append(lp.EtaLogitsWarper(params["eta_cutoff"], min_tokens_to_keep=least))
    return chain


def check_order(table_model):
    """Holds the order above to the one in which generate() itself builds the chain."""
    case = {
        "params": {
            "repetition_penalty": 1.5, "no_repeat_ngram": 2, "min_tokens": 3, "length_decay_factor": 1.5,
            "length_decay_start": 1, "temperature": 0.5, "top_h": 0.5, "top_k": 3, "top_p": 0.5, "min_p": 0.5,
            "typical_p": 0.5, "epsilon_cutoff": 0.5, "eta_cutoff": 0.5,
        },
        "prompt": [1, 2], "history": [], "end_tokens": [3], "bias": [], "bans": [5], "allowed": [4, 5],
        "forced": [[8, 3]], "stages": ["chain"],
        "sequence_bias": [[[1, 2], 1.0]], "bad_sequences": [[1, 4]],
    }  # fmt: skip
    config = transformers.GenerationConfig(
        do_sample=True, repetition_penalty=1.5, no_repeat_ngram_size=2, min_length=5, min_new_tokens=3, eos_token_id=3,
        exponential_decay_length_penalty=(1, 1.5), temperature=0.5, top_h=0.5, top_k=3, top_p=0.5, min_p=0.5,
        typical_p=0.5, epsilon_cutoff=0.5, eta_cutoff=0.5, suppress_tokens=[5], sequence_bias=[[[1, 2], 1.0]],
        bad_words_ids=[[1, 4]], forced_eos_token_id=3, max_length=11,
    )  # fmt: skip
    config._eos_token_tensor = torch.tensor([3])
    theirs = table_model._get_logits_processor(
        config, input_ids_seq_length=2, prefix_allowed_tokens_fn=lambda *_: [4, 5]
    )
    ours = processors(case)
    assert [type(a) for a in theirs] == [type(a) for a in ours], (theirs, ours)


def run(case, row):
    """The final logits."""
    ids = torch.tensor([case["prompt"] + case["history"]], dtype=torch.int64)
    scores = torch.from_numpy(row.copy())[None, :]
    for processor in processors(case):
        scores = processor(ids, scores)
    return scores[0].numpy()
