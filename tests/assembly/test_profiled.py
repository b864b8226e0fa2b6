"""A profile goes beneath what was asked for, and is said to be there."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import slipstream
from slipstream.assembly import Options
from slipstream.assembly.profiled import with_profile
from slipstream.cli import arm_settings
from slipstream.cli import main as cli
from slipstream.config import Settings
from slipstream.core.errors import UnknownName
from slipstream.engine.build import engine_build
from slipstream.host import cpu
from slipstream.host.fingerprint import fingerprint
from slipstream.models.gguf import identity
from slipstream.profile import Evidence, Key, Profile, Profiles
from tests.engine import tiny_gguf
from tests.isolation import eager_curve

KEY = Key(host="h", engine="e", model="m")
TUNED: dict[str, Any] = {
    "model": "/m/b.gguf", "threads": 3, "batch_threads": 6, "draft_model": "/m/d.gguf", "drafters": ["draft_model"],
    "key_type": "q8_0", "value_type": "q8_0", "mmap": False, "micro_batch": 128, "kv_overrides": {"a": 1, "b": 2},
}  # fmt: skip


def applied(options: Options, settings: Settings | None = None, **tuned: Any) -> Options:
    return with_profile(options, Profile(key=KEY, path="", options=tuned or TUNED), settings or Settings())


def test_everything_of_it_is_taken_where_nothing_was_asked_for() -> None:
    assert applied(Options(model=Path("/m/a.gguf"))) == Options(
        model=Path("/m/b.gguf"), threads=3, batch_threads=6, draft_model=Path("/m/d.gguf"), drafters=("draft_model",),
        key_type="q8_0", value_type="q8_0", mmap=False, micro_batch=128, kv_overrides={"a": 1, "b": 2},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"threads": 1}, {"threads": 1, "batch_threads": None}),
        ({"drafters": ()}, {"drafters": (), "draft_model": None}),
        ({"draft_model": Path("x")}, {"draft_model": Path("x"), "drafters": None}),
        ({"self_draft": Path("x")}, {"draft_model": None, "drafters": None}),
        ({"flash_attention": "off"}, {"flash_attention": "off", "key_type": "f16", "value_type": "f16"}),
        ({"batch_size": 64}, {"batch_size": 64, "micro_batch": 512}),
        ({"kv_overrides": {"b": 9}}, {"kv_overrides": {"a": 1, "b": 9}}),
        (
            {"kv_overrides": {}, "drafter_settings": {}},
            {"kv_overrides": {"a": 1, "b": 2}, "draft_model": Path("/m/d.gguf")},
        ),
    ],
    ids=str,
)  # fmt: skip
def test_what_was_asked_for_wins_with_all_that_belongs_to_it(given: dict[str, Any], kept: dict[str, Any]) -> None:
    result = applied(Options(**given))
    assert {name: getattr(result, name) for name in kept} == kept
    assert result.mmap is False, "the rest of the profile stays"


def test_the_configuration_wins_too() -> None:
    result = applied(Options(), Settings(threads=2, draft_model=Path("/c/d.gguf")))
    assert (result.threads, result.batch_threads, result.draft_model, result.drafters) == (None, None, None, None)


def test_an_option_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'threads'"):
        applied(Options(), thread=3)


@pytest.fixture
def tuned(own_world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model with a profile: prompt lookup alone, from another file of it."""
    monkeypatch.setattr(slipstream.assembly, "measure_cost", lambda *arguments, **options: eager_curve())
    path = tiny_gguf.dense(own_world / "tiny.gguf", template="{{ messages[-1].content }}")
    other = tiny_gguf.dense(own_world / "other.gguf", template="{{ messages[-1].content }}")
    key = Key(host=fingerprint(cpu.read()), engine=engine_build().build_id, model=identity(path))
    options = {"drafters": ["prompt_lookup"], "model": str(other)}
    evidence = (Evidence(kind="tune", value=1.2, low=1.1, high=1.3, pairs=12, held_out=True),)
    made = Profile(key=key, path=str(path), options=options, files={str(other): identity(other)}, evidence=evidence)
    Profiles.open(own_world / "root" / "state").save(made)
    return path


def test_a_session_opens_with_it_and_says_so(tuned: Path) -> None:
    with slipstream.open(tuned, memory=False) as session:
        assert list(session.loop.sources) == ["prompt_lookup"]
        assert session.header.path.name == "other.gguf"
        (note,) = session.keep.notes
    assert note.startswith("profile: drafters prompt_lookup, model other.gguf (")
    assert "; 1.20x (1.10 to 1.30, 12 held-out pairs) against the defaults)" in note
    assert note.endswith("--no-profile")


def test_it_can_be_left_out(tuned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with slipstream.open(tuned, memory=False, profile=False) as session:
        assert session.header.path == tuned and session.keep.notes == []
    monkeypatch.setenv("SLIPSTREAM_PROFILE", "false")
    with slipstream.open(tuned, memory=False) as session:
        assert session.header.path == tuned
    with slipstream.open(tuned, memory=False, profile=True) as session:
        assert session.header.path.name == "other.gguf"


def test_one_of_another_build_is_not_used_and_said_to_be(tuned: Path, own_world: Path) -> None:
    profiles = Profiles.open(own_world / "root" / "state")
    (made,) = profiles.all()
    profiles.forget(made.key.model)
    profiles.save(replace(made, key=replace(made.key, engine="older")))
    with slipstream.open(tuned, memory=False) as session:
        assert session.header.path == tuned
        assert ["another engine build (older)" in note for note in session.keep.notes] == [True]


def test_what_is_measured_is_opened_as_it_was_asked_for() -> None:
    """A comparison of which one arm silently got a stored profile would compare something else: every command says
    whether it wants one."""
    ours = {"calibrate.py", "options.py"}  # shows what run would go by; passes on what it is given
    silent = []
    for file in sorted(Path(cli.__file__).parent.glob("*.py")):
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            given = {keyword.arg for keyword in call.keywords}
            if name == "open_session" and call.keywords and not given & {"profile", None} and file.name not in ours:
                silent.append(f"{file.name}:{call.lineno}")
    assert silent == []
    assert arm_settings.opening({}).profile is False
