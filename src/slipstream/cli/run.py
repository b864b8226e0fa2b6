"""`slipstream run`: one prompt, streamed."""

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.cli import options as shared
from slipstream.core.errors import RequestError
from slipstream.core.request import Sampling
from slipstream.core.stats import Stats

NEUTRAL = Sampling()


def run(
    prompt: Annotated[str | None, typer.Argument(help="The prompt. Default: --file, else standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the prompt from a UTF-8 file.")] = None,
    system: Annotated[str, typer.Option(help="System prompt.")] = "",
    raw: Annotated[bool, typer.Option("--raw", help="No chat template: continue the text itself.")] = False,
    max_tokens: Annotated[int, typer.Option("--max-tokens", "-n", help="Most tokens to generate.")] = 512,
    stop: Annotated[list[str] | None, typer.Option(help="Stop before this text; may be repeated.")] = None,
    draft: shared.Draft = "auto",
    draft_model: shared.DraftModel = None,
    draft_quantization: shared.DraftQuantization = "",
    draft_experts: shared.DraftExperts = 0,
    self_draft: shared.SelfDraft = None,
    reference: Annotated[
        Path | None, typer.Option(help="A text the answer is expected to resemble: it is drafted from.")
    ] = None,
    memory: Annotated[
        bool | None, typer.Option("--memory/--no-memory", help="Draft from earlier outputs, and remember this one.")
    ] = None,
    memory_file: Annotated[Path | None, typer.Option(help="File of the memory, in place of the data root's.")] = None,
    workload: Annotated[
        str, typer.Option(help="Class of text under which acceptance is learnt, such as code or chat.")
    ] = "default",
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token.")] = NEUTRAL.temperature,
    top_k: Annotated[int, typer.Option(help="Keep the k likeliest tokens; 0: all.")] = NEUTRAL.top_k,
    top_p: Annotated[float, typer.Option(help="Keep the likeliest tokens that make up p; 1: all.")] = NEUTRAL.top_p,
    min_p: Annotated[float, typer.Option(help="Keep tokens at least this likely against the best.")] = NEUTRAL.min_p,
    typical_p: Annotated[float, typer.Option(help="Locally typical sampling; 1: off.")] = NEUTRAL.typical_p,
    repeat_penalty: Annotated[float, typer.Option(help="Above 1 discourages repetition.")] = NEUTRAL.repeat_penalty,
    repeat_last_n: Annotated[int, typer.Option(help="Tokens that penalties look back.")] = NEUTRAL.repeat_last_n,
    presence_penalty: Annotated[float, typer.Option(help="Taken from seen tokens.")] = NEUTRAL.presence_penalty,
    frequency_penalty: Annotated[float, typer.Option(help="Taken per occurrence.")] = NEUTRAL.frequency_penalty,
    dry_multiplier: Annotated[float, typer.Option(help="DRY repetition penalty; 0: off.")] = NEUTRAL.dry_multiplier,
    dry_base: Annotated[float, typer.Option(help="DRY's growth per repeated token.")] = NEUTRAL.dry_base,
    dry_allowed_length: Annotated[int, typer.Option(help="Repeats DRY allows.")] = NEUTRAL.dry_allowed_length,
    seed: Annotated[int, typer.Option(help="Seed of sampling.")] = NEUTRAL.seed,
    grammar: Annotated[Path | None, typer.Option(help="GBNF grammar file the answer must follow.")] = None,
    json_schema: Annotated[
        str, typer.Option(help="JSON schema the answer must follow: the schema itself or @FILE.")
    ] = "",
    logit_bias: Annotated[list[str] | None, typer.Option(help="TOKEN_ID=BIAS; may be repeated.")] = None,
    ignore_end: Annotated[bool, typer.Option("--ignore-end", help="Go on past end tokens.")] = False,
    stats: Annotated[bool, typer.Option("--stats", help="Print figures to standard error at the end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of streaming.")] = False,
    trace: Annotated[
        Path | None, typer.Option(help="Write one JSON line a round: plan, reason, outcome, times.")
    ] = None,
    model: shared.Model = None,
    context: shared.Context = None,
    threads: shared.Threads = None,
    flash_attention: shared.FlashAttention = "auto",
    key_type: shared.KeyType = "f16",
    value_type: shared.ValueType = "f16",
    mmap: shared.Map = True,
    mlock: shared.Lock = False,
    numa: shared.Numa = "off",
    experts: shared.Experts = None,
    override_kv: shared.Override = None,
    exact: shared.Exact = False,
    profile: shared.Profile = None,
    verbose: shared.Verbose = False,
) -> int:
    """Generate text, drafting where it pays on this machine. The output is that of plain decoding."""
    given = locals()
    sampler = {field.name: given[field.name] for field in fields(Sampling) if field.name in given}
    sampler |= {
        "grammar": shared.read_text(grammar, "grammar") if grammar else "",
        "json_schema": _schema(json_schema),
        "logit_bias": _biases(logit_bias),
    }
    sampling = Sampling(**sampler)
    if memory_file and memory is False:
        raise RequestError("--no-memory contradicts --memory-file", hint="give one of them")
    drafters = shared.draft_choice(draft)
    text = _prompt(prompt, file)
    if not text.strip():
        raise RequestError("the prompt is empty", hint="give some text")
    expected = shared.read_text(reference, "reference") if reference else ""
    with ExitStack() as stack:
        tracer = stack.enter_context(_tracer(trace)) if trace else None
        session = stack.enter_context(
            shared.open_session(
                verbose=verbose,
                trace=tracer,
                model=model,
                drafters=shared.sources(drafters),
                draft_model=draft_model,
                drafter_settings=shared.drafter_settings(draft_quantization, draft_experts),
                self_draft=self_draft,
                context_length=context,
                threads=threads,
                flash_attention=flash_attention,
                key_type=key_type,
                value_type=value_type,
                mmap=mmap,
                mlock=mlock,
                numa=numa,
                experts=experts,
                kv_overrides=shared.overrides(override_kv),
                exact=exact,
                profile=profile,
                memory=memory_file or memory,
            )
        )
        request = session.request(
            text,
            system=system,
            raw=raw,
            max_tokens=max_tokens,
            stop=stop or (),
            draft=drafters,
            reference=expected,
            workload=workload,
            ignore_end=ignore_end,
            sampling=sampling,
        )
        return _generate(session, request, stats, as_json)


