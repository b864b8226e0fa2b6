"""Which second models are to draft, and whether they may: everything that can be refused before a weight is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slipstream.assembly.options import Options
from slipstream.config import Settings
from slipstream.core.errors import ModelFileError, RequestError
from slipstream.drafters import catalog
from slipstream.drafters.cascade import CascadeConfig
from slipstream.drafters.draft_model import DraftModelConfig
from slipstream.engine.options import ModelOptions
from slipstream.models.experts import USED, override_of
from slipstream.models.gguf import Header, identity, read_header
from slipstream.models.pair import PairVerdict, compare
from slipstream.models.pair_check import check_pair
from slipstream.models.pruned import pruned_from
from slipstream.models.vocabulary import Vocabulary, read_vocabulary
from slipstream.selfdraft.found import Shelf

PROMISING = 1.05
"""Predicted speed-up from which on a self-draft is opened without being asked for."""
ROWS = 64


@dataclass(frozen=True, slots=True)
class SecondModel:
    """A model that drafts as `source`. `verdict` is that on the two vocabularies; None: the same by construction."""

    source: str
    header: Header
    options: ModelOptions
    verdict: PairVerdict | None
    vocabularies: tuple[Vocabulary, Vocabulary] | None
    notes: tuple[str, ...]
    window: int

    @property
    def summary(self) -> str:
        """One line on it."""
        how = f"{self.verdict.kind}: {self.verdict.reason}" if self.verdict else "; ".join(self.notes)
        return f"{self.header.path.name}, {how}"


def second_models(
    options: Options, settings: Settings, target: Header, opened: ModelOptions, state: Path
) -> tuple[SecondModel, ...]:
    """The second models that these options call for, checked against the target. `state` is the data root's folder.

    RequestError, ContextOverflow or ModelFileError for one that can't serve, or a source that has no model.
    """
    names, found = options.drafters, []
    for source, path in (
        ("draft_model", options.draft_model or settings.draft_model),
        ("self_draft", options.self_draft),
    ):
        if names is not None and source not in names:
            continue
        config: DraftModelConfig = catalog.config(source, _settings(options, source))
        file = path or (Path(config.path).expanduser() if config.path else None)
        if file is None and source == "draft_model" and config.experts:
            file = target.path
        if file is None and source == "self_draft":
            file = _best(target, state, PROMISING if names is None else 0.0)
        if file is not None:
            found.append(_second(source, file, config, target, opened))
        elif names is not None:
            raise RequestError(f"{source} has no model to ask", hint=_HINTS[source])
    if names is not None and "cascade" in names:
        found += _cascade(options, target, opened, state)
    return tuple(found)


_HINTS = {
    "draft_model": "name its file: --draft-model FILE, or draft_model in the config file",
    "self_draft": "make one: slipstream selfdraft MODEL",
    "cascade": "make two self-drafts: slipstream selfdraft MODEL --ratio 0.4, then --ratio 0.6",
}


def _settings(options: Options, source: str) -> Mapping[str, Any]:
    return (options.drafter_settings or {}).get(source, {})


def _cascade(options: Options, target: Header, opened: ModelOptions, state: Path) -> list[SecondModel]:
    config: CascadeConfig = catalog.config("cascade", _settings(options, "cascade"))
    files: Sequence[Path] = [Path(level).expanduser() for level in config.levels]
    if not files:
        made = sorted(_made(target, state), key=lambda item: item.ratio)
        files = list(dict.fromkeys(Path(item.file) for item in made))
    if not files:
        raise RequestError("cascade has no self-drafts to route between", hint=_HINTS["cascade"])
    return [_second("cascade", file, DraftModelConfig(), target, opened) for file in files]


def _made(target: Header, state: Path) -> list[Any]:
    """Self-drafts of the target that were written and are still there."""
    shelf = Shelf.open(state, identity(target.path))
    return [item for item in shelf.all() if item.file and Path(item.file).is_file()]


def _best(target: Header, state: Path, least: float) -> Path | None:
    found = max(_made(target, state), key=lambda item: item.speedup, default=None)
    return Path(found.file) if found is not None and found.speedup >= least else None


def _second(source: str, file: Path, config: DraftModelConfig, target: Header, opened: ModelOptions) -> SecondModel:
    header = read_header(file)
    length = config.context_length or opened.context_length
    overrides = override_of(header, config.experts) if config.experts else {}
    used = opened.kv_overrides.get(f"{target.architecture}.{USED}")
    if isinstance(used, int):
        target = replace(target, experts_used=used)
    notes = check_pair(target, header, length, experts=config.experts)
    verdict = vocabularies = None
    if file.resolve() == target.path.resolve():
        notes = (f"itself with {config.experts} of {target.experts_used} experts", *notes)
    elif pruned_from(header) is None:
        vocabularies = read_vocabulary(target.path), read_vocabulary(file)
        verdict = compare(*vocabularies)
        if not verdict.usable:
            raise ModelFileError(verdict.reason, hint="convert the model again, with its tokenizer")
    if source == "cascade" and verdict is not None and verdict.kind != "same":
        raise RequestError(
            f"{file.name} has another vocabulary than {target.path.name}: {verdict.reason}",
            hint="levels of a cascade are self-drafts, or copies of the model in fewer bits",
        )
    options = replace(
        opened,
        path=file,
        threads=config.threads or opened.threads,
        batch_threads=None,
        context_length=length,
        output_rows=ROWS,
        key_type=config.key_type,
        value_type=config.value_type,
        native_head=False,
        kv_overrides=overrides,
    )
    return SecondModel(source, header, options, verdict, vocabularies, notes, config.window)
