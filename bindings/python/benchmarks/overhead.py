"""What a call from Python costs: `Decoder.decode` beside the same steps in a loop of the library's own.

    python benchmarks/overhead.py [--rounds N] [--limit MICROSECONDS]

Prints the fastest and the median of both, in microseconds, for a row that is in the cache. The clock is read around each
call on both sides, and its price is left in. With --limit it ends with 1 if the medians of the largest row differ by more.
"""

import argparse
import sys
import time

import numpy as np

import argpick
from argpick import _argpick

ROUND = 200


def measure(decoder: argpick.Decoder, row: np.ndarray, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Nanoseconds of each call from Python, and of each step in the library; both in turn, so that both see the same noise."""
    ours: list[int] = []
    library: list[int] = []
    clock, decode = time.perf_counter_ns, decoder.decode
    for _ in range(rounds // ROUND):
        decoder.reset()
        library += _argpick._nanoseconds_of_decode(decoder, row, ROUND)
        decoder.reset()
        for _ in range(ROUND):
            start = clock()
            decode(row)
            ours.append(clock() - start)
    return np.array(ours), np.array(library)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4000)
    parser.add_argument("--limit", type=float)
    options = parser.parse_args()
    print(f"kernels {argpick.kernel()}, Python {sys.version.split()[0]}, NumPy {np.__version__}; microseconds")
    print("| vocabulary | from Python: min | median | library: min | median | difference: min | median |")
    print("|---|---|---|---|---|---|---|")
    difference = 0.0
    for vocab in (64, 1023, 1024, 32_768, 262_144):
        row = np.random.default_rng(1).normal(0, 3, vocab).astype(np.float32)
        decoder = argpick.Decoder(vocab, mode="greedy")
        measure(decoder, row, ROUND)
        ours, library = measure(decoder, row, options.rounds)
        figures = [ours.min(), np.median(ours), library.min(), np.median(library)]
        figures += [figures[0] - figures[2], figures[1] - figures[3]]
        difference = figures[-1] / 1000
        print(f"| {vocab:,} | " + " | ".join(f"{figure / 1000:.2f}" for figure in figures) + " |")
    if options.limit is not None and difference > options.limit:
        print(f"a call costs {difference:.2f} microseconds more than the step, {options.limit} are allowed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
