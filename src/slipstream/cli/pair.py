"""`slipstream pair`: can one model draft for another, and does it pay on this machine?"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from slipstream.cli import options as shared

WORTH = 1.05
"""Speed-up from which on a draft model is recommended: less is within what a short probe can't tell from nothing."""
NO_OVERRIDES: Mapping[str, int] = MappingProxyType({})


def pair(
    target: Annotated[Path, typer.Argument(help="GGUF file of the model whose output counts.")],
    draft: Annotated[Path, typer.Argument(help="GGUF file of the smaller model that would draft for it.")],
    tokens: Annotated[int, typer.Option("--tokens", "-n", help="Tokens to probe, at least 64.")] = 128,
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Compare the token tables only: no model is loaded.")
    ] = False,
    draft_experts: shared.DraftExperts = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    context: shared.Context = None,
    threads: shared.Threads = None,
    verbose: shared.Verbose = False,
) -> int:
    """Compare two models' tokens, then measure how often the smaller one predicts the larger one, and what it gains."""
    from slipstream.bench.probe import LEAST_TOKENS, prospect
    from slipstream.core.errors import ModelFileError, RequestError
    from slipstream.models.experts import override_of
    from slipstream.models.gguf import read_header
    from slipstream.models.pair import compare
    from slipstream.models.pair_check import check_pair
    from slipstream.models.vocabulary import read_vocabulary

    if tokens < LEAST_TOKENS:
        raise RequestError(f"--tokens is {tokens}", hint=f"fewer than {LEAST_TOKENS} say nothing")
    headers = read_header(target), read_header(draft)
    length = _context_length(headers[0], context)
    overrides = override_of(headers[1], draft_experts) if draft_experts else {}
    notes = check_pair(*headers, length, experts=draft_experts)
    vocabularies = read_vocabulary(target), read_vocabulary(draft)
    verdict = compare(*vocabularies)
    if not verdict.usable:
        raise ModelFileError(verdict.reason, hint="convert the model again, with its tokenizer")
    value = _verdict(headers, verdict, (*verdict.notes, *notes))
    if not headers_only:
        _require_memory(headers, length)
        with shared.open_session(
            verbose=verbose,
            model=target,
            context_length=length,
            threads=threads,
            drafters=("prompt_lookup",),
            learn=False,
            profile=False,
        ) as session:
            found = run(session, draft, verdict, vocabularies, tokens, verbose, overrides)
            row = session.keep.curve.costs(found.depth)
            value |= _measured(found, *prospect(found, row), found.costs(row), session.target.options.threads)
    value["recommendation"] = _recommendation(target, draft, value)
    print(json.dumps(value)) if as_json else show(value)
    return 0


def run(
    session: Any,
    draft_path: Path,
    verdict: Any,
    vocabularies: Any,
    tokens: int,
    verbose: bool,
    overrides: Mapping[str, int] = NO_OVERRIDES,
) -> Any:
    """The probe on an opened target; the draft model is open only meanwhile."""
    from dataclasses import replace

    from slipstream.bench import workload
    from slipstream.bench.predict import ROWS
    from slipstream.bench.probe import Question, probe
    from slipstream.cli.progress import Bar
    from slipstream.engine.target import LlamaTarget
    from slipstream.engine.tokenizer import LlamaTokenizer

    raw = not session.header.has_chat_template
    prompts = _in_turn(workload.built_in())
    questions = (Question(one.task, session.request(one.text, raw=raw).prompt) for one in prompts)
    options = replace(session.target.options, path=draft_path, slots=1, output_rows=ROWS, kv_overrides=overrides)
    with LlamaTarget.open(options, verbose=verbose) as draft, Bar("probing") as bar:
        tokenizer = LlamaTokenizer(draft.model)
        predict = _predictor(session, draft, tokenizer, verdict, vocabularies)
        ends = session.tokenizer.end_tokens
        return probe(session.target, questions, predict, ends, tokens, time.perf_counter, bar)


