"""Threads: the interpreter is given away in a long step, and a decoder that is in use says so."""

import sys
import threading
import time

import numpy as np
import pytest

import argpick

VOCAB = 1 << 20


@pytest.fixture(scope="module")
def slow() -> tuple[argpick.Decoder, np.ndarray]:
    """A step of a few milliseconds."""
    row = np.random.default_rng(0).normal(0, 1, VOCAB).astype(np.float32)
    return argpick.Decoder(VOCAB, typical_p=0.9, metrics="all"), row


def test_another_thread_runs_during_a_step(slow: tuple[argpick.Decoder, np.ndarray]) -> None:
    decoder, row = slow
    # Without the interpreter's own switching, only giving it away lets the other thread in.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    progress = [0]
    during = []
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            progress[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=count)
    try:
        thread.start()
        for _ in range(20):
            before = progress[0]
            decoder.evaluate(row)
            during.append(progress[0] - before)
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        thread.join()
    assert sum(count > 0 for count in during) >= 10, during


def test_a_decoder_in_use_says_so(slow: tuple[argpick.Decoder, np.ndarray]) -> None:
    decoder, row = slow
    expected = decoder.evaluate(row)
    busy, done = [], []
    start = threading.Barrier(2)

    def work() -> None:
        start.wait()
        for _ in range(40):
            try:
                done.append(decoder.evaluate(row))
            except argpick.Busy as error:
                busy.append(error)
            time.sleep(0)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(busy) + len(done) == 80 and busy and done
    assert all(pick == expected for pick in done)
    assert busy[0].status is argpick.Status.BUSY and isinstance(busy[0], RuntimeError) and "thread" in str(busy[0])
    # Nothing has happened to it.
    assert decoder.evaluate(row) == expected and decoder.position == 0


def test_many_decoders_on_many_threads() -> None:
    row = np.random.default_rng(1).normal(0, 2, 5000).astype(np.float32)
    expected = [argpick.Decoder(5000, seed=seed).decode(row).token for seed in range(50)]
    found: dict[int, int] = {}

    def work(seeds: range) -> None:
        for seed in seeds:
            found[seed] = argpick.Decoder(5000, seed=seed).decode(row).token

    threads = [threading.Thread(target=work, args=(range(i, 50, 4),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[seed] for seed in range(50)] == expected
