"""Every command of `slipstream`, in the order in which help shows them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its name, where it is (imported only when chosen) and what it does, in one line.

    `where` is "module:attribute"; the attribute is a function (one command) or a typer.Typer (a group of commands).
    """

    name: str
    where: str
    purpose: str


COMMANDS = (
    Entry("run", "slipstream.cli.run:run", "Generate text, drafting where it pays."),
    Entry("compare", "slipstream.cli.compare:compare", "Drafting against plain decoding, paired, on your prompts."),
    Entry("calibrate", "slipstream.cli.calibrate:calibrate", "Measure what a target pass costs on this machine."),
    Entry("pair", "slipstream.cli.pair:pair", "Can one model draft for another, and does it pay here?"),
    Entry("selfdraft", "slipstream.cli.selfdraft:selfdraft", "Find layers that a model can draft without."),
    Entry("tracks", "slipstream.cli.tracks:tracks", "Every way to draft for a model, and what it brings here."),
    Entry("bench", "slipstream.cli.bench:app", "Measurements that can be published."),
    Entry("demo", "slipstream.cli.demo:demo", "A two-minute tour with the embedded model."),
    Entry("memory", "slipstream.cli.memory:app", "List, export or wipe the remembered outputs."),
    Entry("version", "slipstream.cli.version:version", "Versions, and whether the build uses all of this CPU."),
)
