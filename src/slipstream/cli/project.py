"""`slipstream project`: what the stack would bring on another machine. A projection, never a measurement."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.cli import options as shared
from slipstream.core.errors import RequestError

CONTEXT = 4096
"""Tokens of context that a model is opened with, as the benchmarks do it, or as many as it was trained for."""


def project(
    host: Annotated[
        list[str] | None, typer.Option(help="Described machine; may be repeated. Default: epyc-9655.")
    ] = None,
    hosts: Annotated[Path | None, typer.Option(help="TOML file of your own machines, not the built-in ones.")] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            help="Stored run or benchmark, or file of run --trace, whose answers are replayed. Default: the latest.",
        ),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option("--model", "-m", help="GGUF file to project; repeated for other quantizations of it."),
    ] = None,
    prompts: Annotated[
        list[Path] | None,
        typer.Option(help="JSON lines with the prompts of a run that doesn't hold them. Default: the built-in set."),
    ] = None,
    draft_model: shared.DraftModel = None,
    draft_quantization: shared.DraftQuantization = "",
    bandwidth: Annotated[
        float | None, typer.Option(help="This machine's memory bandwidth in GB/s. Default: it is measured.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Replay recorded answers on the projected curve of a described machine, and check the method on this one."""
    from slipstream.bench import machine as machines
    from slipstream.bench import projection as bench
    from slipstream.cli.project_table import show

    if bandwidth is not None and not bandwidth > 0:
        raise RequestError(f"--bandwidth is {bandwidth:g}", hint="give GB/s")
    described = [machines.described(name, hosts) for name in host or ["epyc-9655"]]
    models = model or [_default_model()]
    asked = _prompts(prompts or [])
    recordings = _recordings(source or [], models[0].name, asked)
    texts = {prompt.id: prompt.text for prompt in asked}
    seen = [_see(path, recordings, texts, draft_model, draft_quantization) for path in models]
    here = _here(bandwidth, described[0].clock_ghz)
    subjects = [_subject(one, seen) for one in seen]
    rows = [row for one in subjects for machine in (here, *described) for row in bench.projections(one, here, machine)]
    checks = [check for one, subject in zip(seen, subjects, strict=True) for check in _checks(one, subject, seen)]
    sources = list(dict.fromkeys(one.source for one in recordings))
    lines = dict.fromkeys(line for one in subjects for line in bench.assumptions(one, here, described))
    stored = _store(models, rows, checks, list(lines), sources)
    if as_json:
        value = {
            "kind": bench.LABEL,
            "run": stored,
            "rows": [asdict(row) for row in rows],
            "checks": [asdict(check) for check in checks],
            "wanted_error": bench.GOOD,
            "assumptions": list(lines),
            "sources": sources,
        }
        print(json.dumps(value))
    else:
        show(rows, checks, list(lines))
        print(f"Answers of {', '.join(sources)}; stored as {stored}, a projection")
    return 0


def _store(
    models: Sequence[Path], rows: Sequence[Any], checks: Sequence[Any], assumptions: Sequence[str],
    sources: Sequence[str],
) -> str:  # fmt: skip
    """Keep the projection, and return the id of its run."""
    from slipstream.bench.cell import Run
    from slipstream.bench.projected import projected_run
    from slipstream.bench.projection import LABEL
    from slipstream.bench.store import ResultStore, new_id
    from slipstream.cli import measured
    from slipstream.host import launch
    from slipstream.models.gguf import identity

    now = time.time()
    hashes = {path.name: identity(path) for path in models}
    run = Run(
        id=new_id(now),
        kind=LABEL,
        started=now,
        arguments=launch.arguments(sys.argv),
        attestation=measured.attestation(hashes),
    )
    with ResultStore.open(measured.store_file()) as store:
        store.add(projected_run(run, rows, checks, assumptions, sources))
    return run.id


@dataclass(frozen=True, slots=True)
class _Seen:
    """A model file after it was opened: costs, what it answered (None: nothing is recorded), and the vocabulary by
    which others may borrow that."""

    costed: Any
    recording: Any
    known: tuple[Any, ...]
    vocabulary: str
    draft: Any


def _default_model() -> Path:
    from slipstream import config
    from slipstream.models.embedded import embedded_model

    return config.load().model or embedded_model()


def _recordings(names: Sequence[str], model: str, asked: Sequence[Any]) -> list[Any]:
    """Of the named runs, benchmarks and traces, or of the latest that holds answers. A trace is one of `model`, which
    answered the one prompt asked."""
    from slipstream.bench.recordings import of_store, of_trace
    from slipstream.bench.store import ResultStore
    from slipstream.cli import measured

    found: list[Any] = []
    with ResultStore.open(measured.store_file()) as store:
        together: dict[str, list[str]] = {}
        for run in store.runs():
            if not run.retracted:
                together.setdefault(run.plan.get("benchmark", run.id), []).insert(0, run.id)
        for name in names or together:
            if Path(name).is_file():
                if len(asked) != 1:
                    raise RequestError(
                        f"{name} holds one answer, and there are {len(asked)} prompts",
                        hint="name with --prompts a file of the one that was asked",
                    )
                found.append(of_trace(Path(name), model, asked[0]))
            else:
                found += of_store(name, [_standing(store.whole(run)) for run in together.get(name, [name])])
            if found and not names:
                break
    if not found:
        raise RequestError(
            f"no answers are recorded in {', '.join(names) or 'the result store'}",
            hint="make some: slipstream bench stack, or slipstream bench compare",
        )
    return found


