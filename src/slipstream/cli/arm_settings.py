"""Settings of a measured arm: how its model is opened, who drafts, how it samples, how its process is started. Every
name and value is checked before anything runs; as JSON values they are what a measuring child is told."""

import json
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from slipstream.assembly.options import Options
from slipstream.bench.session_arm import NOTHING_TO_COPY, Generation
from slipstream.cli import options as shared
from slipstream.core.errors import RequestError, UnknownName
from slipstream.core.request import Sampling
from slipstream.drafters import catalog

DECIDED = frozenset({"slots", "memory", "learn", "remeasure", "drafters"})
"""Fields of Options that a measurement decides itself; `draft` says which drafters are built."""
LAUNCH = ("environment", "prefix")
"""Variables and a command line (numactl ...) in front of a child."""
OTHER_NAMES = {"length": "draft_length"}
DRAFTING = frozenset({"draft", "draft_length", "draft_model", "self_draft", "drafter_settings", "margin"})
"""What changes drafts alone, and with them nothing but the speed."""

Settings = Mapping[str, Any]


def parse(text: str) -> dict[str, Any]:
    """Settings as a command line writes them: "draft=suffix,prompt_lookup,draft_length=8". A piece without "=" belongs
    to the value before it. SOURCE.NAME=value configures a drafter, env.NAME=value sets a variable.

    Raises UnknownName or RequestError, as `checked` does.
    """
    written: dict[str, str] = {}
    name = ""
    for piece in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = piece.partition("=")
        if equals:
            name = OTHER_NAMES.get(key.strip(), key.strip())
            if name in written:
                raise RequestError(f"{name} is set twice in {text!r}", hint="give it once")
            written[name] = value.strip()
        elif name:
            written[name] += f",{piece}"
        else:
            raise RequestError(f"{piece!r} is no setting", hint="write name=value,name=value")
    settings: dict[str, Any] = {}
    for name, value in written.items():
        _place(settings, name, value)
    return checked(settings)


def checked(settings: Settings) -> dict[str, Any]:
    """The same settings as JSON values of the right types. UnknownName for a name that isn't there, RequestError for a
    value that doesn't fit, a contradiction, or a program that isn't installed."""
    from pydantic import TypeAdapter, ValidationError

    hints = {**_opening(), **_generating(), **_sampling(), "environment": dict[str, str], "prefix": list[str]}
    found = {}
    for name, value in settings.items():
        if name not in hints:
            raise UnknownName("setting", name, hints)
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(hints[name])
            found[name] = adapter.dump_python(adapter.validate_python(value), mode="json")
        except ValidationError as error:
            why = str(error.errors()[0]["msg"]).lower()
            raise RequestError(f"{name} can't be {value!r}", hint=why) from None
    for name in ("model", "draft_model", "self_draft"):
        if found.get(name):  # a run is gone on with from anywhere
            found[name] = str(Path(found[name]).expanduser().absolute())
    for source, given in (found.get("drafter_settings") or {}).items():
        catalog.config(source, given)
    for source in found["draft"] if isinstance(found.get("draft"), list) else ():
        catalog.entry(source)
    program = next(iter(found.get("prefix", ())), None)
    if program is not None and shutil.which(program) is None:
        raise RequestError(f"there is no program {program!r} to start a child with", hint="install it, or leave it out")
    generation(found)
    return found


def merged(ground: Settings, above: Settings) -> dict[str, Any]:
    """Settings over others; what is a table (variables, settings of drafters) is merged by key."""
    found = {**ground, **above}
    for name, value in above.items():
        if isinstance(value, dict) and isinstance(ground.get(name), dict):
            found[name] = merged(ground[name], value)
    return found


def opening(settings: Settings) -> Options:
    """How the model is opened: cold, without a memory, from the shipped priors, without a stored profile unless one is
    asked for."""
    hints = _opening()
    from pydantic import TypeAdapter

    given = {name: TypeAdapter(hints[name]).validate_python(settings[name]) for name in hints if name in settings}
    draft = _draft(settings)
    sources = shared.sources(draft)
    if sources and settings.get("control"):
        sources = tuple(dict.fromkeys((*sources, NOTHING_TO_COPY)))
    return Options(**{"profile": False, **given, "drafters": sources, "memory": False, "learn": False})


def generation(settings: Settings) -> Generation:
    """How it generates. Raises RequestError for values out of range or that contradict each other."""
    given = {name: settings[name] for name in _generating() if name in settings}
    sampling = Sampling(**{name: settings[name] for name in _sampling() if name in settings})
    return Generation(**{**given, "draft": _draft(settings), "sampling": sampling})


def needs_process(arms: list[Settings]) -> str:
    """Why these arms can't take turns on one opened model; "" if they can."""
    for settings in arms:
        for name in LAUNCH:
            if settings.get(name):
                return f"{name} is set"
        draft = _draft(settings)
        extra = [] if isinstance(draft, str) else [name for name in draft if not _always_open(name)]
        if extra:
            return f"{extra[0]} is opened only where it is asked for"
    first, *rest = [{name: settings[name] for name in _opening() if name in settings} for settings in arms]
    for other in rest:
        for name in {**first, **other}:
            if first.get(name) != other.get(name):
                return f"{name} differs, which is decided when a model is opened"
    return ""


def reads_context(settings: Settings) -> bool:
    """Whether a drafter may copy from the prompt."""
    draft = _draft(settings)
    if isinstance(draft, str):
        return draft == "auto"
    return any(catalog.entry(name).free for name in draft)


def same_but_for_drafts(one: Settings, other: Settings) -> bool:
    """Whether two arms differ in nothing but drafts."""
    return all(one.get(name) == other.get(name) for name in {*one, *other} - DRAFTING)


def _place(settings: dict[str, Any], name: str, value: str) -> None:
    group, dot, below = name.partition(".")
    if dot and group == "env":
        settings.setdefault("environment", {})[below] = value
    elif dot and group in catalog.names():
        settings.setdefault("drafter_settings", {}).setdefault(group, {})[below] = _literal(value)
    elif name == "prefix":
        settings[name] = shlex.split(value)
    elif name == "draft":
        choice = shared.draft_choice(value)
        settings[name] = choice if isinstance(choice, str) else list(choice)
    elif name == "kv_overrides":
        settings[name] = shared.overrides(value.split(","))
    else:
        settings[name] = None if value == "none" else value


def _literal(text: str) -> Any:
    """A number, true, false or a list, where it reads as one; else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _draft(settings: Settings) -> Any:
    draft = settings.get("draft", "auto")
    return draft if isinstance(draft, str) else tuple(draft)


def _always_open(source: str) -> bool:
    """Whether a model that is opened without naming drafters has this one, or has it if there is anything to run."""
    entry = catalog.entry(source)
    return entry.free or entry.auto


def _opening() -> dict[str, Any]:
    return {name: hint for name, hint in get_type_hints(Options).items() if name not in DECIDED}


def _generating() -> dict[str, Any]:
    hints = get_type_hints(Generation)
    return {name: hint for name, hint in hints.items() if name != "sampling"}


def _sampling() -> dict[str, Any]:
    return get_type_hints(Sampling)
