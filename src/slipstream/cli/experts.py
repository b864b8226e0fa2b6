"""`slipstream experts`: how many experts a mixture-of-experts model needs, what fewer bring, and what they cost."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.cli import options as shared
from slipstream.cli.experts_table import show, show_header

PROMPTS = 6
PROBED = 96
"""Tokens of the whole model's answers that a reduced one is probed on as a drafter."""
ROWS = 64


def experts(
    model: Annotated[Path | None, typer.Argument(help="GGUF file. Default: the configured one.")] = None,
    counts: Annotated[str, typer.Option(help="Numbers to try, such as 6,4. Default: down to a quarter.")] = "",
    use: Annotated[
        int | None, typer.Option(help="Keep this number as the model's profile: run, compare and serve then use it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Allow less than a quarter of the default number.")] = False,
    prompts: Annotated[
        Path | None, typer.Option(help="JSON lines with turns or prompt, id and task. Default: the built-in set.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task class; may be repeated.")] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", "-n", help="Most tokens per answer.")] = 64,
    repetitions: Annotated[int, typer.Option("--repetitions", "-r", help="Pairs per prompt.")] = 2,
    text: Annotated[
        Path | None, typer.Option(help="UTF-8 text that perplexity is measured on. Default: a short one of ours.")
    ] = None,
    score: Annotated[str, typer.Option(help="Mark the answers: exact or unit_tests; the prompts must suit.")] = "",
    no_draft: Annotated[
        bool, typer.Option("--no-draft", help="Don't probe the reduced model as a drafter of the whole one.")
    ] = False,
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Show what the header says and which numbers are allowed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    threads: shared.Threads = None,
    verbose: shared.Verbose = False,
) -> int:
    """Sweep the number of experts: a load for each, speed in interleaved pairs, perplexity, divergence and answers."""
    from slipstream import config
    from slipstream.core.errors import RequestError
    from slipstream.models import experts as known
    from slipstream.models.gguf import read_header

    settings = config.load()
    path = model or settings.model
    if path is None:
        raise RequestError("no model was named", hint="give a mixture-of-experts GGUF file")
    header = read_header(path)
    found = known.experts_of(header)
    chosen = _counts(counts, found, use)
    limits = {count: known.require(found, count, force=force) for count in chosen}
    if headers_only:
        show_header(header, found, {count: known.limit(found, count) for count in range(1, found.default + 1)}, as_json)
        return 0
    for name, number in (("--max-tokens", max_tokens), ("--repetitions", repetitions)):
        if number < 1:
            raise RequestError(f"{name} is {number}", hint="at least 1")
    asked = _Asked(prompts, tuple(task or ()), max_tokens, repetitions, text, score, not no_draft, threads, verbose)
    with _opened(header, found, chosen, asked, settings) as sweep:
        for limit in limits.values():
            if limit.verdict != "fine":
                print(f"warning: {limit.reason}", file=sys.stderr)
        outcome, run = sweep.run(settings)
        from slipstream.bench.experts import rows_of

        drafts = sweep.drafts() if outcome.state == "complete" else {}
        rows = rows_of(found, outcome.cells, outcome.claims, drafts)
    value = {"model": header.path.name, **asdict(found), "run": run.id, "state": outcome.state, "kept": None}
    if use is not None and outcome.state == "complete":
        value["kept"] = _keep(header, found, use, rows, run.id, settings)
    if as_json:
        print(json.dumps({**value, "suspect": outcome.suspect, "rows": [row.to_json() for row in rows]}))
    else:
        show(header, found, rows, value)
    return 130 if outcome.state == "interrupted" else 0