def _standing(whole: Any) -> Any:
    """The run, unless it was withdrawn."""
    if whole.run.retracted:
        raise RequestError(
            f"run {whole.run.id} is retracted: {whole.run.retracted}", hint="name another one with --from"
        )
    return whole


def _prompts(files: Sequence[Path]) -> list[Any]:
    from slipstream.bench.workload import built_in, load

    return [prompt for one in (map(load, files) if files else [built_in()]) for prompt in one]


def _see(path: Path, recordings: Sequence[Any], texts: dict[str, str], draft: Path | None, quantization: str) -> _Seen:
    """Open a model for its curve and its tokenizer, and tokenize the prompts that it answered."""
    from slipstream.bench.known import Known
    from slipstream.bench.projection import Costed
    from slipstream.bench.recordings import DRAFT
    from slipstream.bench.roofline import work_of
    from slipstream.models.gguf import read_header

    stem = path.name.removesuffix(".gguf")
    recording = next((one for one in recordings if one.model.removesuffix(".gguf") == stem), None)
    with _session(path, draft, quantization) as session:
        costed = Costed(path.name, work_of(session.header), session.keep.curve)
        known = []
        for answered in recording.answers if recording else ():
            text = answered.prompt.text or texts.get(answered.prompt.id, "")
            if text:
                tokens = session.request(text).prompt
                known.append(Known(answered.prompt.id, answered.prompt.task, tokens, answered.tokens))
        if recording and not known:
            raise RequestError(
                f"the run {recording.source} holds no text of its prompts", hint="name their files with --prompts"
            )
        second = None
        drafter = session.loop.paid.get(DRAFT)
        if drafter is not None:
            if not drafter.aligned:
                raise RequestError(
                    f"{draft} has another vocabulary than {path.name}", hint="only one with the same can be replayed"
                )
            file = drafter.model.options.path
            second = Costed(file.name, work_of(read_header(file)), session.loop.policy.prices[DRAFT].curve)
            known = list(_recorded(drafter, known))
        return _Seen(costed, recording, tuple(known), session.tokenizer.fingerprint, second)


@contextmanager
def _session(path: Path, draft: Path | None, quantization: str) -> Iterator[Any]:
    from slipstream.models.gguf import read_header

    given = shared.drafter_settings(quantization)
    context = min(CONTEXT, read_header(path).context_length or CONTEXT)
    with shared.open_session(
        model=path, context_length=context, memory=False, learn=False, profile=False, draft_model=draft,
        drafter_settings=given,
    ) as session:  # fmt: skip
        yield session


def _recorded(drafter: Any, known: Sequence[Any]) -> Iterator[Any]:
    """The answers with what the draft model says to each of their tokens."""
    from slipstream.bench.predict import Aligned
    from slipstream.cli.progress import Bar
    from slipstream.control.measure import Progress

    with Bar("asking the draft model") as bar:
        for number, one in enumerate(known):
            bar(Progress(number, len(known), one.id))
            drafter.forget()
            said = Aligned(drafter.model, time.perf_counter)(one.prompt, one.answer)
            drafter.model.rewind(0, 0)
            yield replace(one, agree=said.agree, chances=said.probabilities)


def _here(bandwidth: float | None, clock: float) -> Any:
    """This machine, its memory measured unless it is told; `clock` in GHz is taken where it doesn't tell its own."""
    from slipstream.bench.machine import this_machine
    from slipstream.bench.triad import array_bytes, measure_bandwidth
    from slipstream.engine.build import engine_build
    from slipstream.host import cpu, memory, power

    processor = cpu.read()
    clock = power.nominal_ghz() or clock
    if bandwidth is None:
        triad = measure_bandwidth(processor.cores, array_bytes(memory.read().available, processor.cores)).moved
    else:
        triad = 1e9 * bandwidth
    compiled = tuple(sorted(engine_build().compiled))
    return this_machine(processor.model, processor.cores, clock, triad, compiled)


def _subject(one: _Seen, seen: Sequence[_Seen]) -> Any:
    """With the model's own answers, else those of another one with the same vocabulary."""
    from slipstream.bench.projection import Subject

    lender = next((other for other in (one, *seen) if other.known and other.vocabulary == one.vocabulary), None)
    if lender is None:
        raise RequestError(
            f"no answers of {one.costed.name} are recorded",
            hint="name with -m another quantization of it whose answers are, or make some with slipstream bench stack",
        )
    return Subject(one.costed, lender.known, lender.costed.name, lender.recording.round_ms, one.draft)


def _checks(one: _Seen, subject: Any, seen: Sequence[_Seen]) -> list[Any]:
    """What was measured of a model against what every vocabulary-sharing model's answers predict."""
    from slipstream.bench.projection import checks

    lenders = [other for other in seen if other.known and other.vocabulary == one.vocabulary]
    return [
        check
        for other in (lenders if one.recording else ())
        for check in checks(replace(subject, known=other.known, answers_of=other.costed.name), one.recording)
    ]
