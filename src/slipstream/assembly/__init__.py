"""The single place that builds real objects and hands them to each other."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from slipstream import config
from slipstream.assembly.needs import memory_needed
from slipstream.assembly.options import DEFAULT_CONTEXT as DEFAULT_CONTEXT
from slipstream.assembly.options import Options as Options
from slipstream.assembly.options import model_options, require_context, with_experts, with_settings
from slipstream.assembly.paid import PaidSources, open_head, open_second
from slipstream.assembly.profiled import with_stored_profile
from slipstream.assembly.second import second_models
from slipstream.config import Settings
from slipstream.control.calibration import Calibration
from slipstream.control.curve import VerifyCost
from slipstream.control.measure import DEEP, WIDTHS, Progress, measure_cost
from slipstream.control.parity import measure_parity
from slipstream.control.policy import AdaptivePolicy
from slipstream.core.errors import EngineError, RequestError
from slipstream.core.ports import Drafter
from slipstream.decode.loop import Loop, Trace
from slipstream.drafters import catalog
from slipstream.engine.options import ModelOptions
from slipstream.host import cpu, memory
from slipstream.host.fingerprint import fingerprint
from slipstream.keep import Keep
from slipstream.models.embedded import embedded_model
from slipstream.models.experts import check_override
from slipstream.models.gguf import Header, identity, read_header
from slipstream.session import Session
from slipstream.storage.root import DataRoot
from slipstream.storage.token_log import TokenLog

FULL_CONTEXT = 2 * DEEP + WIDTHS[-1]
"""The shortest context in which everything is measured at its full depth."""

Report = Callable[[Progress], None]


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
    processor, root = cpu.read(), settings.data_root
    options, expert_notes = with_experts(options, header)
    options, profile_notes = with_stored_profile(options, settings, path, processor, root.path / "state")
    if options.model is not None and options.model != path:
        path = options.model
        header = read_header(path)
    options = with_settings(options, settings)
    opened = model_options(options, settings, header, processor.cores)
    require_context(header, opened)
    check_override(header, opened.kv_overrides)
    _require_names(options)
    state = root.state
    models = second_models(options, settings, header, opened, state)
    _require_memory([(header, opened), *((model.header, model.options) for model in models)])

    # Imported here: loading llama.cpp takes longer than answering a wrong command line.
    from slipstream.engine.build import engine_build
    from slipstream.engine.chat import open_chat_template
    from slipstream.engine.target import LlamaTarget
    from slipstream.engine.tokenizer import LlamaTokenizer

    build = engine_build().build_id
    target = LlamaTarget.open(opened, verbose=verbose)
    log: TokenLog | None = None
    paid = PaidSources()
    try:
        tokenizer = LlamaTokenizer(target.model)
        keep = Keep.open(state, identity(path), _measured_with(opened, build, processor))
        keep.notes.extend([*profile_notes, *expert_notes])
        if not options.learn:
            keep.calibration = Calibration()
        # Before anything is measured: seconds would be lost if another process holds the memory.
        log = _open_log(options, settings, root, tokenizer.fingerprint)
        drafters = _drafters(options, settings, log)
        if log:
            keep.notes.extend(log.warnings)
        text = resources.files("slipstream.bench").joinpath("sample.txt").read_text("utf-8")
        sample = tokenizer.encode(text)
        if keep.curve is None or options.remeasure:
            keep.curve = measure_cost(target, sample, time.perf_counter, report=report)
            keep.save()

        def measure(second: Any, own: Any, second_options: ModelOptions) -> VerifyCost:
            measured_with = [*_measured_with(second_options, build, processor), "draft"]
            kept = Keep.open(state, identity(second_options.path), measured_with)
            if kept.curve is None or options.remeasure:
                kept.curve = measure_cost(second, own.encode(text), time.perf_counter, coarse=True, report=report)
                kept.save()
            return kept.curve

        def quantized(file: Path, kind: str) -> Path:
            return _quantized(file, kind, root)

        row, given = keep.curve.costs(0), options.drafter_settings or {}
        paid = open_second(models, tokenizer, row, given, time.perf_counter, measure, quantized, verbose=verbose)
        if opened.native_head:
            try:
                paid["native_head"] = open_head(target, keep.curve, header.block_count, time.perf_counter)
            except EngineError as error:
                if options.drafters is not None:
                    raise
                keep.notes.append(f"native_head is off: {error}")
        policy = _policy(options, target, keep, sample, paid, report)
        loop = Loop(
            target,
            tokenizer,
            drafters,
            policy,
            time.perf_counter,
            trace,
            reuse_prefix=not options.exact,
            automatic=catalog.automatic() if options.drafters is None else options.drafters,
            reserve=policy.curve.max_width if options.exact else 0,
            paid=paid.drafters,
        )
    except BaseException:
        paid.close()
        if log:
            log.close()
        target.close()
        raise

    def render(messages: Sequence[Mapping[str, str]]) -> list[int]:
        text = open_chat_template(target.model, tokenizer).render([dict(message) for message in messages])
        return tokenizer.encode_prompt(text, special=True)

    def close() -> None:
        paid.close()
        target.close()
        if log:
            log.close()
        if options.learn:
            keep.save()

    remembering: Any = drafters.get("suffix")

    def warnings() -> Sequence[str]:
        return remembering.warnings if remembering else ()

    return Session(
        target,
        tokenizer,
        loop,
        render,
        tokenizer.encode_prompt,
        close,
        warnings,
        keep,
        header,
        [(model.source, model.summary) for model in models],
    )


def _require_names(options: Options) -> None:
    """Refuse what no model could make right."""
    for name in (*(options.drafters or ()), *(options.drafter_settings or {})):
        catalog.entry(name)
    if options.exact and options.slots > 1:
        raise RequestError("exact mode with several slots", hint="their shared pass has no fixed width: use one slot")


def _require_memory(models: Sequence[tuple[Header, ModelOptions]]) -> None:
    """Refuse before loading what would not fit: the kernel's way of saying it is to kill something."""
    free = memory.read().available
    for header, options in models:
        needed = memory_needed(
            header,
            options.context_length,
            slots=options.slots,
            key_type=options.key_type,
            value_type=options.value_type,
            micro_batch=options.micro_batch,
            output_rows=options.output_rows,
        )
        needed.require(free, header.path.name)
        free -= needed.total


