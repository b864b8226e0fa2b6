"""The program that a peer in Python runs in: it reads a job, puts each prompt to the engine, and writes a cell for
every answer. What the engine prints goes to standard error."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from slipstream.bench.peers.ports import Reply
from slipstream.bench.peers.timing import WARM_UP_TOKENS, cell_of

Take = Callable[[Sequence[int]], None]
"""Called with tokens as they come."""
Generate = Callable[[Sequence[int], int, Take], Mapping[str, Any]]
"""Answers a prompt's tokens with at most so many, greedily; returns what the engine says of itself: `engine_rate` and
other figures."""

ENGINES = {
    "llama-cpp-python": "slipstream.engine.upstream:open_upstream",
    "openvino": "slipstream.bench.peers.openvino:open_pipeline",
}
"""Where an engine is opened: a function of model, draft model, threads, context length, end tokens, and options."""
PAUSE = 0.05
"""Seconds between two answers, in which the parent stores the first: two at once would disturb each other."""


def serve(job: Mapping[str, Any], say: Callable[[Mapping[str, Any]], None]) -> None:
    """Carry out the job; `say` is called once the engine is ready, and for every cell."""
    module, _, name = ENGINES[job["engine"]].partition(":")
    generate: Generate = getattr(import_module(module), name)(
        Path(job["model"]),
        draft_model=Path(job["draft_model"]) if job["draft_model"] else None,
        threads=job["threads"],
        context_length=job["context"],
        ends=frozenset(job["ends"]),
        **job["options"],
    )
    generate(job["warm_up"], WARM_UP_TOKENS, lambda tokens: None)
    say({"ready": True})
    for prompt in job["prompts"]:
        reply = answer(generate, prompt["tokens"], job["max_tokens"])
        cell = cell_of(prompt["id"], prompt["task"], job["repetition"], len(prompt["tokens"]), reply)
        say({"cell": asdict(cell)})
        time.sleep(PAUSE)


def answer(
    generate: Generate, prompt: Sequence[int], max_tokens: int, clock: Callable[[], float] = time.perf_counter
) -> Reply:
    """One answer, on our own clock."""
    tokens: list[int] = []
    arrivals: list[tuple[float, int]] = []

    def take(fresh: Sequence[int]) -> None:
        tokens.extend(fresh)
        arrivals.append((clock() - begin, len(tokens)))

    started, begin = time.time(), clock()
    figures = dict(generate(prompt, max_tokens, take))
    rate = figures.pop("engine_rate", None)
    return Reply(tokens=tuple(tokens), arrivals=tuple(arrivals), engine_rate=rate, started=started, figures=figures)


def main() -> int:
    """Returns the exit code: 1 where the engine failed, with the reason as the last line of standard error."""
    lines = _own_output()

    def say(value: Mapping[str, Any]) -> None:
        lines.write(json.dumps(value) + "\n")
        lines.flush()

    try:
        serve(json.loads(Path(sys.argv[1]).read_text("utf-8")), say)
    except Exception as error:
        # Whatever a foreign engine may raise is the reason why this peer failed.
        text = " ".join(str(error).split())[:300]
        print(f"{type(error).__name__}: {text}", file=sys.stderr)
        return 1
    return 0


def _own_output() -> IO[str]:
    """Standard output for our lines alone: what a library prints there goes to standard error from now on."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return lines


if __name__ == "__main__":
    sys.exit(main())
