"""Acceptance learnt online: rates, a request's own record, forgetting, and what a state file may hold."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.control.calibration import MEMORY, STRENGTH, Buckets, Calibration, Key
from slipstream.control.priors import COPY
from slipstream.control.worth import RUNS, Droughts, Record
from slipstream.core.draft import Draft

RIGHT, WRONG = (5,), (6,)


def draft(
    match_length: int = 4, length: int = 1, *, source: str = "suffix", share: float = 1.0, support: int = 1
) -> Draft:
    return Draft(source, (5,) * length, (share,) * length, match_length, support)


def first(calibration: Calibration, slot: int, one: Draft) -> float:
    return next(iter(calibration.probabilities(slot, one, 8)))


def observe(calibration: Calibration, one: Draft, hits: int, misses: int, requests: int = 1) -> None:
    """Evenly mixed observations, spread over fresh requests of the same workload."""
    total = hits + misses
    for index in range(requests * total):
        if index % total == 0:
            calibration.begin(9, "default")
        right = (index % total + 1) * hits // total > index % total * hits // total
        calibration.observe(9, [one], RIGHT if right else WRONG)


def observed(calibration: Calibration) -> dict[Key, tuple[float, float]]:
    """Hits and trials by bucket, without what the priors put there."""
    counts = calibration.workloads["default"].counts
    return {
        key: (round(hits - STRENGTH * COPY[key[1]][key[2]], 6), round(trials - STRENGTH, 6))
        for key, (hits, trials) in counts.items()
    }


def test_a_new_source_starts_at_its_prior() -> None:
    calibration = Calibration()
    calibration.begin(0, "default")
    assert first(calibration, 0, draft(4)) == pytest.approx(COPY[4][2])
    assert first(calibration, 0, draft(64, support=3)) == pytest.approx(COPY[9][4])
    assert first(calibration, 0, draft(0, source="reference")) == pytest.approx(0.85)


@pytest.mark.parametrize("hits", [1, 5, 9])
def test_learns_a_rate(hits: int) -> None:
    calibration = Calibration()
    observe(calibration, draft(), hits, 10 - hits, requests=60)
    calibration.begin(0, "default")
    assert first(calibration, 0, draft()) == pytest.approx(hits / 10, abs=0.03)


def test_a_few_observations_hardly_move_what_many_will() -> None:
    calibration = Calibration()
    observe(calibration, draft(), 0, 1)
    calibration.begin(0, "default")
    assert first(calibration, 0, draft()) > 0.9 * COPY[4][2]


def test_workloads_and_sources_learn_apart() -> None:
    calibration = Calibration()
    observe(calibration, draft(), 1, 9, requests=60)
    calibration.begin(0, "other")
    assert first(calibration, 0, draft()) == pytest.approx(COPY[4][2])
    calibration.begin(0, "default")
    assert first(calibration, 0, draft(source="prompt_lookup")) == pytest.approx(COPY[4][2])


def test_a_request_that_misses_more_than_expected_is_distrusted_and_others_are_not() -> None:
    calibration = Calibration()
    observe(calibration, draft(), 9, 1, requests=60)
    calibration.begin(0, "default")
    calibration.begin(1, "default")
    before = first(calibration, 0, draft())
    for _ in range(12):
        calibration.observe(0, [draft()], WRONG)
    assert first(calibration, 0, draft()) < 0.8 * before
    assert first(calibration, 1, draft()) > 0.95 * before


def test_a_request_that_misses_less_than_expected_is_trusted_more() -> None:
    calibration = Calibration()
    observe(calibration, draft(), 5, 5, requests=60)
    calibration.begin(0, "default")
    before = first(calibration, 0, draft())
    for _ in range(12):
        calibration.observe(0, [draft()], RIGHT)
    assert first(calibration, 0, draft()) > before + 0.2


def test_distrust_fades_once_the_request_is_right_again() -> None:
    calibration = Calibration()
    calibration.begin(0, "default")
    for _ in range(6):
        calibration.observe(0, [draft()], WRONG)
    low = first(calibration, 0, draft())
    for _ in range(80):
        calibration.observe(0, [draft()], RIGHT)
    assert first(calibration, 0, draft()) > 0.75 > 0.5 > low


def test_the_end_of_a_request_forgets_its_own_record() -> None:
    calibration = Calibration()
    calibration.begin(0, "default")
    for _ in range(8):
        calibration.observe(0, [draft()], WRONG)
    distrusted = first(calibration, 0, draft())
    calibration.end(0)
    calibration.end(0)
    calibration.begin(0, "default")
    assert first(calibration, 0, draft()) > 1.2 * distrusted


def test_old_observations_fade_once_a_bucket_is_full() -> None:
    buckets = Buckets()
    key = ("suffix", 4, 2)

    def rate_after(count: float, hit: bool) -> float:
        for _ in range(int(count)):
            cell = buckets.cell(key)
            cell[0] += hit
            cell[1] += 1
        assert cell[1] <= MEMORY
        return cell[0] / cell[1]

    assert rate_after(MEMORY, True) > 0.99
    assert rate_after(3 * MEMORY, False) < 0.15


def test_nothing_is_learnt_beyond_the_first_difference_nor_beyond_what_was_emitted() -> None:
    calibration = Calibration()
    calibration.begin(0, "default")
    calibration.observe(0, [draft(4, length=12)], (5, 5, 6))
    assert observed(calibration) == {("suffix", 4, 2): (2, 2), ("suffix", 5, 2): (0, 1)}
    calibration.observe(0, [draft(16, length=12)], (5, 5))
    assert observed(calibration)["suffix", 7, 2] == (2, 2)


def test_every_offered_draft_is_learnt_from_whether_or_not_it_was_verified() -> None:
    calibration = Calibration()
    calibration.begin(0, "default")
    calibration.observe(0, [draft(), Draft("prompt_lookup", (6,), (1.0,), 4, 1)], RIGHT)
    assert observed(calibration) == {("suffix", 4, 2): (1, 1), ("prompt_lookup", 4, 2): (0, 1)}


@given(st.integers(1, 80), st.integers(1, 80), st.sampled_from([(1.0, 1), (1.0, 2), (1.0, 3), (0.3, 5)]))
def test_a_longer_match_is_never_believed_less(one: int, other: int, kind: tuple[float, int]) -> None:
    calibration = Calibration()
    calibration.begin(0, "default")
    short, long = (
        first(calibration, 0, draft(length, share=kind[0], support=kind[1])) for length in sorted((one, other))
    )
    assert 0 < short <= long < 1


def test_a_token_deep_in_a_draft_counts_as_a_longer_match() -> None:
    calibration = Calibration()
    calibration.begin(0, "default")
    found = list(calibration.probabilities(0, draft(2, length=80), 70))
    assert len(found) == 70
    assert found[0] == pytest.approx(COPY[2][2])
    assert found[14] == pytest.approx(first(calibration, 0, draft(16)))
    assert found[-1] == pytest.approx(COPY[9][2])


def test_survives_json() -> None:
    calibration = Calibration()
    observe(calibration, draft(), 3, 7)
    calibration.begin(0, "code")
    calibration.observe(0, [draft(20, length=5)], (5, 5, 5, 6))
    calibration.workloads["code"].gain, calibration.workloads["code"].paid_gain = 12.5, -3.0
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
    assert again.workloads == calibration.workloads
    again.begin(1, "code")
    calibration.begin(1, "code")
    assert first(again, 1, draft(20)) == first(calibration, 1, draft(20))


def test_what_paid_sources_were_worth_and_droughts_survive_json() -> None:
    calibration = Calibration()
    calibration.begin(0, "code")
    for tokens in (3, 1, 4):
        calibration.observe_paid(0, "draft_model", tokens, 1.5)
    calibration.observe_drought(0, 40, True)
    calibration.observe_drought(0, 3, False)
    calibration.waited(0, "draft_model")
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
    assert again.workloads == calibration.workloads
    again.begin(1, "code")
    calibration.begin(1, "code")
    for one in (again, calibration):
        one.begin(2, "chat")
    for slot in (1, 2):
        assert again.worth(slot, "draft_model", 1.2) == calibration.worth(slot, "draft_model", 1.2)
    assert again.drought_left(1, 100) == calibration.drought_left(1, 100) != again.drought_left(2, 100)
    assert again.waited(1, "draft_model") == calibration.waited(1, "draft_model")


# A model's own probabilities.


def model(*probabilities: float) -> Draft:
    return Draft("draft_model", (5,) * len(probabilities), probabilities)


def test_a_model_is_believed_by_how_sure_it_is() -> None:
    calibration = Calibration()
    calibration.begin(0, "default")
    levels = [0.05, 0.4, 0.6, 0.7, 0.85, 0.93, 0.97, 0.985, 0.995, 1.0]
    found = list(calibration.probabilities(0, model(*levels), 20))
    assert found == sorted(set(found)), "every level has a bucket of its own"
    assert all(0 < probability < 1 for probability in found)


def test_a_models_levels_of_confidence_are_learnt_apart() -> None:
    calibration = Calibration()
    observe(calibration, model(0.999), 9, 1, requests=60)
    observe(calibration, model(0.1), 1, 9, requests=60)
    calibration.begin(0, "default")
    assert first(calibration, 0, model(0.999)) == pytest.approx(0.9, abs=0.03)
    assert first(calibration, 0, model(0.1)) == pytest.approx(0.1, abs=0.03)


def test_what_continues_a_paid_draft_has_a_record_of_its_own() -> None:
    calibration = Calibration()
    whole = model(0.9).joined(draft(4))
    for index in range(300):
        if index % 10 == 0:
            calibration.begin(9, "default")
        calibration.observe(9, [whole, draft(4)], (5, 6))
        calibration.observe(9, [draft(4)], RIGHT)
    calibration.begin(0, "default")
    alone, behind = list(calibration.probabilities(0, draft(4), 1)), list(calibration.probabilities(0, whole, 9))
    assert len(behind) == 2
    assert alone[0] > 0.9 > 0.1 > behind[1]
    assert list(calibration.probabilities(0, draft(4), 1, "draft_model")) == [behind[1]]
    assert first(calibration, 0, model(0.9)) == behind[0]


def test_a_continuation_is_compared_only_once_all_before_it_stood() -> None:
    calibration = Calibration()
    calibration.begin(0, "default")
    whole = model(0.9, 0.9).joined(draft(4, 2))
    before = len(calibration.workloads["default"].counts)
    calibration.observe(0, [whole], (5, 6))
    sources = {key[0] for key in calibration.workloads["default"].counts}
    assert (before, sources) == (0, {"draft_model"})
    calibration.observe(0, [whole], (5, 5, 6))
    assert {key[0] for key in calibration.workloads["default"].counts} == {"draft_model", "draft_model+suffix"}


@given(st.integers(0, 9), st.lists(st.floats(0.01, 1.0), max_size=4), st.integers(0, 4))
def test_no_more_probabilities_are_given_than_asked_for(limit: int, said: list[float], copied: int) -> None:
    calibration = Calibration()
    calibration.begin(0, "default")
    whole = model(*said).joined(draft(4, copied))
    assert len(list(calibration.probabilities(0, whole, limit))) == min(limit, len(whole))


def test_worth_is_learnt_by_request_and_workload() -> None:
    calibration = Calibration()
    calibration.begin(0, "default")
    calibration.begin(1, "default")
    calibration.begin(2, "other")
    assert calibration.worth(0, "draft_model", 1.5) == pytest.approx(1.5)
    for _ in range(40):
        calibration.observe_paid(0, "draft_model", 1, 2.0)
    request, workload, other = (calibration.worth(slot, "draft_model", 1.5) for slot in range(3))
    assert request < workload < other == pytest.approx(1.5)
    assert calibration.worth(2, "native_head", 1.5) == pytest.approx(1.5)
    calibration.end(0)
    calibration.begin(0, "default")
    assert calibration.worth(0, "draft_model", 1.5) == pytest.approx(workload)


def test_waiting_is_counted_until_the_source_is_asked() -> None:
    calibration = Calibration()
    calibration.begin(0, "default")
    assert [calibration.waited(0, "draft_model") for _ in range(3)] == [1, 2, 3]
    calibration.observe_paid(0, "draft_model", 2, 1.0)
    assert calibration.waited(0, "draft_model") == 1
    assert calibration.waited(0, "native_head") == 1


def test_a_drought_ends_with_a_free_draft_or_the_request() -> None:
    calibration = Calibration()
    calibration.begin(0, "default")
    droughts = calibration.workloads["default"].droughts
    for dry in (True, True, False, False, True):
        calibration.observe_drought(0, 3, dry)
    assert sum(droughts.counts) == pytest.approx(1)
    calibration.end(0)
    assert sum(droughts.counts) > 1.9
    calibration.begin(0, "default")
    calibration.end(0)
    assert sum(droughts.counts) < 2.1, "a request without a drought adds none"


# State files.

NO_DROUGHTS = [0.0] * len(RUNS)


def made(rows: Any, gain: Any = (0.0, 0.0), *, paid: Any = None, droughts: Any = NO_DROUGHTS) -> dict[str, Any]:
    return {"default": {"gain": gain, "buckets": rows, "paid": {} if paid is None else paid, "droughts": droughts}}


def test_a_sound_state_is_taken() -> None:
    rows = [["suffix", 4, 2, 1.0, 2.0], ["draft_model", 9, 5, 1.5, 3.0]]
    droughts = [1.5, *NO_DROUGHTS[1:]]
    calibration = Calibration.from_json(made(rows, [3.5, -1.5], paid={"cascade": [4.0, 2.0, 7]}, droughts=droughts))
    counts: dict[Key, list[float]] = {("suffix", 4, 2): [1.0, 2.0], ("draft_model", 9, 5): [1.5, 3.0]}
    records = {"cascade": Record(4.0, 2.0, 7)}
    assert calibration.workloads == {"default": Buckets(counts, 3.5, -1.5, records, Droughts(droughts))}


def without(name: str) -> dict[str, Any]:
    state = made([])
    del state["default"][name]
    return state


INFINITE = float("inf")
NOT_A_NUMBER = float("nan")


@pytest.mark.parametrize(
    "value",
    [
        [],
        "text",
        {"default": {"gain": 0.0, "buckets": []}},
        {"default": 3},
        {"default": [["suffix", 4, 2, 1.0, 1.0]]},
        *(without(name) for name in ("gain", "buckets", "paid", "droughts")),
        made(3),
        made([], gain="much"),
        made([], gain=1.0),
        made([], gain=[1.0]),
        made([["suffix", 4, 2, 1.0]]),
        made([["suffix", 4, 2, 3.0, 1.0]]),
        made([["suffix", 4, 2, -1.0, 1.0]]),
        made([["suffix", 4, 2, 0.0, 3.0]]),
        made([["suffix", 4, 2, "x", 1.0]]),
        made([["suffix", 4, 2, NOT_A_NUMBER, 1.0]]),
        made([["suffix", 10, 2, 1.0, 1.0]]),
        made([["suffix", -1, 2, 1.0, 1.0]]),
        made([["suffix", 4, 6, 1.0, 1.0]]),
        made([["suffix", 4, -1, 1.0, 1.0]]),
        made([["suffix", "4", 2, 1.0, 1.0]]),
        made([], droughts=NO_DROUGHTS[1:]),
        made([], droughts=[-1.0, *NO_DROUGHTS[1:]]),
        made([], droughts=[NOT_A_NUMBER, *NO_DROUGHTS[1:]]),
        made([], droughts=3),
        *(
            made([], paid={"cascade": record})
            for record in (
                3,
                [1.0, 1.0],
                [-1.0, 1.0, 0],
                [1.0, -1.0, 0],
                [INFINITE, 1.0, 0],
                [1.0, NOT_A_NUMBER, 0],
                [1.0, 1.0, "x"],
                [1.0, 1.0, -1],
                [1.0, 1.0, INFINITE],
            )
        ),
        made([], paid=[3]),
    ],
)
def test_damaged_json_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        Calibration.from_json(value)
