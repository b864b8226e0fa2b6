"""Profiles hold for one machine, build and model, and say why they no longer do."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipstream.core.errors import RequestError
from slipstream.models.gguf import identity
from slipstream.profile import Evidence, Key, Profile, Profiles, describe, merge
from tests.engine import tiny_gguf

KEY = Key(host="a" * 12, engine="0.3.36-1", model="0123456789abcdef" * 2)
TUNED = Evidence(
    kind="tune", run="20261124-1", value=1.21, low=1.15, high=1.28, prompts=4, pairs=12, held_out=True,
    options=("threads", "drafters"),
)  # fmt: skip


def profile(**changes: Any) -> Profile:
    made = Profile(
        key=KEY, path="/models/a.gguf", options={"threads": 3, "drafters": ["suffix"]}, evidence=(TUNED,), made=1e9
    )
    return replace(made, **changes)


@pytest.fixture
def profiles(tmp_path: Path) -> Profiles:
    return Profiles.open(tmp_path / "state")


def test_what_is_saved_is_found_again(profiles: Profiles) -> None:
    assert profiles.empty and not profiles.folder.exists()
    profiles.save(profile())
    again = Profiles.open(profiles.folder.parent)
    assert not again.empty
    assert again.find(KEY, Path("/models/a.gguf")) == profile()
    assert again.notes == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"host": "b" * 12}, "made on another machine"),
        ({"engine": "0.4.0-1"}, r"made with another engine build (0.3.36-1)"),
    ],
)
def test_another_key_invalidates_it_with_the_reason(profiles: Profiles, change: dict[str, str], says: str) -> None:
    profiles.save(profile())
    assert profiles.find(replace(KEY, **change), Path("/models/a.gguf")) is None
    assert len(profiles.notes) == 1
    assert says in profiles.notes[0] and profiles.notes[0].startswith("the profile of a.gguf is not used: ")


def test_other_content_under_the_same_path_is_noticed(profiles: Profiles) -> None:
    profiles.save(profile())
    assert profiles.find(replace(KEY, model="f" * 32), Path("/models/a.gguf")) is None
    assert "the model file's content has changed" in profiles.notes[0]


def test_another_model_finds_nothing_and_hears_nothing(profiles: Profiles) -> None:
    profiles.save(profile())
    assert profiles.find(replace(KEY, model="f" * 32), Path("/models/b.gguf")) is None
    assert profiles.notes == []


def test_a_changed_draft_model_invalidates_it(profiles: Profiles, tmp_path: Path) -> None:
    draft = tiny_gguf.dense(tmp_path / "draft.gguf")
    named = profile(options={"draft_model": str(draft)}, files={str(draft): identity(draft)})
    profiles.save(named)
    assert profiles.find(KEY, Path("/models/a.gguf")) == named
    tiny_gguf.dense(draft, context=256)
    assert profiles.find(KEY, Path("/models/a.gguf")) is None
    draft.unlink()
    assert profiles.find(KEY, Path("/models/a.gguf")) is None
    assert ["draft.gguf has changed" in profiles.notes[0], "draft.gguf is gone" in profiles.notes[1]] == [True, True]


def test_machines_and_builds_keep_one_each_and_a_new_one_replaces_the_old(profiles: Profiles) -> None:
    other = profile(key=replace(KEY, host="b" * 12), options={})
    profiles.save(profile())
    profiles.save(other)
    profiles.save(profile(options={"threads": 1}, made=2e9))
    assert [one.options for one in profiles.all()] == [{"threads": 1}, {}]
    assert profiles.find(other.key, Path("a")) == other
    assert profiles.forget(KEY.model) == 2
    assert profiles.forget(KEY.model) == 0 and profiles.empty


DAMAGED: list[Any] = [
    [],
    {"version": 1},
    {"version": 1, "profiles": [{}]},
    {"version": 1, "profiles": [profile().to_json() | {"options": ["threads"]}]},
    {"version": 1, "profiles": [profile().to_json() | {"made": "yesterday"}]},
    {"version": 1, "profiles": [profile().to_json() | {"key": {"host": "a"}}]},
    {"version": 1, "profiles": [profile().to_json() | {"evidence": [{"kind": "tune", "speed": 2}]}]},
]


@pytest.mark.parametrize("value", DAMAGED, ids=lambda value: json.dumps(value)[:40])
def test_a_damaged_file_is_set_aside_and_said_so(profiles: Profiles, value: Any) -> None:
    profiles.save(profile())
    (file,) = profiles.folder.iterdir()
    file.write_text(json.dumps(value))
    assert profiles.find(KEY, Path("a.gguf")) is None
    assert [path.name for path in profiles.folder.iterdir()] == [f"{file.name}.damaged-1"]
    assert "was damaged and set aside" in profiles.notes[0]


def test_a_torn_file_is_set_aside_too(profiles: Profiles) -> None:
    profiles.save(profile())
    (file,) = profiles.folder.iterdir()
    file.write_text(file.read_text()[:100])
    assert profiles.all() == [] and "was damaged" in profiles.notes[0]


def test_a_file_of_a_later_version_is_left_alone(profiles: Profiles) -> None:
    profiles.save(profile())
    (file,) = profiles.folder.iterdir()
    file.write_text('{"version": 2, "profiles": "other"}')
    assert profiles.all() == [] and profiles.notes == [] and file.exists()


EXPERTS = Evidence(kind="experts", note="perplexity 1.1 % higher", options=("kv_overrides",))


def test_merging_is_said_to_be_unmeasured_and_can_be_taken_apart() -> None:
    experts = profile(options={"kv_overrides": {"m.expert_used_count": 4}}, evidence=(EXPERTS,))
    both = merge(profile(), experts)
    assert both.options == {"threads": 3, "drafters": ["suffix"], "kv_overrides": {"m.expert_used_count": 4}}
    assert [one.kind for one in both.evidence] == ["tune", "experts", "merge"]
    assert "not measured together" in both.summary
    assert both.without("experts") == profile()
    assert both.without("tune") == experts


def test_merging_prefers_the_later_one_key_by_key_and_replaces_its_kind() -> None:
    old = profile(options={"kv_overrides": {"a": 1, "b": 2}}, evidence=(EXPERTS,))
    new = profile(options={"kv_overrides": {"b": 3}}, evidence=(replace(EXPERTS, note="again"),))
    both = merge(old, new)
    assert both.options == {"kv_overrides": {"a": 1, "b": 3}}
    assert [one.note for one in both.evidence] == ["again", "not measured together"]


def test_merging_keeps_the_files_that_are_still_named() -> None:
    first = profile(options={"draft_model": "/d/one.gguf"}, files={"/d/one.gguf": "1"})
    second = profile(options={"draft_model": "/d/two.gguf"}, files={"/d/two.gguf": "2"})
    assert merge(first, second).files == {"/d/two.gguf": "2"}


def test_profiles_of_different_keys_do_not_merge() -> None:
    with pytest.raises(RequestError, match="another machine"):
        merge(profile(), profile(key=replace(KEY, host="b" * 12)))


def test_in_words() -> None:
    options = {
        "threads": 3, "mmap": False, "drafters": [], "model": "/m/b.gguf", "kv_overrides": {"m.expert_used_count": 4},
        "drafter_settings": {"draft_model": {"quantization": "Q4_0"}},
    }  # fmt: skip
    assert describe(options) == [
        "threads 3", "mmap off", "drafters none", "model b.gguf", "kv overrides m.expert_used_count 4",
        "drafter settings draft_model quantization Q4_0",
    ]  # fmt: skip
    assert "1.21x (1.15 to 1.28, 12 held-out pairs) against the defaults" in profile().summary
    assert profile(options={}, evidence=()).summary.startswith("the default settings (2001-09-")
