"""Small results, as named tuples."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ._argpick import Pick
from ._enums import Finish, Metrics, Status, Verdict


class TextMatch(NamedTuple):
    """What `Decoder.push_bytes` found."""

    stop: int | None
    """The number of the stop string that the text contains, or None."""
    held_back: int
    """How many bytes at the end of the text are not to be shown."""


class Score(NamedTuple):
    """How a row did on a target, at temperature 1."""

    loss: float
    """-ln of the target's probability, in nats; inf for a masked target."""
    rank: int
    """How many tokens stand before the target in the order of logits."""
    argmax: int
    """The highest logit's token, the lowest id among equals."""
    entropy: float
    """Entropy of the row, in nats."""
    top1_probability: float
    """Probability of the argmax."""
    tokens: int
    """Tokens that are not masked."""


class RowDiagnosis(NamedTuple):
    """One row of a diagnosis."""

    loss: float
    """-ln of the target's probability at temperature 1, in nats."""
    rank: int
    """How many tokens stand before the target in the order of logits."""
    argmax: int
    """The greedy pick."""
    entropy: float
    """Entropy at temperature 1, in nats."""
    top1_probability: float
    """Probability of the argmax at temperature 1."""
    tokens: int
    """Tokens that are not masked."""
    expected_accuracy: float
    """The probability with which the decoder, as configured, picks the target."""


class Diagnosis(NamedTuple):
    """What a batch of rows looks like to a trainer; each figure is the mean over its rows, 0 for an empty batch."""

    rows: int
    """Rows looked at."""
    flat: float
    """Fraction of flat rows."""
    saturated: float
    """Fraction of saturated rows."""
    healthy: float
    """Fraction of the rest."""
    loss: float
    """Mean loss, in nats."""
    entropy: float
    """Mean entropy at temperature 1, in nats."""
    top1_probability: float
    """Mean probability of the argmax at temperature 1."""
    greedy_accuracy: float
    """Fraction of rows whose argmax is the target."""
    top_k_accuracy: float
    """Fraction of rows whose target is among the first k."""
    expected_accuracy: float
    """The accuracy that draws as configured would have on average."""
    verdicts: list[Verdict]
    """What each row looks like."""
    details: list[RowDiagnosis]
    """The figures of each row."""


class Stage(NamedTuple):
    """What is left of a row after a stage. The kept tokens are a run of the order, from `first` to `last`."""

    name: str
    """The parameter that puts the stage there; "row" before the first, "greedy" in greedy mode."""
    parameter: float
    """The parameter as the stage uses it; NaN where there is none."""
    kept: int
    """How many tokens are kept."""
    kept_mass: float
    """Their probability in the whole row, at the temperature in force."""
    temperature: float
    """The temperature in force after the stage."""
    first_token: int
    """Where the run begins: the token. It need not be one of the row."""
    first_logit: float
    """Where the run begins: the logit."""
    last_token: int
    """Where the run ends: the token."""
    last_logit: float
    """Where the run ends: the logit."""


class BeamStep(NamedTuple):
    """What a step of a beam search answers."""

    live: "np.ndarray[Any, Any]"
    """Beams that go on, of `argpick.CONTINUATION`: beam i of the next step continues beam parent[i] with token[i]."""
    ended: "np.ndarray[Any, Any]"
    """Beams that ended with this step, of the same kind. Only the best of them are hypotheses."""
    finished: bool
    """Whether the search is finished."""


class Hypothesis(NamedTuple):
    """A sequence that has ended."""

    tokens: npt.NDArray[np.uint32]
    """Generated tokens, the end token included."""
    score: float
    """What it is ranked by: logprob divided by the length to the power length_penalty."""
    logprob: float
    """The sum of the log-probabilities of its tokens, in nats."""
    finish: Finish
    """Why it ended."""


class Verified(NamedTuple):
    """What a verification comes to."""

    accepted: int
    """Drafts that stand."""
    emitted: int
    """Tokens emitted and recorded: the accepted drafts and, unless one of them ends the sequence, one token more."""
    node: int | None
    """The index of the last draft that stands, or None; in a tree, its ancestors are the others."""
    finish: Finish
    """Whether the sequence ends with the last token, and why."""
    picks: list[Pick]
    """The picks of the emitted tokens."""


class TrainStep(NamedTuple):
    """What a step of training found, before its update."""

    loss: float
    """-ln of the target's probability, in nats."""
    argmax: int
    """The greedy pick."""
    correct: bool
    """Whether that is the target."""
    gradient: npt.NDArray[np.float32]
    """The gradient with respect to the logits: the softmax, less one at the target."""


