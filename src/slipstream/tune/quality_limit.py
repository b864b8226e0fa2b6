"""How much worse the output may get for speed: a limit on perplexity, on the divergence of predictions, on the share of
right answers.

Without a limit nothing joins that makes output worse. The reference is the model file that is tuned: a more precise
file of the same model is never worse and needs no limit, a less precise one is measured against it like any other
setting that changes the output. So the most precise file at hand is the one to name where quality is to be limited.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from slipstream.core.errors import RequestError, UnknownName
from slipstream.tune.configuration import Configuration

FIGURES: Mapping[str, str] = {
    "perplexity": "most that perplexity on a text may rise, as a share: 0.02 is two percent",
    "kl": "most divergence of the next-token distribution from the default's, in nats a token",
    "score": "most that the share of right answers may fall (0.05 is one in 20), by the workload's answers and tests",
}
"""What can be limited. A loss is 0 for the default settings and larger for worse output."""

Losses = Mapping[str, float]
"""By name of `FIGURES`; those that were measured."""

Measurement = Callable[[Configuration], Losses]
"""Opens the lossy part of a configuration and measures its losses against the default settings."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether the output is good enough, and why."""

    good: bool
    reason: str


@dataclass(slots=True)
class QualityLimit:
    """Limits by name, and what was measured so far by configuration: the speed of a lossy setting is only looked at
    after its quality."""

    limits: Mapping[str, float]
    measure: Measurement
    known: dict[str, Losses]

    def admits(self, configuration: Configuration) -> Judgement:
        """Whether the configuration may join. One without lossy choices always may, and is not measured."""
        lossy = configuration.lossy
        if not lossy.choices:
            return Judgement(True, "the same output")
        if lossy.key not in self.known:
            self.known[lossy.key] = self.measure(lossy)
        return within(self.limits, self.known[lossy.key])


def within(limits: Mapping[str, float], losses: Losses) -> Judgement:
    """Whether all limits hold. A figure that is limited but wasn't measured (or isn't a number) counts as exceeded."""
    words = []
    for name, limit in limits.items():
        loss = losses.get(name)
        if loss is None or not loss <= limit:
            found = "was not measured" if loss is None else f"loss {loss:.3g}"
            return Judgement(False, f"{name} {found}, beyond the limit of {limit:g}")
        words.append(f"{name} loss {loss:.3g} within {limit:g}")
    return Judgement(True, ", ".join(words))


def limits_of(texts: Sequence[str]) -> dict[str, float]:
    """Limits from "perplexity=0.02" or a bare "0.02", which means perplexity. Raises RequestError."""
    limits = {}
    for text in texts:
        name, equals, number = text.partition("=")
        if not equals:
            name, number = "perplexity", text
        if name not in FIGURES:
            raise UnknownName("quality figure", name, FIGURES)
        try:
            limit = float(number)
        except ValueError:
            limit = -1.0
        if not 0 <= limit < 100:
            raise RequestError(
                f"--quality-limit {text!r} can't be read", hint="write it as perplexity=0.02: two percent more at most"
            )
        limits[name] = limit
    return limits
