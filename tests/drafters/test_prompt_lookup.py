"""Prompt lookup: which occurrence, how long, and what other programs would do."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.core.errors import RequestError
from slipstream.core.request import Request
from slipstream.drafters.prompt_lookup import PRESETS, PromptLookup, PromptLookupConfig


def draft(prompt: list[int], limit: int = 10, config: PromptLookupConfig | None = None) -> tuple[int, ...]:
    drafter = PromptLookup(config)
    drafter.begin(0, Request(tuple(prompt)))
    return drafter.propose(0, limit).tokens


def test_the_longest_match_wins_and_of_equals_the_most_recent() -> None:
    assert draft([1, 2, 3, 40, 0, 2, 3, 50, 0, 1, 2, 3], 1) == (40,)
    assert draft([1, 2, 3, 40, 0, 1, 2, 3, 50, 0, 7, 1, 2, 3], 1) == (50,)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=80))
def test_equals_a_plain_search(text: list[int]) -> None:
    config = PromptLookupConfig(max_match=6, min_match=1)
    wanted: tuple[int, ...] = ()
    for length in range(min(6, len(text) - 1), 0, -1):
        ends = [end for end in range(len(text) - 1, length - 1, -1) if text[end - length : end] == text[-length:]]
        if ends:
            copied = list(text)
            for step in range(5):
                copied.append(copied[ends[0] + step])
            wanted = tuple(copied[len(text) :])
            break
    assert draft(text, 5, config) == wanted


def test_periodic_text_is_extrapolated_unless_told_otherwise() -> None:
    assert draft([1, 2, 3] * 3, 7) == (1, 2, 3, 1, 2, 3, 1)
    assert draft([1, 2, 3] * 3, 7, PromptLookupConfig(overlap=False)) == (1, 2, 3)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_know_when_nothing_matches(preset: str) -> None:
    assert draft(list(range(30)), 48, PRESETS[preset]) == ()
    assert draft([4], 48, PRESETS[preset]) == ()


def test_leftmost_presets_take_the_first_occurrence() -> None:
    prompt = [5, 6, 7, 1, 5, 6, 7, 2, *range(20, 40), 5, 6, 7]
    assert draft([5, 6, 7, 1, 5, 6, 7], 1, PRESETS["pld"]) == ()  # wants ten tokens or nothing
    assert draft(prompt, 48, PRESETS["pld"]) == (1, 5, 6, 7, 2, 20, 21, 22, 23, 24)
    assert draft(prompt, 48, PRESETS["vllm"])[:1] == (1,)
    assert draft(prompt, 48, PromptLookupConfig())[:1] == (2,)


def test_llama_cpp_wants_twelve_matched_and_all_of_the_draft() -> None:
    run = list(range(100, 112))
    config = PRESETS["llama.cpp"]
    assert draft([*run, *range(200, 260), *run], 48, config) == tuple(range(200, 248))
    assert draft([*run, *range(200, 220), *run], 48, config) == ()
    assert draft([*run[1:], *range(200, 260), *run[1:]], 48, config) == ()
    assert draft([*run, *range(200, 220), *run], 48, replace(config, require_full=False)) == (*range(200, 220), *run)


def test_commit_extends_the_text_and_slots_are_apart() -> None:
    drafter = PromptLookup()
    drafter.begin(0, Request((1, 2, 3, 4)))
    drafter.begin(1, Request((1, 2, 9, 4)))
    for slot in (0, 1):
        drafter.commit(slot, [7, 1])
        drafter.commit(slot, [2])
    assert drafter.propose(0, 1).tokens == (3,)
    assert drafter.propose(1, 1).tokens == (9,)
    assert drafter.propose(1, 0).tokens == ()
    drafter.end(0)
    drafter.end(0)
    assert drafter.propose(1, 1).tokens == (9,)


def test_settings_out_of_range_are_refused() -> None:
    for values in ({"min_match": 0}, {"min_match": 9, "max_match": 3}, {"draft_length": -1}, {"occurrence": "last"}):
        with pytest.raises(RequestError):
            PromptLookupConfig(**values)
