"""What settings that change the output cost in quality, for `slipstream tune --quality-limit`."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from importlib import resources
from pathlib import Path
from typing import Any

from slipstream import config
from slipstream.assembly.needs import memory_needed
from slipstream.assembly.options import Options, model_options
from slipstream.bench.expert_quality import quality, window_of
from slipstream.bench.quality import catalog
from slipstream.bench.quality.marks import fold, mark
from slipstream.bench.workload import Prompt
from slipstream.cli import arm_settings
from slipstream.cli import options as shared
from slipstream.core.errors import RequestError
from slipstream.host import cpu, memory
from slipstream.models.gguf import read_header

LONGEST_TEXT = 1024
"""Tokens of context in which a text is read: its windows are half as long."""
SCORERS = ("unit_tests", "exact")
"""Of answers, the surer one first."""
ANSWER = 256
"""Tokens that an answer may have at least, to be marked."""
CHANGING = ("model", "key_type", "value_type", "kv_overrides")
"""Settings that change the output."""

Settings = Mapping[str, Any]


def text_of(path: Path | None) -> str:
    """A text file, or the text that ships with the package. Raises RequestError."""
    if path is not None:
        return shared.read_text(path, "text")
    return resources.files("slipstream.bench").joinpath("sample.txt").read_text("utf-8")


def markable(prompts: Sequence[Prompt], limit: float) -> list[Prompt]:
    """The prompts whose answers can be marked. RequestError for fewer than show a fall by as little as the limit."""
    found = [prompt for prompt in prompts if any(catalog.entry(name).suits(prompt) for name in SCORERS)]
    if len(found) * limit < 1:
        raise RequestError(
            f"a limit of score={limit:g} can't be seen on {len(found)} prompts whose answers can be marked",
            hint="give a --workload with more references or tests, or limit perplexity or kl",
        )
    return found


def losses(
    wanted: Collection[str], plain: Settings, changed: Settings, text: str, prompts: Sequence[Prompt]
) -> dict[str, float]:
    """Losses by name of `quality_limit.FIGURES`, those that are wanted: of one arm's settings against another's, whose
    model file is the reference. Raises MemoryShortage where both models don't fit at once."""
    found = _on_text(plain, changed, text) if set(wanted) - {"score"} else {}
    if "score" in wanted:
        found["score"] = _share(plain, prompts) - _share(changed, prompts)
    return found


def _on_text(plain: Settings, changed: Settings, text: str) -> dict[str, float]:
    from slipstream.engine.target import LlamaTarget
    from slipstream.engine.tokenizer import LlamaTokenizer

    free = memory.read().available
    with ExitStack() as stack:
        targets = []
        for settings in (plain, changed):
            header = read_header(Path(settings["model"]))
            given = {name: value for name, value in settings.items() if name in CHANGING[1:]}
            asked = min(LONGEST_TEXT, settings.get("context_length") or header.context_length or LONGEST_TEXT)
            ours = config.load()
            options = model_options(Options(context_length=asked, **given), ours, header, cpu.read().cores)
            needed = memory_needed(header, options.context_length, output_rows=options.output_rows)
            needed.require(free, f"{header.path.name}, opened beside another,")
            free -= needed.total
            targets.append(stack.enter_context(closing(LlamaTarget.open(options))))
        full, reduced = targets
        tokenizer = LlamaTokenizer(full.model)
        tokens = tokenizer.encode_prompt(text)
        begin = tokenizer.begin_token if tokenizer.adds_begin else None
        window = window_of(tokens, full.context_length)
        before, after = (quality(target, full, tokens, window, begin) for target in (full, reduced))
    return {"perplexity": after["perplexity"] / before["perplexity"] - 1, "kl": after["divergence"]}


def _share(settings: Settings, prompts: Sequence[Prompt]) -> float:
    """Of right answers, greedy and without drafts."""
    scratch = config.load().data_root.tmp
    limit = max(ANSWER, settings.get("max_tokens", 0))
    marks = []
    options = arm_settings.opening({**settings, "draft": "off"})
    given = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    with shared.open_session(**given) as session:
        raw = not session.header.has_chat_template
        for prompt in prompts:
            said = session.generate(prompt.text, raw=raw, max_tokens=limit, draft="off", remember=False)
            name = next(name for name in SCORERS if catalog.entry(name).suits(prompt))
            score = catalog.entry(name).load()
            marks.append(mark(score, prompt, said.text, said.tokens, limit, said.finish, scratch))
    return fold(marks).share or 0.0
