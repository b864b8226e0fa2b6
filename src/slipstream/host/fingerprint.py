"""A stable name for "this kind of machine": measurements are cached under it."""

import hashlib
import json

from slipstream.host.cpu import Cpu

LENGTH = 12


def fingerprint(cpu: Cpu) -> str:
    """Twelve hex digits that are equal exactly if a measurement carries over.

    Made of the CPU's model, its vector instructions, usable cores, CPU quota and NUMA nodes. The kernel is left out (an
    update must not throw measurements away), and so is everything that tells one owner from another: names, serials.
    """
    facts = [cpu.model, cpu.machine, cpu.vector_flags, cpu.cores, cpu.quota, cpu.numa_nodes]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:LENGTH]
