"""The documented rules of three engines in float64: the second judge of every case.

A rule says what is kept and with which probabilities, and whether its answer would change if a parameter were 1e-4 (relative)
larger or smaller, or if two values nearer than rounding changed places. Such a case is decided by rounding; it is dropped.
Equal logits go by id, lower first, where an engine leaves their order open.
"""

import collections
import math

import numpy

EPS = 1.0e-4
F32_MAX = float(numpy.finfo(numpy.float32).max)
ORDER = 1.0e-6
INF = math.inf


def drift(terms):
    """How far a sum of these lies off (relative) if it is made in f32 one by one, as llama.cpp makes it."""
    exact = terms.sum()
    return abs(float(numpy.cumsum(terms, dtype=numpy.float32)[-1]) - exact) / exact if exact > 0 else 0.0


class NothingLeft(Exception):
    """Every token is masked."""


class Rule:
    def __init__(self, row):
        self.row = row.astype(numpy.float64)
        self.z = self.row.copy()
        self.near = False
        # Whether a penalty was added up with rounding.
        self.rounds = False
        # Whether llama.cpp's typical met a probability that f32 rounds to 0: its entropy is NaN then, an exception of its own.
        self.underflow = False
        # Whether every logit is still one of the row: then no rounding can order two of them otherwise.
        self.exact = True
        # Set by adaptive-p: probabilities that are no softmax of the logits.
        self.fixed = None

    # What a filter looks at.

    def order(self):
        """Ids that take part, highest logit first, lower id first among equals."""
        order = numpy.argsort(-self.z, kind="stable")[: numpy.count_nonzero(self.z > -INF)]
        if len(order) == 0:
            raise NothingLeft
        return order

    def probabilities(self):
        top = self.z.max()
        if top == -INF:
            raise NothingLeft
        weights = numpy.exp(self.z - top)
        return weights / weights.sum()

    def log_probabilities(self):
        top = self.z.max()
        return self.z - top - math.log(numpy.exp(self.z - top).sum())

    def entropy(self, p):
        alive = p > 0
        return float(-(p[alive] * numpy.log(p[alive])).sum())

    def keep(self, ids):
        kept = numpy.full_like(self.z, -INF)
        kept[ids] = self.z[ids]
        self.z = kept

    def keep_first(self, counts, order, by_logit=False):
        """Keeps the first counts[1] of an order; counts[0] and counts[2] are the answers beside the boundary. `by_logit`:
        the engine compares logits, not what it computes from them."""
        low, count, high = (min(max(1, c), len(order)) for c in counts)
        if low != high:
            self.near = True
        if count < len(order) and not (by_logit and self.exact):
            self.close(self.z[order[count - 1]], self.z[order[count]])
        self.keep(order[:count])

    def changed(self):
        """Notes that logits were computed. One that f32 cannot hold is an engine's overflow, not its rule; where different
        ones that count are large, its rounding moves probabilities."""
        self.exact = False
        if numpy.any(numpy.isfinite(self.z) & (numpy.abs(self.z) > F32_MAX)):
            self.near = True
        count = self.z[self.z > self.z.max() - 20]
        if len(count) and abs(count[0]) > 1_000 and count.min() != count.max():
            self.near = True

    def close(self, a, b):
        """Notes two values that are not equal but nearer than rounding."""
        if a != b and math.isfinite(a) and math.isfinite(b) and abs(a - b) <= ORDER * max(1.0, abs(a), abs(b)):
            self.near = True

    @staticmethod
    def around(x, eps=EPS):
        return (x * (1 - eps), x, x * (1 + eps))

    # Elementwise stages.

    def temperature(self, t):
        if t <= 0:
            order = self.order()
            if len(order) > 1 and not self.exact:
                self.close(self.z[order[0]], self.z[order[1]])
            self.keep(order[:1])
        elif t != 1:
            self.z = self.z / t
            self.changed()

    def dynamic_temperature(self, t, spread, exponent):
        order = self.order()
        if spread <= 0:
            return self.temperature(t)
        if len(order) < 2:
            return
        p = self.probabilities()[order]
        alive = p[p > 0]
        share = max(0.0, self.entropy(p)) / math.log(len(order))
        low, high = max(0.0, t - spread), t + spread
        off = min(1.0, 2 * max(drift(alive), drift(-alive * numpy.log(alive))))
        least, exact, most = (low + (high - low) * (share * q) ** exponent for q in (1 - off, 1, 1 + off))
        if least > 0:
            cold, warm = (numpy.exp((self.z - self.z.max()) / x) for x in (least, most))
            cold, warm = cold / cold.sum(), warm / warm.sum()
            if numpy.any(numpy.abs(cold - warm) > 1.0e-6 + 5.0e-5 * cold):
                self.near = True
        self.temperature(exact)

    def bias(self, pairs, limit=INF):
        for token, value in pairs:
            self.z[token] += -INF if value == "-inf" else min(limit, max(-limit, value))
        if any(value != "-inf" for _, value in pairs):
            self.changed()

    def ban(self, tokens):
        for token in tokens:
            self.z[token] = -INF

    def allow(self, tokens):
        if tokens:
            self.keep(tokens)

    def force(self, case):
        """The token of a step that is forced: it is all that is left."""
        for place, token in case["forced"]:
            if place == len(case["history"]):
                self.keep([token])
                self.z[token] = 0.0
                return True
        return False

    def repetition(self, tokens, penalty):
        for token in set(tokens):
            z = self.z[token]
            self.z[token] = z * penalty if z < 0 else z / penalty
        if tokens and penalty != 1:
            self.changed()

    def counted(self, tokens, frequency, presence):
        for token, count in collections.Counter(tokens).items():
            amount = count * frequency + presence
            self.z[token] -= amount
            self.rounds |= float(numpy.float32(amount)) != amount
        if frequency or presence:
            self.changed()

    def no_repeat_ngram(self, tokens, size):
        prefix = tokens[len(tokens) - size + 1 :]
        for start in range(len(tokens) - size + 1):
            if tokens[start : start + size - 1] == prefix:
                self.z[tokens[start + size - 1]] = -INF

    def sequences(self, pairs, tokens):
        """Adds a bias to the last token of each sequence whose others end the history."""
        for sequence, value in pairs:
            prefix = sequence[:-1]
            if len(prefix) <= len(tokens) and tokens[len(tokens) - len(prefix) :] == prefix:
                self.z[sequence[-1]] += value
                if value > -INF:
                    self.changed()

    def length_decay(self, start, factor, generated, ends):
        if generated > start:
            for token in ends:
                if math.isfinite(self.z[token]):
                    self.z[token] += abs(self.z[token]) * (factor ** (generated - start) - 1)
            self.changed()

    def dry(self, tokens, multiplier, base, allowed, window, breakers):
        """llama.cpp's DRY. `tokens` newest last."""
        seen = tokens[-window:] if window else list(tokens)
        if len(seen) <= allowed:
            return
        back = seen[::-1]
        limit = len(seen)
        for i, token in enumerate(back):
            matches = [
                len(b) - 1
                for b in breakers
                if b[0] == token and len(b) - 1 <= i and all(b[1 + k] == back[i - k - 1] for k in range(len(b) - 1))
            ]
            if matches:
                limit = i - max(matches)
                break
        if limit < allowed:
            return
        longest = {}
        for k in range(1, len(seen)):
            n = 0
            while n + k < len(seen) and back[n] == back[n + k]:
                n += 1
            n = min(n, limit)
            if n >= allowed:
                longest[back[k - 1]] = max(longest.get(back[k - 1], 0), n)
        alone = {b[0] for b in breakers if len(b) == 1}
        highest = int(88.7228391 / math.log(base)) if base > 1.000001 else 0
        for token, length in longest.items():
            if token not in alone:
                exponent = length - allowed
                if highest > 0:
                    exponent = min(exponent, highest)
                self.z[token] -= multiplier * base**exponent
        self.changed()

    # Filters.

    def top_k(self, k, ties):
        order = self.order()
        if k >= len(order):
            return
        count = k
        if ties:
            count = int(numpy.count_nonzero(self.z >= self.z[order[k - 1]]))
        self.keep_first((count, count, count), order, by_logit=True)

    def top_p(self, p, least, plain_sums=False):
        order = self.order()
        shares = self.probabilities()[order]
        eps = max(EPS, 4 * drift(shares)) if plain_sums else EPS
        before = numpy.concatenate(([0.0], numpy.cumsum(shares)[:-1]))
        self.keep_first([max(least, int(numpy.count_nonzero(before < q))) for q in self.around(p, eps)], order)

    def min_p(self, p, least):
        if p <= 0:
            return
        order = self.order()
        sizes = self.z[order]
        self.keep_first(
            [max(least, int(numpy.count_nonzero(sizes >= sizes[0] + math.log(q)))) for q in self.around(p)], order
        )

    def typical(self, mass, least, ties, strict):
        p = self.probabilities()
        order = self.order()
        if strict and numpy.any(p[order] < 1.0e-45):
            self.underflow = True
        surprise = numpy.abs(-self.log_probabilities()[order] - self.entropy(p))
        by = numpy.lexsort((numpy.arange(len(order)), surprise))
        order, surprise = order[by], surprise[by]
        cumulative = numpy.cumsum(p[order])
        eps, shift = EPS, 0.0
        if strict:
            alive = -numpy.sort(-p[p > 0])
            eps = max(EPS, 4 * drift(p[order]))
            # The centre of the distances moves with the sums.
            shift = 4 * (drift(alive) + self.entropy(p) * drift(-alive * numpy.log(alive)))
        counts = []
        for q in self.around(mass, eps):
            reached = cumulative > q if strict else cumulative >= q
            last = int(numpy.argmax(reached)) if reached.any() else len(order) - 1
            count = last + 1
            if ties:
                count = int(numpy.count_nonzero(surprise <= surprise[last]))
            counts.append(max(least, count))
        count = min(counts[1], len(order))
        # Tokens on both sides of the entropy can be equally typical; those that are nearly so could change places.
        edge = surprise[count - 1]
        others = self.z[order[numpy.abs(surprise - edge) < max(shift, EPS / 5 * max(1.0, edge))]]
        if others.min() != others.max():
            self.near = True
        self.keep_first(counts, order)

    def cutoff(self, limit, least):
        """Keeps probabilities of at least `limit`, and whatever equals the `least` highest."""
        p, order = self.probabilities(), self.order()
        floor = self.z[order[min(least, len(order)) - 1]]
        sizes, chances = self.z[order], p[order]
        self.keep_first(
            [int(numpy.count_nonzero((chances >= q) | (sizes >= floor))) for q in self.around(limit)], order
        )

    def eta(self, epsilon, least):
        entropy = self.entropy(self.probabilities())
        self.cutoff(min(epsilon, math.sqrt(epsilon) * math.exp(-entropy)), least)

    def top_h(self, share):
        order = self.order()
        first = order[:100]
        weights = numpy.exp(self.z[first] - self.z[first[0]])
        p = weights / weights.sum()
        terms = numpy.where(p > 0, -p * numpy.log(numpy.maximum(p, 1.0e-300)), 0.0)
        cumulative = numpy.cumsum(terms)
        if len(first) > 1 and abs(self.z[first[0]]) > 1_000 and self.z[first[1]] > self.z[first[0]] - 20:
            # The engine subtracts a logarithm from logits of this size.
            self.near = True
        # What f32 has no probability for ends the prefix; the first stays whatever it weighs.
        weighs = p > 1.0e-45
        counts = [int(numpy.count_nonzero(weighs & (cumulative <= q * cumulative[-1]))) for q in self.around(share)]
        self.keep_first(counts, order)

    def top_n_sigma(self, n):
        order = self.order()
        if n <= 0 or len(order) < 2:
            return
        sizes = self.z[order]
        deviation = math.sqrt(numpy.mean((sizes - sizes.mean()) ** 2))
        self.keep_first([int(numpy.count_nonzero(sizes >= sizes[0] - q * deviation)) for q in self.around(n)], order)

    def xtc(self, threshold, least):
        order = self.order()
        if threshold > 0.5 or len(order) < 2:
            return
        chances = self.probabilities()[order]
        cuts = []
        for q in self.around(threshold):
            last = max(0, int(numpy.count_nonzero(chances >= q)) - 1)
            cuts.append(last if len(order) - last >= least else 0)
        if cuts[0] != cuts[2]:
            self.near = True
        if cuts[1]:
            self.close(self.z[order[cuts[1] - 1]], self.z[order[cuts[1]]])
        self.keep(order[cuts[1] :])

    def mirostat_1(self, mu, vocab):
        order = self.order()
        pairs = min(99, len(order) - 1)
        t = numpy.log((numpy.arange(pairs) + 2) / (numpy.arange(pairs) + 1))
        b = self.z[order[:pairs]] - self.z[order[1 : pairs + 1]]
        s = float((t * b).sum() / (t * t).sum())
        e = s - 1
        k = (e * 2.0**mu / (1 - float(vocab) ** -e)) ** (1 / s)
        # Past 2^31 the engine's conversion to an integer is undefined; near e = 0 it divides rounding by rounding.
        if not math.isfinite(k) or k > 2.0e9 or abs(e) < 1.0e-3:
            self.near = True
            k = 1
        self.keep_first([max(1, int(q)) for q in self.around(k)], order)

    def mirostat_2(self, mu):
        order = self.order()
        surprise = -self.log_probabilities()[order] / math.log(2)
        self.keep_first([int(numpy.count_nonzero(surprise <= q)) for q in self.around(mu)], order)

    def adaptive(self, target, mean):
        p = self.probabilities()
        aim = min(1.0, max(0.0, 2 * min(1.0, max(0.0, target)) - mean))
        distance = numpy.abs(p - aim) / 0.3
        value = numpy.where(self.z > -INF, 5 - 10 * distance**2 / (1 + distance), -INF)
        weights = numpy.exp(value - value.max())
        self.fixed = weights / weights.sum()

    # The answer.

    def answer(self):
        """Kept ids in the order of their logits, and their probabilities."""
        order = self.order()
        sizes = self.z[order]
        gaps = sizes[:-1] - sizes[1:]
        # Logits that penalties made equal are equal or not by an engine's rounding, unless there is nothing to round.
        with numpy.errstate(over="ignore"):
            given, rounded = self.row[order], self.rounds | (sizes.astype(numpy.float32) != sizes)
        if not self.exact and numpy.any((gaps == 0) & (given[:-1] != given[1:]) & rounded[1:]):
            self.near = True
        if not self.exact and numpy.any((gaps > 0) & (gaps <= ORDER * numpy.maximum(1.0, numpy.abs(sizes[1:])))):
            self.near = True
        p = self.probabilities() if self.fixed is None else self.fixed
        return order, p[order]


