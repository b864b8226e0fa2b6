"""What was measured of a model, kept between runs: its curve, its parity map, how often drafts came true."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from slipstream.control.calibration import Calibration
from slipstream.control.curve import VerifyCost
from slipstream.control.parity import ParityMap
from slipstream.storage.files import read_json_or_set_aside, set_aside, write_atomic

VERSION = 2
AGAIN = {"curve": "it is measured again", "parity": "it is measured again", "acceptance": "it is learnt again"}
Value = TypeVar("Value")


@dataclass(slots=True)
class Keep:
    """Two files under the data root's state folder: the curve and parity map of (model, build, host, settings), and the
    acceptance history of the model. Damaged ones are set aside, rebuilt, and said so in `notes`."""

    folder: Path
    machine_key: str
    model_key: str
    notes: list[str] = field(default_factory=list)
    curve: VerifyCost | None = None
    parity: ParityMap | None = None
    calibration: Calibration = field(default_factory=Calibration)

    @classmethod
    def open(cls, folder: Path, model: str, settings: Sequence[object]) -> "Keep":
        """`settings` are whatever else a measurement depends on: engine build, host, threads, cache types."""
        key = hashlib.sha256(json.dumps([model, *map(str, settings)]).encode()).hexdigest()[:24]
        keep = cls(folder, key, model[:24])
        keep.curve = keep._read(keep.curve_path, "curve", _curve)
        keep.parity = keep._read(keep.curve_path, "parity", ParityMap.from_json)
        keep.calibration = keep._read(keep.acceptance_path, "acceptance", Calibration.from_json) or Calibration()
        return keep

    @property
    def curve_path(self) -> Path:
        return self.folder / "curves" / f"{self.machine_key}.json"

    @property
    def acceptance_path(self) -> Path:
        return self.folder / "acceptance" / f"{self.model_key}.json"

    def save(self) -> None:
        """Write both files, each whole or not at all. Raises StateFileError."""
        if self.curve:
            value = {
                "version": VERSION,
                "curve": self.curve.to_json(),
                "parity": self.parity.to_json() if self.parity else None,
            }
            self._write(self.curve_path, value)
        if any(buckets.counts for buckets in self.calibration.workloads.values()):
            self._write(self.acceptance_path, {"version": VERSION, "acceptance": self.calibration.to_json()})

    def _read(self, path: Path, name: str, parse: Callable[[Any], Value]) -> Value | None:
        value, warning = read_json_or_set_aside(path)
        if warning:
            self.notes.append(f"{warning}: {AGAIN[name]}")
        if value is None:
            return None
        try:
            if value["version"] != VERSION:
                return None
            return parse(value[name]) if value[name] is not None else None
        except (ValueError, KeyError, TypeError, AttributeError):
            self.notes.append(f"{path} was damaged and set aside as {set_aside(path).name}: {AGAIN[name]}")
            return None

    @staticmethod
    def _write(path: Path, value: Any) -> None:
        write_atomic(path, json.dumps(value))


def _curve(value: Any) -> VerifyCost:
    """A stored curve. ValueError also for one that no measurement gives: every decision divides by it."""
    curve = VerifyCost.from_json(value)
    if not all(0 < milliseconds < math.inf for row in curve.table.values() for milliseconds in row.values()):
        raise ValueError("a pass that takes no time, or all of it")
    return curve
