"""A stored run: its conditions once, then a JSON line for every generation as it is done, so that it can be resumed."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from slipstream.bench.compare import Sample
from slipstream.bench.workload import Prompt
from slipstream.core.errors import StateFileError
from slipstream.core.stats import SourceStats, Stats


@dataclass(frozen=True, slots=True)
class RoundTimes:
    """Milliseconds of one round by what they went to, and its width."""

    width: int
    draft: float
    plan: float
    learn: float
    target: float
    total: float

    @property
    def deciding(self) -> float:
        """Drafting, policy, and learning from the outcome."""
        return self.draft + self.plan + self.learn


@dataclass(frozen=True, slots=True)
class Entry:
    """One generation of a suite on one opened model."""

    suite: str
    model: str
    sample: Sample
    rounds: tuple[RoundTimes, ...]


class RunRecord:
    """A folder with `conditions.json` and `samples.jsonl`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def conditions(self) -> dict[str, Any]:
        """What the run was made with; StateFileError if it isn't a run."""
        try:
            value: dict[str, Any] = json.loads((self.folder / "conditions.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise StateFileError(
                f"{self.folder} holds no run: {error}", hint="name the folder of a stored run"
            ) from None
        return value

    def begin(self, conditions: Mapping[str, Any]) -> None:
        """Start the record."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "conditions.json").write_text(json.dumps(conditions, indent=1) + "\n", "utf-8")
        except OSError as error:
            raise StateFileError(
                f"{self.folder} can't be written: {error.strerror}", hint="check the data root and the disk"
            ) from None

    def append(self, entry: Entry) -> None:
        """Add a generation, on disk before the next one starts."""
        sample = entry.sample
        line = {
            "suite": entry.suite,
            "model": entry.model,
            "prompt": {"id": sample.prompt.id, "task": sample.prompt.task},
            "arm": sample.arm,
            "repetition": sample.repetition,
            "started": round(sample.started, 3),
            "tokens": sample.tokens,
            "stats": asdict(sample.stats),
            "rounds": [[r.width, *(round(getattr(r, f.name), 4) for f in fields(r)[1:])] for r in entry.rounds],
        }
        try:
            with (self.folder / "samples.jsonl").open("a+b") as file:
                if file.tell():
                    # A torn last line would swallow this one.
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":
                        file.write(b"\n")
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StateFileError(
                f"a result can't be stored in {self.folder}: {error.strerror}", hint="free space"
            ) from None

    def entries(self) -> Iterator[Entry]:
        """Every stored generation, in order. A torn last line (the run was killed) is left out."""
        try:
            lines = (self.folder / "samples.jsonl").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            stats = Stats(**{name: value for name, value in row["stats"].items() if name != "sources"})
            stats.sources = {name: SourceStats(**source) for name, source in row["stats"]["sources"].items()}
            prompt = Prompt(row["prompt"]["id"], row["prompt"]["task"], "")
            sample = Sample(prompt, row["arm"], row["repetition"], tuple(row["tokens"]), "", stats, row["started"])
            yield Entry(row["suite"], row["model"], sample, tuple(RoundTimes(*times) for times in row["rounds"]))
