"""NUMA nodes on made-up machines."""

from pathlib import Path

from slipstream.host.topology import Node, Topology, read
from tests.host.machines import server, tree


def test_nodes_in_order_of_their_numbers(tmp_path: Path) -> None:
    files = server(4) | {"sys/devices/system/node/node10/cpulist": "\n", "sys/devices/system/node/possible": "0-10\n"}
    found = read(tree(tmp_path, files))
    assert found.nodes == (Node(0, 4, 2048 << 10, 8 << 10), Node(1, 4, 2048 << 10, 8 << 10), Node(10, 0, None, None))
    assert (found.balancing, found.threads_per_core) == (False, 2)


def test_balancing_has_more_than_one_way_of_being_on(tmp_path: Path) -> None:
    assert read(tree(tmp_path, {"proc/sys/kernel/numa_balancing": "2\n"})).balancing is True


def test_nothing_readable(tmp_path: Path) -> None:
    assert read(tmp_path) == Topology(None, None, None)
