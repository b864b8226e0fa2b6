"""Replays recorded answers through a drafter, without a model: how much would it have drafted right?

The idea of the simulator in SuffixDecoding's library: walk the true answer through the drafts. Every assistant message
of a conversation is one request whose prompt is everything before it, as a server sees it.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipstream.core.accept import accept
from slipstream.core.errors import RequestError, StateFileError
from slipstream.core.ports import Drafter, Tokenizer
from slipstream.core.request import Request
from slipstream.drafters import catalog

DRAFTERS = ("prompt_lookup", "suffix")
LIMIT = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """One request and what the model answered, as tokens."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded row: its answers in order. `trial` counts earlier attempts at the same task."""

    name: str
    trial: int
    answers: tuple[Answer, ...]

    @property
    def phase(self) -> str:
        """ "first" or "later": whether an earlier attempt at the task may be in a drafter's memory."""
        return "later" if self.trial else "first"


@dataclass(slots=True)
class Replay:
    """Counts of a replay. `seconds` is the drafter's own time in propose and commit; indexing prompts is apart."""

    tokens: int = 0
    rounds: int = 0
    drafted: int = 0
    accepted: int = 0
    seconds: float = 0.0
    begin_seconds: float = 0.0

    @property
    def tokens_per_round(self) -> float:
        """Emitted tokens per target pass, bonus token included."""
        return self.tokens / self.rounds if self.rounds else 0.0

    @property
    def drafted_per_token(self) -> float:
        """Draft tokens that a target would have verified, per emitted token."""
        return self.drafted / self.tokens if self.tokens else 0.0

    @property
    def microseconds_per_token(self) -> float:
        """The drafter's time per emitted token."""
        return 1e6 * self.seconds / self.tokens if self.tokens else 0.0


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """One line of the report: a file, a drafter, and the trials counted ("first", "later")."""

    file: str
    drafter: str
    phase: str
    tokens: int
    rounds: int
    tokens_per_round: float
    drafted_per_token: float
    microseconds_per_token: float


def replay(case: Case, drafter: Drafter, into: Replay, limit: int = LIMIT, slot: int = 0) -> None:
    """Run one case with drafts of at most `limit` tokens and add its counts to `into`.

    Raises AssertionError if the emitted tokens differ from the recorded ones: drafting must never change the output.
    """
    clock = time.perf_counter
    for answer in case.answers:
        start = clock()
        drafter.begin(slot, Request(answer.prompt, max_tokens=len(answer.tokens)))
        into.begin_seconds += clock() - start
        output: list[int] = []
        while len(output) < len(answer.tokens):
            rest = answer.tokens[len(output) :]
            start = clock()
            draft = drafter.propose(slot, limit)
            proposed = clock()
            emitted = accept(draft.tokens[: len(rest) - 1], rest.__getitem__)
            resumed = clock()
            drafter.commit(slot, emitted)
            into.seconds += proposed - start + clock() - resumed
            output += emitted
            into.rounds += 1
            into.drafted += len(draft)
            into.accepted += len(emitted) - 1
        drafter.end(slot)
        if tuple(output) != answer.tokens:
            raise AssertionError(f"{drafter.name} changed the output of {case.name}")
        into.tokens += len(output)


def replay_report(
    paths: Iterable[str | Path], tokenizer: Tokenizer, drafters: Sequence[str] = DRAFTERS, limit: int = LIMIT
) -> list[ReplayRow]:
    """Every file through every drafter, rows in order; each pair starts with an empty memory."""
    report = []
    for path in map(Path, paths):
        cases = list(read_cases(path, tokenizer))
        for name in drafters:
            drafter = catalog.create(name)
            phases: dict[str, Replay] = {}
            for case in cases:
                replay(case, drafter, phases.setdefault(case.phase, Replay()), limit)
            report += [
                ReplayRow(
                    path.name, name, phase, counts.tokens, counts.rounds,
                    counts.tokens_per_round, counts.drafted_per_token, counts.microseconds_per_token,
                )
                for phase, counts in phases.items()
            ]  # fmt: skip
    return report


def read_cases(path: Path, tokenizer: Tokenizer) -> Iterator[Case]:
    """Cases of a JSON-lines file. A row has `messages` (a conversation) or `response` (and maybe `prompt`), and an
    `id`; an id SET/TASK/TRIAL tells the trial. Raises StateFileError for an unreadable file, RequestError for a bad
    row."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StateFileError(
            f"can't read {path}: {error}", hint="give a JSON-lines file of recorded answers"
        ) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            yield _case(row, tokenizer, f"line-{number}")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RequestError(
                f"line {number} of {path} is no recorded answer: {type(error).__name__} {error}",
                hint="a row needs `messages` with roles, or `response`",
            ) from error


def _case(row: Mapping[str, Any], tokenizer: Tokenizer, fallback: str) -> Case:
    name = str(row.get("id", fallback))
    parts = name.split("/")
    trial = int(parts[-1]) if len(parts) > 2 and parts[-1].isdigit() else 0
    if "messages" in row:
        messages = row["messages"]
    else:
        prompt = [{"role": "user", "content": row["prompt"]}] if "prompt" in row else []
        messages = [*prompt, {"role": "assistant", "content": row["response"]}]
    context: list[int] = []
    answers = []
    for message in messages:
        context += tokenizer.encode(f"<|im_start|>{message['role']}\n", special=True)
        body = tokenizer.encode(render(message)) + tokenizer.encode("<|im_end|>", special=True)
        if message["role"] == "assistant":
            answers.append(Answer(tuple(context), tuple(body)))
        context += body + tokenizer.encode("\n")
    return Case(name, trial, tuple(answers))


def render(message: Mapping[str, Any]) -> str:
    """A message as the model writes it: text, then tool calls in the tags of the Hermes and Qwen templates. Call ids
    are the server's, not the model's, and stay out."""
    parts = [message.get("content") or ""]
    for call in message.get("tool_calls") or []:
        function = call["function"]
        arguments = function["arguments"]
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        parts.append(f'<tool_call>\n{{"name": "{function["name"]}", "arguments": {text}}}\n</tool_call>')
    return "\n".join(part for part in parts if part)