def _generate(session: Any, request: Any, stats: bool, as_json: bool) -> int:
    finish, parts, tokens = "cancelled", [], []
    chunks = session.chunks(request)
    try:
        for chunk in chunks:
            finish = chunk.finish or finish
            parts.append(chunk.text)
            tokens.extend(chunk.tokens)
            if not as_json:
                print(chunk.text, end="", flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        chunks.close()
    if as_json:
        print(json.dumps({"text": "".join(parts), "tokens": tokens, "finish": finish, "stats": as_dict(session.stats)}))
    else:
        print()
    if finish == "context":
        print(f"note: the context of {session.loop.context_length} tokens is full (--context)", file=sys.stderr)
    for warning in session.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if stats:
        print("\n".join(lines(session.stats)), file=sys.stderr)
    return 130 if finish == "cancelled" else 0


def lines(stats: Stats) -> list[str]:
    """A request's figures for people."""
    rounds = max(1, stats.rounds)
    result = [
        f"{stats.tokens} tokens at {stats.tokens_per_second:.1f} tok/s; prompt {stats.prompt_tokens} tokens"
        f" ({stats.reused_tokens} reused) in {stats.prefill_ms / 1000:.2f} s",
        f"{stats.rounds} rounds, {stats.tokens_per_round:.2f} tokens per round;"
        f" {stats.draft_rounds} with a draft, accepted length {stats.accepted_length:.2f}",
    ]
    for name, source in stats.sources.items():
        share = 100 * source.accepted / source.drafted
        result.append(
            f"{name}: {source.drafts} drafts, {source.accepted} of {source.drafted} tokens stood ({share:.0f} %)"
        )
    other = stats.decode_ms - stats.target_ms
    result.append(
        f"a round: target {stats.target_ms / rounds:.2f} ms, drafting {stats.draft_ms / rounds:.3f} ms,"
        f" policy {stats.plan_ms / rounds:.3f} ms, all but the target {100 * other / max(stats.decode_ms, 1e-9):.1f} %"
    )
    return result


def as_dict(stats: Stats) -> dict[str, Any]:
    """A request's figures for programs; times in milliseconds."""
    names = [field.name for field in fields(Stats) if field.name != "sources"]
    derived = ("tokens_per_second", "tokens_per_round", "accepted_length", "drafted", "accepted")
    return {
        **{name: getattr(stats, name) for name in (*names, *derived)},
        "sources": {
            name: {"drafts": source.drafts, "drafted": source.drafted, "accepted": source.accepted}
            for name, source in stats.sources.items()
        },
    }


def _tracer(path: Path) -> Any:
    from slipstream.trace import TraceFile

    return TraceFile(path)


def _prompt(argument: str | None, file: Path | None) -> str:
    if argument is not None and file is not None:
        raise RequestError("both a prompt and --file were given", hint="give one of them")
    if file is not None:
        return shared.read_text(file, "prompt file")
    if argument is not None and argument != "-":
        return argument
    if sys.stdin is None or sys.stdin.isatty():
        raise RequestError("there is no prompt", hint="give it as an argument, with --file, or on standard input")
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"standard input is not UTF-8 at byte {error.start}", hint="convert it to UTF-8") from None


def _schema(text: str) -> str:
    if not text:
        return ""
    schema = shared.read_text(Path(text[1:]), "JSON schema") if text.startswith("@") else text

    from slipstream.engine.grammar import from_json_schema

    from_json_schema(schema)  # refuses a bad one before the model is loaded
    return schema


def _biases(values: Sequence[str] | None) -> tuple[tuple[int, float], ...]:
    biases = []
    for value in values or ():
        token, _, bias = value.partition("=")
        try:
            biases.append((int(token), float(bias)))
        except ValueError:
            raise RequestError(f"--logit-bias {value!r} can't be read", hint="write it as 1234=-2.5") from None
    return tuple(biases)
