"""CLaSp's dynamic programme (arXiv 2505.24196): which layers to skip so that hidden states stay like the full model's.

g[i][j] is the state after the first i layers with j of them skipped. It either runs layer i on g[i-1][j] or takes
g[i-1][j-1] as it is, whichever is more like the full model's state after layer i (cosine); the way back from g[L][M]
gives the set. Keeping one state a cell makes it approximate, and O(L M) long.

The states are read from the engine instead of computing layers one by one: a pass with a set S masked gives the state
after every layer behind S, so one pass serves all cells whose path is S. First and last block always stay, as in SWIFT.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from slipstream.control.measure import Progress
from slipstream.core.errors import EngineError
from slipstream.core.skip import SkipSet
from slipstream.selfdraft.hidden import HiddenStates
from slipstream.selfdraft.ports import State
from slipstream.selfdraft.sublayers import from_sublayers

Path = tuple[int, ...]


@dataclass(slots=True)
class ClaspState:
    """Layers decided so far, and by number of skipped ones the path to g[decided][number]."""

    decided: int = 0
    paths: dict[int, Path] = field(default_factory=lambda: {0: ()})

    def to_json(self) -> Any:
        """For JSON."""
        return {"decided": self.decided, "paths": {str(number): path for number, path in self.paths.items()}}

    @classmethod
    def from_json(cls, value: Any) -> "ClaspState":
        """Raises KeyError, TypeError or ValueError for anything that `to_json` didn't write."""
        paths = {int(number): tuple(int(layer) for layer in path) for number, path in value["paths"].items()}
        return cls(int(value["decided"]), paths)


def search(
    hidden: HiddenStates,
    most: int,
    *,
    sublayers: bool = False,
    state: ClaspState | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    save: Callable[[ClaspState], None] = lambda state: None,
) -> dict[int, SkipSet]:
    """The best set found for every number of skipped layers from 1 to `most`: whole blocks as in the paper, or
    attention and feed-forward apart. `save` gets the state after every layer. EngineError if the model doesn't show its
    states."""
    if sublayers and not hidden.has_middles:
        raise EngineError("the model shows no hidden state between attention and feed-forward", hint="use method clasp")
    programme = _Programme(hidden, sublayers)
    state = state or ClaspState()
    while state.decided < len(programme.layers):
        report(Progress(state.decided, len(programme.layers), f"{hidden.passes} passes"))
        state.paths = programme.advance(state.paths, programme.layers[state.decided], most)
        state.decided += 1
        save(state)
    report(Progress(state.decided, len(programme.layers), f"{hidden.passes} passes"))
    return {number: programme.skip(path) for number, path in sorted(state.paths.items()) if number}


class _Programme:
    """Layers in the order in which they run: blocks, or sub-layers, all but those of the first and last block."""

    def __init__(self, hidden: HiddenStates, sublayers: bool) -> None:
        self.hidden, self.sublayers = hidden, sublayers
        count = hidden.block_count
        self.layers = range(2, 2 * count - 2) if sublayers else range(1, count - 1)
        self._read: dict[Path, Mapping[int, State]] = {(): hidden.reference}

    def skip(self, path: Path) -> SkipSet:
        return from_sublayers(path) if self.sublayers else SkipSet.of_blocks(path)

    def advance(self, paths: Mapping[int, Path], layer: int, most: int) -> dict[int, Path]:
        """Paths through one more layer. Ties run it: a layer that changes nothing here may elsewhere."""
        after = layer if self.sublayers else 2 * layer + 1
        before = layer - 1 if self.sublayers else 2 * layer - 1
        new: dict[int, Path] = {}
        for number in range(min(most, len(paths)) + 1):
            ways = []
            if number in paths:
                ways.append((self._likeness(paths[number], after, after), paths[number]))
            if number - 1 in paths:
                shorter = paths[number - 1]
                ways.append((self._likeness(shorter, before, after), (*shorter, layer)))
            new[number] = max(ways, key=lambda way: way[0])[1]
        wanted = set(new.values())
        self._read = {path: states for path, states in self._read.items() if path in wanted}
        return new

    def _likeness(self, path: Path, at: int, reference: int) -> float:
        """How like the full model's state after `reference` the path's state after `at` is."""
        if path not in self._read:
            self._read[path] = self.hidden.read(self.skip(path))
        return self.hidden.likeness(self._read[path][at], reference)
