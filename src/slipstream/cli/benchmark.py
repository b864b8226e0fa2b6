"""What `bench first-light` and `bench stack` share: one invocation, and its stored run for every model and suite."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from slipstream.bench import cell_figures
from slipstream.bench.arms import STACK
from slipstream.bench.canary import Canary
from slipstream.bench.cell import Arm, Cell, Run
from slipstream.bench.claim import Claim
from slipstream.bench.compare import BASELINE
from slipstream.bench.doubts import Limits
from slipstream.bench.first_light import Suite
from slipstream.bench.recordings import DRAFT
from slipstream.bench.runner import Plan, measure
from slipstream.bench.session_arm import Stage
from slipstream.bench.store import ResultStore, new_id
from slipstream.bench.store_rows import Curve, StoredRun
from slipstream.bench.traced_arm import on_stage
from slipstream.bench.workload import Prompt
from slipstream.cli import arm_settings, measured, paired
from slipstream.cli import options as shared
from slipstream.control.curve import VerifyCost
from slipstream.core.errors import RequestError, UnknownName
from slipstream.host import launch

CONTEXT = 4096
"""Tokens of context that a model is opened with, or as many as it was trained for."""
WIDTHS = (2, 4, 8, 16, 32, 64)
"""Of which a report tells the cost."""

Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A complete run of the benchmark, as the store has it."""

    run: Run
    suspect: str
    cells: Sequence[Cell]
    claims: Sequence[Claim]

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """What it was measured on."""
        return tuple(Prompt(**row) for row in self.run.plan["prompts"])


@dataclass(slots=True)
class Benchmark:
    """An invocation under way; `asked` is all of its command line that matters, and stands in the plan of every run."""

    kind: str
    id: str
    asked: Mapping[str, Any]
    store: ResultStore
    canary: Canary | None
    parts: list[Part] = field(default_factory=list)

    def stored(self) -> list[StoredRun]:
        """Its runs so far, the first one first."""
        return [run for run in self.store.runs(self.kind) if run.plan.get("benchmark") == self.id][::-1]

    def held(self, model: str, suite: str, part: str = "") -> StoredRun | None:
        """The run of a model file and a suite, if it was begun."""
        return next(
            (
                run
                for run in self.stored()
                if (_model(run), run.plan["suite"], run.plan["part"]) == (model, suite, part)
            ),
            None,
        )

    def new(self, suite: Suite, arms: Sequence[Arm], pairs: int, checks: int = 0, part: str = "", **more: Any) -> Run:
        """A run of these arms that is not begun yet. `part` is "" for the suite as such, else what a run beside it is
        for; `more` goes to its plan."""
        now, settings = time.time(), arms[0].configuration["settings"]
        models = [settings["model"], *filter(None, [settings.get("draft_model")])]
        return Run(
            id=new_id(now),
            kind=self.kind,
            started=now,
            arguments=launch.arguments(sys.argv),
            arms=tuple(arms),
            plan={
                "prompts": [asdict(prompt) for prompt in suite.prompts],
                "pairs": pairs,
                "checks": checks,
                "size": 1,
                "held": [],
                "benchmark": self.id,
                "suite": suite.name,
                "part": part,
                "asked": dict(self.asked),
                **more,
            },
            attestation=measured.attestation(dict(map(_identity, models))),
        )

    @contextmanager
    def stage(self, settings: Mapping[str, Any]) -> Iterator[Stage]:
        """The model, from a cold start: nothing learnt or tuned before counts, and the curve is that of the machine as
        it is now."""
        from slipstream.host.load import Sentinel

        options = replace(arm_settings.opening(settings), remeasure=True)
        given = {one.name: getattr(options, one.name) for one in fields(options)}
        with shared.open_session(**given) as session:
            stage = Stage(session, load=Sentinel())
            stage.warm_up()
            yield stage

    def measure(self, run: Run, stage: Stage) -> Part:
        """The run, or what is left of it. Raises KeyboardInterrupt if it is interrupted."""
        from slipstream.bench.garbage import doubt
        from slipstream.cli.progress import Bar

        if not (isinstance(run, StoredRun) and run.state == "complete"):
            plan = {one.name: run.plan[one.name] for one in fields(Plan)}
            prompts = tuple(Prompt(**row) for row in plan.pop("prompts"))

            def answer(prompt: str) -> Sequence[int]:
                return cell_figures.answers(self.store.cells(run.id, BASELINE), BASELINE).get(prompt, ())

            self.store.begin(run)
            for curve in _curves(stage.session, _model(run)):
                self.store.curve(run.id, curve)
            with Bar(" ".join(filter(None, (run.plan["suite"], run.plan["part"])))) as bar:
                outcome = measure(
                    run, Plan(**plan, prompts=prompts), on_stage(run.arms, stage, answer), self.store,
                    Limits(others=self.asked["others"], garbage=doubt),
                    canary=self.canary, history=measured.history(self.store, run, self.canary), report=bar,
                )  # fmt: skip
            if outcome.state == "interrupted":
                raise KeyboardInterrupt
        part = Part(run, self.store.run(run.id).suspect, self.store.cells(run.id), self.store.claims(run.id))
        self.parts.append(part)
        return part

    def ratios(self, run: Run) -> dict[str, float]:
        """The cost of passes by the curve that a run stored, in plain passes."""
        table = next(one.table for one in self.store.curves(run.id) if one.model == _name(_model(run)))
        curve = VerifyCost({depth: dict(row) for depth, row in table.items()})
        return {str(width): round(curve.ratio(width), 2) for width in WIDTHS}


