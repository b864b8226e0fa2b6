"""What a header says of experts, and how far one may reduce them."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.core.errors import RequestError
from slipstream.models.experts import (
    Experts,
    check_override,
    default_counts,
    experts_of,
    limit,
    override_of,
    require,
)
from slipstream.models.gguf import Header, read_header
from slipstream.models.pair_check import check_pair
from tests.models.made import METADATA, made, write

EIGHT = Experts("llama.expert_used_count", 8, 64, 0)


def header(folder: Path, **metadata: Any) -> Header:
    extra = {f"llama.{key}": value for key, value in metadata.items()}
    return read_header(write(folder / "m.gguf", made({**METADATA, **extra})))


def test_reads_key_default_and_shared_experts(tmp_path: Path) -> None:
    one = header(tmp_path, expert_count=64, expert_used_count=6, expert_shared_count=2)
    assert experts_of(one) == Experts("llama.expert_used_count", 6, 64, 2)
    assert override_of(one, 4) == {"llama.expert_used_count": 4}


def test_refuses_what_has_none_or_differs_by_block(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="has no experts: it is dense"):
        experts_of(header(tmp_path))
    with pytest.raises(RequestError, match="use different numbers of experts"):
        experts_of(header(tmp_path, expert_count=8, expert_used_count=[4, 2]))


@pytest.mark.parametrize(
    ("count", "verdict"), [(64, "fine"), (8, "fine"), (4, "fine"), (3, "warned"), (2, "warned"), (1, "blocked")]
)
def test_warns_below_half_and_blocks_below_a_quarter(count: int, verdict: str) -> None:
    assert limit(EIGHT, count).verdict == verdict
    assert (limit(EIGHT, count).reason == "") == (count >= 8)


def test_blocked_unless_forced() -> None:
    with pytest.raises(RequestError, match=r"1 of 8 experts is less than a quarter.*--force"):
        require(EIGHT, 1)
    assert require(EIGHT, 1, force=True).verdict == "blocked"
    for count in (0, 65, -1):
        with pytest.raises(RequestError, match="1 to 64; the default is 8"):
            require(EIGHT, count, force=True)


@given(st.integers(1, 300), st.integers(0, 300))
def test_default_counts_start_at_the_default_and_stay_allowed(default: int, more: int) -> None:
    experts = Experts("k", default, default + more, 0)
    counts = default_counts(experts)
    assert counts[0] == default and list(counts) == sorted(set(counts), reverse=True)
    assert all(limit(experts, count).verdict != "blocked" for count in counts)


def test_an_override_the_engine_would_end_on_is_refused(tmp_path: Path) -> None:
    one = header(tmp_path, expert_count=8, expert_used_count=2)
    check_override(one, {"llama.context_length": 64})
    check_override(one, {"llama.expert_used_count": 8})
    for value in (9, 0):
        with pytest.raises(RequestError, match="1 to 8"):
            check_override(one, {"llama.expert_used_count": value})
    with pytest.raises(RequestError, match=r"write it as llama\.expert_used_count=int:2"):
        check_override(one, {"llama.expert_used_count": 1.0})
    with pytest.raises(RequestError, match="it is dense"):
        check_override(header(tmp_path), {"llama.expert_used_count": 1})


def test_a_file_drafts_for_itself_only_with_fewer(tmp_path: Path) -> None:
    one = header(tmp_path, expert_count=8, expert_used_count=4)
    assert "the draft has 8 experts, of which a token uses 2" in check_pair(one, one, 64, experts=2)
    for count in (0, 4, 8):
        with pytest.raises(RequestError, match=r"the same model.*or use fewer than its 4 experts"):
            check_pair(one, one, 64, experts=count)