def _predictor(session: Any, draft: Any, tokenizer: Any, verdict: Any, vocabularies: Any) -> Any:
    from slipstream.bench.predict import Aligned, Translated
    from slipstream.drafters.translation import Translation
    from slipstream.models.pair import shared_controls

    if verdict.kind == "foreign":
        opening = (tokenizer.begin_token,) if tokenizer.adds_begin else ()
        controls = shared_controls(*vocabularies)
        return Translated(draft, Translation(session.tokenizer, tokenizer, controls, opening), time.perf_counter)
    if verdict.map is None:
        return Aligned(draft, time.perf_counter)
    to_draft, to_target = verdict.map.to_draft.tolist(), verdict.map.to_target.tolist()

    def feed(token: int) -> list[int]:
        known = to_draft[token]
        # A token that the draft lacks is spelt out to it.
        return [known] if known >= 0 else tokenizer.encode(session.tokenizer.label(token), special=True)

    return Aligned(draft, time.perf_counter, feed, to_target.__getitem__)


def _in_turn(prompts: Any) -> list[Any]:
    """The first prompt of every task class, then the second ...; copies last, which any model predicts."""
    by_task: dict[str, list[Any]] = {}
    for prompt in prompts:
        by_task.setdefault(prompt.task, []).append(prompt)
    by_task["copy"] = by_task.pop("copy", [])
    longest = max(map(len, by_task.values()))
    return [found[index] for index in range(longest) for found in by_task.values() if index < len(found)]


def _context_length(header: Any, wanted: int | None) -> int:
    """As `slipstream run` would open the target."""
    from slipstream import config
    from slipstream.assembly import DEFAULT_CONTEXT

    trained = header.context_length or DEFAULT_CONTEXT
    return wanted or config.load().context_length or min(trained, DEFAULT_CONTEXT)


def _require_memory(headers: Any, context_length: int) -> None:
    """MemoryShortage before loading if both models don't fit together."""
    from slipstream.assembly.needs import memory_needed
    from slipstream.core.errors import MemoryShortage
    from slipstream.engine.memory import GIGABYTE
    from slipstream.host import memory

    needs = [memory_needed(header, context_length).total for header in headers]
    available = memory.read().available
    if sum(needs) > available:
        parts = " and ".join(
            f"{header.path.name} {need / GIGABYTE:.1f}" for header, need in zip(headers, needs, strict=True)
        )
        needed, free = sum(needs) / GIGABYTE, available / GIGABYTE
        raise MemoryShortage(
            f"the pair needs about {needed:.1f} GB ({parts}), but {free:.1f} GB are free",
            hint="use a shorter context or smaller quantizations, or look at --headers-only",
        )


def _verdict(headers: Any, verdict: Any, notes: tuple[str, ...]) -> dict[str, Any]:
    models = {
        role: {
            "file": header.path.name,
            "architecture": header.architecture,
            "quantization": header.quantization,
            "weights_bytes": header.weights_bytes,
            "vocabulary": header.vocabulary_size,
        }
        for role, header in zip(("target", "draft"), headers, strict=True)
    }
    return {
        **models,
        "verdict": verdict.kind,
        "reason": verdict.reason,
        "notes": list(notes),
        "shared_tokens": verdict.shared,
        "differing_count": verdict.differing_count,
        "differing": [list(one) for one in verdict.differing],
    }


def _measured(found: Any, forecast: Any, interval: Any, costs: Any, threads: int) -> dict[str, Any]:
    return {
        "tokens": found.tokens,
        "acceptance": found.acceptance,
        "acceptance_interval": list(found.interval),
        "by_task": {task: list(counts) for task, counts in found.by_task.items()},
        "run_length": found.run_length,
        "plain_ms": found.plain_ms,
        "draft_ms": found.draft_ms,
        "best_round": _best_round(found.acceptance, found.draft_ms, costs),
        "verify_ms": {str(width): costs[width] for width in (1, 2, 4, 8, 16, 32) if width < len(costs)},
        "threads": threads,
        "best_length": forecast.best_length,
        "speed_up_fixed": forecast.speed_up_fixed,
        "speed_up_adaptive": forecast.speed_up_adaptive,
        "tokens_per_round": forecast.tokens_per_round,
        "speed_up": forecast.speed_up,
        "speed_up_interval": list(interval),
    }