class StepRecord(NamedTuple):
    """One step of a trace."""

    step: int
    """Which step it is, from 0."""
    position: int
    """The position that its random numbers came from."""
    row_digest: int
    """The digest of its row."""
    mask_digest: int | None
    """The digest of its mask; None without one."""
    is_recorded: bool
    """Whether the pick was recorded in the decoder, and not only evaluated."""
    has_columns: bool
    """Whether the columns that make its row are in the trace."""
    has_mask: bool
    """Whether its mask is in the trace, so that none need be given."""
    has_numbers: bool
    """Whether the numbers of its pick are in the trace."""
    metrics: Metrics
    """The numbers that were asked for."""
    status: Status
    """`Status.OK`, or that of the error with which the step was refused."""
    pick: Pick | None
    """The pick; None if it was refused. What the trace does not have is unknown."""


class Record(NamedTuple):
    """One record of a trace."""

    kind: str
    """prompt, accept, undo, seek, reset, configure, biases, bans, state, bytes, columns, mask, note or step."""
    value: Any
    """Tokens (arrays), a count, a position, None, a Config, a dict, tokens, bytes, bytes, (columns, values), words, text, or a
    StepRecord."""


class Difference(NamedTuple):
    """What differs in a step; pairs are what was recorded and what was found."""

    step: int
    """The step, from 0."""
    position: int
    """Its position, as recorded."""
    row: tuple[int, int] | None
    """The digests of the row, if it is another one."""
    mask: tuple[int, int] | None
    """The digests of the mask, if it is another one."""
    field: tuple[str, float, float] | None
    """The first field of the answer that differs: its name, as recorded, as it came out."""


class SandboxStep(NamedTuple):
    """One step of a text of the sandbox."""

    step: int
    """Tokens generated before."""
    class_: int
    """The class picked."""
    word: str
    """Its word."""
    margin: float
    """Top-1 minus top-2 logit of what the rules leave; inf if they leave one."""
    top1_probability: float
    """The probability of the best class."""
    entropy: float
    """The entropy, in nats."""
    logprob: float
    """ln of the probability that the pick was drawn with."""
    rank: int
    """0 if the best class was picked, 1 for the second, and so on."""
    allowed: int
    """Classes that the rules left."""
    top: list[tuple[str, float]]
    """The best words that the rules leave and their logits, best first."""


class Transcript(NamedTuple):
    """One text of the sandbox: the prompt, what was generated, and why it ended."""

    context: str
    """The prompt as given."""
    prompt: list[str]
    """Its tokens."""
    unknown: int
    """How many of them the model does not know."""
    text: str
    """What was generated."""
    tokens: npt.NDArray[np.uint32]
    """Its classes; the end token is not one of them."""
    steps: list[SandboxStep]
    """The steps."""
    stop: str
    """Why it ended: end token, punctuation, steps, loop, mask exhausted or error."""
    error: str | None
    """The message of the error."""
    stream: int
    """The stream of random numbers it used."""


class BeamText(NamedTuple):
    """One of the best continuations of a text."""

    text: str
    """What was generated."""
    tokens: npt.NDArray[np.uint32]
    """Its classes; the end token is not one of them."""
    score: float
    """What it is ranked by."""
    logprob: float
    """The sum of the log-probabilities, in nats."""
    length: int
    """Tokens generated, the end token included."""
    stop: str
    """Why it ended."""


class Progress(NamedTuple):
    """Where the trainer stands."""

    stage: str
    """counting, learning or measuring."""
    epoch: int
    """The present epoch, from 1; 0 while counting."""
    epochs: int
    """The number of epochs."""
    done: int
    """Observations done in this pass; while counting, tokens."""
    total: int
    """Observations in a pass; 0 while counting."""
    loss: float
    """The mean loss of this epoch so far, in nats; NaN where there is none."""


class HeldOut(NamedTuple):
    """How well a model predicts sentences that it did not learn."""

    tokens: int
    """Tokens predicted."""
    perplexity: float
    """e to the mean loss."""
    accuracy: float
    """The share of tokens that the greedy pick got right."""


class Epoch(NamedTuple):
    """One whole epoch."""

    learning_rate: float
    """The learning rate."""
    loss: float
    """The mean loss before each update, in nats."""
    accuracy: float
    """The share of tokens that the greedy pick got right before each update."""
    held_out: HeldOut | None
    """The held-out sentences under the written model."""


class TrainReport(NamedTuple):
    """What a training did."""

    tokens: int
    """Words and marks in the text."""
    distinct_words: int
    """Different ones."""
    coverage: float
    """The share of the text's tokens that the vocabulary has."""
    classes: int
    """Rows of W."""
    features: int
    """Columns of W."""
    unigram_perplexity: float | None
    """The held-out perplexity of the unigram model; None if nothing is held out."""
    epochs: list[Epoch]
    """The whole epochs, in order. The file holds the model after the last one."""
    interrupted: bool
    """Whether the run was stopped before its last epoch was whole."""