def history(case):
    return case["prompt"] + case["history"]


def huggingface(rule, case):
    params = case["params"]
    tokens, ends = history(case), case["end_tokens"]
    least = max(1, params.get("min_keep", 1))
    if rule.force(case):
        return
    rule.bias(case["bias"])
    rule.sequences(case["sequence_bias"], tokens)
    if "repetition_penalty" in params:
        scope = case["history"] if params.get("penalty_scope") == 2 else tokens
        rule.repetition(scope, params["repetition_penalty"])
    if "no_repeat_ngram" in params:
        rule.no_repeat_ngram(tokens, params["no_repeat_ngram"])
    bad = [s for s in case["bad_sequences"] if len(s) > 1 or s[0] not in ends]
    rule.sequences([(s, -INF) for s in bad], tokens)
    if len(case["history"]) < params.get("min_tokens", 0):
        rule.ban(ends)
    rule.allow(case["allowed"])
    if "length_decay_factor" in params:
        rule.length_decay(params.get("length_decay_start", 0), params["length_decay_factor"], len(case["history"]), ends)
    rule.ban(case["bans"])
    rule.temperature(params.get("temperature", 1.0))
    if "top_h" in params:
        rule.top_h(params["top_h"])
    if "top_k" in params:
        rule.top_k(max(params["top_k"], least), ties=True)
    if "top_p" in params:
        rule.top_p(params["top_p"], least)
    if "min_p" in params:
        rule.min_p(params["min_p"], least)
    if "typical_p" in params:
        rule.typical(params["typical_p"], least, ties=True, strict=False)
    if "epsilon_cutoff" in params:
        rule.cutoff(params["epsilon_cutoff"], least)
    if "eta_cutoff" in params:
        rule.eta(params["eta_cutoff"], least)


