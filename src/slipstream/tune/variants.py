"""Other files of the same model, in other weights, and smaller models that may draft for it: by their headers."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slipstream.core.errors import ModelFileError, RequestError
from slipstream.models.gguf import Header, read_header

SAME = (
    "architecture", "block_count", "embedding_length", "head_count", "head_count_kv", "key_length", "vocabulary_size",
    "tokenizer", "expert_count",
)  # fmt: skip
"""What files of one model have in common. The context isn't among them: converters disagree about it."""
NOT_IN_A_NAME = re.compile(r"[^a-z0-9]|gguf$")
DRAFTS = 2
"""Draft models that are tried, where none is named: the smallest."""
SMALLER = 0.5
"""Weights of a draft model against the model's, at most."""
PUBLISHED = ("F32", "F16", "BF16")
"""Weights that models are published in."""
MORE = 1.1
"""Bits a weight against another file's from which on a file counts as more precise: nearer than that it depends on how
well each kind of quantization uses its bits."""
VOCABULARY = 128
"""Tokens by which a draft model's vocabulary may differ in size to be looked at without being named."""


@dataclass(frozen=True, slots=True)
class Files:
    """What lies beside a model: the same model in other weights, and what may draft for it."""

    variants: tuple[Header, ...]
    drafts: tuple[Header, ...]


def difference(ours: Header, theirs: Header) -> str:
    """Why another file is not the same model in other weights; empty if it is."""
    for name in SAME:
        if getattr(ours, name) != getattr(theirs, name):
            return f"its {name.replace('_', ' ')} is {getattr(theirs, name)}, not {getattr(ours, name)}"
    names = [NOT_IN_A_NAME.sub("", header.name.lower()) for header in (ours, theirs)]
    if all(names) and names[0] != names[1]:
        return f"it calls itself {theirs.name!r}, not {ours.name!r}"
    if (ours.quantization, ours.weights_bytes) == (theirs.quantization, theirs.weights_bytes):
        return f"its weights are {theirs.quantization} too"
    return ""


def precise(ours: Header, theirs: Header) -> bool:
    """Whether another file of the same model is more precise, or as the model was published: its output needn't be that
    of ours, but is nearer to the model's own, so that no limit on quality keeps it out."""
    bits = [8 * header.weights_bytes / header.weights if header.weights else 0.0 for header in (ours, theirs)]
    return theirs.quantization in PUBLISHED or bits[1] >= MORE * bits[0]


def beside(header: Header) -> Files:
    """What is in the model's own folder. Files that can't be read are none of ours."""
    variants, drafts = [], []
    for other in _headers(header.path.parent):
        if other.path == header.path.absolute():
            continue
        if not difference(header, other):
            variants.append(other)
        elif _may_draft(header, other):
            drafts.append(other)
    return Files(tuple(variants), tuple(sorted(drafts, key=lambda draft: draft.weights_bytes)[:DRAFTS]))


def named(header: Header, paths: Sequence[Path]) -> tuple[Header, ...]:
    """The variants that the user names: files, or all of a folder. Raises RequestError for one that isn't, or a
    folder without any."""
    found: dict[Path, Header] = {}
    for path in paths:
        if path.is_dir():
            there = [other for other in _headers(path) if not difference(header, other)]
            if not there:
                raise RequestError(
                    f"there is no other file of {header.path.name} in {path}", hint="name a file with --variant"
                )
        else:
            there = [read_header(path.absolute())]
            if why := difference(header, there[0]):
                raise RequestError(
                    f"{path.name} is not {header.path.name} in other weights: {why}",
                    hint="--variant takes files of the same model",
                )
        found |= {other.path.resolve(): other for other in there}
    return tuple(found.values())


def _may_draft(header: Header, other: Header) -> bool:
    """A cheap look: opening it decides."""
    return (
        other.tokenizer == header.tokenizer
        and abs(other.vocabulary_size - header.vocabulary_size) <= VOCABULARY
        and 0 < other.weights <= SMALLER * header.weights
    )


def _headers(folder: Path) -> Iterator[Header]:
    for path in sorted(folder.absolute().glob("*.gguf")):
        try:
            yield read_header(path)
        except ModelFileError:
            continue
