"""The measurements of `slipstream experts`: loads by number of experts, a stored run, and the probe as drafters."""

import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from slipstream.cli import options as shared

PROMPTS = 6
PROBED = 96
"""Tokens of the whole model's answers that a reduced one is probed on as a drafter."""
ROWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says of the measurement. `resume` names a run to go on with."""

    prompts: Path | None
    tasks: tuple[str, ...]
    max_tokens: int
    repetitions: int
    text: Path | None
    score: str
    draft: bool
    canary: bool
    resume: str
    threads: int | None
    verbose: bool


@dataclass(slots=True)
class Sweep:
    """Everything at hand for measuring; models are loaded on demand. `sample` is the text, in tokens, that perplexity
    is measured on, `digest` that of the text itself."""

    header: Any
    experts: Any
    counts: Sequence[int]
    asked: Asked
    prompts: Sequence[Any]
    asking: Any
    loads: Any
    sample: Sequence[int]
    digest: str

    def run(self) -> tuple[Any, Any]:
        """The run through the paired runner, stored cell by cell; its outcome, and the run itself."""
        from slipstream.bench import garbage, runner
        from slipstream.bench.doubts import Limits
        from slipstream.bench.expert_arm import ExpertArm
        from slipstream.bench.experts import arm_name
        from slipstream.bench.runner_lock import RunnerLock
        from slipstream.bench.schedule import default_checks
        from slipstream.bench.store import ResultStore
        from slipstream.cli import measured
        from slipstream.cli.progress import Bar

        path = measured.store_file()
        # Where not all fit at once, every block is a load: then all prompts make one block.
        size = 1 if self.loads.room >= len(self.counts) else len(self.prompts)
        checks = default_checks(self.asked.repetitions)
        plan = runner.Plan(prompts=tuple(self.prompts), pairs=self.asked.repetitions, checks=checks, size=size)
        limits = Limits(garbage=garbage.doubt)
        with RunnerLock(path), ResultStore.open(path) as store, ExitStack() as stack, Bar("experts") as bar:
            run = self._run(store)
            judged = {cell.arm for cell in store.cells(run.id) if "perplexity" in cell.figures}
            arms = {
                name: ExpertArm(count, self.loads, self.asking, measured=name in judged)
                for count in self.counts
                for name in (arm_name(count),)
            }
            canary = measured.canary(stack) if self.asked.canary else None
            history = measured.history(store, run, canary)
            return runner.measure(run, plan, arms, store, limits, canary=canary, history=history, report=bar), run

    def _run(self, store: Any) -> Any:
        from slipstream.bench.cell import Run
        from slipstream.bench.experts import KIND, arms_of
        from slipstream.bench.store import new_id
        from slipstream.cli import measured
        from slipstream.host import launch
        from slipstream.models.gguf import identity

        started, asked, model = time.time(), self.asked, self.header.path.name
        return Run(
            id=store.run(asked.resume).id if asked.resume else new_id(started),
            kind=KIND,
            started=started,
            arguments=launch.arguments(sys.argv),
            arms=arms_of(self.experts, self.counts, model),
            plan={
                "model": model,
                "prompts": [asdict(one) for one in self.prompts],
                "pairs": asked.repetitions,
                "max_tokens": asked.max_tokens,
                "score": asked.score,
                "text": {"tokens": len(self.sample), "sha256": self.digest},
            },
            attestation=measured.attestation({model: identity(self.header.path)}),
        )

    def drafts(self, counts: Sequence[int]) -> dict[int, Any]:
        """The models with `counts` experts as drafters of the whole one, where two fit at once. Ctrl-C ends it."""
        from slipstream.bench.probe import Question
        from slipstream.bench.reduced_draft import draft_use
        from slipstream.cli.progress import Bar
        from slipstream.control.measure import measure_cost

        if not self.asked.draft or self.loads.room < 2:
            return {}
        full = self.loads.get(self.experts.default).target
        questions = [Question(one.task, tuple(self.asking.prompts[one.id])) for one in self.prompts]
        found = {}
        with Bar("as a drafter") as bar, suppress(KeyboardInterrupt):
            curve = measure_cost(full, self.sample, time.perf_counter, coarse=True, report=bar)
            for count in counts:
                reduced = self.loads.get(count).target
                found[count] = draft_use(
                    full, reduced, questions, self.asking.ends, curve, PROBED, time.perf_counter, bar
                )
        return found


@contextmanager
def opened(header: Any, found: Any, counts: Sequence[int], asked: Asked, settings: Any) -> Iterator[Sweep]:
    """A sweep whose models are closed at the end. What can't be measured is refused before they are loaded."""
    from slipstream.assembly.needs import memory_needed
    from slipstream.bench.expert_arm import Asking, Loads
    from slipstream.bench.expert_quality import quality, window_of
    from slipstream.engine.expert_count import CountedTarget
    from slipstream.engine.model import LlamaModel
    from slipstream.engine.options import ModelOptions
    from slipstream.engine.tokenizer import LlamaTokenizer
    from slipstream.host import cpu, memory
    from slipstream.host.load import Sentinel

    prompts, score = _prompts(asked, settings)
    with ExitStack() as stack:
        vocabulary = stack.enter_context(LlamaModel.load_vocabulary(header.path, verbose=asked.verbose))
        tokenizer = LlamaTokenizer(vocabulary)
        tokens = {one.id: _prompt_tokens(header, vocabulary, tokenizer, one.text) for one in prompts}
        text = _sample(asked.text)
        sample = tokenizer.encode_prompt(text)
        window = window_of(sample, header.context_length or len(sample))
        length = max(window, max(map(len, tokens.values())) + max(asked.max_tokens, PROBED) + ROWS)
        options = ModelOptions(
            header.path,
            threads=asked.threads or settings.threads or cpu.read().cores,
            context_length=min(length, header.context_length or length),
            output_rows=ROWS,
        )
        needed = memory_needed(header, options.context_length, slots=1, output_rows=ROWS)
        free = memory.read().available
        needed.require(free, header.path.name)

        def load(count: int) -> CountedTarget:
            changed = replace(options, kv_overrides=found.override(count))
            return CountedTarget.open(changed, verbose=asked.verbose)

        begin = tokenizer.begin_token if tokenizer.adds_begin else None
        asking = Asking(
            prompts=tokens,
            ends=tokenizer.end_tokens,
            max_tokens=asked.max_tokens,
            text=lambda answer: b"".join(map(tokenizer.piece, answer)).decode("utf-8", "replace"),
            quality=lambda target, full: quality(target, full, sample, window, begin),
            score=score,
            load=Sentinel(),
        )
        loads = Loads(load, found.default, max(1, min(len(counts), int(free // needed.total))))
        stack.callback(loads.close)
        digest = hashlib.sha256(text.encode()).hexdigest()
        yield Sweep(header, found, counts, asked, prompts, asking, loads, sample, digest)


def _prompts(asked: Asked, settings: Any) -> tuple[Sequence[Any], Callable[[Any, str], float | None]]:
    """What is asked, and how answers are marked."""
    from slipstream.bench import workload
    from slipstream.bench.quality import catalog
    from slipstream.core.errors import RequestError

    rows = workload.load(asked.prompts) if asked.prompts else workload.built_in()
    chosen = workload.pick(rows, asked.tasks, None if asked.prompts or asked.tasks else 1)
    if not asked.score:
        return chosen if asked.prompts else chosen[:PROMPTS], lambda prompt, answer: None
    if catalog.entry(asked.score).reads != "answers":
        raise RequestError(f"{asked.score} marks no answers", hint="exact or unit_tests")
    scorer, scratch = catalog.entry(asked.score).load(), settings.data_root.tmp

    def score(prompt: Any, answer: str) -> float | None:
        outcome = scorer(prompt, answer, scratch).outcome
        return None if outcome == "refused" else float(outcome == "passed")

    return catalog.suited(asked.score, chosen), score


def _prompt_tokens(header: Any, vocabulary: Any, tokenizer: Any, text: str) -> list[int]:
    """Through the chat template, or as it is for a base model."""
    from slipstream.engine.chat import open_chat_template

    if not header.has_chat_template:
        return list(tokenizer.encode_prompt(text))
    rendered = open_chat_template(vocabulary, tokenizer).render([{"role": "user", "content": text}])
    return list(tokenizer.encode_prompt(rendered, special=True))


def _sample(path: Path | None) -> str:
    if path is not None:
        return shared.read_text(path, "text")
    return resources.files("slipstream.bench").joinpath("sample.txt").read_text("utf-8")