def vllm(rule, case):
    params = case["params"]
    rule.ban(case["bans"])
    rule.allow(case["allowed"])
    rule.sequences([(s, -INF) for s in case["bad_sequences"]], case["history"])
    if len(case["history"]) < params.get("min_tokens", 0):
        rule.ban(case["end_tokens"])
    rule.bias(case["bias"], limit=100.0)
    rule.repetition(history(case), params.get("repetition_penalty", 1.0))
    rule.counted(case["history"], params.get("frequency_penalty", 0.0), params.get("presence_penalty", 0.0))
    t = params.get("temperature", 1.0)
    # Only 0 is greedy: what is between is raised before the test for greedy.
    rule.temperature(max(t, 0.01) if t > 0 else 0.0)
    if "min_p" in params:
        rule.min_p(params["min_p"], 1)
    if "top_k" in params:
        rule.top_k(params["top_k"], ties=True)
    if "top_p" in params:
        rule.top_p(params["top_p"], 1)


def llama_cpp(rule, case, state=None):
    params = case["params"]
    tokens = history(case)
    least = params.get("min_keep", 0)
    rule.bias(case["bias"])
    rule.ban(case["bans"])
    if "mirostat" in params:
        rule.temperature(params.get("temperature", 1.0))
        if params["mirostat"] == 1:
            rule.mirostat_1(state["mu"], len(rule.z))
        else:
            rule.mirostat_2(state["mu"])
        return
    window = params.get("penalty_window", 0)
    seen = tokens[-window:] if window else tokens
    rule.repetition(seen, params.get("repetition_penalty", 1.0))
    rule.counted(seen, params.get("frequency_penalty", 0.0), params.get("presence_penalty", 0.0))
    if "dry_multiplier" in params:
        rule.dry(
            tokens,
            params["dry_multiplier"],
            params.get("dry_base", 1.75),
            params.get("dry_allowed_length", 2),
            params.get("dry_window", 0),
            case["breakers"],
        )
    if "top_n_sigma" in params:
        rule.top_n_sigma(params["top_n_sigma"])
    if "top_k" in params:
        rule.top_k(params["top_k"], ties=False)
    if "typical_p" in params:
        rule.typical(params["typical_p"], max(1, least), ties=False, strict=True)
    if "top_p" in params:
        rule.top_p(params["top_p"], max(1, least), plain_sums=True)
    if "min_p" in params:
        rule.min_p(params["min_p"], max(1, least))
    if "xtc_probability" in params:
        rule.xtc(params.get("xtc_threshold", 0.1), least)
    rule.dynamic_temperature(
        params.get("temperature", 1.0), params.get("dynatemp_range", 0.0), params.get("dynatemp_exponent", 1.0)
    )
    if "adaptive_target" in params:
        rule.adaptive(params["adaptive_target"], state["mean"])


CHAINS = {"huggingface": huggingface, "vllm": vllm, "llama_cpp": llama_cpp}


def greedy(profile, case):
    """The case at temperature 0: what it is judged by for the token that is picked then."""
    params = dict(case["params"], temperature=0.0)
    params.pop("dynatemp_range", None)
    if profile == "huggingface":
        # Without do_sample no warper runs.
        params = {name: value for name, value in params.items() if name in HUGGINGFACE_PROCESSORS or name == "temperature"}
    return dict(case, params=params)


HUGGINGFACE_PROCESSORS = {
    "repetition_penalty", "penalty_scope", "no_repeat_ngram", "min_tokens", "length_decay_start", "length_decay_factor",
}  # fmt: skip
