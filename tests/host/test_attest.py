"""Attestations of made-up machines and of this one."""

import json
from pathlib import Path

import pytest

from slipstream.host import attest
from slipstream.host.attest import Attestation
from tests.host.machines import server, tree, v2

HYPERVISOR = "model name\t: AMD EPYC\nflags\t\t: fpu hypervisor avx2\n"


def read(root: Path) -> Attestation:
    return attest.read(
        root, models={"m.gguf": "abc"}, argv=["slipstream", "run"], environ={"OMP_NUM_THREADS": "4"}, taken=1e9
    )


def test_a_server_tells_everything(tmp_path: Path) -> None:
    found = read(tree(tmp_path, server()))
    assert (found.microcode, found.kernel, found.uptime) == ("0xb002116", "6.8.0-45-generic", 86400.5)
    assert (found.load, found.swap_used) == ((0.52, 0.40, 0.30), 100 << 10)
    assert (found.memory_total, found.memory_available, found.memory_limit) == (4096 << 10, 3000 << 10, None)
    assert (found.virtual, found.container) == ("", "")
    assert "avx512_bf16" in found.instruction_sets
    assert (found.models, found.argv) == ({"m.gguf": "abc"}, ("slipstream", "run"))
    assert found.environment == {"OMP_NUM_THREADS": "4"}
    assert len(found.topology.nodes or ()) == 2


def test_it_goes_through_json_unchanged(tmp_path: Path) -> None:
    for files in (server(), {}):
        found = read(tree(tmp_path / str(len(files)), files))
        assert Attestation.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize("damage", ["power", "taken", "argv"])
def test_something_else_is_no_attestation(tmp_path: Path, damage: str) -> None:
    value = read(tree(tmp_path, server())).to_json()
    del value[damage]
    if damage == "argv":
        value["serial"] = "123"
        value["argv"] = []
    with pytest.raises((KeyError, TypeError)):
        Attestation.from_json(value)


def test_a_guest_in_a_limited_container(tmp_path: Path) -> None:
    files = server() | {"proc/cpuinfo": HYPERVISOR, "sys/class/dmi/id/sys_vendor": "QEMU\n", ".dockerenv": ""}
    files |= v2("/system.slice/docker-abc.scope", {"memory.max": "1024000\n"})
    found = read(tree(tmp_path, files))
    assert (found.virtual, found.container, found.memory_limit) == ("QEMU AS-1115", "/.dockerenv", 1024000)
    (tmp_path / ".dockerenv").unlink()
    assert read(tmp_path).container == "control group of docker"


def test_an_unreadable_machine_is_none_all_over(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = read(tmp_path / "empty")
    assert (found.microcode, found.swap_used, found.load, found.kernel, found.uptime) == (None,) * 5
    assert (found.virtual, found.power.boost, found.pages.transparent) == (None, None, None)


def test_this_machine_without_names_of_people() -> None:
    found = attest.read()
    assert found.cores >= 1 and found.memory_total > 0 and found.taken > 1.7e9
    assert Attestation.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert str(Path.home()) == "/" or f"{Path.home()}/" not in json.dumps(found.to_json())
