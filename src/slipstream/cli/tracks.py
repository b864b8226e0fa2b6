"""`slipstream tracks`: every way to draft for a model, and what it brings here."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.cli import options as shared

PROMPTS = 6
TOKENS = 64
VERSION = 1


def tracks(
    model: Annotated[
        Path | None, typer.Argument(help="GGUF file. Default: the configured one, else the embedded SmolLM2.")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Try every available source against plain decoding: a few minutes.")
    ] = False,
    draft_model: shared.DraftModel = None,
    draft_quantization: shared.DraftQuantization = "",
    self_draft: shared.SelfDraft = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    context: shared.Context = None,
    threads: shared.Threads = None,
    verbose: shared.Verbose = False,
) -> int:
    """Which tracks of speculative decoding a model has here: verdict, acceptance, speed-up, how to enable."""
    from dataclasses import asdict

    from slipstream.bench.tracks import tracks

    sources = _sources(model, draft_model, self_draft) if measure else None
    with shared.open_session(
        verbose=verbose,
        model=model,
        drafters=sources,
        draft_model=draft_model,
        drafter_settings=shared.drafter_settings(draft_quantization),
        self_draft=self_draft,
        context_length=context,
        threads=threads,
        memory=False,
        learn=False,
        profile=False,
    ) as session:
        store = _Store(session)
        outcomes = store.read()
        if measure:
            outcomes |= _measure(session)
            store.write(outcomes)
        rows = tracks(_facts(session), outcomes)
        name = session.header.path.name
    if as_json:
        print(json.dumps({"model": name, "tracks": [asdict(row) for row in rows]}))
    else:
        show(name, rows, measured=bool(outcomes))
    return 0


def _sources(model: Path | None, draft_model: Path | None, self_draft: Path | None) -> tuple[str, ...]:
    """Everything there is to measure: also what "auto" leaves alone."""
    from slipstream import config
    from slipstream.drafters import catalog
    from slipstream.models.embedded import embedded_model
    from slipstream.models.gguf import identity, read_header
    from slipstream.selfdraft.found import Shelf

    settings = config.load()
    header = read_header(model or settings.model or embedded_model())
    made = [
        one for one in Shelf.open(settings.data_root.state, identity(header.path)).all() if Path(one.file).is_file()
    ]
    names = list(catalog.names(free=True))
    names += ["draft_model"] if draft_model or settings.draft_model else []
    names += ["self_draft"] if made or self_draft else []
    names += ["cascade"] if made else []
    names += ["native_head"] if header.metadata.get(f"{header.architecture}.nextn_predict_layers") else []
    return tuple(names)


class _Store:
    """The outcomes of a model on this machine, as measured last."""

    def __init__(self, session: Any) -> None:
        from slipstream import config

        self.path = config.load().data_root.state / "tracks" / session.keep.curve_path.name

    def read(self) -> dict[str, Any]:
        from slipstream.bench.tracks import Outcome
        from slipstream.storage.files import read_json_or_set_aside

        value, warning = read_json_or_set_aside(self.path)
        if warning:
            print(f"note: {warning}: measure again", file=sys.stderr)
        if not isinstance(value, dict) or value.get("version") != VERSION:
            return {}
        return {source: Outcome.from_json(one) for source, one in value["outcomes"].items()}

    def write(self, outcomes: dict[str, Any]) -> None:
        from slipstream.storage.files import write_atomic

        value = {source: outcome.to_json() for source, outcome in outcomes.items()}
        write_atomic(self.path, json.dumps({"version": VERSION, "outcomes": value}))


def _facts(session: Any) -> Any:
    from slipstream import config
    from slipstream.bench.tracks import Facts
    from slipstream.models.gguf import identity
    from slipstream.models.heads import heads_of
    from slipstream.selfdraft.found import Shelf

    header = session.header
    head = heads_of(header)
    refusal, kept = _experts(header)
    shelf = Shelf.open(config.load().data_root.state, identity(header.path))
    made = {item.file for item in shelf.all() if item.file and Path(item.file).is_file()}
    return Facts(
        header.path.name,
        session.target.capabilities,
        (header.expert_count, header.experts_used),
        refusal,
        kept,
        (head.kind, head.usable, head.reason, head.needs),
        session.loop.sources,
        "; ".join(note for source, note in session.second_notes if source == "draft_model"),
        len(made),
    )


def _experts(header: Any) -> tuple[str, Any]:
    """Why a token can't use fewer experts, and the number that was kept, as its evidence."""
    from slipstream import config
    from slipstream.bench.expert_profile import kept
    from slipstream.cli.experts import stored_profile
    from slipstream.core.errors import RequestError
    from slipstream.models.experts import experts_of

    try:
        experts = experts_of(header)
    except RequestError as error:
        return str(error), None
    return "", kept(stored_profile(header, config.load())[1], experts)


def _measure(session: Any) -> dict[str, Any]:
    """Every open source alone against plain decoding, on a few built-in prompts, from a cold start."""
    from slipstream.bench import stack, workload
    from slipstream.bench.arms import session_arm
    from slipstream.bench.compare import BASELINE, Comparison, interleave
    from slipstream.bench.tracks import Outcome
    from slipstream.cli.progress import Bar
    from slipstream.control.measure import Progress

    prompts = workload.pick(workload.built_in(), each=1)[:PROMPTS]
    sources = session.loop.sources
    choices = {BASELINE: "off"} | {source: (source,) for source in sources}
    arms = {name: session_arm(session, name, draft, TOKENS, time.time) for name, draft in choices.items()}
    comparison, total = Comparison(), len(prompts) * len(arms)
    with Bar("measuring") as bar:
        for sample in interleave(prompts, arms, 1, session.forget):
            comparison.samples.append(sample)
            bar(Progress(len(comparison.samples), total, f"{sample.prompt.id}, {sample.arm}"))
        singles = stack.ablate(session, prompts, comparison.answers(BASELINE), time.perf_counter)
    outcomes = {}
    for source in sources:
        ratio, stats = comparison.ratio(source, comparison.prompts()), comparison.stats(source)
        predicted = next((single.speed_up for single in singles if single.source == source), None)
        acceptance = stats.accepted / stats.drafted if stats.drafted else None
        outcomes[source] = Outcome(acceptance, predicted, (ratio.value, ratio.low, ratio.high), len(prompts))
    return outcomes


def show(model: str, rows: Any, *, measured: bool) -> None:
    """The table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"tracks of {model}")
    for heading in ("", "track", "status", "verdict", "accepted", "predicted", "measured", "how"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        found = row.outcome
        table.add_row(
            row.number,
            row.name,
            row.status,
            row.verdict,
            f"{100 * found.acceptance:.0f} %" if found and found.acceptance is not None else "",
            f"{found.predicted:.2f}x" if found and found.predicted is not None else "",
            "{:.2f}x ({:.2f} to {:.2f})".format(*found.measured) if found and found.measured else "",
            row.enable,
        )
    Console(width=None if sys.stdout.isatty() else 170).print(table)
    if measured:
        print("Predicted: the best fixed length, replayed. Measured: the source alone under the policy, against plain.")
    else:
        print("Nothing is measured yet: slipstream tracks --measure")
