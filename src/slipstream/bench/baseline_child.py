"""The program that measures one place of the baseline grid: it reads a job, loads the model there, and writes a cell
for each line of it. Tokens are real text, taught to the model as if it had said them: nothing is sampled."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from slipstream.bench.cell import Cell
from slipstream.control.measure import measure_cost
from slipstream.core.errors import SlipstreamError
from slipstream.core.ports import Feed, Target

Clock = Callable[[], float]
CURVE_SECONDS = 2.0
ROOM = 192
"""Tokens of context beside those of the prompt: what the verify-cost curve takes."""


def cells(
    target: Target, text: Sequence[int], job: Mapping[str, Any], clock: Clock = time.perf_counter
) -> Iterator[Cell]:
    """The job's cells, in order. `text` has at least as many tokens as the longest of them."""
    curve: list[float] = []
    for name in job["cells"]:
        kind, _, width = name.partition(" ")
        started = time.time()
        figures: dict[str, Any] = {}
        if kind == "verify":
            curve = curve or measure_cost(target, text, clock, CURVE_SECONDS, coarse=True).costs(0)
            tokens, seconds = int(width), curve[int(width)] / 1000
            figures["ratio"] = curve[tokens] / curve[1]
        elif kind.startswith("pp"):
            tokens, seconds = job["prompt"], prefill(target, text[: job["prompt"]], clock)
        else:
            tokens, seconds = job["answer"], decode(target, text[: job["answer"]], clock)
        yield Cell(
            arm="", prompt=name, task=name, repetition=job["repetition"], tokens=tokens, seconds=seconds, warm=True,
            started=started, figures=figures,
        )  # fmt: skip


def prefill(target: Target, tokens: Sequence[int], clock: Clock) -> float:
    """Seconds of taking in `tokens` from an empty cache, in passes as wide as they can be, up to the last logits."""
    target.rewind(0, 0)
    begin = clock()
    for at in range(0, len(tokens), target.batch_size):
        piece = tokens[at : at + target.batch_size]
        target.decode([Feed(0, at, piece, 1)])
        target.logits(0)
    return clock() - begin


def decode(target: Target, tokens: Sequence[int], clock: Clock) -> float:
    """Seconds of as many passes as there are tokens, one token each, from an empty cache."""
    target.rewind(0, 0)
    begin = clock()
    for at, token in enumerate(tokens):
        target.decode([Feed(0, at, [token], 1)])
        target.logits(0)
    return clock() - begin


def sample(encode: Callable[[str], Sequence[int]], tokens: int) -> list[int]:
    """At least `tokens` tokens of the text that ships with the package, which starts over where it ends."""
    text = list(encode(resources.files("slipstream.bench").joinpath("sample.txt").read_text("utf-8")))
    return text * (1 + tokens // len(text))


def main() -> int:
    """Returns the exit code: that of the failure, whose reason is the last line of standard error."""
    from slipstream.engine.options import ModelOptions
    from slipstream.engine.target import LlamaTarget
    from slipstream.engine.tokenizer import LlamaTokenizer

    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    length = max(job["prompt"], job["answer"]) + ROOM
    try:
        options = ModelOptions(
            path=Path(job["model"]),
            threads=job["threads"],
            numa=job["numa"],
            mmap=job["mmap"],
            batch_size=job["batch"],
            micro_batch=job["batch"],
            context_length=length,
        )
        with LlamaTarget.open(options) as target:
            text = sample(LlamaTokenizer(target.model).encode, length)
            # Pages that nobody touched yet would be counted as computing.
            prefill(target, text[: min(target.batch_size, 64)], time.perf_counter)
            decode(target, text[:4], time.perf_counter)
            print(json.dumps({"ready": True}), flush=True)
            for cell in cells(target, text, job):
                print(json.dumps({"cell": asdict(cell)}), flush=True)
    except SlipstreamError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
