"""`slipstream selfdraft`: find layers that a model can draft without, and write the rest as its own draft model."""

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.cli import options as shared
from slipstream.cli.selfdraft_table import show, show_self_test

PROMPTS = 4
"""Texts searched on: a slot each, so that one pass reads the weights once for all."""
LONGEST_PASS = 512
DEFAULT_RATIO = 0.25
"""SWIFT's 0.45 suits models of 13B and more; of 28 blocks of a 1.5B, a quarter is what it can lose."""


def selfdraft(
    model: Annotated[
        Path | None, typer.Argument(help="GGUF file. Default: the configured one, else the embedded SmolLM2.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="swift, blocks, clasp, clasp-sublayers or knapsack; may be repeated. Default: clasp."),
    ] = None,
    ratio: Annotated[
        list[float] | None, typer.Option(help="Share of sub-layers to leave out; may be repeated. Default: 0.25.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Prompts of this task class. Default: one of every class.")] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="JSON lines with turns or prompt, id and task. Default: the built-in set.")
    ] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", "-n", help="Tokens per answer, 16 to 256.")] = 96,
    candidates: Annotated[int, typer.Option(help="Most sets that swift and blocks try.")] = 1000,
    seconds: Annotated[float | None, typer.Option(help="Most seconds a search by swift or blocks takes.")] = None,
    enough: Annotated[float, typer.Option(help="Agreement above which swift and blocks end; 1: never.")] = 0.93,
    output: Annotated[Path | None, typer.Option(help="File to write. Default: in the data root's models.")] = None,
    no_file: Annotated[bool, typer.Option("--no-file", help="Only search.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Don't go on with interrupted searches: start anew.")] = False,
    list_found: Annotated[bool, typer.Option("--list", help="Show what was found for this model, and stop.")] = False,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Show what skipping each single block costs, and stop.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    threads: shared.Threads = None,
    verbose: shared.Verbose = False,
) -> int:
    """Search for layers that the model can do without when it drafts for itself, on its own greedy answers."""
    from slipstream import config
    from slipstream.models.embedded import embedded_model
    from slipstream.models.gguf import identity, read_header
    from slipstream.selfdraft.found import Shelf
    from slipstream.selfdraft.methods import Budget

    settings = config.load()
    header = read_header(model or settings.model or embedded_model())
    shelf = Shelf.open(settings.data_root.state, identity(header.path))
    if list_found:
        show(header.path.name, shelf.all(), as_json)
        return 0
    methods, ratios = method or ["clasp"], ratio or [DEFAULT_RATIO]
    _check(header, methods, ratios, max_tokens, candidates, seconds, enough, None if no_file else output)
    if not no_file and not self_test:
        _require_writable(header, methods)
    found: list[Any] = []
    with _open_model(header, settings, threads, prompts, task, max_tokens, verbose) as (masked, tokens, ends, label):
        bench = _bench(masked, tokens, ends, label, max_tokens, shelf, again)
        tested = _self_test(bench, blocks=self_test)
        if self_test:
            show_self_test(header.path.name, tested, as_json)
            return 0
        try:
            for name in methods:
                for share in ratios:
                    found.append(_search(bench, name, share, Budget(candidates, seconds, enough)))
        except KeyboardInterrupt:
            print("interrupted: what was tried is kept; the same command goes on there", file=sys.stderr)
            if found and not as_json:
                show(header.path.name, found, as_json)
            return 130
    for note in shelf.notes:
        print(f"note: {note}", file=sys.stderr)
    best = max(found, key=lambda item: item.speedup)
    if not no_file:
        best = shelf.with_file(best, _write(header, best, output, settings))
        found = [best if item.skip == best.skip and item.method == best.method else item for item in found]
    show(header.path.name, found, as_json)
    return 0


def _check(
    header: Any,
    methods: Sequence[str],
    ratios: Sequence[float],
    max_tokens: int,
    candidates: int,
    seconds: float | None,
    enough: float,
    output: Path | None,
) -> None:
    """Refuse before minutes of work."""
    from slipstream.core.errors import RequestError, UnknownName
    from slipstream.models.pruned import pruned_from
    from slipstream.selfdraft.methods import METHODS

    for name in methods:
        if name not in METHODS:
            raise UnknownName("method", name, METHODS)
    for share in ratios:
        if not 0 < share < 1:
            raise RequestError(f"--ratio is {share:g}", hint="a share above 0 and below 1")
    if not 16 <= max_tokens <= 256:
        raise RequestError(f"--max-tokens is {max_tokens}", hint="16 to 256")
    if not 0 < enough <= 1:
        raise RequestError(f"--enough is {enough:g}", hint="a share above 0, at most 1")
    if candidates < 1 or (seconds is not None and seconds <= 0):
        raise RequestError("--candidates and --seconds leave nothing to try", hint="1 candidate at least")
    if output is not None and output.exists():
        raise RequestError(f"{output} exists", hint="remove it or give another name")
    if (pruned := pruned_from(header)) is not None:
        raise RequestError(f"{header.path.name} is a self-draft already", hint=f"search on {pruned.source}")
    if header.recurrent:
        raise RequestError(
            f"{header.path.name} has layers that keep a running state", hint="use another draft source for it"
        )


