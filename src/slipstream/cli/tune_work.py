"""What `slipstream tune` works with: the model, what is at hand for it, and children that measure a configuration."""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from slipstream import config
from slipstream.assembly.options import Options, model_options
from slipstream.bench.cell import Cell
from slipstream.bench.child import environment
from slipstream.bench.child_arm import CELL, OPENING, ChildArm
from slipstream.bench.doubts import Limits
from slipstream.bench.garbage import doubt
from slipstream.bench.schedule import Block
from slipstream.bench.store import FILE, ResultStore, new_id
from slipstream.bench.store_rows import State, StoredRun, WholeRun
from slipstream.bench.workload import Prompt, built_in, load, pick
from slipstream.cli import measured
from slipstream.cli.tune_quality import losses, markable, text_of
from slipstream.core.errors import RequestError, SlipstreamError
from slipstream.engine.build import engine_build
from slipstream.host import cpu, launch
from slipstream.host.fingerprint import fingerprint
from slipstream.models.embedded import embedded_model
from slipstream.models.gguf import Header, identity, read_header
from slipstream.profile import Key, Profile, Profiles
from slipstream.storage.root import DataRoot
from slipstream.tune.configuration import DEFAULT, Configuration
from slipstream.tune.halving import Search
from slipstream.tune.launches import launches
from slipstream.tune.objective import Figure, weights_of
from slipstream.tune.quality_limit import Losses, QualityLimit
from slipstream.tune.record import Record, cell_from_json, recorded
from slipstream.tune.space import AtHand, Knob, knobs, opening
from slipstream.tune.tuning import KIND, Task, Tuned, arms_of, claim_of, part, profile_of, race_of, tune
from slipstream.tune.variants import beside, named, precise

AROUND = 0.02
"""Share of the time for what is around the measuring: start, hashes, the store."""
QUALITY = 0.3
"""Share of the search's time after which no more quality is measured."""
LONG_OPENING, LONG_CELL = 0.5, 0.1
"""Shares of all the time that opening a model, and one answer, may take."""
LEAST_SECONDS = 60.0
"""That they have in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says."""

    model: Path | None
    seconds: float
    tasks: tuple[str, ...]
    workload: Path | None
    max_tokens: int
    figure: Figure
    variants: tuple[Path, ...]
    drafts: tuple[Path, ...]
    knobs: tuple[str, ...]
    limits: Mapping[str, float]
    text: Path | None
    others: float
    context: int | None
    canary: bool


