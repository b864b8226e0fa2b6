"""What `slipstream tune` works with: the model, what is at hand for it, and children that measure a configuration."""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from slipstream import config
from slipstream.assembly.needs import memory_needed
from slipstream.assembly.options import Options, model_options
from slipstream.bench.child import environment
from slipstream.bench.child_arm import ChildArm
from slipstream.bench.doubts import Limits
from slipstream.bench.expert_quality import quality, window_of
from slipstream.bench.garbage import doubt
from slipstream.bench.schedule import Block
from slipstream.bench.store import FILE, ResultStore, new_id
from slipstream.bench.store_rows import StoredRun, WholeRun
from slipstream.bench.workload import built_in, load, pick
from slipstream.cli import options as shared
from slipstream.core.errors import RequestError
from slipstream.engine.build import engine_build
from slipstream.host import attest, cpu, launch, memory
from slipstream.host.fingerprint import fingerprint
from slipstream.models.embedded import embedded_model
from slipstream.models.gguf import Header, identity, read_header
from slipstream.profile import Key, Profile, Profiles
from slipstream.storage.root import DataRoot
from slipstream.tune.configuration import Configuration
from slipstream.tune.halving import Search
from slipstream.tune.launches import launches
from slipstream.tune.objective import Figure, weights_of
from slipstream.tune.quality_limit import Losses, QualityLimit
from slipstream.tune.record import Record, recorded
from slipstream.tune.space import AtHand, Knob, knobs, opening
from slipstream.tune.tuning import KIND, Task, Tuned, arms_of, claim_of, part, profile_of, race_of, tune
from slipstream.tune.variants import beside, named

LONGEST_TEXT = 1024
"""Tokens of context in which quality is measured: its windows are half as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says."""

    model: Path | None
    seconds: float
    tasks: tuple[str, ...]
    prompts: Path | None
    max_tokens: int
    figure: Figure
    variants: tuple[Path, ...]
    drafts: tuple[Path, ...]
    knobs: tuple[str, ...]
    limits: Mapping[str, float]
    text: Path | None
    others: float
    context: int | None