def _quantized(file: Path, kind: str, root: DataRoot) -> Path:
    """The file's copy in another kind of weights, made once."""
    from slipstream.engine.requantize import requantize

    path = root.models / f"{file.stem}-{identity(file)[:8]}.{kind}.gguf"
    return path if path.exists() else requantize(file, path, kind)


def _measured_with(options: ModelOptions, build: str, processor: cpu.Cpu) -> list[object]:
    """Everything besides the model that moves the curve. A context too short for the deepest measurement is part of it:
    what is measured there is silent about longer ones."""
    values = replace(options, path=Path(), context_length=min(options.context_length, FULL_CONTEXT), slots=1)
    return [build, fingerprint(processor), values]


def _policy(
    options: Options, target: Any, keep: Keep, sample: Sequence[int], paid: PaidSources, report: Report
) -> AdaptivePolicy:
    assert keep.curve is not None
    policy = AdaptivePolicy(keep.curve, keep.calibration, prices=paid.prices)
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
    if wanted is False or "suffix" not in (options.drafters or catalog.names(free=True)):
        return None
    return TokenLog(wanted if isinstance(wanted, Path) else root.memory_file(tokenizer), tokenizer)


def _drafters(options: Options, settings: Settings, log: TokenLog | None) -> dict[str, Drafter]:
    made = {}
    for name in options.drafters or catalog.names(free=True):
        if not catalog.entry(name).free:
            continue
        values = dict((options.drafter_settings or {}).get(name, {}))
        needs: dict[str, Any] = {}
        if name == "suffix":
            # Without a log nothing is remembered, not even until the session ends.
            values = values | {"max_outputs": 0} if log is None else {"max_tokens": settings.memory_tokens} | values
            needs["log"] = log
        made[name] = catalog.create(name, values, **needs)
    return made
