"""How far apart launches of one and the same configuration come: what a difference has to exceed."""

import math
from dataclasses import dataclass, field

LEAST = 0.01
"""No difference below one percent is believed, however calm the machine seemed."""
SURE = 2.0
"""Standard deviations between noise and a difference."""


@dataclass(slots=True)
class Noise:
    """Log ratios of neighbouring launches of the default settings (A/A). Every anchor that is measured adds to them."""

    logs: list[float] = field(default_factory=list)

    def add(self, ratio: float) -> None:
        """One more pair of launches that should have been equal."""
        self.logs.append(math.log(ratio))

    def floor(self, launches: float = 1) -> float:
        """The log ratio that an identical configuration, launched so often, exceeds about once in twenty times.

        Root mean square of the A/A log ratios times two, over the root of the launches; never below one percent. With
        few A/A pairs that spread is itself uncertain, so it is widened by as much as a sample of that size may be low.
        """
        if not self.logs:
            return math.inf
        spread = math.sqrt(sum(value * value for value in self.logs) / len(self.logs))
        return max(LEAST, SURE * spread * (1 + 1 / len(self.logs)) / math.sqrt(max(1, launches)))
