"""What can be turned: a table of knobs, each with the values worth trying on this machine for this model."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from slipstream.host.cpu import Cpu
from slipstream.models.gguf import Header
from slipstream.tune.configuration import Choice, Configuration
from slipstream.tune.variants import precise


@dataclass(frozen=True, slots=True)
class AtHand:
    """What there is to choose from: CPU, threads of the default settings, header of the model, other files of the same
    model that may stand in for it, and models that may draft. `draft_model`: the default settings have one."""

    cpu: Cpu
    threads: int
    header: Header
    variants: tuple[Header, ...] = ()
    drafts: tuple[Header, ...] = ()
    draft_model: bool = False


@dataclass(frozen=True, slots=True)
class Knob:
    """`choices` gives the values beside the default. `needs` is what a change takes: another process, because threads
    and memory are placed once, or only another load. `moves` is what it can make faster: "prefill" leaves decoding as
    it is. `lossy` values change the output and need a limit on quality; where only some values of a knob do, those
    say so themselves."""

    name: str
    purpose: str
    choices: Callable[[AtHand], Iterable[Choice]]
    needs: Literal["process", "reload"] = "reload"
    moves: Literal["decode", "prefill"] = "decode"
    lossy: bool = False


def _files(here: AtHand) -> Iterable[Choice]:
    for header in here.variants:
        lossy = not precise(here.header, header)
        yield Choice("file", header.path.name, {"model": str(header.path)}, lossy)


def _drafting(here: AtHand) -> Iterable[Choice]:
    for header in here.drafts:
        yield Choice("drafting", f"draft model {header.path.name}", {"draft_model": str(header.path)})
    yield Choice("drafting", "no drafting", {"drafters": []})
    yield Choice("drafting", "prompt lookup alone", {"drafters": ["prompt_lookup"]})
    if here.draft_model:
        yield Choice("drafting", "suffix alone", {"drafters": ["suffix"]})


def _threads(here: AtHand) -> Iterable[Choice]:
    cores, logical, default = here.cpu.cores, here.cpu.logical, here.threads
    counts = [cores, *(cores * quarters // 4 for quarters in (3, 2, 1)), logical]
    for count in dict.fromkeys(max(1, count) for count in counts):
        if count != default:
            yield Choice("threads", f"{count} threads", {"threads": count})
    # A pass of one token waits for memory, a verify pass computes: each may want its own number.
    for narrow, wide in ((default // 2, default), (default, logical)):
        if 1 <= narrow < wide:
            options = {"threads": narrow, "batch_threads": wide}
            yield Choice("threads", f"{narrow} threads, {wide} for wide passes", options)


def _numa(here: AtHand) -> Iterable[Choice]:
    for mode in ("distribute", "isolate") if here.cpu.numa_nodes > 1 else ():
        yield Choice("numa", f"NUMA {mode}", {"numa": mode})


def _flash(here: AtHand) -> Iterable[Choice]:
    yield Choice("flash attention", "no flash attention", {"flash_attention": "off"})


def _repack(here: AtHand) -> Iterable[Choice]:
    yield Choice("repack", "no repacking", {"repack": False})


def _mmap(here: AtHand) -> Iterable[Choice]:
    yield Choice("mmap", "file read, not mapped", {"mmap": False})


def _batch(here: AtHand) -> Iterable[Choice]:
    yield Choice("batch", "micro-batch 128", {"micro_batch": 128})
    yield Choice("batch", "batch 2048, micro-batch 2048", {"batch_size": 2048, "micro_batch": 2048})


def _cache(here: AtHand) -> Iterable[Choice]:
    yield Choice("cache", "q8_0 cache", {"key_type": "q8_0", "value_type": "q8_0"})


def _experts(here: AtHand) -> Iterable[Choice]:
    used = here.header.experts_used
    for count in sorted({-(-used * 3 // 4), -(-used // 2)} - {0, used}, reverse=True):
        options = {"kv_overrides": {f"{here.header.architecture}.expert_used_count": count}}
        yield Choice("experts", f"{count} of {used} experts", options)


KNOBS = (
    Knob("file", "the model in other weights, more precise unless quality is limited", _files),
    Knob("drafting", "who drafts", _drafting),
    Knob("threads", "threads of one-token and of wider passes", _threads, needs="process"),
    Knob("numa", "placement on NUMA nodes", _numa, needs="process"),
    Knob("experts", "experts a token uses", _experts, lossy=True),
    Knob("flash attention", "fused attention", _flash),
    Knob("repack", "weights in the layout the kernels like", _repack, needs="process"),
    Knob("cache", "type of the KV cache", _cache, lossy=True),
    Knob("mmap", "map the file, or read it into memory", _mmap, needs="process"),
    Knob("batch", "tokens of a prompt read at once", _batch, moves="prefill"),
)
"""In the order of what they usually bring: the first are tried first where time is short."""

JOINT = ("file", "drafting")
"""Tried together from the start: the best file for plain decoding is often not the best one under speculation. Every
file is measured with the default drafting, which is as good as none where it doesn't pay; beyond that, what a draft
model is worth depends on the file that verifies."""


def knobs(*, lossy: bool, prefill: bool, only: Sequence[str] = ()) -> list[Knob]:
    """The knobs to turn: lossy ones and those of prefill alone only on demand; `only` names them."""
    return [
        knob
        for knob in KNOBS
        if (lossy or not knob.lossy) and (prefill or knob.moves == "decode") and (not only or knob.name in only)
    ]


def opening(here: AtHand, chosen: Sequence[Knob]) -> list[Configuration]:
    """What is tried first, in the table's order: every single change, and every file with every draft model."""
    choices = {
        knob.name: [replace(one, lossy=knob.lossy or one.lossy) for one in knob.choices(here)] for knob in chosen
    }
    configurations: list[Configuration] = []
    for name, values in choices.items():
        configurations += [Configuration((choice,)) for choice in values]
        if name == JOINT[-1]:
            pairs = product(*(choices.get(joint, []) for joint in JOINT))
            configurations += [Configuration(pair) for pair in pairs if "draft_model" in pair[1].options]
    unique = {configuration.key: configuration for configuration in reversed(configurations)}
    return [one for one in configurations if unique[one.key] is one]
