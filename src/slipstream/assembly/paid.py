"""Opens the sources that cost model passes: second models, cascades of them, and the model's own next-token head."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slipstream.assembly.second import SecondModel
from slipstream.control.curve import VerifyCost
from slipstream.control.price import Price
from slipstream.core.ports import Clock, Drafter, PaidDrafter, Tokenizer
from slipstream.drafters import catalog
from slipstream.drafters.bridge import Bridge, Identity
from slipstream.drafters.cascade import Cascade, CascadeConfig
from slipstream.drafters.draft_model import DraftModel
from slipstream.drafters.mapped_vocabulary import MappedVocabulary
from slipstream.drafters.native_head import NativeHead
from slipstream.drafters.translation import Translation
from slipstream.engine.options import ModelOptions
from slipstream.models.pair import shared_controls

Measure = Callable[[Any, Any, ModelOptions], VerifyCost]
"""The cost curve of an opened second model, given its target, its tokenizer and how it was opened."""


@dataclass(slots=True)
class Paid:
    """An opened source, its price, and how to free what it holds."""

    drafter: PaidDrafter
    price: Price
    close: Callable[[], None]


class PaidSources(dict[str, Paid]):
    """By name. Closing is safe to repeat, and must come before the target's."""

    @property
    def drafters(self) -> dict[str, PaidDrafter]:
        return {name: paid.drafter for name, paid in self.items()}

    @property
    def prices(self) -> dict[str, Price]:
        return {name: paid.price for name, paid in self.items()}

    def close(self) -> None:
        while self:
            self.popitem()[1].close()


def open_second(
    models: Sequence[SecondModel],
    tokenizer: Any,
    costs: Sequence[float],
    settings: Mapping[str, Mapping[str, Any]],
    clock: Clock,
    measure: Measure,
    quantized: Callable[[Path, str], Path],
    *,
    verbose: bool = False,
) -> PaidSources:
    """Load every second model. `costs` are the target's by width; `quantized` gives a file's copy in other weights.

    Raises what loading raises; nothing stays open then.
    """
    sources = PaidSources()
    levels: list[Paid] = []
    try:
        for model in models:
            kind = settings.get(model.source, {}).get("quantization", "")
            file = quantized(model.options.path, kind) if kind else model.options.path
            opened = _open(model, file, tokenizer, clock, measure, verbose=verbose)
            if model.source == "cascade":
                levels.append(opened)
            else:
                sources[model.source] = opened
        if levels:
            sources["cascade"] = _cascade(levels, costs, settings.get("cascade", {}), clock)
    except BaseException:
        for level in levels:
            level.close()
        sources.close()
        raise
    return sources


def open_head(target: Any, curve: VerifyCost, blocks: int, clock: Clock) -> Paid:
    """The target's own next-token head; its price starts as two blocks' share of a pass, and follows what it takes.

    EngineError with the reason if this model or engine can't.
    """
    from slipstream.engine.native_head import NativeHead as Head

    head = Head(target)
    share = 2 / max(2, blocks)
    table = {depth: {width: share * ms for width, ms in row.items()} for depth, row in curve.table.items()}
    return Paid(NativeHead(None, head, clock), Price(VerifyCost(table)), head.close)


def _open(model: SecondModel, file: Path, tokenizer: Any, clock: Clock, measure: Measure, *, verbose: bool) -> Paid:
    from slipstream.engine.target import LlamaTarget
    from slipstream.engine.tokenizer import LlamaTokenizer

    options = replace(model.options, path=file)
    target = LlamaTarget.open(options, verbose=verbose)
    try:
        own = LlamaTokenizer(target.model)
        price = Price(measure(target, own, options))
        name = model.source if model.source != "cascade" else f"cascade {file.stem}"
        bridge = _bridge(model, tokenizer, own)
        drafter = DraftModel(target, clock, name, bridge, own.end_tokens, window=model.window)
    except BaseException:
        target.close()
        raise
    return Paid(drafter, price, target.close)


def _bridge(model: SecondModel, target: Tokenizer, draft: Any) -> Callable[[], Bridge]:
    verdict, vocabularies = model.verdict, model.vocabularies
    if verdict is None or verdict.kind == "same":
        return Identity
    if verdict.map is not None:
        to_draft, to_target = verdict.map.to_draft.tolist(), verdict.map.to_target.tolist()
        return lambda: MappedVocabulary(target, draft, to_draft, to_target)
    assert vocabularies is not None
    controls = shared_controls(*vocabularies)
    opening = (draft.begin_token,) if draft.adds_begin and draft.begin_token is not None else ()
    end = vocabularies[0].role("eos")
    return lambda: Translation(target, draft, controls, opening, end)


def _cascade(levels: Sequence[Paid], costs: Sequence[float], settings: Mapping[str, Any], clock: Clock) -> Paid:
    config: CascadeConfig = catalog.config("cascade", settings)
    bottom: Drafter = catalog.create("suffix", {"max_outputs": 0})
    steps = [level.price.step(0, costs[1]) for level in levels]
    drafters: list[Any] = [level.drafter for level in levels]
    cascade = Cascade(config if len(config.acceptance) == len(levels) else None, drafters, steps, costs, bottom, clock)

    def close() -> None:
        for level in levels:
            level.close()

    cheapest = min(range(len(levels)), key=lambda index: steps[index])
    return Paid(cascade, levels[cheapest].price, close)
