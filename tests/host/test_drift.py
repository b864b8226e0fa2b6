"""What makes a ratio across two attestations dishonest."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipstream.host import attest
from slipstream.host.attest import Attestation
from slipstream.host.drift import APART, differences
from tests.host.machines import server, tree


@pytest.fixture
def one(tmp_path: Path) -> Attestation:
    return attest.read(tree(tmp_path, server()), argv=["a"], environ={}, taken=1e9)


def later(one: Attestation, seconds: float, **changes: Any) -> Attestation:
    assert one.uptime is not None
    return replace(one, taken=one.taken + seconds, uptime=one.uptime + seconds, **changes)


def test_the_same_host_an_hour_later_compares(one: Attestation) -> None:
    assert differences(one, later(one, 3600, load=(9.0, 9.0, 9.0), memory_available=1, argv=("b",))) == ()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"microcode": "0xb"}, "microcode: 0xb002116, then 0xb"),
        ({"kernel": None}, "kernel: 6.8.0-45-generic, then not readable"),
        ({"environment": {"OMP_NUM_THREADS": "1"}}, "environment: none, then OMP_NUM_THREADS 1"),
        ({"models": {"m": "1"}}, "models: none, then m 1"),
        ({"engine": "x"}, "engine: none, then x"),
        ({"swap_used": 1 << 30}, "1023 MB went to swap in between"),
    ],
)
def test_what_changed_is_named(one: Attestation, changes: dict[str, Any], says: str) -> None:
    assert differences(one, later(one, 60, **changes)) == (says,)


def test_nested_facts_are_named_too(one: Attestation) -> None:
    power = replace(one.power, governors={"powersave": 8}, boost=False, throttled=20, temperature=99.0)
    found = differences(one, later(one, 60, power=power, pages=replace(one.pages, defrag="never")))
    assert found == (
        "power.governors: performance 8, then powersave 8",
        "power.boost: True, then False",
        "pages.defrag: madvise, then never",
        "the cores were throttled 12 times in between",
    )


def test_free_memory_of_a_node_may_change_its_size_may_not(one: Attestation) -> None:
    first, second = one.topology.nodes or ()
    busy = replace(one.topology, nodes=(replace(first, free=0), second))
    assert differences(one, later(one, 60, topology=busy)) == ()
    halved = replace(one.topology, nodes=(replace(first, total=1), second))
    assert len(differences(one, later(one, 60, topology=halved))) == 1


def test_days_and_reboots_part_runs(one: Attestation) -> None:
    assert differences(one, later(one, APART + 3600)) == ("they are 13 hours apart",)
    again = replace(one, taken=one.taken + 3600, uptime=100.0)
    assert differences(one, again) == ("the machine was started again in between",)
