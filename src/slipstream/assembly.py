"""The single place that builds real objects and hands them to each other."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from slipstream import config
from slipstream.config import Settings
from slipstream.control.calibration import Calibration
from slipstream.control.measure import DEEP, WIDTHS, Progress, measure_cost
from slipstream.control.parity import measure_parity
from slipstream.control.policy import AdaptivePolicy
from slipstream.core.errors import ContextOverflow, RequestError
from slipstream.core.ports import Drafter
from slipstream.decode.loop import Loop, Trace
from slipstream.drafters import catalog
from slipstream.engine.options import ModelOptions
from slipstream.host import cpu, memory
from slipstream.host.fingerprint import fingerprint
from slipstream.keep import Keep
from slipstream.models.embedded import embedded_model
from slipstream.models.gguf import Header, identity, read_header
from slipstream.session import Session
from slipstream.storage.root import DataRoot
from slipstream.storage.token_log import TokenLog

DEFAULT_CONTEXT = 8192
FULL_CONTEXT = 2 * DEEP + WIDTHS[-1]
"""The shortest context in which everything is measured at its full depth."""

Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a model is opened. None leaves a choice to the configuration, then to a default that suits this machine.

    `memory` is the global memory of earlier outputs: on, off, or the file that holds it. `exact` keeps plain and
    drafted output bit-identical. `learn` False starts from the shipped priors and keeps nothing (benchmarks).
    `drafters` limits the sources built; `drafter_settings` configures them by name.
    """

    model: Path | None = None
    context_length: int | None = None
    slots: int = 1
    threads: int | None = None
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
    mmap: bool = True
    mlock: bool = False
    repack: bool = True
    numa: Literal["off", "distribute", "isolate", "numactl", "mirror"] = "off"
    kv_overrides: Mapping[str, int | float | bool | str] | None = None
    remeasure: bool = False


def open_session(
    options: Options,
    *,
    report: Report = lambda progress: None,
    trace: Trace | None = None,
    verbose: bool = False,
) -> Session:
    """Open a model with its whole stack. Measures the verify-cost curve on first use, telling `report`.

    Raises ModelFileError, MemoryShortage, ContextOverflow, StateFileError, RequestError or ParityError, each before
    anything is left half-made.
    """
    settings = config.load()
    path = options.model or settings.model or embedded_model()
    header = read_header(path)
    processor = cpu.read()
    model_options = _model_options(options, settings, header, processor.cores)
    _require_context(header, model_options)
    _require_memory(header, model_options)
    _require_names(options)
    root = settings.data_root
    state = root.state

    # Imported here: loading llama.cpp takes longer than answering a wrong command line.
    from slipstream.engine.build import engine_build
    from slipstream.engine.chat import open_chat_template
    from slipstream.engine.target import LlamaTarget
    from slipstream.engine.tokenizer import LlamaTokenizer

    target = LlamaTarget.open(model_options, verbose=verbose)
    log: TokenLog | None = None
    try:
        tokenizer = LlamaTokenizer(target.model)
        keep = Keep.open(state, identity(path), _measured_with(model_options, engine_build().build_id, processor))
        if not options.learn:
            keep.calibration = Calibration()
        # Before anything is measured: seconds would be lost if another process holds the memory.
        log = _open_log(options, settings, root, tokenizer.fingerprint)
        drafters = _drafters(options, settings, log)
        if log:
            keep.notes.extend(log.warnings)
        sample = tokenizer.encode(resources.files("slipstream.bench").joinpath("sample.txt").read_text("utf-8"))
        policy = _policy(options, target, keep, sample, report)
        loop = Loop(
            target,
            tokenizer,
            drafters,
            policy,
            time.perf_counter,
            trace,
            reuse_prefix=not options.exact,
            automatic=options.drafters or catalog.automatic(),
            reserve=policy.curve.max_width if options.exact else 0,
        )
    except BaseException:
        if log:
            log.close()
        target.close()
        raise

    def render(messages: Sequence[Mapping[str, str]]) -> list[int]:
        text = open_chat_template(target.model, tokenizer).render([dict(message) for message in messages])
        return tokenizer.encode_prompt(text, special=True)

    def close() -> None:
        target.close()
        if log:
            log.close()
        if options.learn:
            keep.save()

    remembering: Any = drafters.get("suffix")

    def warnings() -> Sequence[str]:
        return remembering.warnings if remembering else ()

    return Session(target, tokenizer, loop, render, tokenizer.encode_prompt, close, warnings, keep, header)


