"""Options that several commands share, and what opens a session from them."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.core.errors import RequestError

Model = Annotated[
    Path | None,
    typer.Option("--model", "-m", help="GGUF file. Default: the configured one, else the embedded SmolLM2."),
]
Context = Annotated[int | None, typer.Option("--context", "-c", help="Tokens of context. Default: 8192 at most.")]
Threads = Annotated[int | None, typer.Option("--threads", "-t", help="Threads. Default: usable physical cores.")]
FlashAttention = Annotated[str, typer.Option(help="Flash attention: auto, on or off.")]
KeyType = Annotated[str, typer.Option(help="Type of cached keys: f16, bf16, f32, q8_0, q4_0, ...")]
ValueType = Annotated[str, typer.Option(help="Type of cached values; quantized ones need flash attention.")]
Lock = Annotated[bool, typer.Option("--mlock", help="Lock the weights in memory.")]
Map = Annotated[bool, typer.Option("--mmap/--no-mmap", help="Map the file instead of reading it.")]
Numa = Annotated[str, typer.Option(help="NUMA mode: off, distribute, isolate, numactl or mirror.")]
Override = Annotated[
    list[str] | None, typer.Option("--override-kv", help="KEY=int|float|bool|str:VALUE, replaces the file's metadata.")
]
Exact = Annotated[
    bool, typer.Option("--exact", help="Drafted output bit-identical to plain output; says what it costs.")
]
Draft = Annotated[
    str, typer.Option("--draft", "-d", help="Who may draft: auto, off, or names such as suffix,prompt_lookup.")
]
DraftModel = Annotated[
    Path | None, typer.Option("--draft-model", help="GGUF of a smaller model that drafts; any vocabulary.")
]
DraftQuantization = Annotated[
    str, typer.Option("--draft-quantization", help="Draft with a copy of the draft model in Q4_0, Q8_0, F16 or BF16.")
]
Experts = Annotated[
    int | None,
    typer.Option("--experts", help="Experts a token uses, whatever file and profile say. Fewer change the output."),
]
DraftExperts = Annotated[
    int,
    typer.Option("--draft-experts", help="Experts a token in drafting; without a draft model the model itself drafts."),
]
SelfDraft = Annotated[
    Path | None,
    typer.Option("--self-draft", help="GGUF that slipstream selfdraft made. Default: the best."),
]
Profile = Annotated[
    bool | None, typer.Option("--profile/--no-profile", help="Open the model as slipstream tune found best here.")
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show llama.cpp's own messages.")]


def draft_choice(text: str) -> Any:
    """What --draft says: "auto", "off" or a tuple of drafter names. Raises UnknownName, listing the valid ones."""
    from slipstream.core.errors import UnknownName
    from slipstream.drafters import catalog

    if text in ("auto", "off"):
        return text
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in catalog.names():
            raise UnknownName("drafter", name, ("auto", "off", *catalog.names()))
    return names or "off"


def sources(choice: Any) -> tuple[str, ...] | None:
    """The sources to build for a choice of drafters; None: whatever there is."""
    if isinstance(choice, str):
        return None if choice == "auto" else ()
    return tuple(choice)


def drafter_settings(quantization: str, experts: int = 0) -> dict[str, dict[str, Any]]:
    """Settings of drafters by name."""
    given = {name: value for name, value in (("quantization", quantization), ("experts", experts)) if value}
    return {"draft_model": given} if given else {}


def overrides(values: list[str] | None) -> dict[str, int | float | bool | str]:
    """Parsed --override-kv values."""
    read: dict[str, Any] = {
        "int": int,
        "float": float,
        "bool": lambda text: {"true": True, "false": False}[text.lower()],
        "str": str,
    }
    parsed = {}
    for value in values or []:
        key, _, typed = value.partition("=")
        kind, _, text = typed.partition(":")
        try:
            parsed[key] = read[kind](text)
        except (KeyError, ValueError):
            raise RequestError(
                f"--override-kv {value!r} can't be read", hint="write it as key=int:4, key=bool:true, key=str:text"
            ) from None
    return parsed


def open_session(verbose: bool = False, trace: Any = None, **options: Any) -> Any:
    """A session, with a progress bar on standard error while something is measured, and its notes shown."""
    from slipstream.assembly import Options, open_session
    from slipstream.cli.progress import Bar

    with Bar() as bar:
        session = open_session(Options(**options), report=bar, trace=trace, verbose=verbose)
    for note in session.keep.notes:
        print(f"note: {note}", file=sys.stderr)
    if options.get("exact"):
        print(f"note: exact mode: {exact_cost(session)} of an ordinary one", file=sys.stderr)
    return session


def read_text(path: Path, what: str) -> str:
    """A UTF-8 file. Raises RequestError that names file and byte."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"the {what} {path} is not UTF-8 at byte {error.start}", hint="save it as UTF-8") from None
    except OSError as error:
        raise RequestError(
            f"the {what} {path} can't be read: {error.strerror}", hint="check path and permissions"
        ) from None


def exact_cost(session: Any) -> str:
    """What exact mode costs a plain round, by the measured curve."""
    from slipstream.control.parity import SPLIT

    allowed, costs = session.loop.policy.allowed, session.keep.curve.costs(0)
    parts = []
    for where, depth in ((f"below {SPLIT} tokens", 0), ("beyond", SPLIT)):
        narrowest = min(allowed(depth).widths)
        parts.append(f"{where} a plain round is {narrowest} wide, {costs[narrowest] / costs[1]:.2f}x")
    return "; ".join(parts)
