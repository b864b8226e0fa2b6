"""A model's own draft: a copy of its GGUF with sub-layers left out (SWIFT, arXiv 2410.06916), and what it was made of.

Weights are copied as they are. Whole blocks can be left out in most architectures, attention and feed-forward apart
where the rest can be written as llama.cpp's deci (`pruned_deci`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from slipstream.core.errors import ModelFileError, RequestError
from slipstream.core.skip import SkipSet
from slipstream.models.gguf import Header, identity
from slipstream.models.gguf_raw import FLOAT64, INT32, INT64, UINT32, Entry, read_raw
from slipstream.models.gguf_reader import Value
from slipstream.models.gguf_writer import Report, silent, write_gguf
from slipstream.models.pruned_blocks import require_blocks, without_blocks
from slipstream.models.pruned_deci import without_sublayers

PREFIX = "slipstream.pruned."
NOTE = PREFIX + "note."

Notes = Mapping[str, str | int | float]
NO_NOTES: Notes = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a pruned copy was made of.

    `source` is that file's name then and `identity` its content's (`models.gguf.identity`), `block_count` its number of
    blocks; `skip` counts in these. `method` says how the sub-layers were chosen, `notes` what was measured.
    """

    source: str
    identity: str
    block_count: int
    skip: SkipSet
    method: str
    notes: Notes


def write_pruned(
    source: Path, destination: Path, skip: SkipSet, *, method: str, notes: Notes = NO_NOTES, report: Report = silent
) -> Path:
    """Write `source` without the sub-layers of `skip` to `destination`, and return that; an empty `skip` is a copy.

    Weights are streamed: memory stays at some megabytes beside the header. `report` is told bytes written and bytes in
    all. Raises RequestError (`destination` exists or is a part of `source`, sub-layers that `source` doesn't have or
    can't lose), ModelFileError (bad source), StateFileError (can't write, too little space); nothing is then left.
    """
    model = read_raw(source)
    header = model.header
    if destination.resolve() in {file.resolve() for file in header.files}:
        raise RequestError(f"{destination} is the model itself", hint="give another name")
    if pruned_from(header) is not None:
        raise RequestError(f"{source} is a pruned copy already", hint="make it from the model that it was made of")
    count = header.block_count
    if beyond := [block for block in (*skip.attention, *skip.feed_forward) if block >= count]:
        raise RequestError(f"{source} has no block {beyond[-1]}", hint=f"its blocks are 0 to {count - 1}")
    entries, tensors = list(model.entries), list(model.tensors)
    if len(skip):
        if len(skip) == 2 * count:
            raise RequestError(f"nothing of {source} would stay", hint=f"leave out less than all {count} blocks")
        require_blocks(model)
        whole = skip.attention == skip.feed_forward
        entries, tensors = without_blocks(model, skip.blocks) if whole else without_sublayers(model, skip)
    entries += _described(Pruned(source.name, identity(source), count, skip, method, notes))
    return write_gguf(destination, entries, tensors, alignment=model.alignment, report=report)


def pruned_from(header: Header) -> Pruned | None:
    """What the file is a pruned copy of; None if it isn't one. Raises ModelFileError if it doesn't say so fully."""
    values = {key.removeprefix(PREFIX): value for key, value in header.metadata.items() if key.startswith(PREFIX)}
    if not values:
        return None
    match values:
        case {
            "source": str(source),
            "identity": str(name),
            "block_count": int(count),
            "attention": tuple(attention),
            "feed_forward": tuple(feed_forward),
            "method": str(method),
        }:
            skip = _skip(attention, feed_forward)
            if skip is not None:
                notes = {key[len("note.") :]: _note(one) for key, one in values.items() if key.startswith("note.")}
                return Pruned(source, name, count, skip, method, MappingProxyType(notes))
    raise ModelFileError(f"{header.path} doesn't say what it was pruned from", hint="make it again")


def require_source(pruned: Pruned, path: Path) -> None:
    """Raise ModelFileError unless the model at `path` is the one that the copy was made of."""
    if identity(path) != pruned.identity:
        raise ModelFileError(
            f"the self-draft was made from another version of {pruned.source} than {path}",
            hint="make it again with slipstream selfdraft",
        )


def _skip(attention: tuple[Value, ...], feed_forward: tuple[Value, ...]) -> SkipSet | None:
    try:
        return SkipSet(_indexes(attention), _indexes(feed_forward))
    except ValueError:
        return None


def _indexes(values: tuple[Value, ...]) -> tuple[int, ...]:
    return tuple(value for value in values if isinstance(value, int))


def _note(value: Value) -> str | int | float:
    return value if isinstance(value, str | int | float) else str(value)


def _described(pruned: Pruned) -> list[Entry]:
    """The copy's own metadata."""
    entries = [
        Entry.text(f"{PREFIX}source", pruned.source),
        Entry.text(f"{PREFIX}identity", pruned.identity),
        Entry.scalar(f"{PREFIX}block_count", UINT32, pruned.block_count),
        Entry.array(f"{PREFIX}attention", INT32, pruned.skip.attention),
        Entry.array(f"{PREFIX}feed_forward", INT32, pruned.skip.feed_forward),
        Entry.text(f"{PREFIX}method", pruned.method),
    ]
    for name, value in pruned.notes.items():
        if isinstance(value, str):
            entries.append(Entry.text(NOTE + name, value))
        else:
            entries.append(Entry.scalar(NOTE + name, INT64 if isinstance(value, int) else FLOAT64, value))
    return entries
