"""When measurements carry over."""

from dataclasses import replace
from pathlib import Path

from slipstream.host import cpu
from slipstream.host.fingerprint import LENGTH, fingerprint
from tests.host.machines import smt_machine, tree


def test_only_what_changes_speed_changes_it(tmp_path: Path) -> None:
    one = cpu.read(tree(tmp_path, smt_machine(4)), affinity=frozenset(range(8)), machine="x86_64")
    name = fingerprint(one)
    assert len(name) == LENGTH
    # A new kernel names another mitigation; the order of CPUs in a reason means nothing.
    assert fingerprint(replace(one, flags=one.flags | {"ibpb"}, reason="other")) == name
    others = [replace(one, cores=2), replace(one, flags=one.flags - {"avx2"}), replace(one, model="x")]
    assert len({name, *map(fingerprint, others)}) == 4
