"""A progress bar on standard error; nothing at all until there is progress, or where nobody looks."""

import sys
from types import TracebackType
from typing import Any, Self


class Bar:
    """Called with anything that has `done`, `total` and `what`; draws with rich on a terminal, else prints one line."""

    def __init__(self, title: str = "measuring") -> None:
        self.title = title
        self._progress: Any = None
        self._task: Any = None

    def __call__(self, progress: Any) -> None:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            if not sys.stderr.isatty():
                print(f"{self.title} ({progress.total} steps) ...", file=sys.stderr, flush=True)
            self._progress = Progress(
                TextColumn("{task.fields[title]}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
                console=Console(stderr=True),
                transient=True,
                disable=not sys.stderr.isatty(),
            )
            self._progress.start()
            self._task = self._progress.add_task("", total=progress.total, title=self.title)
        self._progress.update(self._task, completed=progress.done, total=progress.total, description=progress.what)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
