"""Trains the additive n-gram model with NumPy in float64, by the rules alone, and compares.

usage: train_numpy.py TEXT OURS.npz THEIRS.npz LOGITS.json

OURS.npz was trained here on TEXT with --vocab 40 --d2 64 --d3 64 --epochs 4 --lr 0.2 --hold-out 0 --shuffle 0. It is opened
with allow_pickle=False and compared with a model trained by this script. That model is saved to THEIRS.npz, its logits for a
few contexts to LOGITS.json.
"""

import collections
import hashlib
import json
import re
import sys

import numpy as np

VOCAB, D2, D3, EPOCHS, RATE = 40, 64, 64, 4, 0.2


def bucket(words, size):
    return int.from_bytes(hashlib.sha256("|".join(words).encode()).digest()[:8], "big") % size


def columns(history, in_vocab):
    t3, t2, t1 = [word if word in in_vocab else "<UNK>" for word in history[-3:]]
    first = len(in_vocab)
    return [in_vocab[t1], first + bucket([t2, t1], D2), first + D2 + bucket([t3, t2, t1], D3)]


def main():
    text_path, ours_path, theirs_path, logits_path = sys.argv[1:]
    with open(text_path, encoding="utf-8") as file:
        paragraphs = re.split(r"\n[ \t\r]*\n", file.read())
    paragraphs = [re.findall(r"[a-z0-9']+|[.!?]", paragraph.lower()) for paragraph in paragraphs]
    paragraphs = [paragraph for paragraph in paragraphs if paragraph]
    counts = collections.Counter(word for paragraph in paragraphs for word in paragraph)
    # Python keeps insertion order and sorts stably: ties by first appearance.
    words = sorted(counts, key=lambda word: -counts[word])[:VOCAB]
    in_vocab = {word: i for i, word in enumerate(["<BOS>", "<UNK>"] + words)}
    out_vocab = words + ["<EOS>"]
    classes = {word: i for i, word in enumerate(out_vocab)}

    examples = []
    for paragraph in paragraphs:
        history = ["<BOS>"] * 3
        for word in paragraph + ["<EOS>"]:
            if word in classes:
                examples.append((columns(history, in_vocab), classes[word]))
            history.append(word)

    W = np.zeros((len(out_vocab), len(in_vocab) + D2 + D3))
    b = np.zeros(len(out_vocab))
    for epoch in range(EPOCHS):
        rate = RATE * (1 - 0.9 * epoch / (EPOCHS - 1))
        for active, target in examples:
            z = b + W[:, active].sum(axis=1)
            p = np.exp(z - z.max())
            p /= p.sum()
            p[target] -= 1
            b -= rate * p
            for column in active:
                W[:, column] -= rate * p

    with np.load(ours_path, allow_pickle=False) as ours:
        assert list(ours["in_vocab"]) == list(in_vocab), "in_vocab differs"
        assert list(ours["out_vocab"]) == out_vocab, "out_vocab differs"
        assert list(ours["classes"]) == list(range(len(out_vocab))), "classes differ"
        assert (int(ours["d2"]), int(ours["d3"])) == (D2, D3), "d2, d3 differ"
        assert ours["W"].dtype == np.float32 and ours["W"].shape == W.shape, (ours["W"].dtype, ours["W"].shape)
        assert ours["W"].flags["F_CONTIGUOUS"], "columns are not contiguous"
        worst = max(np.abs(ours["W"] - W).max(), np.abs(ours["b"] - b).max())
        assert worst < 1e-3, f"weights differ by {worst}"
        assert np.abs(W).max() > 0.5, "nothing was learned"

    np.savez(
        theirs_path,
        W=W.astype(np.float32),
        b=b.astype(np.float32),
        classes=np.arange(len(out_vocab)),
        in_vocab=np.array(list(in_vocab)),
        out_vocab=np.array(out_vocab),
        d2=D2,
        d3=D3,
    )
    cases = []
    for context in ["", "the light", "Zebra crossing the harbour", "and round and round"]:
        tokens = re.findall(r"[a-z0-9']+|[.!?]", context.lower())
        history = ["<BOS>"] * 3 + tokens
        steps = []
        for _ in range(6):
            z = b + W[:, columns(history, in_vocab)].sum(axis=1)
            steps.append({"logits": list(z), "picked": out_vocab[int(z.argmax())]})
            history.append(steps[-1]["picked"])
        cases.append({"context": context, "steps": steps})
    with open(logits_path, "w", encoding="utf-8") as file:
        json.dump(cases, file)
    print(f"weights differ by at most {worst:.2e}")


main()
