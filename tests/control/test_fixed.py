"""Fixed orders and lengths: the first source that has a draft, whatever it costs."""

from slipstream.control.fixed import PRESETS, FixedPolicy
from slipstream.core.draft import Draft
from slipstream.core.plan import SlotView, Snapshot


def view(*drafts: Draft, paid: tuple[str, ...] = ("draft_model",), room: int = 50) -> Snapshot:
    return Snapshot((SlotView(0, 10, room, drafts, paid=tuple((name, 0) for name in paid)),))


def draft(source: str, length: int) -> Draft:
    return Draft(source, tuple(range(length)), (0.5,) * length, 3, 1)


POLICY = FixedPolicy(("prompt_lookup", "suffix", "draft_model"), 8)


def test_the_first_source_with_a_draft_is_verified_at_full_length() -> None:
    snapshot = view(draft("suffix", 20), draft("prompt_lookup", 5))
    assert POLICY.wishes(snapshot) == []
    (choice,) = POLICY.plan(snapshot).choices
    assert (choice.draft.source, len(choice.draft)) == ("prompt_lookup", 5)
    (choice,) = POLICY.plan(view(draft("suffix", 20))).choices
    assert len(choice.draft) == 8


def test_a_paid_source_is_asked_only_where_those_before_it_have_nothing() -> None:
    (wish,) = POLICY.wishes(view())
    assert (wish.source, wish.limit) == ("draft_model", 8)
    assert wish.going(0.01, Draft("nothing"))
    assert POLICY.wishes(view(room=0)) == []
    assert POLICY.wishes(view(paid=())) == []
    assert not POLICY.plan(view()).choices[0].draft


def test_what_a_free_source_adds_to_a_paid_draft_is_left_out() -> None:
    joined = draft("draft_model", 3).joined(draft("suffix", 4))
    assert POLICY.plan(view(joined)).choices[0].draft == draft("draft_model", 3)


def test_presets_name_sources_of_the_catalogue() -> None:
    from slipstream.drafters import catalog

    assert all(name in catalog.names() for policy in PRESETS.values() for name in policy.order)
