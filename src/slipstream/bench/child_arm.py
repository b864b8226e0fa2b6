"""An arm that is measured in a process of its own, started anew for every block: placement of memory and threads is
decided at load, so a launch is what has to be repeated."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipstream.bench.cell import Cell
from slipstream.bench.child import Child
from slipstream.bench.schedule import Block
from slipstream.bench.workload import Prompt
from slipstream.core.errors import ChildError
from slipstream.storage.files import write_atomic

OPENING = 900.0
"""Seconds that loading a model may take, and measuring its curve where it isn't known."""
CELL = 600.0
"""Seconds that one cell may take."""
LEAVE = 10.0
"""Seconds to close the model in after the last cell."""

Job = Callable[[Block], Mapping[str, Any]]
"""What a child is told of a block, as JSON values."""
KEPT = "what it wrote is kept with the failed cell: slipstream bench export"


@dataclass(slots=True)
class ChildArm:
    """Runs `argv` with the path of a job file behind it. The child writes a JSON line when it is ready, then one for
    every cell, in the order of the block. While it measures we only wait: what we do with a cell falls into the next
    one's prefill, which isn't timed with the decoding. `ready` is what the last child said when it was."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    job: Job
    folder: Path
    opening: float = OPENING
    cell: float = CELL
    ready: Any = field(default=None, init=False)
    _child: Child | None = field(default=None, init=False)
    _file: Path | None = field(default=None, init=False)
    _left: int = field(default=0, init=False)

    def start(self, block: Block) -> None:
        """Start the child and wait until it has opened its model. ChildError with its last words if it can't."""
        self._file = self.folder / f"job-{block.number}-{block.repetition}.json"
        write_atomic(self._file, json.dumps(self.job(block)))
        name = f"the child that measures {block.arm!r}"
        self._child = Child([*self.argv, str(self._file)], self.environment, name=name)
        self._left = len(block.prompts)
        self.ready = self._line(self.opening, "ready")

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        """The child's next cell, which must be this one."""
        value = self._line(self.cell, "cell")
        cell = Cell(**{**value, "token_ids": tuple(value["token_ids"])})
        if (cell.prompt, cell.repetition) != (prompt.id, repetition):
            raise ChildError(f"a child measured {cell.prompt} where {prompt.id} was its turn", hint="report this")
        self._left -= 1
        return cell

    def stop(self) -> None:
        """Let a child that has measured everything close its model; end any other."""
        child, self._child = self._child, None
        try:
            if child and self._left:
                child.end()
            elif child:
                child.wait(LEAVE)
        finally:
            if self._file:
                self._file.unlink(missing_ok=True)
                self._file = None

    def _line(self, seconds: float, key: str) -> Any:
        assert self._child is not None
        line = self._child.line(seconds)
        if line is None:
            how = self._child.end("exited").how
            raise self._child.failed("exited", f"ended {how} and no {key}", KEPT)
        try:
            return json.loads(line)[key]
        except (ValueError, KeyError, TypeError):
            raise self._child.failed("stopped", f"wrote {line[:80]!r} in place of a {key}", "report this") from None
