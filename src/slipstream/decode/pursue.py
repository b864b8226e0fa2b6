"""Paid drafts: asked for as the policy wishes, token by token, each with what a free source would add to it."""

from collections.abc import Callable, Mapping, Sequence

from slipstream.core.draft import Draft
from slipstream.core.plan import Snapshot, Wish
from slipstream.core.ports import Ask, PaidDrafter
from slipstream.core.stats import Paid
from slipstream.decode.slot import Slot

NOTHING = Draft("nothing")


def pursue(
    wishes: Sequence[Wish], snapshot: Snapshot, slots: Mapping[int, Slot], drafters: Mapping[str, PaidDrafter]
) -> tuple[dict[int, tuple[Draft, ...]], tuple[Paid, ...]]:
    """Drafts by slot, each continued by a free source where one knows more, and what every source spent. Wishes of
    several slots to one source share its passes."""
    rooms = {view.slot: view.room for view in snapshot.slots}
    drafts: dict[int, tuple[Draft, ...]] = {}
    spent = []
    for source in dict.fromkeys(wish.source for wish in wishes):
        mine = [wish for wish in wishes if wish.source == source]
        asks = [Ask(wish.slot, wish.limit, _going(wish, slots[wish.slot], rooms[wish.slot])) for wish in mine]
        made = drafters[source].draft(asks)
        for wish, draft in zip(mine, made.drafts, strict=True):
            if draft:
                longer = draft.joined(_continuation(slots[wish.slot], draft.tokens, rooms[wish.slot]))
                drafts[wish.slot] = (*drafts.get(wish.slot, ()), longer)
        served = tuple(wish.slot for wish in mine)
        spent.append(Paid(source, served, made.steps, made.step_ms, made.caught_up, made.catch_up_ms))
    return drafts, tuple(spent)


def _going(wish: Wish, slot: Slot, room: int) -> Callable[[int | None, float], bool]:
    """The wish's own rule, told after each token what a free source would add."""
    tokens: list[int] = []

    def go_on(token: int | None, probability: float) -> bool:
        if token is None:
            return wish.going(probability, NOTHING)
        tokens.append(token)
        return wish.going(probability, _continuation(slot, tokens, room))

    return go_on


def _continuation(slot: Slot, tokens: Sequence[int], room: int) -> Draft:
    """What the free source that expects most would add."""
    left = room - len(tokens)
    if left < 1:
        return NOTHING
    offers = (drafter.propose(slot.index, left, tokens) for drafter in slot.drafters)
    return max(offers, key=lambda draft: draft.score, default=NOTHING)