def _best_round(acceptance: float, draft_ms: float, costs: Any) -> dict[str, Any]:
    """The draft length that brings most for its price, with what it brings and costs on top of a plain round."""
    found = []
    for length in range(1, len(costs) - 1):
        tokens = sum(acceptance**count for count in range(1, length + 1))
        price = (length * draft_ms + costs[length + 1] - costs[1]) / costs[1]
        found.append({"drafted": length, "tokens": tokens, "plain_passes": price})
    return max(found, key=lambda one: one["tokens"] / one["plain_passes"], default={})


def _recommendation(target: Path, draft: Path, value: dict[str, Any]) -> str:
    use = f"slipstream run --model {target} --draft-model {draft}"
    if "speed_up" not in value:
        return f"The pair can be used ({use}); whether it pays only a probe tells: leave out --headers-only."
    gain, (low, high) = value["speed_up"], value["speed_up_interval"]
    if gain < WORTH:
        refusal = f"Don't use it here: plain decoding is as fast ({gain:.2f}x predicted, {low:.2f} to {high:.2f})."
        best = value["best_round"]
        if not best:
            return refusal
        return (
            f"{refusal} At best, {best['drafted']} drafted tokens a round would bring {best['tokens']:.2f} tokens for"
            f" {best['plain_passes']:.2f} plain passes."
        )
    doubt = "" if low >= WORTH else " The probe can't rule out that it gains nothing: try more --tokens."
    return f"Use it: {use} is predicted to be {gain:.2f}x as fast as plain decoding here.{doubt}"


def show(value: dict[str, Any]) -> None:
    """Everything for people, one fact a line."""

    def line(name: str, text: str) -> None:
        print(f"{name:<10} {text}")

    for role in ("target", "draft"):
        one = value[role]
        size = f"{one['quantization']}, {one['weights_bytes'] / 1e9:.2f} GB, {one['vocabulary']} tokens"
        line(role, f"{one['file']} ({one['architecture']}, {size})")
    line("verdict", f"{value['verdict']}: {value['reason']}")
    if value["verdict"] in ("padded", "partial"):
        line("differing", f"{value['differing_count']} ids; the first of them:")
        for token, ours, theirs in value["differing"]:
            line("", f"{token}: {_quoted(ours)} in the target, {_quoted(theirs)} in the draft")
    for note in value["notes"]:
        line("note", note)
    if "speed_up" in value:
        _show_measured(value, line)
    sys.stdout.write(f"\n{value['recommendation']}\n")


def _show_measured(value: dict[str, Any], line: Any) -> None:
    low, high = value["acceptance_interval"]
    line(
        "acceptance",
        f"{value['acceptance']:.0%} of {value['tokens']} tokens (95 % interval {low:.0%} to {high:.0%}),"
        f" {value['run_length']:.1f} in a row on average",
    )
    line("by task", ", ".join(f"{task} {right} of {count}" for task, (right, count) in value["by_task"].items()))
    share = value["draft_ms"] / value["plain_ms"]
    line(
        "drafter",
        f"{value['draft_ms']:.1f} ms a token, {share:.2f} of a plain pass ({value['plain_ms']:.1f} ms,"
        f" {value['threads']} threads)",
    )
    costs = ", ".join(f"{width}: {ms / value['plain_ms']:.2f}" for width, ms in value["verify_ms"].items())
    line("verifying", f"{costs} plain passes by tokens in the pass")
    low, high = value["speed_up_interval"]
    fixed = f"{value['speed_up_fixed']:.2f}x with {value['best_length']} drafted tokens a round"
    line("predicted", f"{fixed}, {value['speed_up_adaptive']:.2f}x if drafting stops where it doesn't pay")
    line("", f"90 % interval {low:.2f} to {high:.2f}, {value['tokens_per_round']:.1f} tokens a round")


def _quoted(text: str | None) -> str:
    return "nothing" if text is None else repr(text)