def settings_of(path: Path, **more: Any) -> dict[str, Any]:
    """How a model is opened, checked before anything runs."""
    from slipstream.models.gguf import read_header

    context = min(CONTEXT, read_header(path).context_length or CONTEXT)
    given = {name: value for name, value in more.items() if value}
    settings = arm_settings.checked({"model": path, "context_length": context, **given})
    paired.checked_model(settings)
    return settings


def divergences(part: Part, stage: Stage) -> list[dict[str, Any]]:
    """Where the stack's answers part from plain ones, and how near the tie was."""
    tokens = {prompt.id: stage.session.request(prompt.text).prompt for prompt in part.prompts}
    return cell_figures.divergences(part.cells, stage.session, tokens, STACK, BASELINE)


def asked_of_both(
    data: Path | None, repetitions: int, short: int | None, others: float, canary: bool
) -> dict[str, Any]:  # fmt: skip
    """What both commands are asked for, for the plan. RequestError for a folder of workload files that isn't there, and
    for a number that isn't above 0."""
    if data is not None and not data.is_dir():
        raise RequestError(f"there is no folder {data}", hint="name the folder of the workload files with --data")
    paired.require_positive(repetitions=repetitions, short=short, others=others)
    folder = str(data.absolute()) if data else ""
    return {"data": folder, "repetitions": repetitions, "short": short, "others": others, "canary": canary}


def perform(
    kind: str, resume: str, asked: Callable[[], Mapping[str, Any]], work: Callable[[Benchmark, Report], None],
    show: Callable[[Report], None], *, as_json: bool,
) -> int:  # fmt: skip
    """Do what is `asked`, or go on with what was, and print the report that `work` fills. Returns the exit code."""
    from slipstream.bench.runner_lock import RunnerLock
    from slipstream.cli.benchmark_table import as_dict, show_verdicts

    path, report, interrupted = measured.store_file(), Report(), False
    given = {} if resume else asked()
    with RunnerLock(path), ResultStore.open(path) as store, ExitStack() as opened:
        name, given = _resumed(store, kind, resume) if resume else (new_id(time.time()), given)
        canary = measured.canary(opened, given["others"]) if given["canary"] else None
        benchmark = Benchmark(kind, name, given, store, canary)
        try:
            work(benchmark, report)
        except KeyboardInterrupt:
            if not benchmark.stored():
                raise
            interrupted = True
    if as_json:
        print(json.dumps(as_dict(name, interrupted, benchmark.parts) | report))
    elif not interrupted:
        show(report)
        show_verdicts(benchmark.parts)
    return measured.interrupted(kind, name) if interrupted else 0


def _resumed(store: ResultStore, kind: str, name: str) -> tuple[str, Mapping[str, Any]]:
    """A benchmark by its id or that of one of its runs, or by the beginning of only one, and what it was asked."""
    known = {run.plan["benchmark"]: run for run in store.runs(kind) if "benchmark" in run.plan}
    runs = {run.id: run.plan["benchmark"] for run in store.runs(kind) if "benchmark" in run.plan}
    found = {runs.get(name, name)} & known.keys() or {one for one in known if one.startswith(name)}
    if not found:
        raise UnknownName("benchmark", name, known or ["none yet"])
    if len(found) > 1:
        raise RequestError(f"{name!r} begins {len(found)} names", hint=f"write more of it: {', '.join(sorted(found))}")
    (one,) = found
    return one, known[one].plan["asked"]


def _model(run: Run) -> str:
    return str(run.arms[0].configuration["settings"]["model"])


def _name(model: str) -> str:
    return Path(model).name.removesuffix(".gguf")


def _identity(model: str) -> tuple[str, str]:
    from slipstream.models.gguf import identity

    return Path(model).name, identity(Path(model))


def _curves(session: Any, model: str) -> list[Curve]:
    """As they were measured: the model's, and that of a draft model whose drafts can be replayed."""
    found = [Curve(_name(model), session.keep.curve.table)]
    drafter = session.loop.paid.get(DRAFT)
    if drafter is not None and drafter.aligned:
        found.append(Curve(_name(drafter.model.options.path), session.loop.policy.prices[DRAFT].curve.table))
    return found
