"""Usable cores on made-up machines."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.host import cpu
from tests.host.machines import CPUINFO, smt_machine, tree, v2

ALL = frozenset(range(192))


def test_siblings_count_once(tmp_path: Path) -> None:
    found = cpu.read(tree(tmp_path, smt_machine(96)), affinity=ALL)
    assert (found.cores, found.logical, found.quota) == (96, 192, None)
    assert found.model == "AMD EPYC 9655 96-Core Processor"
    assert "96 physical cores" in found.reason


def test_affinity_of_two_siblings_is_one_core(tmp_path: Path) -> None:
    found = cpu.read(tree(tmp_path, smt_machine(96)), affinity=frozenset({3, 99, 4}))
    assert (found.cores, found.logical) == (2, 3)


def test_quota_rounds_up(tmp_path: Path) -> None:
    files = smt_machine(96) | v2("/box", {"cpu.max": "250000 100000\n"})
    found = cpu.read(tree(tmp_path, files), affinity=ALL)
    assert (found.cores, found.quota) == (3, 2.5)
    assert "CPU time of 2.5 cores" in found.reason


def test_the_tightest_ancestor_binds(tmp_path: Path) -> None:
    files = smt_machine(8) | v2("/a/b", {"cpu.max": "max 100000\n"})
    files["sys/fs/cgroup/a/cpu.max"] = "400000 100000\n"
    assert cpu.read(tree(tmp_path, files), affinity=frozenset(range(16))).cores == 4


def test_quota_of_version_1(tmp_path: Path) -> None:
    files = smt_machine(8) | {
        "proc/self/cgroup": "3:cpu,cpuacct:/docker/x\n1:name=systemd:/\n",
        # No cgroup namespace: the host's path doesn't exist inside, the mount is the container's own group.
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    assert cpu.read(tree(tmp_path, files), affinity=frozenset(range(16))).cores == 2


def test_unlimited_quotas_don_t_bind(tmp_path: Path) -> None:
    files = smt_machine(8) | {
        "proc/self/cgroup": "3:cpu:/\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    found = cpu.read(tree(tmp_path, files), affinity=frozenset(range(16)))
    assert (found.cores, found.quota) == (8, None)


@pytest.mark.parametrize("affinity", [frozenset(range(16)), None])
def test_cpuset_narrows(tmp_path: Path, affinity: frozenset[int] | None) -> None:
    files = smt_machine(8) | v2("/", {"cpuset.cpus.effective": "0-3,8-11\n"})
    found = cpu.read(tree(tmp_path, files), affinity=affinity)
    assert (found.cores, found.logical) == (4, 8)
    assert "cpuset" in found.reason


def test_without_sys_the_operating_system_is_asked(tmp_path: Path) -> None:
    root = tree(tmp_path, {"proc/cpuinfo": CPUINFO})
    found = cpu.read(root, affinity=frozenset(range(8)), physical=lambda: 4)
    assert found.cores == 4
    assert "no topology in /sys" in found.reason
    assert cpu.read(root, affinity=frozenset({0, 1}), physical=lambda: 4).cores == 2
    assert cpu.read(root, affinity=frozenset(range(8)), physical=lambda: None).cores == 8


def test_like_macos(tmp_path: Path) -> None:
    found = cpu.read(tmp_path, machine="arm64", physical=lambda: 10, logical=lambda: 10)
    assert (found.cores, found.numa_nodes, found.machine) == (10, 1, "arm64")
    assert found.model
    assert cpu.read(tmp_path, physical=lambda: None, logical=lambda: None).cores == 1


def test_flags(tmp_path: Path) -> None:
    found = cpu.read(tree(tmp_path, {"proc/cpuinfo": CPUINFO}), affinity=frozenset({0}))
    assert found.vector_flags == ("avx2", "avx512_bf16", "avx512f", "fma", "sse2", "ssse3")


def test_arm_servers_have_numbers_for_a_name() -> None:
    model, flags = cpu.parse_cpuinfo("CPU implementer\t: 0x41\nFeatures\t: asimd sve\nCPU part\t: 0xd4f\n")
    assert (model, flags) == ("ARM implementer 0x41 part 0xd4f", frozenset({"asimd", "sve"}))


def test_numa_nodes_need_cpus(tmp_path: Path) -> None:
    nodes = {f"sys/devices/system/node/node{n}/cpulist": text for n, text in enumerate(["0-7\n", "8-15\n", "\n"])}
    assert cpu.numa_nodes(tree(tmp_path, nodes)) == 2


@given(st.text(alphabet="0123456789-, \nx", max_size=30))
def test_any_cpu_list_is_survived(text: str) -> None:
    assert all(number >= 0 for number in cpu.parse_cpu_list(text))


def test_this_machine() -> None:
    found = cpu.read()
    assert 1 <= found.cores <= found.logical
