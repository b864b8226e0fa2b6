"""Which batch widths give bit-identical logits: llama.cpp picks kernels by width, so a near-tie can flip between
them."""

import hashlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slipstream.control.measure import Progress, fill
from slipstream.core.errors import ParityError
from slipstream.core.ports import Feed, Target

WIDTHS = (*range(1, 17), 20, 24, 28, 32, 36, 40, 48)
FORCED = 40
"""Teacher-forced tokens compared per width and depth."""
REACH = 52
"""Context that this takes at widths of up to 16, whose last pass may run over."""
SPLIT = 256
"""Past this many tokens in KV, width 1 stands alone: llama.cpp splits the attention of a single token over threads from
512 cells on, and rounds the cells in use up to a multiple of 256."""
DEPTHS = (40, SPLIT - FORCED, SPLIT + 88, 600)
"""Starts of the windows compared: a short context, the end of the region before the split, and beyond it, twice."""

Classes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Allowed:
    """Widths a round may have here, and the widest that stays on this side of a boundary."""

    widths: frozenset[int]
    limit: int


def padded(costs: Sequence[float], allowed: Allowed) -> tuple[list[float], list[int]]:
    """Costs and widths of passes filled up to the next allowed width: index n is a pass that needs n tokens. Past the
    limit the cost is infinite."""
    filled = [math.inf] * len(costs)
    widths = list(range(len(costs)))
    up = 0
    for width in range(min(len(costs) - 1, allowed.limit), 0, -1):
        if width in allowed.widths:
            up = width
        if up:
            filled[width], widths[width] = costs[up], up
    return filled, widths


@dataclass(frozen=True, slots=True)
class ParityMap:
    """Classes of widths whose logits agree bit for bit, by depth at which they were compared.

    `differences[depth][width]` is the largest difference of a logit from width 1's.
    """

    classes: Mapping[int, Classes]
    differences: Mapping[int, Mapping[int, float]]

    def choose(self, costs: Sequence[float]) -> Callable[[int], Allowed]:
        """What exact mode may do at each depth. Raises ParityError if some region has no class of two widths or more.

        Within a region the class whose narrowest width is cheapest by `costs` wins, since plain rounds are padded to
        it, then the larger one. Rounds don't cross into the next region unless one class serves both.
        """
        depths = sorted(self.classes)
        shallow = _largest_common([self.classes[depth] for depth in depths if depth < SPLIT], costs)
        deep = _largest_common([self.classes[depth] for depth in depths if depth >= SPLIT], costs)
        if deep and shallow and 1 not in shallow:
            shallow = deep = _largest_common([self.classes[depth] for depth in depths], costs)
        for name, found in (("below", shallow), ("from", deep)):
            if (found is None and name == "below") or (found is None and any(depth >= SPLIT for depth in depths)):
                raise ParityError(
                    f"no two batch widths agree bit for bit {name} {SPLIT} tokens of context with this model and build",
                    hint="run without --exact, or with another quantization (Q8_0 and BF16 have such widths)",
                )
        assert shallow is not None
        if deep is None or deep == shallow:
            return lambda depth: Allowed(shallow, max(shallow))
        return lambda depth: Allowed(shallow, SPLIT - depth) if depth < SPLIT else Allowed(deep, max(deep))

    def to_json(self) -> dict[str, Any]:
        """Plain values for a state file."""
        return {
            "classes": {str(depth): [list(c) for c in classes] for depth, classes in self.classes.items()},
            "differences": {str(d): {str(w): x for w, x in row.items()} for d, row in self.differences.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ParityMap":
        """Raises ValueError, KeyError, TypeError or AttributeError on a damaged value."""
        return cls(
            {int(d): tuple(tuple(int(w) for w in c) for c in classes) for d, classes in value["classes"].items()},
            {int(d): {int(w): float(x) for w, x in row.items()} for d, row in value["differences"].items()},
        )


def _largest_common(maps: Sequence[Classes], costs: Sequence[float]) -> frozenset[int] | None:
    """The best set of two or more widths that agree in every one of `maps`."""
    if not maps:
        return None
    common = [frozenset(c) for c in maps[0]]
    for classes in maps[1:]:
        common = [ours & frozenset(theirs) for ours in common for theirs in classes]
    usable = [found for found in common if len(found) > 1]
    return min(usable, key=lambda found: (costs[min(found)], -len(found)), default=None)


def measure_parity(
    target: Target,
    tokens: Sequence[int],
    report: Callable[[Progress], None] = lambda progress: None,
    widths: Collection[int] = WIDTHS,
) -> ParityMap:
    """Compare widths on slot 0, whose KV is empty before and after. `tokens` is natural text, at least FORCED of it."""
    depths = [depth for depth in DEPTHS if depth + REACH <= target.context_length] or [0]
    if depths[-1] < SPLIT and target.context_length >= SPLIT + REACH:
        depths.append(SPLIT)
    fitting = {depth: [width for width in sorted(widths) if _fits(target, depth, width)] for depth in depths}
    total = sum(map(len, fitting.values()))
    text = [tokens[i % len(tokens)] for i in range(max(depths) + FORCED + max(widths))]
    classes: dict[int, Classes] = {}
    differences: dict[int, dict[int, float]] = {}
    done = 0
    for depth in depths:
        fill(target, text, depth)
        groups: dict[bytes, list[int]] = {}
        differences[depth] = {}
        plain: list[Any] = []
        for width in fitting[depth]:
            report(Progress(done, total, f"width {width} at depth {depth}"))
            digest, worst = _forced(target, text, depth, width, plain)
            groups.setdefault(digest, []).append(width)
            differences[depth][width] = worst
            done += 1
        classes[depth] = tuple(tuple(group) for group in groups.values())
    target.rewind(0, 0)
    return ParityMap(classes, differences)


def _fits(target: Target, depth: int, width: int) -> bool:
    """Whether FORCED tokens, `width` at a time, fit behind `depth` others."""
    return width <= target.batch_size and depth + math.ceil(FORCED / width) * width <= target.context_length


def _forced(target: Target, text: Sequence[int], depth: int, width: int, plain: list[Any]) -> tuple[bytes, float]:
    """Digest of the logits at FORCED positions fed `width` at a time, and their largest distance from `plain`, the
    logits of width 1, which the first call fills in."""
    digest = hashlib.blake2b()
    worst = 0.0
    reference = bool(plain)
    for start in range(0, FORCED, width):
        at = depth + start
        target.decode([Feed(0, at, text[at : at + width], width)])
        for row in range(min(width, FORCED - start)):
            logits = target.logits(row)
            digest.update(logits.tobytes())
            if reference:
                worst = max(worst, float(np.abs(logits - plain[start + row]).max()))
            else:
                plain.append(logits.copy())
    target.rewind(0, depth)
    return digest.digest(), worst
