"""A figure: a number of a report with what it is read from, so that it can be looked up again."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal
from urllib.parse import quote

from slipstream.bench.claim import Claim

Kind = Literal["claim", "run"]
UNKNOWN = "not known"
"""In place of a figure that nobody knows (not a number, or infinite)."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`field` of a claim or a run, as number and as text. `field` is a path such as "low" or "curve/MODEL/512/8/ms"."""

    value: float
    text: str
    kind: Kind
    id: str
    field: str

    @property
    def exact(self) -> str:
        """The number for machines, to six digits."""
        return f"{self.value:.6g}"

    @property
    def anchor(self) -> str:
        """Where in a report its claim or run is described."""
        return anchor(self.kind, self.id)

    @property
    def key(self) -> tuple[Kind, str, str]:
        """What finds it again."""
        return self.kind, self.id, self.field


def anchor(kind: Kind, name: str) -> str:
    """The id of a claim's or a run's place in a report, without characters that end a link."""
    return f"{kind}-{quote(name, safe='')}"


def of_run(run: str, field: str, value: float, text: str) -> Figure:
    """A figure read off a run's cells."""
    return Figure(value, text, "run", run, field)


def of_claim(claim: Claim) -> Mapping[str, Figure]:
    """All figures of a claim by field."""
    texts = {
        "value": f"{claim.value:.2f}x",
        "low": f"{claim.low:.2f}",
        "high": f"{claim.high:.2f}",
        "prompts": str(claim.prompts),
        "pairs": str(claim.pairs),
        "detectable": share(claim.detectable),
        "floor": share(claim.floor),
    }
    values = {name: float(getattr(claim, name)) for name in texts}
    return {
        name: Figure(values[name], text if math.isfinite(values[name]) else UNKNOWN, "claim", claim.id, name)
        for name, text in texts.items()
    }


def share(value: float) -> str:
    """A share of 1 in percent, in as many digits as matter."""
    return f"{100 * value:.1f} %" if abs(value) < 0.1 else f"{100 * value:.0f} %"


def figures(value: Any) -> Iterator[Figure]:
    """Every figure anywhere within dataclasses, mappings and sequences."""
    if isinstance(value, Figure):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            yield from figures(getattr(value, one.name))
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from figures(one)
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from figures(one)
