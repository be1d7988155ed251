"""Five strategies on a real model: greedy, temperature, top-k, top-p, beam search, on the same prompts.

    python strategies.py MODEL.gguf [FOLDER]     the table; with FOLDER, three plots (SVG) in it

It needs llama-cpp-python, and matplotlib for the plots. docs/strategies.md is this, told step by step.
"""

import itertools
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import argpick
from argpick import llama_cpp

PROMPTS = {
    "story": "It was a bright cold day in April, and the old lighthouse keeper climbed the stairs to",
    "chat": "User: Why do eclipses happen?\nAssistant:",
    "list": "The five largest cities of Europe are",
}

STRATEGIES: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0},
    "temperature 0.7": {"temperature": 0.7},
    "top-k 40": {"top_k": 40},
    "top-p 0.9": {"top_p": 0.9},
    "beam 4": {},
}


class Told(NamedTuple):
    """A text, and what the model thinks of each of its tokens."""

    strategy: str
    text: str
    tokens: list[int]
    scores: list[argpick.Score]

    @property
    def logprob(self) -> float:
        """The mean log-probability of a token, as the model has it: temperature 1, nothing removed."""
        return -float(np.mean([score.loss for score in self.scores]))

    @property
    def entropy(self) -> float:
        return float(np.mean([score.entropy for score in self.scores]))

    @property
    def distinct_2(self) -> float:
        """Different pairs of neighbours among all pairs."""
        pairs = list(itertools.pairwise(self.tokens))
        return len(set(pairs)) / max(1, len(pairs))


def generate(model: llama_cpp.Model, prompt: str, strategy: str, tokens: int, seed: int = 1) -> Any:
    """A text by one of the five."""
    if strategy.startswith("beam"):
        return llama_cpp.beam_search(model, prompt, num_beams=int(strategy.split()[1]), max_new_tokens=tokens, end_tokens=[])[0]
    return llama_cpp.generate(model, prompt, max_new_tokens=tokens, seed=seed, end_tokens=[], **STRATEGIES[strategy])


def judge(model: llama_cpp.Model, prompt: str, strategy: str, made: Any) -> Told:
    """Reads a text again, and asks of each token how well the model foretold it."""
    text, scores = model.begin(prompt), []
    for token in made.tokens:
        scores.append(argpick.score(text.row(), token))
        text.advance(token)
    return Told(strategy, made.text, made.tokens, scores)


def tell(model: llama_cpp.Model, prompt: str, tokens: int = 48, seed: int = 1) -> list[Told]:
    """A prompt by all five."""
    return [judge(model, prompt, strategy, generate(model, prompt, strategy, tokens, seed)) for strategy in STRATEGIES]


def table(told: list[Told]) -> str:
    lines = [f"{'':16} {'logprob':>8} {'entropy':>8} {'worst rank':>10} {'distinct-2':>10}  text"]
    for made in told:
        rank = max(score.rank for score in made.scores)
        text = made.text.replace("\n", "\\n")
        lines.append(f"{made.strategy:16} {made.logprob:8.3f} {made.entropy:8.3f} {rank:10} {made.distinct_2:10.2f}  {text}")
    return "\n".join(lines)


# ---- plots ----------------------------------------------------------------------------------------------------------


def _figure(width: float, height: float) -> Any:
    import matplotlib

    matplotlib.use("svg")
    # The same bytes for the same numbers; text stays text.
    matplotlib.rcParams.update({"svg.hashsalt": "argpick", "svg.fonttype": "none", "font.size": 9, "axes.grid": True})
    matplotlib.rcParams.update({"grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False})
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    from matplotlib import pyplot

    pyplot.close(figure)


def plot_entropy(told: list[Told], path: Path) -> None:
    """The entropy of the model at each step of each text."""
    figure, axes = _figure(7.5, 3)
    for made in told:
        axes.plot([score.entropy for score in made.scores], label=made.strategy, linewidth=1.3)
    axes.set(xlabel="step", ylabel="entropy, nats")
    axes.legend(fontsize=8, ncols=5, loc="upper center", bbox_to_anchor=(0.5, 1.18), frameon=False)
    _save(figure, path)


def plot_cuts(row: np.ndarray[Any, Any], path: Path, temperatures: tuple[float, ...] = (0.7, 1.0, 1.5)) -> dict[str, int]:
    """A row in order of probability, and what each filter keeps of it; answers how many tokens that are."""
    figure, axes = _figure(7.5, 3.4)
    kept = {}
    for temperature in temperatures:
        decoder = argpick.Decoder(len(row), temperature=temperature)
        best = decoder.top(row, 3000)
        axes.loglog(np.arange(1, len(best) + 1), np.exp(best["logprob"]), label=f"temperature {temperature:g}", linewidth=1.5)
    for name, fields, colour in [
        ("top-k 40", {"top_k": 40}, "tab:red"),
        ("top-p 0.9", {"top_p": 0.9}, "tab:purple"),
        ("min-p 0.05", {"min_p": 0.05}, "tab:brown"),
        ("typical 0.9", {"typical_p": 0.9}, "tab:gray"),
    ]:
        kept[name] = len(argpick.Decoder(len(row), **fields).kept(row))
        axes.axvline(kept[name], color=colour, linestyle="--", linewidth=1, label=f"{name} keeps {kept[name]}")
    axes.set(xlabel="rank", ylabel="probability", ylim=(1e-7, 1))
    axes.legend(fontsize=8, loc="upper right")
    _save(figure, path)
    return kept


def plot_trade(told: dict[str, list[Told]], path: Path) -> None:
    """Likely against varied: one mark for each text."""
    figure, axes = _figure(6, 3.4)
    for number, strategy in enumerate(STRATEGIES):
        texts = [made for many in told.values() for made in many if made.strategy == strategy]
        axes.scatter(
            [made.distinct_2 for made in texts],
            [made.logprob for made in texts],
            label=strategy,
            marker="osD^v"[number],
            alpha=0.75,
        )
    axes.set(xlabel="distinct-2 (1: no pair of tokens comes twice)", ylabel="log-probability a token")
    axes.legend(fontsize=8)
    _save(figure, path)


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    model = llama_cpp.Model(sys.argv[1], n_ctx=256)
    told = {name: tell(model, prompt) for name, prompt in PROMPTS.items()}
    for name, many in told.items():
        print(f"[{name}] {PROMPTS[name]!r}\n{table(many)}\n")
    if len(sys.argv) == 3:
        folder = Path(sys.argv[2])
        plot_entropy(told["story"], folder / "entropy.svg")
        plot_cuts(model.begin(PROMPTS["story"]).row(), folder / "cuts.svg")
        plot_trade(told, folder / "trade.svg")


if __name__ == "__main__":
    main()
