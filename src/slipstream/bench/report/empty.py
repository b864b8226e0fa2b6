"""What a section says that has nothing to show yet: what is missing, and the command that would fill it."""

from collections.abc import Mapping
from types import MappingProxyType

COMPARE = "slipstream bench compare -m MODEL"
BASELINE = "slipstream bench baseline -m MODEL"

EMPTY: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "host": ("No run says what it was measured on.", COMPARE),
        "results": ("No comparison is stored yet.", COMPARE),
        "machine": ("Threads, NUMA policies and batch sizes were not compared yet.", BASELINE),
        "cost": ("No verify-cost curve is stored yet.", BASELINE),
        "acceptance": ("No stored cell says what was drafted.", COMPARE),
        "quality": ("No run measured speed and quality together.", "slipstream experts MODEL"),
        "checks": ("No run measured its own noise yet.", COMPARE),
        "coverage": ("No model was ever measured.", COMPARE),
    }
)
"""By section."""
