"""The stages of each profile: random parameters, lists and rows for them."""

import numpy

from rows import words

LISTS = [
    "prompt", "history", "bias", "bans", "allowed", "forced", "sequence_bias", "bad_sequences", "end_tokens", "breakers",
]  # fmt: skip


# What a case is made of.


def vocabulary(n, index):
    """Mostly 4 to 64, some 1,000, a few 32,000, four 151,936 of each stage's explicit cases; 4 at least twice."""
    if index in (7, 57, 107, 157):
        return 151_936
    if index in (2, 50):
        return 4
    if index in (23, 61):
        return 32_000
    if index % 20 == 3:
        return 1_000
    return n.between(4, 64)


def row(n, vocab, kinds, tame=False):
    """`tame`: no extremes, for rules that square logits or need the tail."""
    kind = n.pick(kinds)
    if vocab > 1_000 and n.chance(2):
        kind = "peaked"
    patch = []
    used = set()
    if n.chance(4):
        for _ in range(n.between(1, max(1, min(vocab // 4, 6)))):
            token = n.below(vocab)
            if token not in used:
                used.add(token)
                choice = n.below(8 if tame else 12)
                if choice < 8:
                    patch.append([token, "-inf"])
                else:
                    patch.append([token, [-1.0e9, -65504.0, -1.0e30, 12.5][choice - 8]])
    result = {"kind": kind, "seed": n.below(1 << 44), "vocab": vocab}
    if patch:
        result["patch"] = patch
    return result


F32_MAX = float(numpy.finfo(numpy.float32).max)
SUBNORMAL = 2.0**-149


def extreme(n, without):
    """Logits written out: 4 to 16 of them, of one of the kinds that are not in `without`."""
    vocab = n.between(4, 16)
    kind = n.pick([k for k in ["constant", "zeros", "limits", "subnormal", "wide", "few", "two"] if k not in without])
    plain = [(n.below(1 << 18) - (1 << 17)) * 2.0**-14 for _ in range(vocab)]
    if kind == "constant":
        sizes = [0.0, 1.5, -7.25, 1.0e-40, 65504.0, -1.0e9] + ([] if "limits" in without else [3.0e38])
        return kind, [n.pick(sizes)] * vocab
    if kind == "zeros":
        return kind, [n.pick([0.0, -0.0, -0.0, SUBNORMAL]) for _ in plain]
    if kind == "limits":
        ends = [F32_MAX, -F32_MAX, 1.0e38, -1.0e38, 3.0e38, -3.0e38]
        return kind, [n.pick(ends) if n.chance(2) else x for x in plain]
    if kind == "subnormal":
        return kind, [(n.below(1 << 24) - (1 << 23)) * SUBNORMAL if n.chance(3) else x for x in plain]
    if kind == "wide":
        return kind, [x * 64.0 for x in plain]
    if kind == "few":
        stay = {n.below(vocab), n.below(vocab)}
        return kind, [x if token in stay else "-inf" for token, x in enumerate(plain)]
    high, low = n.pick([(1.0, -1.0), (3.5, 3.0), (0.0, -80.0)])
    return kind, [n.pick([high, low]) for _ in plain]


def number(n, low, high, digits=3):
    return round(n.uniform(low, high), digits)


def tokens(n, vocab, low, high, alphabet=None):
    """A recipe: `length` ids below `below`, number i is word(seed, i) mod below."""
    below = min(vocab, alphabet or vocab)
    return {"seed": n.below(1 << 44), "length": n.between(low, high), "below": below}


def memory(n, vocab, low, high, alphabet=None):
    """A history of a few tokens or, one time in four, of hundreds or thousands."""
    if n.chance(4):
        return tokens(n, vocab, 100, n.pick([300, 1_500, 3_500]), alphabet)
    return tokens(n, vocab, low, high, alphabet)


def expand_tokens(recipe, offset=0):
    if isinstance(recipe, list):
        return recipe
    return (words(recipe["seed"] + offset, recipe["length"]) % numpy.uint64(recipe["below"])).astype(int).tolist()


def some(n, vocab, most):
    found = []
    for _ in range(n.between(1, min(most, max(1, vocab // 3)))):
        token = n.below(vocab)
        if token not in found:
            found.append(token)
    return found


def with_temperature(n, params, one_in=2):
    if n.chance(one_in):
        params["temperature"] = number(n, 0.4, 1.8, 2)


def with_least(n, params, one_in=4):
    if n.chance(one_in):
        params["min_keep"] = n.pick([2, 3, 5, 9])


def end_tokens(n, vocab, lists):
    """End tokens among the last three ids, and a history without them: after one of them a sequence is over."""
    found = []
    for _ in range(n.pick([1, 1, 2, 3])):
        token = vocab - 1 - n.below(3)
        if token not in found:
            found.append(token)
    lists["end_tokens"] = found
    lists["history"]["below"] = min(lists["history"]["below"], vocab - 3)
    return lists


# The stages. Each gives (params, lists, kinds of rows).

MIXED = ["normal", "normal", "peaked", "flat", "ties", "bf16"]
SMOOTH = ["normal", "normal", "peaked", "bf16"]


def temperature(n, vocab):
    return {"temperature": n.pick([0.25, 0.5, 0.7, 0.9, 1.25, 1.6, 2.0])}, {}, MIXED


def temperature_zero(n, vocab):
    return {"temperature": 0.0}, {}, SMOOTH + ["ties"]


def temperature_zero_filtered(n, vocab):
    """llama.cpp's temperature comes last: at 0 it keeps the first of what the filters left."""
    params = {"temperature": 0.0}
    # Not top-n-sigma: it leaves masked entries in the list, which typical and the dynamic temperature do not expect.
    chosen(n, [top_k, top_p, min_p], params, {}, vocab)
    chosen(n, [xtc, typical], params, {}, vocab, 2)
    params["temperature"] = 0.0
    if n.chance(4):
        params["dynatemp_range"] = n.pick([0.5, 1.0, 1.5])
    return params, {}, SMOOTH


def temperature_floor(n, vocab):
    return {"temperature": n.pick([0.0, 0.001, 0.005, 0.00002, 0.0099, 0.000001])}, {}, MIXED


def top_k(n, vocab):
    params = {"top_k": n.between(1, min(vocab, 50))}
    with_temperature(n, params)
    return params, {}, ["normal", "ties", "ties", "bf16", "peaked"]


def top_k_least(n, vocab):
    params, lists, kinds = top_k(n, vocab)
    with_least(n, params)
    return params, lists, kinds


def top_p(n, vocab):
    params = {"top_p": n.pick([0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, number(n, 0.05, 0.97)])}
    with_temperature(n, params)
    with_least(n, params)
    return params, {}, MIXED


def min_p(n, vocab):
    params = {"min_p": n.pick([0.02, 0.05, 0.1, 0.2, 0.5, 0.9, number(n, 0.01, 0.95)])}
    with_temperature(n, params)
    with_least(n, params)
    return params, {}, MIXED


def typical(n, vocab):
    params = {"typical_p": n.pick([0.2, 0.5, 0.8, 0.9, number(n, 0.1, 0.95)])}
    with_temperature(n, params)
    with_least(n, params)
    return params, {}, SMOOTH + ["ties"]


def epsilon(n, vocab):
    params = {"epsilon_cutoff": n.pick([0.001, 0.003, 0.01, 0.03, 0.1, 0.3])}
    with_temperature(n, params)
    with_least(n, params)
    return params, {}, MIXED


def eta(n, vocab):
    params = {"eta_cutoff": n.pick([0.001, 0.003, 0.01, 0.05, 0.2])}
    with_temperature(n, params)
    with_least(n, params)
    return params, {}, MIXED


def top_h(n, vocab):
    params = {"top_h": n.pick([0.1, 0.3, 0.5, 0.7, 0.9, number(n, 0.05, 0.95)])}
    with_temperature(n, params)
    return params, {}, MIXED


def repetition(n, vocab):
    params = {"repetition_penalty": n.pick([0.8, 1.1, 1.2, 1.5, 2.0])}
    if n.chance(4):
        params["penalty_scope"] = 2
    with_temperature(n, params, 4)
    return params, {"prompt": memory(n, vocab, 1, 20), "history": memory(n, vocab, 0, 20)}, MIXED


def ngram(n, vocab):
    params = {"no_repeat_ngram": n.pick([1, 2, 2, 3, 3, 4])}
    alphabet = n.pick([2, 3, 4])
    if n.chance(3):
        # Long enough a history, and large enough an alphabet that something is left.
        params["no_repeat_ngram"] = n.pick([2, 3, 5, 8])
        alphabet = min(vocab, n.pick([8, 30, 1_000]))
        return (
            params,
            {"prompt": tokens(n, vocab, 1, 1_000, alphabet), "history": tokens(n, vocab, 0, 1_000, alphabet)},
            MIXED,
        )
    if params["no_repeat_ngram"] == 1 and n.chance(2):
        alphabet = max(2, vocab - 2)
    return (
        params,
        {"prompt": tokens(n, vocab, 1, 12, alphabet), "history": tokens(n, vocab, 0, 16, alphabet)},
        MIXED,
    )


def sequences(n, vocab, count, longest, alphabet):
    found = []
    for _ in range(n.between(1, count)):
        sequence = [n.below(alphabet) for _ in range(n.between(1, longest) - 1)] + [n.below(vocab)]
        if sequence not in found:
            found.append(sequence)
    return found


def sequence_bias(n, vocab):
    alphabet = min(vocab, n.pick([2, 3]))
    pairs = [[s, n.pick([-4.0, -1.5, 0.75, 2.5, 10.0])] for s in sequences(n, vocab, 6, 4, alphabet)]
    lists = {
        "prompt": tokens(n, vocab, 1, 4, alphabet),
        "history": tokens(n, vocab, 0, 8, alphabet),
        "sequence_bias": [pair for pair in pairs if len(pair[0]) > 1],
        "bias": [[pair[0][0], pair[1]] for pair in pairs if len(pair[0]) == 1],
    }
    return {}, lists, MIXED


def bad_words(n, vocab):
    alphabet = min(vocab, n.pick([2, 3]))
    lists = {
        "prompt": tokens(n, vocab, 1, 4, alphabet),
        "history": tokens(n, vocab, 0, 8, alphabet),
        "bad_sequences": sequences(n, vocab, 6, 4, alphabet),
    }
    if n.chance(3):
        end_tokens(n, vocab, lists)
        if n.chance(2):
            lists["bad_sequences"].append([lists["end_tokens"][0]])
    return {}, lists, MIXED


def min_tokens(n, vocab):
    lists = {"prompt": tokens(n, vocab, 1, 6), "history": tokens(n, vocab, 0, 8)}
    end_tokens(n, vocab, lists)
    return {"min_tokens": n.between(1, 8)}, lists, MIXED


def length_decay(n, vocab):
    lists = {"prompt": tokens(n, vocab, 1, 6), "history": tokens(n, vocab, 0, 12)}
    end_tokens(n, vocab, lists)
    params = {"length_decay_start": n.below(6), "length_decay_factor": n.pick([1.01, 1.1, 1.2, 0.9])}
    if params["length_decay_start"] == 0:
        del params["length_decay_start"]
    return params, lists, MIXED


def chosen(n, stages, params, lists, vocab, one_in=3):
    """Adds some of the stages."""
    for stage in stages:
        if n.chance(one_in):
            more, further, _ = stage(n, vocab)
            params.update(more)
            for name, value in further.items():
                lists.setdefault(name, value)


def huggingface_chain(n, vocab):
    alphabet = n.pick([3, 6, vocab])
    params = {}
    lists = {"prompt": tokens(n, vocab, 1, 8, alphabet), "history": tokens(n, vocab, 0, 10, alphabet)}
    end_tokens(n, vocab, lists)
    filters = [top_h, top_k, top_p, min_p, typical, epsilon, eta]
    chosen(n, [sequence_bias, repetition, ngram, bad_words, min_tokens, length_decay], params, lists, vocab, 4)
    chosen(n, filters, params, lists, vocab)
    params.pop("min_keep", None)
    if n.chance(2):
        params["temperature"] = number(n, 0.4, 1.8, 2)
    if n.chance(5):
        lists["bans"] = some(n, vocab, 2)
    if not params:
        params["top_k"] = 3
    return params, lists, SMOOTH + ["ties"]


def top_n_sigma(n, vocab):
    params = {"top_n_sigma": n.pick([0.5, 1.0, 1.5, 2.0, number(n, 0.3, 3.0)])}
    if n.chance(3):
        params["temperature"] = number(n, 0.4, 1.8, 2)
    return params, {}, MIXED


def xtc(n, vocab):
    params = {"xtc_probability": 1.0, "xtc_threshold": n.pick([0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.6])}
    with_least(n, params)
    return params, {}, MIXED


def dynamic(n, vocab):
    params = {"temperature": n.pick([0.8, 1.2, 1.5]), "dynatemp_range": n.pick([0.2, 0.5, 0.75])}
    if n.chance(2):
        params["dynatemp_exponent"] = n.pick([0.5, 1.5, 2.0])
    return params, {}, MIXED


def penalties(n, vocab):
    params = {}
    while not params:
        if n.chance(2):
            params["repetition_penalty"] = n.pick([0.9, 1.1, 1.3, 2.0])
        if n.chance(2):
            params["frequency_penalty"] = n.pick([0.1, 0.5, 1.0, -0.25])
        if n.chance(2):
            params["presence_penalty"] = n.pick([0.3, 1.5, -0.5])
    alphabet = n.pick([3, vocab])
    return params, {"prompt": memory(n, vocab, 1, 16, alphabet), "history": memory(n, vocab, 0, 16, alphabet)}, MIXED


def windowed_penalties(n, vocab):
    params, lists, kinds = penalties(n, vocab)
    if n.chance(2):
        params["penalty_window"] = n.pick([1, 2, 5, 8, 20, 64, 256, 1_024])
    return params, lists, kinds


def dry(n, vocab):
    params = {"dry_multiplier": n.pick([0.4, 0.8, 1.0, 2.0])}
    if n.chance(2):
        params["dry_base"] = n.pick([1.0, 1.25, 2.0])
    if n.chance(2):
        params["dry_allowed_length"] = n.pick([1, 3, 4])
    if n.chance(3):
        params["dry_window"] = n.pick([4, 8, 12, 40, 200, 1_024])
    # One letter repeats itself as far as the history goes: the exponent meets its limit.
    alphabet = n.pick([1, 2, 2, 2, 3, 3, 4, 4])
    lists = {"prompt": memory(n, vocab, 1, 24, alphabet), "history": memory(n, vocab, 0, 40, alphabet)}
    if n.chance(2):
        lists["breakers"] = [[n.below(alphabet + 1) for _ in range(n.pick([1, 2, 2, 3]))] for _ in range(n.between(1, 3))]
        lists["breakers"] = [b for i, b in enumerate(lists["breakers"]) if b not in lists["breakers"][:i]]
        lists["breakers"] = [[min(t, vocab - 1) for t in b] for b in lists["breakers"]]
    return params, lists, MIXED


def bias(n, vocab):
    pairs = [[t, n.pick([-2.5, 1.25, 6.0, -100.0, 150.0, "-inf"])] for t in some(n, vocab, 5)]
    return {}, {"bias": pairs}, MIXED


def bans(n, vocab):
    return {}, {"bans": some(n, vocab, 6)}, MIXED


def begin_suppress(n, vocab):
    """Hugging Face's `begin_suppress_tokens`: bans that hold for the first generated token alone."""
    return {}, {"bans": some(n, vocab, 6), "prompt": tokens(n, vocab, 1, 8)}, MIXED


def allowed(n, vocab):
    found = []
    for _ in range(n.between(1, min(40, max(1, vocab // 2)))):
        token = n.below(vocab)
        if token not in found:
            found.append(token)
    params = {}
    if n.chance(2):
        params["top_p"] = n.pick([0.5, 0.8, 0.9])
    with_temperature(n, params)
    return params, {"allowed": found, "prompt": tokens(n, vocab, 1, 8), "history": tokens(n, vocab, 0, 8)}, MIXED


def forced(n, vocab, first):
    """A forced first token (the prompt is one token then) or a forced last one; some steps are not the forced one."""
    lists = {"prompt": tokens(n, vocab, 1, 1 if first else 6), "history": tokens(n, vocab, 0, 2)}
    place = 0 if first else n.below(3)
    lists["forced"] = [[place, n.below(vocab)]]
    params = {"top_k": 3} if n.chance(2) else {}
    with_temperature(n, params)
    return params, lists, MIXED


def forced_begin(n, vocab):
    return forced(n, vocab, True)


def forced_end(n, vocab):
    return forced(n, vocab, False)


def finite_bias(n, vocab):
    pairs = [[t, n.pick([-2.5, 1.25, 6.0, -100.0, 150.0, -250.0])] for t in some(n, vocab, 5)]
    return {}, {"bias": pairs}, MIXED


def llama_chain(n, vocab):
    params, lists = {}, {}
    chosen(n, [bias, windowed_penalties, dry], params, lists, vocab)
    chosen(n, [top_k, top_p, min_p, xtc], params, lists, vocab, 2)
    # Typical after anything that leaves -inf in llama.cpp's list is its own stage.
    if not lists.get("bias") and n.chance(2):
        params["typical_p"] = n.pick([0.5, 0.9])
    elif n.chance(2):
        params["top_n_sigma"] = n.pick([1.0, 2.0])
    if n.chance(2):
        params["temperature"] = number(n, 0.4, 1.8, 2)
    if not params:
        params["top_k"] = 3
    return params, lists, SMOOTH


def vllm_chain(n, vocab):
    params, lists = {}, {}
    chosen(n, [penalties, finite_bias, bad_words, min_tokens], params, lists, vocab)
    if "end_tokens" in lists:
        lists["history"]["below"] = min(lists["history"]["below"], vocab - 3)
    chosen(n, [min_p, top_k, top_p], params, lists, vocab, 2)
    params.pop("min_keep", None)
    if n.chance(2):
        params["temperature"] = number(n, 0.4, 1.8, 2)
    if n.chance(4):
        lists["bans"] = some(n, vocab, 3)
    if not params:
        params["top_k"] = 3
    return params, lists, SMOOTH + ["ties"]


def without_least(stage):
    def made(n, vocab):
        params, lists, kinds = stage(n, vocab)
        params.pop("min_keep", None)
        params.pop("penalty_scope", None)
        return params, lists, kinds

    return made


STAGES = {
    "huggingface": {
        "temperature": temperature, "top_k": top_k_least, "top_p": top_p, "min_p": min_p, "typical": typical,
        "epsilon": epsilon, "eta": eta, "top_h": top_h, "repetition_penalty": repetition, "no_repeat_ngram": ngram,
        "sequence_bias": sequence_bias, "bad_sequences": bad_words, "min_tokens": min_tokens,
        "length_decay": length_decay, "bans": bans, "begin_suppress": begin_suppress, "allowed": allowed,
        "forced_begin": forced_begin, "forced_end": forced_end, "chain": huggingface_chain,
    },
    "llama_cpp": {
        "temperature": temperature, "temperature_zero": temperature_zero_filtered, "top_k": top_k_least, "top_p": top_p,
        "min_p": min_p, "typical": typical, "top_n_sigma": top_n_sigma, "xtc": xtc, "dynamic_temperature": dynamic,
        "penalties": windowed_penalties, "dry": dry, "bias": bias, "bans": bans, "chain": llama_chain,
    },
    "vllm": {
        "temperature": temperature, "temperature_floor": temperature_floor, "top_k": without_least(top_k),
        "top_p": without_least(top_p), "min_p": without_least(min_p), "penalties": penalties, "bias": finite_bias,
        "bad_sequences": bad_words, "min_tokens": min_tokens, "allowed": allowed, "chain": vllm_chain,
    },
}  # fmt: skip
# Rules that square logits, and those whose engine counts -inf as a candidate, see no extremes or no masked entries.
TAME = {"top_n_sigma", "chain"}
UNMASKED = {
    ("llama_cpp", "typical"), ("llama_cpp", "dynamic_temperature"), ("llama_cpp", "temperature_zero"), ("llama_cpp", "chain"),
    ("llama_cpp", "xtc"), ("huggingface", "forced_begin"), ("huggingface", "forced_end"),
}  # fmt: skip


def unmasked(profile, stage, params):
    """Whether masked entries would make it an exception: of XTC's only with `min_keep`."""
    fine_without = {"min_keep", "typical_p", "dynatemp_range"}
    if stage in ("xtc", "temperature_zero") and not fine_without & set(params):
        return False
    return (profile, stage) in UNMASKED


def kinds_without(profile, stage):
    """Kinds of extreme rows that the engine's own rule does not cover; README.md says why."""
    without = set()
    if stage in TAME:
        without.add("limits")
    if (profile, stage) in UNMASKED:
        without.add("few")
    return without
