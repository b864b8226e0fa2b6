"""How a model is opened, as the caller says it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from slipstream.config import Settings
from slipstream.core.errors import ContextOverflow
from slipstream.engine.options import ModelOptions
from slipstream.models.experts import experts_of, require
from slipstream.models.gguf import Header

DEFAULT_CONTEXT = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a model is opened. None leaves a choice to the configuration, then to a default that suits this machine.

    `memory` is the global memory of earlier outputs: on, off, or the file that holds it. `exact` keeps plain and
    drafted output bit-identical. `learn` False starts from the shipped priors and keeps nothing (benchmarks).
    `drafters` limits the sources built (None: all free ones, and those that cost model passes where there is one to
    run); `drafter_settings` configures them by name. `draft_model` is the second model's file, `self_draft` that of a
    copy of the model without some layers (None: the best that slipstream selfdraft made, if it promises to pay).
    `batch_threads` serve passes wider than one token, `micro_batch` tokens run as one graph. `experts` is how
    many a token uses, whatever file and profile say. `profile` puts what was found best for this model beneath all that
    (None: as the configuration says).
    """

    model: Path | None = None
    context_length: int | None = None
    slots: int = 1
    threads: int | None = None
    batch_threads: int | None = None
    draft_model: Path | None = None
    self_draft: Path | None = None
    memory: bool | Path | None = None
    learn: bool = True
    exact: bool = False
    margin: float | None = None
    drafters: Sequence[str] | None = None
    drafter_settings: Mapping[str, Mapping[str, Any]] | None = None
    flash_attention: Literal["auto", "on", "off"] = "auto"
    key_type: str = "f16"
    value_type: str = "f16"
    batch_size: int = 512
    micro_batch: int = 512
    mmap: bool = True
    mlock: bool = False
    repack: bool = True
    numa: Literal["off", "distribute", "isolate", "numactl", "mirror"] = "off"
    kv_overrides: Mapping[str, int | float | bool | str] | None = None
    experts: int | None = None
    remeasure: bool = False
    profile: bool | None = None


def with_settings(options: Options, settings: Settings) -> Options:
    """The options with the configuration's settings of drafters beneath their own."""
    given = options.drafter_settings or {}
    names = dict.fromkeys((*settings.drafters, *given))
    return replace(
        options, drafter_settings={name: {**settings.drafters.get(name, {}), **given.get(name, {})} for name in names}
    )


def with_experts(options: Options, header: Header) -> tuple[Options, list[str]]:
    """The options with their number of experts as the metadata to replace, and what the user should know of it.

    RequestError for a dense model, and for a number that is out of range or blocked.
    """
    if options.experts is None:
        return options, []
    found = experts_of(header)
    limit = require(found, options.experts)
    overrides = {**(options.kv_overrides or {}), **found.override(options.experts)}
    note = limit.reason or f"{options.experts} of {found.default} experts, as asked for"
    return replace(options, kv_overrides=overrides, experts=None), [note]


def model_options(options: Options, settings: Settings, header: Header, cores: int) -> ModelOptions:
    """What the engine is told: options over configuration over the model's own."""
    trained = header.context_length or DEFAULT_CONTEXT
    wanted = options.context_length or settings.context_length or min(trained, DEFAULT_CONTEXT)
    return ModelOptions(
        path=header.path,
        threads=options.threads or settings.threads or cores,
        batch_threads=options.batch_threads,
        context_length=wanted,
        slots=options.slots,
        batch_size=options.batch_size,
        micro_batch=options.micro_batch,
        mmap=options.mmap,
        mlock=options.mlock,
        repack=options.repack,
        flash_attention=options.flash_attention,
        key_type=options.key_type,
        value_type=options.value_type,
        numa=options.numa,
        kv_overrides=options.kv_overrides or {},
        native_head=_wants_head(options, header),
    )


def _wants_head(options: Options, header: Header) -> bool:
    """Whether to load the model's own next-token head: if it says that it has one, or if it is asked for by name."""
    if options.drafters is not None:
        return "native_head" in options.drafters
    return bool(header.metadata.get(f"{header.architecture}.nextn_predict_layers"))


def require_context(header: Header, options: ModelOptions) -> None:
    """Refuse before loading: a large model takes minutes to read."""
    trained = options.kv_overrides.get(f"{header.architecture}.context_length", header.context_length)
    if isinstance(trained, int) and 0 < trained < options.context_length:
        raise ContextOverflow(
            f"a context of {options.context_length} tokens was asked for, but {header.path.name} was trained for"
            f" {trained}",
            hint=f"ask for at most {trained}",
        )