def _model_options(options: Options, settings: Settings, header: Header, cores: int) -> ModelOptions:
    trained = header.context_length or DEFAULT_CONTEXT
    wanted = options.context_length or settings.context_length or min(trained, DEFAULT_CONTEXT)
    return ModelOptions(
        path=header.path,
        threads=options.threads or settings.threads or cores,
        context_length=wanted,
        slots=options.slots,
        batch_size=options.batch_size,
        mmap=options.mmap,
        mlock=options.mlock,
        repack=options.repack,
        flash_attention=options.flash_attention,
        key_type=options.key_type,
        value_type=options.value_type,
        numa=options.numa,
        kv_overrides=options.kv_overrides or {},
    )


def _require_context(header: Header, options: ModelOptions) -> None:
    """Refuse before loading: a large model takes minutes to read."""
    trained = options.kv_overrides.get(f"{header.architecture}.context_length", header.context_length)
    if isinstance(trained, int) and 0 < trained < options.context_length:
        raise ContextOverflow(
            f"a context of {options.context_length} tokens was asked for, but {header.path.name} was trained for"
            f" {trained}",
            hint=f"ask for at most {trained}",
        )


def _require_names(options: Options) -> None:
    """Refuse what no model could make right."""
    for name in (*(options.drafters or ()), *(options.drafter_settings or {})):
        catalog.entry(name)
    if options.exact and options.slots > 1:
        raise RequestError("exact mode with several slots", hint="their shared pass has no fixed width: use one slot")


def _require_memory(header: Header, options: ModelOptions) -> None:
    """Refuse before loading what would not fit: the kernel's way of saying it is to kill something."""
    from slipstream.engine.memory import estimate

    estimate(
        file_bytes=header.file_size,
        layers=header.block_count,
        kv_heads=header.head_count_kv,
        key_size=header.key_length,
        value_size=header.value_length,
        embedding_size=header.embedding_length,
        vocabulary_size=header.vocabulary_size,
        context_length=options.context_length,
        slots=options.slots,
        key_type=options.key_type,
        value_type=options.value_type,
        output_rows=options.output_rows,
    ).require(memory.read().available, header.path.name)


def _measured_with(options: ModelOptions, build: str, processor: cpu.Cpu) -> list[object]:
    """Everything besides the model that moves the curve. A context too short for the deepest measurement is part of it:
    what is measured there is silent about longer ones."""
    values = replace(options, path=Path(), context_length=min(options.context_length, FULL_CONTEXT), slots=1)
    return [build, fingerprint(processor), values]


def _policy(options: Options, target: Any, keep: Keep, sample: Sequence[int], report: Report) -> AdaptivePolicy:
    if keep.curve is None or options.remeasure:
        keep.curve = measure_cost(target, sample, time.perf_counter, report=report)
        keep.save()
    policy = AdaptivePolicy(keep.curve, keep.calibration)
    if options.margin is not None:
        policy.margin = options.margin
    if options.exact:
        if keep.parity is None or options.remeasure:
            keep.parity = measure_parity(target, sample, report)
            keep.save()
        policy.allowed = keep.parity.choose(keep.curve.costs(0))
    return policy


def _open_log(options: Options, settings: Settings, root: DataRoot, tokenizer: str) -> TokenLog | None:
    wanted = settings.memory if options.memory is None else options.memory
    if wanted is False or "suffix" not in (options.drafters or catalog.names()):
        return None
    return TokenLog(wanted if isinstance(wanted, Path) else root.memory_file(tokenizer), tokenizer)


def _drafters(options: Options, settings: Settings, log: TokenLog | None) -> dict[str, Drafter]:
    made = {}
    for name in options.drafters or catalog.names():
        values = dict((options.drafter_settings or {}).get(name, {}))
        needs: dict[str, Any] = {}
        if name == "suffix":
            # Without a log nothing is remembered, not even until the session ends.
            values = values | {"max_outputs": 0} if log is None else {"max_tokens": settings.memory_tokens} | values
            needs["log"] = log
        made[name] = catalog.create(name, values, **needs)
    return made