@dataclass(slots=True)
class Work:
    """Everything that a tuning needs. `stored` is the profile that is kept now, `base` what other commands decided of
    it; `marked` are prompts whose answers can be marked, `worse` files of the model that only a limit lets join.

    `run` names the search through all interruptions, `before` is the canary ahead of it."""

    asked: Asked
    root: DataRoot
    header: Header
    key: Key
    at_hand: AtHand
    tasks: Sequence[Task]
    chosen: Sequence[Knob]
    opening: Sequence[Configuration]
    profiles: Profiles
    stored: Profile | None
    base: Profile
    worse: Sequence[Header]
    marked: Sequence[Prompt]
    record: Record = field(init=False)
    search: Search | None = field(default=None, init=False)
    run: str = field(default="", init=False)
    before: Cell | None = field(default=None, init=False)

    @classmethod
    def of(cls, asked: Asked) -> "Work":
        """Read what there is. Raises RequestError, ModelFileError or StateFileError."""
        settings = config.load()
        header = read_header(asked.model or settings.model or embedded_model())
        processor, root = cpu.read(), settings.data_root
        near = beside(header)
        files = {other.path.resolve(): other for other in (*near.variants, *named(header, asked.variants))}
        worse = [] if asked.limits else [other for other in files.values() if not precise(header, other)]
        drafts = tuple(read_header(path.absolute()) for path in asked.drafts) or near.drafts
        at_hand = AtHand(
            cpu=processor,
            threads=settings.threads or processor.cores,
            header=header,
            variants=tuple(other for other in files.values() if other not in worse),
            drafts=tuple(draft for draft in drafts if draft.path != settings.draft_model),
            draft_model=settings.draft_model is not None,
        )
        chosen = knobs(lossy=bool(asked.limits), prefill=asked.figure == "request", only=asked.knobs)
        # A configured number of threads wins over a profile.
        chosen = [knob for knob in chosen if knob.name != "threads" or settings.threads is None]
        key = Key(host=fingerprint(processor), engine=engine_build().build_id, model=identity(header.path))
        profiles = Profiles.open(root.path / "state")
        stored = profiles.find(key, header.path)
        base = (stored or Profile(key=key, path=str(header.path.absolute()))).without(KIND)
        rows = load(asked.workload) if asked.workload else built_in()
        tasks = _tasks(rows, asked.tasks)
        marked = markable(rows, asked.limits["score"]) if "score" in asked.limits else []
        work = cls(
            asked, root, header, key, at_hand, tasks, chosen, opening(at_hand, chosen), profiles, stored, base, worse,
            marked,
        )  # fmt: skip
        work.record = Record(root.path / "state" / "tune" / f"{work._digest()}.jsonl")
        return work

    @property
    def threads(self) -> int:
        """Of the default settings."""
        return self.at_hand.threads

    @property
    def context(self) -> int:
        """Tokens of context that models are opened with."""
        options = model_options(Options(context_length=self.asked.context), config.load(), self.header, self.threads)
        return options.context_length

    def settings(self, configuration: Configuration) -> dict[str, Any]:
        """All that a child is told of how to open and generate."""
        found: dict[str, Any] = {"model": str(self.header.path.absolute()), "profile": False}
        found["max_tokens"] = self.asked.max_tokens
        found |= {"context_length": self.asked.context} if self.asked.context else {}
        found |= {**self.base.options, **configuration.options}
        if (drafters := found.pop("drafters", None)) is not None:
            found["draft"] = list(drafters) or "off"
        return found

    def tune(self, told: Callable[[float, str], None]) -> Tuned:
        """Measure, going on where an interrupted search stopped. Raises DegenerateObjective or StateFileError."""
        measure = launches(self._arm, Limits(others=self.asked.others, garbage=doubt))
        race = race_of(self.tasks, self.asked.figure, recorded(measure, self.record), self._pause, told)
        self.run = self.record.answer(["run"], lambda: new_id(time.time()))
        seconds = (1 - AROUND) * self.asked.seconds
        if self.asked.canary:
            told(0.0, "canary")
            visit = self.record.answer(["canary"], self._canary)
            self.before = cell_from_json(visit["cell"])
            race.spent += visit["seconds"]
            seconds -= visit["seconds"]  # for the one behind
        limit = QualityLimit(self.asked.limits, self._losses, {})

        def begun(search: Search) -> None:
            self.search = search

        return tune(race, self.tasks, self.opening, seconds, limit.admits, begun)

    def keep(self, tuned: Tuned, started: float) -> tuple[StoredRun, Profile]:
        """Store run and profile; returns both. The record has served its turn."""
        with ResultStore.open(self.root.results / FILE) as store:
            run, cells = self._run(started, "complete"), list(self._cells())
            if self.before:
                with ExitStack() as opened:
                    canary = measured.canary(opened, self.asked.others)
                    cells.append(canary.after())
                    run = replace(
                        run, suspect=canary.doubt(self.before, cells[-1], measured.history(store, run, canary))
                    )
            claims = (claim_of(tuned.check, run.id, self.asked.figure),) if tuned.check else ()
            store.add(WholeRun(run=run, cells=tuple(cells), claims=claims))
            for earlier in store.runs(KIND):
                if earlier.id != run.id and earlier.plan.get("search") == self.run and not earlier.retracted:
                    store.retract(earlier.id, f"it was gone on with: run {run.id} holds its cells")
        profile = profile_of(tuned, self.base, self._files(), run.id, started)
        self.profiles.save(profile)
        self.record.forget()
        return run, profile

    def keep_part(self, started: float) -> None:
        """Store what an interrupted search measured; the run that goes on with it will hold it too."""
        if self.search and self.search.race.cells:
            with ResultStore.open(self.root.results / FILE) as store:
                store.add(WholeRun(run=self._run(started, "interrupted"), cells=self._cells()))

    def _run(self, started: float, state: State) -> StoredRun:
        assert self.search is not None
        files = {str(self.header.path): self.key.model, **self._files()}
        return StoredRun(
            id=new_id(started),
            kind=KIND,
            started=started,
            arguments=launch.arguments(sys.argv),
            arms=arms_of(self.search.race, self.settings),
            plan={
                "search": self.run,
                "tasks": {task.name: task.weight for task in self.tasks},
                "held": [prompt.id for task in self.tasks for prompt in task.held],
                "figure": self.asked.figure,
            },
            attestation=measured.attestation({Path(file).name: name for file, name in files.items()}),
            state=state,
            ended=time.time(),
        )

    def _cells(self) -> tuple[Cell, ...]:
        assert self.search is not None
        return (*((self.before,) if self.before else ()), *self.search.race.cells)

    def _files(self) -> dict[str, str]:
        """Identities of the other files that settings may name, by path."""
        others = (*self.at_hand.variants, *self.at_hand.drafts)
        return {str(other.path): identity(other.path) for other in others}

    def _canary(self) -> dict[str, Any]:
        begin = time.monotonic()
        with ExitStack() as opened:
            cell = measured.canary(opened, self.asked.others).before()
        return {"cell": asdict(cell), "seconds": time.monotonic() - begin}

    def _arm(self, configuration: Configuration) -> ChildArm:
        prompts = {prompt.id: prompt for task in self.tasks for prompt in (*task.chosen, *task.held)}

        def job(block: Block) -> Mapping[str, Any]:
            chosen = [asdict(prompts[name]) for name in block.prompts]
            told = {"arm": configuration.name, "repetition": block.repetition, "prompts": chosen}
            return {**told, "settings": self.settings(configuration)}

        # What takes so long can't be compared in the time there is.
        longest = [max(LEAST_SECONDS, share * self.asked.seconds) for share in (LONG_OPENING, LONG_CELL)]
        return ChildArm(
            [sys.executable, "-m", "slipstream", "worker"], environment({}), job, self.root.tmp,
            opening=min(OPENING, longest[0]), cell=min(CELL, longest[1]),
        )  # fmt: skip

    def _pause(self, seconds: float) -> None:
        """Let the machine come to rest; on the way through a record there is nothing to wait for."""
        if not self.record.known:
            time.sleep(seconds)

    def _losses(self, configuration: Configuration) -> Losses:
        """Of the lossy part of a configuration, beside the default settings. Nothing where too much time went by for
        it: what isn't measured doesn't join."""
        assert self.search is not None
        race = self.search.race
        if race.spent > QUALITY * self.search.until:
            return {}
        race.told(race.spent, f"quality, {configuration.name}")

        def find() -> dict[str, Any]:
            begin = time.monotonic()
            both = self.settings(DEFAULT), self.settings(configuration)
            try:
                found = losses(self.asked.limits, *both, text_of(self.asked.text), self.marked)
            except SlipstreamError as error:
                print(f"note: quality of {configuration.name}: {error}", file=sys.stderr)
                found = {}
            return {"losses": found, "seconds": time.monotonic() - begin}

        value = self.record.answer(["quality", configuration.options], find)
        race.spent += value["seconds"]
        found: Losses = value["losses"]
        return found

    def _digest(self) -> str:
        """A name for this very search: with anything else, other launches would follow."""
        prompts = [[task.name, task.weight, *map(asdict, (*task.chosen, *task.held))] for task in self.tasks]
        facts = [
            asdict(self.key), self.settings(DEFAULT), [one.key for one in self.opening], prompts,
            self.asked.seconds, self.asked.figure, dict(self.asked.limits), str(self.asked.text), self.asked.others,
            self.asked.canary,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def _tasks(rows: Sequence[Prompt], wanted: Sequence[str]) -> list[Task]:
    """The task classes that were asked for; of a file without any named, those with prompts enough."""
    weights = weights_of(wanted)
    if not weights:
        counts = [row.task for row in rows]
        weights = {name: 1.0 for name in dict.fromkeys(counts) if counts.count(name) > 1}
    if not weights:
        raise RequestError("no task has two prompts", hint="one is chosen on, another one checked on")
    return [part(name, weight, pick(rows, [name])) for name, weight in weights.items()]
