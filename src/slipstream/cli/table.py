"""Every command of `slipstream`, in the order in which help shows them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its name, where it is (imported only when chosen) and what it does, in one line.

    `where` is "module:attribute"; the attribute is a function (one command) or a typer.Typer (a group of commands).
    A hidden one is not for people: help leaves it out.
    """

    name: str
    where: str
    purpose: str
    hidden: bool = False


COMMANDS = (
    Entry("run", "slipstream.cli.run:run", "Generate text, drafting where it pays."),
    Entry("compare", "slipstream.cli.compare:compare", "Drafting against plain decoding, paired, on your prompts."),
    Entry("calibrate", "slipstream.cli.calibrate:calibrate", "Measure what a target pass costs on this machine."),
    Entry("pair", "slipstream.cli.pair:pair", "Can one model draft for another, and does it pay here?"),
    Entry("selfdraft", "slipstream.cli.selfdraft:selfdraft", "Find layers that a model can draft without."),
    Entry("experts", "slipstream.cli.experts:experts", "How many experts a model needs: speed and quality by number."),
    Entry("tune", "slipstream.cli.tune:tune", "The fastest settings for a model here, at the same output."),
    Entry("tracks", "slipstream.cli.tracks:tracks", "Every way to draft for a model, and what it brings here."),
    Entry("bench", "slipstream.cli.bench:app", "Measurements that can be published."),
    Entry("report", "slipstream.cli.report:report", "What is measured, as one page: every figure with its run."),
    Entry("project", "slipstream.cli.project:project", "What drafting would bring on another machine: a projection."),
    Entry("demo", "slipstream.cli.demo:demo", "A two-minute tour with the embedded model."),
    Entry("memory", "slipstream.cli.memory:app", "List, export or wipe the remembered outputs."),
    Entry("version", "slipstream.cli.version:version", "Versions, and whether the build uses all of this CPU."),
    Entry("worker", "slipstream.cli.worker:worker", "Measure prompts in a process of their own.", hidden=True),
)
