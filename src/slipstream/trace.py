"""One JSON line a round: what was on offer, what was chosen and why, what came of it, and what it took."""

import json
from pathlib import Path
from types import TracebackType
from typing import Self

from slipstream.core.errors import StateFileError
from slipstream.core.stats import RoundRecord
from slipstream.storage.files import reason


class TraceFile:
    """Callable as a loop's trace; a context manager that closes the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise self._failure(error) from None

    def __call__(self, record: RoundRecord, learn_ms: float, total_ms: float) -> None:
        slots = [
            {
                "slot": share.slot,
                "offered": [
                    {
                        "source": draft.source,
                        "length": len(draft),
                        "match": draft.match_length,
                        "support": draft.support,
                    }
                    for draft in share.offered
                ],
                "source": share.chosen.source,
                "drafted": len(share.chosen),
                "accepted": share.accepted,
                "emitted": share.emitted,
            }
            for share in record.slots
        ]
        line = {
            "width": record.width,
            "depth": record.depth,
            "reason": record.reason,
            "predicted_ms": round(record.predicted_ms, 3),
            "target_ms": round(record.target_ms, 3),
            "draft_ms": round(record.draft_ms, 4),
            "plan_ms": round(record.plan_ms, 4),
            "learn_ms": round(learn_ms, 4),
            "total_ms": round(total_ms, 3),
            "slots": slots,
        }
        try:
            self._file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise self._failure(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as failure:
            if error is None:  # a failure that is already on its way tells more
                raise self._failure(failure) from None

    def _failure(self, error: OSError) -> StateFileError:
        return StateFileError(f"the trace {self.path} can't be written: {reason(error)}", hint="name another file")