def _require_writable(header: Any, methods: Sequence[str]) -> None:
    """Refuse methods whose result can't become a file of this model: the writer's own reasons, before the search."""
    from slipstream.core.skip import SkipSet
    from slipstream.models.gguf_raw import read_raw
    from slipstream.models.pruned_blocks import require_blocks, without_blocks
    from slipstream.models.pruned_deci import without_sublayers
    from slipstream.selfdraft.methods import WHOLE_BLOCKS

    source = read_raw(header.path)
    require_blocks(source)
    if WHOLE_BLOCKS & set(methods):
        without_blocks(source, (1,))
    if set(methods) - WHOLE_BLOCKS:
        without_sublayers(source, SkipSet((1,), ()))


class _open_model:
    """The model, its prompts as tokens, its end tokens, and the task's label; a context manager."""

    def __init__(
        self,
        header: Any,
        settings: Any,
        threads: int | None,
        prompts: Path | None,
        task: str | None,
        max_tokens: int,
        verbose: bool,
    ) -> None:
        from slipstream.bench import workload
        from slipstream.core.errors import RequestError

        self.header, self.settings, self.threads, self.verbose = header, settings, threads, verbose
        self.max_tokens = max_tokens
        rows = workload.load(prompts) if prompts else workload.built_in()
        # Without a task one prompt of every class; a file of one class gives as many as there are slots.
        chosen = workload.pick(rows, [task] if task else (), None if task or len({r.task for r in rows}) == 1 else 1)
        self.chosen = chosen[:PROMPTS]
        if not self.chosen:
            raise RequestError("there is no prompt", hint="give a file of prompts")
        self.label = task or (prompts.stem if prompts else "any")

    def __enter__(self) -> Any:
        from slipstream.engine.masked import MaskedModel
        from slipstream.engine.options import ModelOptions
        from slipstream.host import cpu

        tokens, ends = self._tokens()
        options = ModelOptions(
            self.header.path,
            threads=self.threads or self.settings.threads or cpu.read().cores,
            context_length=max(map(len, tokens)) + self.max_tokens + 1,
            slots=len(tokens),
            batch_size=LONGEST_PASS,
            micro_batch=LONGEST_PASS,
            output_rows=LONGEST_PASS,
        )
        self._require_memory(options)
        self.masked = MaskedModel.open(options, verbose=self.verbose)
        return self.masked, tokens, ends, self.label

    def __exit__(self, *error: object) -> None:
        self.masked.close()

    def _tokens(self) -> tuple[list[list[int]], frozenset[int]]:
        """Prompts through the chat template, or as they are for a base model; from the vocabulary alone, as the
        context's length follows from them."""
        from slipstream.engine.chat import open_chat_template
        from slipstream.engine.model import LlamaModel
        from slipstream.engine.tokenizer import LlamaTokenizer

        with LlamaModel.load_vocabulary(self.header.path, verbose=self.verbose) as vocabulary:
            tokenizer = LlamaTokenizer(vocabulary)
            if not self.header.has_chat_template:
                return [tokenizer.encode_prompt(prompt.text) for prompt in self.chosen], tokenizer.end_tokens
            template = open_chat_template(vocabulary, tokenizer)
            texts = [template.render([{"role": "user", "content": prompt.text}]) for prompt in self.chosen]
            return [tokenizer.encode_prompt(text, special=True) for text in texts], tokenizer.end_tokens

    def _require_memory(self, options: Any) -> None:
        from slipstream.assembly.needs import memory_needed
        from slipstream.host import memory

        needed = memory_needed(
            self.header, options.context_length, slots=options.slots, output_rows=options.output_rows
        )
        needed.require(memory.read().available, self.header.path.name)


def _bench(masked: Any, tokens: Any, ends: Any, label: str, length: int, shelf: Any, again: bool) -> Any:
    from slipstream.cli.progress import Bar
    from slipstream.selfdraft.methods import Bench
    from slipstream.selfdraft.texts import generate

    with Bar("writing answers") as bar:
        texts = generate(masked, tokens, length, ends, bar)
    return Bench(masked, texts, shelf, label, time.perf_counter, window=length // 2, again=again)


def _self_test(bench: Any, *, blocks: bool) -> Any:
    from slipstream.cli.progress import Bar
    from slipstream.selfdraft.selftest import self_test

    with Bar("self-test") as bar:
        return self_test(bench.matchness, blocks=blocks, report=bar)


def _search(bench: Any, method: str, ratio: float, budget: Any) -> Any:
    from slipstream.cli.progress import Bar

    with Bar(f"{method} at {ratio:g}") as bar:
        bench.report = bar
        return bench.run(method, ratio, budget)


def _write(header: Any, found: Any, output: Path | None, settings: Any) -> Path:
    """The shortened model. Its own name tells the set, so a file of that name that exists is the same one."""
    from slipstream.cli.progress import Bar
    from slipstream.control.measure import Progress
    from slipstream.models.gguf import identity, read_header
    from slipstream.models.pruned import pruned_from, write_pruned

    digest = hashlib.sha256(json.dumps(found.to_json()["skip"]).encode()).hexdigest()[:8]
    path = output or settings.data_root.models / f"{header.path.stem}.selfdraft-{digest}.gguf"
    if output is None and path.exists():
        pruned = pruned_from(read_header(path))
        if pruned is not None and pruned.skip == found.skip and pruned.identity == identity(header.path):
            return path
        path = path.with_name(f"{path.stem}-{identity(header.path)[:8]}.gguf")
        path.unlink(missing_ok=True)
    notes = {"task": found.task, "agreement": found.held_out, "perplexity_ratio": found.perplexity_ratio}
    with Bar("writing the draft model") as bar:
        return write_pruned(
            header.path,
            path,
            found.skip,
            method=found.method,
            notes=notes,
            report=lambda done, total: bar(Progress(done >> 20, total >> 20, "MB")),
        )
