"""What an arm may be told, as text and as JSON."""

import json
from typing import Any

import pytest

from slipstream.cli import arm_settings
from slipstream.core.errors import RequestError, SlipstreamError


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", {}),
        ("draft=off", {"draft": "off"}),
        ("draft=auto, threads=2", {"draft": "auto", "threads": 2}),
        ("draft=suffix,prompt_lookup,draft_length=8", {"draft": ["suffix", "prompt_lookup"], "draft_length": 8}),
        ("draft=prompt_lookup,length=8", {"draft": ["prompt_lookup"], "draft_length": 8}),
        ("mmap=false,flash_attention=on,margin=1.05", {"mmap": False, "flash_attention": "on", "margin": 1.05}),
        ("threads=none", {"threads": None}),
        ("temperature=0.7,top_k=40,seed=3", {"temperature": 0.7, "top_k": 40, "seed": 3}),
        ("kv_overrides=llama.expert_used_count=int:4", {"kv_overrides": {"llama.expert_used_count": 4}}),
        ("env.OMP_NUM_THREADS=2,env.X=a b", {"environment": {"OMP_NUM_THREADS": "2", "X": "a b"}}),
        ("prefix=env A=1,2", {"prefix": ["env", "A=1,2"]}),
        (
            "draft_model.quantization=Q8_0,draft_model.threads=1",
            {"drafter_settings": {"draft_model": {"quantization": "Q8_0", "threads": 1}}},
        ),
    ],
)
def test_settings_are_read_and_typed(text: str, settings: dict[str, Any]) -> None:
    found = arm_settings.parse(text)
    assert found == settings
    assert arm_settings.checked(json.loads(json.dumps(found))) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("thread=2", "unknown setting 'thread'. did you mean 'threads'"),
        ("draft_lenght=8", "did you mean 'draft_length'"),
        ("draft=sufix", "unknown drafter 'sufix'. did you mean 'suffix'"),
        ("threads=many", "threads can't be 'many'"),
        ("numa=maybe", "numa can't be 'maybe'"),
        ("threads=1,threads=2", "threads is set twice"),
        ("auto", "'auto' is no setting"),
        ("draft=off,draft_length=8", "draft_length 8 without a drafter"),
        ("top_k=40", "contradicts temperature 0"),
        ("suffix.nothing=1", "unknown suffix setting 'nothing'"),
        ("memory=true", "unknown setting 'memory'"),
        ("prefix=no-such-program-anywhere -x", "there is no program 'no-such-program-anywhere'"),
        ("kv_overrides=a=b:c", "can't be read"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(SlipstreamError) as caught:
        arm_settings.parse(text)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_is_opened_cold_and_without_a_profile() -> None:
    options = arm_settings.opening(arm_settings.parse("threads=2,draft=suffix"))
    assert (options.threads, options.memory, options.learn, options.profile) == (2, False, False, False)
    assert options.drafters == ("suffix",)
    assert arm_settings.opening({"profile": True, "draft": "auto"}).profile is True
    assert arm_settings.opening({"draft": "auto"}).drafters is None
    assert arm_settings.opening({"draft": "off"}).drafters == ()
    assert arm_settings.opening({"draft": ["suffix"], "control": True}).drafters == ("suffix", "reference")


def test_how_an_arm_generates() -> None:
    generation = arm_settings.generation(
        arm_settings.parse("draft=suffix,draft_length=4,max_tokens=9,temperature=1,warm=true")
    )
    assert (generation.draft, generation.draft_length, generation.max_tokens) == (("suffix",), 4, 9)
    assert generation.sampling.temperature == 1 and generation.warm


@pytest.mark.parametrize(
    ("arms", "says"),
    [
        (("draft=off", "draft=auto", "draft=prompt_lookup,length=8", "temperature=1"), ""),
        (("draft=off,threads=2", "draft=auto,threads=2"), ""),
        (("threads=1", "threads=2"), "threads differs"),
        (("draft=off", "draft=off,key_type=q8_0"), "key_type differs"),
        (("draft=off", "draft=cascade"), "cascade is opened only where it is asked for"),
        (("draft=off", "env.OMP_NUM_THREADS=1"), "environment is set"),
        (("prefix=env A=1", "draft=off"), "prefix is set"),
    ],
)
def test_arms_share_a_model_where_they_can(arms: tuple[str, ...], says: str) -> None:
    found = arm_settings.needs_process([arm_settings.parse(arm) for arm in arms])
    assert found.startswith(says) and bool(found) == bool(says)


def test_which_arms_get_a_control() -> None:
    plain = arm_settings.parse("draft=off,threads=2")
    for text, reads, same in (
        ("draft=auto,threads=2", True, True),
        ("draft=prompt_lookup,threads=2,length=4,margin=1.2", True, True),
        ("draft=draft_model,threads=2", False, True),
        ("draft=off,threads=2", False, True),
        ("draft=auto", True, False),
    ):
        settings = arm_settings.parse(text)
        assert arm_settings.reads_context(settings) is reads
        assert arm_settings.same_but_for_drafts(settings, plain) is same


def test_tables_are_merged_by_key() -> None:
    ground = arm_settings.parse("env.A=1,env.B=2,threads=1")
    assert arm_settings.merged(ground, arm_settings.parse("env.B=3,threads=2")) == {
        "environment": {"A": "1", "B": "3"},
        "threads": 2,
    }


def test_a_wrong_drafter_setting_in_json_is_refused() -> None:
    with pytest.raises(RequestError, match="unknown drafter 'sufix'"):
        arm_settings.checked({"drafter_settings": {"sufix": {}}})
    with pytest.raises(RequestError, match="unknown drafter 'sufix'"):
        arm_settings.checked({"draft": ["sufix"]})