@dataclass(slots=True)
class Work:
    """Everything that a tuning needs. `ground` are settings that all configurations share, `stored` is the profile that
    is kept now, `base` what other commands decided of it."""

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
    beside: Sequence[Header]
    search: Search | None = field(default=None, init=False)
    record: Record = field(init=False)

    @classmethod
    def of(cls, asked: Asked) -> "Work":
        """Read what there is. Raises RequestError, ModelFileError or StateFileError."""
        settings = config.load()
        header = read_header(asked.model or settings.model or embedded_model())
        processor, root = cpu.read(), settings.data_root
        near = beside(header)
        drafts = tuple(read_header(path.absolute()) for path in asked.drafts) or near.drafts
        at_hand = AtHand(
            cpu=processor,
            threads=settings.threads or processor.cores,
            header=header,
            variants=named(header, asked.variants),
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
        tasks = _tasks(asked)
        work = cls(
            asked, root, header, key, at_hand, tasks, chosen, opening(at_hand, chosen), profiles, stored, base,
            near.variants,
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
        limit = QualityLimit(self.asked.limits, self._losses, {})

        def begun(search: Search) -> None:
            self.search = search

        return tune(race, self.tasks, self.opening, self.asked.seconds, limit.admits, begun)

    def keep(self, tuned: Tuned, started: float) -> tuple[str, Profile]:
        """Store run and profile; returns the run's name and the profile. The record has served its turn."""
        run, race = new_id(started), tuned.search.race
        build = engine_build()
        models = {self.header.path.name: self.key.model}
        whole = WholeRun(
            run=StoredRun(
                id=run,
                kind=KIND,
                started=started,
                arguments=launch.arguments(sys.argv),
                arms=arms_of(race, self.settings),
                plan={
                    "tasks": {task.name: task.weight for task in self.tasks},
                    "held": [prompt.id for task in self.tasks for prompt in task.held],
                    "figure": self.asked.figure,
                },
                attestation=attest.read(engine=build.build_id, system_info=build.system_info, models=models).to_json(),
                state="complete",
                ended=time.time(),
            ),
            cells=tuple(race.cells),
            claims=(claim_of(tuned.check, run, self.asked.figure),) if tuned.check else (),
        )
        with ResultStore.open(self.root.results / FILE) as store:
            store.add(whole)
        others = (*self.at_hand.variants, *self.at_hand.drafts)
        files = {str(other.path): identity(other.path) for other in others}
        profile = profile_of(tuned, self.base, files, run, started)
        self.profiles.save(profile)
        self.record.forget()
        return run, profile

    def _arm(self, configuration: Configuration) -> ChildArm:
        prompts = {prompt.id: prompt for task in self.tasks for prompt in (*task.chosen, *task.held)}

        def job(block: Block) -> Mapping[str, Any]:
            chosen = [asdict(prompts[name]) for name in block.prompts]
            told = {"arm": configuration.name, "repetition": block.repetition, "prompts": chosen}
            return {**told, "settings": self.settings(configuration)}

        return ChildArm([sys.executable, "-m", "slipstream", "worker"], environment({}), job, self.root.tmp)

    def _pause(self, seconds: float) -> None:
        """Let the machine come to rest; on the way through a record there is nothing to wait for."""
        if not self.record.known:
            time.sleep(seconds)

    def _losses(self, configuration: Configuration) -> Losses:
        """Of the lossy part of a configuration, on a text, beside the default settings."""
        found: Losses = self.record.answer(["quality", configuration.options], lambda: self._measured(configuration))
        return found

    def _measured(self, configuration: Configuration) -> dict[str, float]:
        from slipstream.engine.target import LlamaTarget
        from slipstream.engine.tokenizer import LlamaTokenizer

        text = shared.read_text(self.asked.text, "text") if self.asked.text else _sample()
        both = [self._opened({}), self._opened(configuration.options)]
        needed = memory_needed(self.header, both[0].context_length, output_rows=both[0].output_rows)
        needed.require(memory.read().available - needed.total, f"{self.header.path.name}, opened twice,")
        with ExitStack() as stack:
            full, reduced = (stack.enter_context(closing(LlamaTarget.open(options))) for options in both)
            tokenizer = LlamaTokenizer(full.model)
            tokens = tokenizer.encode_prompt(text)
            begin = tokenizer.begin_token if tokenizer.adds_begin else None
            window = window_of(tokens, full.context_length)
            plain, changed = (quality(target, full, tokens, window, begin) for target in (full, reduced))
        return {"perplexity": changed["perplexity"] / plain["perplexity"] - 1, "kl": changed["divergence"]}

    def _opened(self, options: Mapping[str, Any]) -> Any:
        names = ("key_type", "value_type", "kv_overrides")
        given = {name: value for name, value in {**self.base.options, **options}.items() if name in names}
        asked = Options(context_length=min(self.context, LONGEST_TEXT), **given)
        return model_options(asked, config.load(), self.header, self.threads)

    def _digest(self) -> str:
        """A name for this very search: with anything else, other launches would follow."""
        prompts = [[task.name, task.weight, *map(asdict, (*task.chosen, *task.held))] for task in self.tasks]
        facts = [
            asdict(self.key), self.settings(Configuration()), [one.key for one in self.opening], prompts,
            self.asked.seconds, self.asked.figure, dict(self.asked.limits), str(self.asked.text), self.asked.others,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def _tasks(asked: Asked) -> list[Task]:
    """The task classes that were asked for; of a file without any named, those with prompts enough."""
    rows = load(asked.prompts) if asked.prompts else built_in()
    weights = weights_of(asked.tasks)
    if not weights:
        counts = [row.task for row in rows]
        weights = {name: 1.0 for name in dict.fromkeys(counts) if counts.count(name) > 1}
    if not weights:
        raise RequestError("no task has two prompts", hint="one is chosen on, another one checked on")
    return [part(name, weight, pick(rows, [name])) for name, weight in weights.items()]


def _sample() -> str:
    return resources.files("slipstream.bench").joinpath("sample.txt").read_text("utf-8")