def _counts(text: str, found: Any, use: int | None) -> tuple[int, ...]:
    """The default first, then downwards."""
    from slipstream.core.errors import RequestError
    from slipstream.models.experts import default_counts

    if not text:
        named = (use,) if use is not None else default_counts(found)
    else:
        try:
            named = tuple(int(one) for one in text.split(","))
        except ValueError:
            raise RequestError(f"--counts {text!r} can't be read", hint="write it as 6,4,2") from None
        named += (use,) if use is not None else ()
    return (found.default, *sorted({*named} - {found.default}, reverse=True))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line says of the measurement."""

    prompts: Path | None
    tasks: tuple[str, ...]
    max_tokens: int
    repetitions: int
    text: Path | None
    score: str
    draft: bool
    threads: int | None
    verbose: bool


@dataclass(slots=True)
class _Sweep:
    """Everything at hand for measuring; models are loaded on demand."""

    header: Any
    experts: Any
    counts: Sequence[int]
    asked: _Asked
    prompts: Sequence[Any]
    asking: Any
    loads: Any
    sample: Sequence[int]

    def run(self, settings: Any) -> tuple[Any, Any]:
        """The run through the paired runner, stored cell by cell; its outcome, and the run itself."""
        from slipstream.bench import garbage, runner
        from slipstream.bench.cell import Run
        from slipstream.bench.doubts import Limits
        from slipstream.bench.expert_arm import ExpertArm
        from slipstream.bench.experts import KIND, arm_name, arms_of
        from slipstream.bench.runner_lock import RunnerLock
        from slipstream.bench.store import FILE, ResultStore, new_id
        from slipstream.cli.progress import Bar
        from slipstream.engine.build import engine_build
        from slipstream.host import attest, launch
        from slipstream.models.gguf import identity

        started, path = time.time(), settings.data_root.results / FILE
        engine = engine_build()
        # Where not all fit at once, every block is a load: then all prompts make one block.
        size = 1 if self.loads.room >= len(self.counts) else len(self.prompts)
        pairs = self.asked.repetitions
        run = Run(
            id=new_id(started),
            kind=KIND,
            started=started,
            arguments=launch.arguments(sys.argv),
            arms=arms_of(self.experts, self.counts, self.header.path.name),
            plan={"model": self.header.path.name, "prompts": [one.id for one in self.prompts], "pairs": pairs},
            attestation=attest.read(
                engine=engine.build_id, models={self.header.path.name: identity(self.header.path)}
            ).to_json(),
        )
        arms = {arm_name(count): ExpertArm(count, self.loads, self.asking) for count in self.counts}
        plan = runner.Plan(prompts=tuple(self.prompts), pairs=pairs, checks=1, size=size)
        limits = Limits(garbage=garbage.doubt)
        with RunnerLock(path), ResultStore.open(path) as store, Bar("experts") as bar:
            return runner.measure(run, plan, arms, store, limits, report=bar), run

    def drafts(self) -> dict[int, Any]:
        """The reduced models as drafters of the whole one, where two fit at once."""
        from slipstream.bench.probe import Question
        from slipstream.bench.reduced_draft import draft_use
        from slipstream.cli.progress import Bar
        from slipstream.control.measure import measure_cost

        if not self.asked.draft or self.loads.room < 2:
            return {}
        full = self.loads.get(self.experts.default).target
        questions = [Question(one.task, tuple(self.asking.prompts[one.id])) for one in self.prompts]
        found = {}
        with Bar("as a drafter") as bar:
            curve = measure_cost(full, self.sample, time.perf_counter, coarse=True, report=bar)
            for count in self.counts:
                if count < self.experts.default:
                    reduced = self.loads.get(count).target
                    found[count] = draft_use(
                        full, reduced, questions, self.asking.ends, curve, PROBED, time.perf_counter, bar
                    )
        return found


@contextmanager
def _opened(header: Any, found: Any, counts: Sequence[int], asked: _Asked, settings: Any) -> Iterator[_Sweep]:
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
        sample = tokenizer.encode_prompt(_sample(asked.text))
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
        yield _Sweep(header, found, counts, asked, prompts, asking, loads, sample)


def _prompts(asked: _Asked, settings: Any) -> tuple[Sequence[Any], Callable[[Any, str], float | None]]:
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
    from importlib import resources

    if path is not None:
        return shared.read_text(path, "text")
    return resources.files("slipstream.bench").joinpath("sample.txt").read_text("utf-8")


def _keep(header: Any, found: Any, count: int, rows: Sequence[Any], run: str, settings: Any) -> int:
    """Put the number into the model's profile; returns it."""
    from slipstream.bench.expert_profile import with_experts
    from slipstream.engine.build import engine_build
    from slipstream.host import cpu
    from slipstream.host.fingerprint import fingerprint
    from slipstream.models.gguf import identity
    from slipstream.profile import Key, Profile, Profiles

    by_count = {row.experts: row for row in rows}
    key = Key(host=fingerprint(cpu.read()), engine=engine_build().build_id, model=identity(header.path))
    profiles = Profiles.open(settings.data_root.state)
    base = profiles.find(key, header.path) or Profile(key=key, path=str(header.path.absolute()))
    made = with_experts(base, found, by_count[count], by_count[found.default], run)
    profiles.save(replace(made, made=time.time()))
    return count
