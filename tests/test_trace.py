"""The trace: a JSON line a round, which tells what was on offer, what was chosen and what came of it."""

import json
from pathlib import Path

import pytest

from slipstream.core.errors import StateFileError
from slipstream.core.request import Request
from slipstream.trace import TraceFile
from tests.bench.made import fake_session


def test_every_round_is_a_line_that_adds_up(tmp_path: Path) -> None:
    session = fake_session(tmp_path)
    path = tmp_path / "trace.jsonl"
    with TraceFile(path) as trace:
        session.loop.trace = trace
        completion = session.generate(Request((0, 1, 2, 0, 1, 2, 0, 1), max_tokens=40))
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert len(lines) == completion.stats.rounds
    assert all(line["reason"] for line in lines)
    shares = [share for line in lines for share in line["slots"]]
    assert tuple(token for share in shares for token in share["emitted"]) == completion.tokens
    assert sum(share["accepted"] for share in shares) == completion.stats.accepted > 0
    assert sum(share["drafted"] for share in shares) == completion.stats.drafted
    assert sum(line["target_ms"] for line in lines) == pytest.approx(completion.stats.target_ms, abs=0.1)
    for line, share in zip(lines, shares, strict=True):
        assert line["width"] == 1 + share["drafted"]
        assert share["source"] in {"plain", *(offer["source"] for offer in share["offered"])}
        assert set(share["offered"][0]) == {"source", "length", "match", "support"} if share["offered"] else True


def test_a_path_that_cannot_be_written_is_a_typed_failure(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "trace.jsonl", tmp_path):
        with pytest.raises(StateFileError, match="can't be written") as caught:
            TraceFile(path)
        assert str(path) in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_is_a_typed_failure(tmp_path: Path) -> None:
    session = fake_session(tmp_path)
    with pytest.raises(StateFileError, match="the disk is full"), TraceFile(Path("/dev/full")) as trace:
        session.loop.trace = trace
        session.generate(Request((0, 1, 2), max_tokens=5))
