"""Speculative decoding without a policy: a fixed order of sources and a fixed length, whatever they cost.

It is how most programs do it, and what a policy is measured by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipstream.core.draft import Draft
from slipstream.core.plan import Choice, Plan, SlotView, Snapshot, Wish
from slipstream.core.request import Request
from slipstream.core.stats import RoundRecord


@dataclass(frozen=True, slots=True)
class FixedPolicy:
    """Verifies at most `length` tokens of the first source in `order` that has a draft."""

    order: tuple[str, ...]
    length: int

    def begin(self, slot: int, request: Request) -> None:
        """Nothing to learn."""

    def end(self, slot: int) -> None:
        """Nothing to forget."""

    def observe(self, record: RoundRecord) -> None:
        """Nothing to learn."""

    def wishes(self, snapshot: Snapshot) -> Sequence[Wish]:
        """A paid draft of the full length, if no source before it has one."""
        return [
            Wish(view.slot, source, min(view.room, self.length), lambda probability, follow: True)
            for view in snapshot.slots
            if view.room and (source := self._first(view))
        ]

    def plan(self, snapshot: Snapshot) -> Plan:
        """The first source's draft, cut to the length."""
        choices = tuple(Choice(view.slot, self._draft(view)) for view in snapshot.slots)
        return Plan(choices, f"always {', '.join(self.order)}, {self.length} tokens")

    def _first(self, view: SlotView) -> str:
        """The paid source whose turn it is; "" if a free one has a draft."""
        offered = {draft.source for draft in view.drafts}
        paid = {name for name, _ in view.paid}
        found = next((name for name in self.order if name in offered or name in paid), "")
        return found if found in paid else ""

    def _draft(self, view: SlotView) -> Draft:
        for name in self.order:
            for draft in view.drafts:
                if draft.segments[0].source == name:
                    return draft.segments[0].cut(self.length)
        return Draft("plain")


PRESETS: Mapping[str, FixedPolicy] = {
    # The order in which the project's first plan tried sources: lookup, then suffix, then a draft model.
    "lookup first": FixedPolicy(("prompt_lookup", "suffix", "draft_model"), 16),
}
"""Orders that other programs use."""
