"""What `slipstream tune` prints."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from slipstream.bench.store_rows import StoredRun
from slipstream.profile import Profile, describe
from slipstream.tune.command_line import command_line, shown
from slipstream.tune.configuration import Configuration
from slipstream.tune.halving import Rung, Search
from slipstream.tune.space import Knob
from slipstream.tune.tuning import Tuned

WIDTH = 140


def show(work: Any, tuned: Tuned, run: StoredRun, profile: Profile, as_json: bool) -> None:
    """The course of the search, the winner, what was not better, and the same for upstream."""
    words = upstream(work, profile)
    if as_json:
        print(json.dumps(as_dict(work, tuned, run, profile, words)))
        return
    show_rungs(tuned.search)
    for line in verdict(tuned):
        print(line)
    for line in left_out(work, tuned.search):
        print(line)
    options = ", ".join(describe(profile.options)) or "default"
    if run.suspect:
        print(f"Suspect: {run.suspect}.")
    print(f"Kept as the profile of {work.header.path.name} (run {run.id}): {options}.")
    print("run, compare and open use it; --no-profile leaves it out. The nearest that llama-server has:")
    print(f"  {shown(words)}")


def show_rungs(search: Search) -> None:
    """A table a rung."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for rung in search.rungs:
        table = Table(title=_title(rung))
        table.add_column("settings")
        table.add_column("speed", justify="right")
        table.add_column("noise", justify="right")
        table.add_column("verdict")
        for row in rung.rows:
            speed = f"{row.speed:.2f}x" if row.speed else "-"
            table.add_row(row.configuration.name, speed, f"{100 * (row.floor - 1):.1f} %", row.fate)
        console.print(table)
    floor = 100 * (_floor(search) - 1)
    print(f"Speed: against the default settings beside it. Noise floor of one launch here: {floor:.1f} %.")


def _title(rung: Rung) -> str:
    prompts = f"{rung.prompts} prompt{'' if rung.prompts == 1 else 's'} a task"
    return f"{rung.name}: {prompts}, {rung.launches} launch{'' if rung.launches == 1 else 'es'} each"


def _floor(search: Search) -> float:
    """Of a single launch, as a ratio; 1 before anything was measured."""
    from math import exp, isfinite

    floor = search.race.noise.floor()
    return exp(floor) if isfinite(floor) else 1.0


def verdict(tuned: Tuned) -> list[str]:
    """What the search came to, and what the check of it said."""
    found = tuned.check
    if found is None:
        return ["Nothing beats the default settings beyond the noise floor: they are the profile."]
    ratio, other = found.ratio, found.other
    lines = [
        f"{found.winner.name}: {ratio.value:.2f}x ({ratio.low:.2f} to {ratio.high:.2f}) on held-out prompts,"
        f" {ratio.pairs} pairs of {ratio.prompts} prompts in {found.launches} pairs of launches;"
        f" {other.value:.2f}x by {'decoding alone' if tuned.search.race.objective.figure == 'request' else 'request'}."
    ]
    if not found.adopted:
        lines.append(f"Not adopted: {found.reason}. The default settings are the profile.")
    return lines


def left_out(work: Any, search: Search) -> list[str]:
    """What was not better, was not tried, and could be."""
    lines = [f"Beyond the limit on quality: {name}: {why}." for name, why in search.refused.items()]
    worse = [
        row.configuration.name
        for row in (search.rungs[0].rows if search.rungs else ())
        if row.speed and row.fate != "faster"
    ]
    if worse:
        lines.append(f"Not better: {'; '.join(worse)}.")
    if search.untried:
        names = "; ".join(one.name for one in search.untried)
        lines.append(f"Not tried for lack of time (--minutes): {names}.")
    if search.race.thrown_away:
        lines.append(f"{search.race.thrown_away} launches were thrown away: the machine was unsteady.")
    if work.worse:
        names = ", ".join(header.path.name for header in work.worse)
        lines.append(f"Files of this model not clearly more precise, which a --quality-limit lets join: {names}.")
    return lines


def upstream(work: Any, profile: Profile) -> list[str]:
    """The command line of llama-server."""
    return command_line(str(work.header.path), profile.options, threads=work.threads, context=work.context)


def as_dict(work: Any, tuned: Tuned, run: StoredRun, profile: Profile, words: Sequence[str]) -> dict[str, Any]:
    """Everything for programs."""
    search, found = tuned.search, tuned.check
    check = None
    if found is not None:
        check = {
            "settings": found.winner.options, "adopted": found.adopted, "reason": found.reason,
            "ratio": asdict(found.ratio), "other": asdict(found.other), "noise_floor": found.floor - 1,
            "launches": found.launches,
        }  # fmt: skip
    return {
        "model": work.header.path.name,
        "run": run.id,
        "suspect": run.suspect,
        "noise_floor": _floor(search) - 1,
        "seconds": search.race.spent,
        "rungs": [
            {
                "name": rung.name, "prompts": rung.prompts, "launches": rung.launches,
                "rows": [
                    {
                        "settings": row.configuration.options, "speed": row.speed, "noise": row.floor - 1,
                        "fate": row.fate,
                    }
                    for row in rung.rows
                ],
            }
            for rung in search.rungs
        ],
        "check": check,
        "untried": [one.options for one in search.untried],
        "refused": search.refused,
        "profile": profile.to_json(),
        "llama_server": list(words),
    }  # fmt: skip


def show_profile(name: str, profile: Profile | None, as_json: bool) -> None:
    """What is kept of a model."""
    if as_json:
        print(json.dumps({"model": name, "profile": profile.to_json() if profile else None}))
    elif profile is None:
        print(f"{name} has no profile for this machine and engine build; slipstream tune makes one.")
    else:
        print(f"{name}: {profile.summary}")


def show_knobs(chosen: Sequence[Knob], opening: Sequence[Configuration], as_json: bool) -> None:
    """The table of knobs, with what would be tried of each here."""
    tried = {knob.name: [one for one in opening if one.knobs == {knob.name}] for knob in chosen}
    if as_json:
        print(json.dumps({name: [one.options for one in found] for name, found in tried.items()}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title="what can be turned, and what would be tried beside the default")
    for column in ("knob", "what it is", "takes", "output", "tried"):
        table.add_column(column)
    for knob in chosen:
        labels = "; ".join(one.name for one in tried[knob.name]) or "nothing here"
        takes = "a new process" if knob.needs == "process" else "a reload"
        table.add_row(knob.name, knob.purpose, takes, "changes" if knob.lossy else "the same", labels)
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
    both = sum(len(one.choices) > 1 for one in opening)
    print(f"{len(opening)} settings to begin with, {both} of them combinations of file and drafting.")
