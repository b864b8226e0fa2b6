"""How far a reduced model is from the full one: fewer experts, coarser weights, the same text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slipstream.bench.quality.likelihood import kl, log_probabilities
from slipstream.bench.quality.marks import wilson
from slipstream.bench.quality.perplexity import WINDOW, Perplexity, Report, of, standard_error
from slipstream.bench.quality.windows import Reads, read, require_context, scored, windows
from slipstream.control.measure import Progress
from slipstream.core.errors import RequestError


@dataclass(frozen=True, slots=True)
class Divergence:
    """Over `tokens` predictions: mean Kullback-Leibler divergence from the full model, in nats a token, with its
    standard error; that of one token in a hundred (`high`) and the largest; the share of tokens at which both find the
    same one likeliest (`agreement`), with its 95 % interval; and both perplexities."""

    mean: float
    error: float
    high: float
    largest: float
    agreement: float
    agreement_low: float
    agreement_high: float
    tokens: int
    full: Perplexity
    reduced: Perplexity


def divergence(
    full: Reads,
    reduced: Reads,
    tokens: Sequence[int],
    window: int = WINDOW,
    *,
    stride: int = 0,
    begin: int | None = None,
    report: Report = lambda progress: None,
) -> Divergence:
    """Of two open models of one vocabulary, on a text in its tokens.

    Both walk through the text in step, so what is in memory is two models and one pass of logits of each
    (`output_rows` x vocabulary x 4 bytes): nothing grows with the text, and nothing is rounded on its way through a
    file. The same file opened twice shares its mapped pages. RequestError if the vocabularies differ in size, or text,
    window and context don't go together.
    """
    if full.vocabulary_size != reduced.vocabulary_size:
        raise RequestError(
            f"vocabularies of {full.vocabulary_size} and {reduced.vocabulary_size} tokens can't be compared",
            hint="give two files of one model",
        )
    for model in (full, reduced):
        require_context(model, window)
    parts, count = windows(tokens, window, stride, begin), scored(window, stride)
    distances: list[float] = []
    surprises: tuple[list[float], list[float]] = ([], [])
    agreed = 0
    for done, part in enumerate(parts):
        report(Progress(done, len(parts), "windows"))
        for (token, ours), (_, theirs) in zip(read(full, part, count), read(reduced, part, count), strict=True):
            p, q = log_probabilities(ours), log_probabilities(theirs)
            distances.append(kl(p, q))
            agreed += bool(p.argmax() == q.argmax())
            for found, one in zip(surprises, (p, q), strict=True):
                found.append(-float(one[token]))
    report(Progress(len(parts), len(parts), "windows"))
    n = len(distances)
    return Divergence(
        float(np.mean(distances)),
        standard_error(distances),
        float(np.percentile(distances, 99)),
        max(distances),
        agreed / n,
        *wilson(agreed, n),
        n,
        of(surprises[0]),
        of(surprises[1]),
    )
