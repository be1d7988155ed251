"""Rows of logits from integers: the same bits in every language.

A row is {"kind", "seed", "vocab", "patch"}. Entry i comes from x = word(seed, i), number i of the SplitMix64 stream of the
seed, and s = the sum of its four 16-bit parts minus 131070 (nearly normal, |s| <= 131070, standard deviation 37837):

    normal   s * 2^-14
    flat     s * 2^-17
    peaked   (s + 40960 * trailing_zeros(word(seed ^ PEAK, i))) * 2^-15
    ties     floor(s / 2^14) / 2
    bf16     normal, its lower 16 bits cleared

Every value is an integer of at most 24 bits times a power of two, so no step rounds. `patch` is a list of [id, value] written
over the row afterwards; value is a number (exact in f32) or "-inf".
"""

import numpy

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
PEAK = 0xA5A5A5A5A5A5A5A5


def mix(x):
    """SplitMix64's finaliser of x plus its increment."""
    z = (x + GOLDEN) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def words(seed, count):
    """The first `count` numbers of the SplitMix64 stream of a seed."""
    with numpy.errstate(over="ignore"):
        z = numpy.uint64(seed & MASK) + numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(GOLDEN)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        return z ^ (z >> numpy.uint64(31))


def trailing_zeros(x):
    lowest = x & (~x + numpy.uint64(1))
    return numpy.log2(lowest.astype(numpy.float64)).astype(numpy.int64)


def build(row):
    """The f32 row of a recipe."""
    x = words(row["seed"], row["vocab"])
    s = numpy.zeros(row["vocab"], dtype=numpy.int64)
    for part in range(4):
        s += ((x >> numpy.uint64(16 * part)) & numpy.uint64(0xFFFF)).astype(numpy.int64)
    s -= 131070
    kind = row["kind"]
    if kind == "normal":
        values = s * 2.0**-14
    elif kind == "flat":
        values = s * 2.0**-17
    elif kind == "peaked":
        values = (s + 40960 * trailing_zeros(words(row["seed"] ^ PEAK, row["vocab"]))) * 2.0**-15
    elif kind == "ties":
        values = (s >> 14) * 0.5
    elif kind == "bf16":
        bits = (s * 2.0**-14).astype(numpy.float32).view(numpy.uint32) & numpy.uint32(0xFFFF0000)
        values = bits.view(numpy.float32)
    else:
        raise ValueError(kind)
    values = values.astype(numpy.float32)
    for token, value in row.get("patch", []):
        values[token] = -numpy.inf if value == "-inf" else value
    return values


def logits(case):
    """The f32 row of a case: its logits if they are written out, else its recipe's."""
    if "logits" in case:
        return numpy.array([-numpy.inf if x == "-inf" else x for x in case["logits"]], dtype=numpy.float32)
    return build(case["row"])


class Numbers:
    """Random choices of a generator: the SplitMix64 stream of a seed."""

    def __init__(self, seed):
        self.state = mix(seed)

    def word(self):
        self.state = (self.state + GOLDEN) & MASK
        return mix(self.state)

    def below(self, bound):
        return (self.word() >> 11) * bound >> 53

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def pick(self, items):
        return items[self.below(len(items))]

    def chance(self, one_in):
        return self.below(one_in) == 0

    def uniform(self, low, high):
        """An f32 value as a float."""
        return float(numpy.float32(low + (high - low) * (self.word() >> 11) / 2.0**53))
