"""The table of knobs: values worth trying here, and their combinations."""

from dataclasses import fields, replace
from pathlib import Path
from typing import cast

import pytest

from slipstream.assembly import Options
from slipstream.host.cpu import Cpu
from slipstream.models.gguf import Header, read_header
from slipstream.tune.configuration import DEFAULT, Choice, Configuration
from slipstream.tune.space import KNOBS, AtHand, knobs, opening
from tests.engine import tiny_gguf

LAPTOP = Cpu("cpu", "x86_64", frozenset(), logical=2, cores=2, quota=None, numa_nodes=1, reason="")
SERVER = replace(LAPTOP, logical=192, cores=96, numa_nodes=2)


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> Header:
    return read_header(tiny_gguf.dense(tmp_path_factory.mktemp("models") / "tiny.gguf"))


def here(header: Header, cpu: Cpu = LAPTOP, **more: object) -> AtHand:
    return AtHand(cpu, cpu.cores, header, **more)  # type: ignore[arg-type]


def tried(here: AtHand, knob: str) -> list[dict[str, object]]:
    return [one.options for one in opening(here, knobs(lossy=True, prefill=True, only=[knob]))]


def test_threads_of_a_laptop_and_of_a_server(header: Header) -> None:
    assert tried(here(header), "threads") == [{"threads": 1}, {"threads": 1, "batch_threads": 2}]
    counts = tried(here(header, SERVER), "threads")
    assert counts[:4] == [{"threads": 72}, {"threads": 48}, {"threads": 24}, {"threads": 192}]
    assert {"threads": 48, "batch_threads": 96} in counts and {"threads": 96, "batch_threads": 192} in counts


def test_numa_only_where_there_are_nodes(header: Header) -> None:
    assert tried(here(header), "numa") == []
    assert tried(here(header, SERVER), "numa") == [{"numa": "distribute"}, {"numa": "isolate"}]


def test_experts_of_a_mixture_only(header: Header) -> None:
    assert tried(here(header), "experts") == []
    mixture = replace(header, expert_count=64, experts_used=8)
    assert tried(here(mixture), "experts") == [
        {"kv_overrides": {"llama.expert_used_count": 6}},
        {"kv_overrides": {"llama.expert_used_count": 4}},
    ]


def test_files_and_drafting_are_tried_together(header: Header) -> None:
    variant, draft = replace(header, path=Path("/m/q8.gguf")), replace(header, path=Path("/m/small.gguf"))
    both = opening(here(header, variants=(variant,), drafts=(draft,)), knobs(lossy=False, prefill=True))
    options = [one.options for one in both]
    assert {"model": "/m/q8.gguf", "draft_model": "/m/small.gguf"} in options
    assert {"model": "/m/q8.gguf", "drafters": []} not in options, "files are measured under speculation"
    # Files and drafting before all else: time may be short.
    first = next(index for index, one in enumerate(both) if not one.knobs & {"file", "drafting"})
    assert all(not one.knobs & {"file", "drafting"} for one in both[first:])
    assert len({one.key for one in both}) == len(both)


def test_a_less_precise_file_is_lossy(header: Header) -> None:
    files = [replace(header, path=Path(f"/m/{bits}"), quantization="Q", weights_bytes=header.weights * bits // 8)
             for bits in (4, 8)]  # fmt: skip
    ours = replace(header, quantization="Q", weights_bytes=header.weights * 5 // 8)
    found = opening(here(ours, variants=tuple(files)), knobs(lossy=False, prefill=True, only=["file"]))
    assert [bool(one.lossy.choices) for one in found] == [True, False]


def test_what_changes_the_output_joins_only_on_demand(header: Header) -> None:
    names = {knob.name for knob in knobs(lossy=False, prefill=True)}
    assert names.isdisjoint({"cache", "experts"})
    lossy = opening(here(header), knobs(lossy=True, prefill=True))
    assert {one.name for one in lossy if one.lossy.choices} == {"q8_0 cache"}


def test_what_only_reads_prompts_faster_is_left_out_where_decoding_counts() -> None:
    assert {knob.name for knob in KNOBS} - {knob.name for knob in knobs(lossy=True, prefill=False)} == {"batch"}


def test_every_choice_sets_options_that_there_are(header: Header) -> None:
    valid = {field.name for field in fields(Options)}
    mixture = replace(header, expert_count=64, experts_used=8)
    at_hand = here(mixture, SERVER, variants=(header,), drafts=(header,), draft_model=True)
    for one in opening(at_hand, KNOBS):
        assert set(one.options) <= valid, one.name
        for choice in one.choices:
            assert all(getattr(Options(), name) != value for name, value in choice.options.items()), choice


def test_configurations_join_turn_back_and_compare_by_their_options() -> None:
    first = Configuration((Choice("a", "a on", {"a": 1}),))
    second = Configuration((Choice("b", "b on", {"b": 2}, lossy=True),))
    both = cast(Configuration, first.joined(second))
    assert both.options == {"a": 1, "b": 2} and both.name == "a on, b on"
    reverse = second.joined(first)
    assert reverse is not None and reverse.key == both.key
    assert first.joined(Configuration((Choice("a", "a off", {"a": 0}),))) is None
    assert both.without(both.choices[0]) == second
    assert both.lossy == second and first.lossy.key == DEFAULT.key
    assert DEFAULT.name == "default" and DEFAULT.options == {}
