"""What a tuning leaves behind: a profile, arms, a claim."""

from dataclasses import replace

import pytest

from slipstream.bench.workload import Prompt
from slipstream.core.errors import RequestError
from slipstream.profile import Evidence, Key, Profile
from slipstream.tune.tuning import MOST_HELD, Tuned, arms_of, claim_of, part, profile_of, tune
from tests.tune.simulated import Machine, configuration, race, tasks

EXPERTS = Evidence(kind="experts", options=("kv_overrides",))
BASE = Profile(
    key=Key(host="h", engine="e", model="m"), path="/m.gguf", options={"kv_overrides": {"a": 1}}, evidence=(EXPERTS,)
)


def tuned(gain: float) -> Tuned:
    parted = tasks()
    found = race(Machine({("threads",): gain}, 1), parted)
    return tune(found, parted, [configuration("threads"), configuration("mmap")], 300)


@pytest.fixture(scope="module")
def adopted() -> Tuned:
    return tuned(1.3)


def test_prompts_are_parted_and_few_are_held() -> None:
    prompts = [Prompt(str(number), "edit", "text") for number in range(20)]
    task = part("edit", 2.0, prompts)
    assert len(task.chosen) == 10 and len(task.held) == MOST_HELD
    assert not {one.id for one in task.chosen} & {one.id for one in task.held}
    with pytest.raises(RequestError, match="task 'edit' has one prompt"):
        part("edit", 1.0, prompts[:1])


def test_the_profile_of_a_winner_stands_on_what_others_decided(adopted: Tuned) -> None:
    profile = profile_of(adopted, BASE, {"/d.gguf": "1"}, "run-1", 5.0)
    assert profile.options == {"kv_overrides": {"a": 1}, "threads": True}
    assert profile.files == {} and profile.made == 5 and profile.key == BASE.key
    experts, ours = profile.evidence
    assert experts == EXPERTS
    assert ours.kind == "tune" and ours.run == "run-1" and ours.held_out and ours.options == ("threads",)
    assert 1 < ours.low < ours.value < ours.high and ours.pairs >= 5
    assert profile.without("tune") == replace(BASE, made=5.0)


def test_without_a_winner_the_default_settings_are_the_profile() -> None:
    found = tuned(1.0)
    assert found.check is None or not found.check.adopted
    profile = profile_of(found, BASE, {}, "run-1", 5.0)
    assert profile.options == BASE.options
    assert profile.evidence[-1].note == "nothing else is faster here" and profile.evidence[-1].value == 1


def test_files_that_the_options_name_are_remembered() -> None:
    winner = configuration("threads")
    choices = (replace(winner.choices[0], options={"draft_model": "/d.gguf"}),)
    found = tuned(1.3)
    assert found.check is not None
    named = replace(found, check=replace(found.check, winner=replace(winner, choices=choices)))
    files = {"/d.gguf": "1", "/e.gguf": "2"}
    assert profile_of(named, BASE, files, "run-1", 5.0).files == {"/d.gguf": "1"}


def test_arms_and_claim_for_the_store(adopted: Tuned) -> None:
    arms = arms_of(adopted.search.race, lambda one: {"profile": False, **one.options})
    assert (arms[0].name, arms[0].role) == ("default", "baseline")
    assert {arm.name for arm in arms} == {cell.arm for cell in adopted.search.race.cells}
    winner = next(arm for arm in arms if arm.name == "threads True")
    assert winner.configuration == {"settings": {"profile": False, "threads": True}}

    assert adopted.check is not None
    claim = claim_of(adopted.check, "run-1", "decode")
    assert (claim.arm, claim.baseline, claim.verdict, claim.standing) == (
        "threads True",
        "default",
        "faster",
        "optimum",
    )
    assert claim.low < claim.value < claim.high and claim.detectable >= claim.floor > 0
    assert claim.reason == "tokens a second of decoding, on prompts it was not chosen on"
