"""The table of tracks: every row says what is and what to do."""

import pytest

from slipstream.bench.tracks import Facts, Outcome, Status, Track, tracks
from slipstream.core.ports import Capabilities
from slipstream.profile import Evidence

OUTCOME = Outcome(0.8, 1.4, (1.3, 1.2, 1.4), 6)


def facts(**changes: object) -> Facts:
    usual: dict[str, object] = {
        "model": "m.gguf",
        "capabilities": Capabilities(),
        "experts": (0, 0),
        "expert_refusal": "",
        "expert_choice": None,
        "head": ("none", False, "an ordinary model without draft heads", ""),
        "open_sources": ("suffix", "prompt_lookup", "reference"),
        "draft_verdict": "",
        "self_drafts": 0,
    }
    return Facts(**(usual | changes))  # type: ignore[arg-type]


def row(number: str, found: Facts, outcomes: dict[str, Outcome] | None = None) -> Track:
    (one,) = [track for track in tracks(found, outcomes or {}) if track.number == number]
    return one


def test_all_nine_tracks_and_native_heads_are_there_with_a_verdict_and_a_way() -> None:
    rows = tracks(facts(), {})
    assert [track.number for track in rows] == [*map(str, range(1, 10)), "-"]
    assert all(track.verdict and track.enable for track in rows)


@pytest.mark.parametrize(
    ("number", "source", "status"),
    [
        ("1", "draft_model", "ready"),
        ("9", "self_draft", "ready"),
        ("7", "cascade", "ready"),
        ("-", "native_head", "ready"),
    ],
)
def test_an_open_source_is_ready_and_shows_its_outcome(number: str, source: str, status: Status) -> None:
    found = facts(open_sources=("suffix", source), head=("mtp", True, "one head", ""))
    assert row(number, found, {source: OUTCOME}).status == status
    assert row(number, found, {source: OUTCOME}).outcome == OUTCOME
    assert row(number, facts()).status in ("missing", "not for this model")


def test_a_model_that_cannot_go_back_drafts_nothing_and_says_why() -> None:
    found = facts(capabilities=Capabilities("none", reason="drafts are off: no state"))
    for number in ("1", "5", "6", "8"):
        assert (row(number, found).status, row(number, found).verdict) == ("refused", "drafts are off: no state")


def test_recurrent_models_are_ready_by_what_the_probe_found() -> None:
    bounded = row("5", facts(capabilities=Capabilities("bounded", rollback=8, state_bytes=3_000_000)))
    assert bounded.status == "ready" and "8 tokens" in bounded.verdict and "3.0 MB" in bounded.verdict
    assert row("5", facts(capabilities=Capabilities("checkpoint", state_bytes=1))).status == "ready"
    assert "4096" in row("5", facts(capabilities=Capabilities("full", window=4096))).verdict


def test_experts_and_trained_heads() -> None:
    assert row("2", facts()).status == "not for this model"
    moe = row("2", facts(experts=(64, 8)))
    assert moe.status == "ready" and "none are kept" in moe.verdict and "slipstream experts m.gguf" in moe.enable
    assert moe.outcome is None
    assert row("2", facts(experts=(64, 8), expert_refusal="blocks differ")).status == "refused"
    choice = Evidence(kind="experts", value=1.5, low=1.4, high=1.6, prompts=6, pairs=12, note="4 of 8 experts")
    kept = row("2", facts(experts=(64, 8), expert_choice=choice))
    assert kept.outcome and kept.outcome.measured == (1.5, 1.4, 1.6) and "4 of 8 experts" in kept.verdict
    assert "--use 8" in kept.enable
    assert row("2", facts(experts=(64, 8), expert_choice=Evidence(kind="experts"))).outcome is None
    eagle = row("3", facts(head=("eagle3", False, "an EAGLE-3 head, no model", "hidden states")))
    assert (eagle.status, eagle.enable) == ("refused", "hidden states")
    assert row("4", facts()).status == "refused"


def test_outcomes_survive_json() -> None:
    assert Outcome.from_json(OUTCOME.to_json()) == OUTCOME
    nothing = Outcome(None, None, None, 0)
    assert Outcome.from_json(nothing.to_json()) == nothing
