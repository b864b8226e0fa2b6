"""`slipstream tune`: a search whose arms are scripted, what it stores and prints, and one real child."""

import dataclasses
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slipstream
from slipstream.bench import canary
from slipstream.bench.cell import Cell
from slipstream.bench.doubts import Limits
from slipstream.bench.schedule import Block
from slipstream.bench.store import FILE, ResultStore
from slipstream.bench.workload import Prompt
from slipstream.cli import main as cli
from slipstream.cli import measured, tune_quality, tune_work
from slipstream.cli.tune_work import Asked, Work
from slipstream.core.errors import EngineError
from slipstream.models.gguf import read_header
from slipstream.tune import launches as measuring
from slipstream.tune.configuration import DEFAULT, Configuration
from slipstream.tune.variants import Files
from tests.cli.conftest import Refuses
from tests.engine import tiny_gguf

ANSWER = "The function returns the sum of its two arguments, as the test below shows."


@dataclass
class Scripted:
    """Arms in place of children: `gains` by label; `after` launches somebody presses Ctrl-C."""

    gains: dict[str, float]
    after: int = 1_000_000
    launched: int = 0
    pace: float = 40.0
    """Tokens a second of the canary."""

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(1)

    def arm(self, work: Any, configuration: Configuration) -> "Scripted":
        self.speed = 50.0
        for choice in configuration.choices:
            self.speed *= self.gains.get(choice.label, 1.0)
            if self.gains.get(choice.label) == 0:
                self.speed = 0
        return self

    def generate(self) -> canary.Generated:
        return canary.Generated((1,) * 48, 48 / self.pace)

    def start(self, block: Block) -> None:
        self.launched += 1
        if self.launched > self.after:
            raise KeyboardInterrupt
        if not self.speed:
            raise EngineError("no such memory")

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        rate = self.speed * float(np.exp(self.random.normal(0, 0.02)))
        return Cell(
            arm="", prompt=prompt.id, task=prompt.task, repetition=repetition, tokens=96, seconds=96 / rate,
            prefill_seconds=0.3, answer=ANSWER, figures={"finish": "stop"},
        )  # fmt: skip

    def stop(self) -> None: ...


@pytest.fixture
def scripted(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """Every launch takes five seconds on the search's account, and no time."""
    monkeypatch.delenv("SLIPSTREAM_THREADS")
    script = Scripted({"no flash attention": 0.8, "no repacking": 1.4, "file read, not mapped": 0.0})
    monkeypatch.setattr(Work, "_arm", lambda work, configuration: script.arm(work, configuration))
    clock = itertools.count(0, 2.5)
    monkeypatch.setattr(
        tune_work, "launches", lambda arms, limits: measuring.launches(arms, limits, lambda: next(clock))
    )
    monkeypatch.setattr(measured, "canary", lambda opened, others: canary.Canary(script.generate, lambda: 0.0))
    return script


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert cli.main(["tune", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_finds_stores_and_opens_with_it(scripted: Scripted, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = ran(capsys)
    assert found["check"]["adopted"] and found["profile"]["options"] == {"repack": False}
    assert 1.3 < found["check"]["ratio"]["value"] < 1.5
    assert found["llama_server"][-1:] == ["ngram-mod"] and "--no-repack" in found["llama_server"]
    fates = {json.dumps(row["settings"]): row["fate"] for row in found["rungs"][0]["rows"]}
    assert fates['{"flash_attention": "off"}'] == "slower"
    assert fates['{"mmap": false}'].startswith("no such memory (")

    root = tiny.parent / "root"
    with ResultStore.open(root / "results" / FILE) as store:
        whole = store.whole(found["run"])
        (claim,) = store.claims(found["run"])
    assert whole.run.kind == "tune" and whole.run.state == "complete" and whole.run.attestation["models"]
    assert whole.run.arms[0].role == "baseline"
    assert any(cell.status == "failed" and cell.reason == "no such memory" for cell in whole.cells)
    assert claim.standing == "optimum" and claim.arm == "no repacking" and claim.verdict == "faster"
    assert [cell.arm for cell in (whole.cells[0], whole.cells[-1])] == [canary.ARM] * 2 and not whole.run.suspect
    assert set(whole.run.plan["held"]) == {cell.prompt for cell in whole.cells if cell.prompt in whole.run.plan["held"]}
    assert not list((root / "state" / "tune").iterdir()), "the record has served its turn"

    assert ran(capsys, "--show")["profile"] == found["profile"]
    with slipstream.open(tiny, memory=False) as session:
        target: Any = session.target
        assert target.options.repack is False
        assert session.keep.notes[0].startswith("profile: repack off (")
    assert cli.main(["tune", "--forget"]) == 0
    assert capsys.readouterr().out == "tiny.gguf: 1 profile dropped\n"
    assert ran(capsys, "--show")["profile"] is None


def test_tables(scripted: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tune", "--knob", "repack", "--knob", "mmap"]) == 0
    printed = capsys.readouterr()
    assert "no repacking: 1." in printed.out and "on held-out prompts" in printed.out
    assert "rung 1: 1 prompt a task, 1 launch each" in printed.out
    assert "llama-server -m " in printed.out and "no flash" not in printed.out
    assert "noise floor, 0 of 4" in printed.err and "of 600 s: default settings" in printed.err


def test_where_nothing_is_faster_the_default_stays(scripted: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    scripted.gains = {"no flash attention": 0.8}
    assert cli.main(["tune", "--minutes", "5"]) == 0
    out = capsys.readouterr().out
    assert "default settings" in out and "Kept as the profile of tiny.gguf" in out and ": default." in out
    assert "Not better: " in out and "no flash attention" in out
    with slipstream.open(memory=False) as session:
        assert session.keep.notes == []


def test_ctrl_c_keeps_what_was_measured(scripted: Scripted, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scripted.after = 30
    assert cli.main(["tune"]) == 130
    printed = capsys.readouterr()
    assert "interrupted: what was measured is kept" in printed.err and "rung 1" in printed.out
    with ResultStore.open(tiny.parent / "root" / "results" / FILE) as store:
        (part,) = store.runs("tune")
        assert part.state == "interrupted" and part.cells > 30
    scripted.after = 1_000_000
    assert cli.main(["tune", "--json"]) == 0
    printed = capsys.readouterr()
    assert "an interrupted search is gone on with" in printed.err
    found = json.loads(printed.out)
    assert found["profile"]["options"] == {"repack": False}
    with ResultStore.open(tiny.parent / "root" / "results" / FILE) as store:
        whole, part = store.run(found["run"]), store.run(part.id)
        assert whole.cells > part.cells and part.retracted == f"it was gone on with: run {whole.id} holds its cells"


def test_a_machine_that_changed_is_suspected(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keep = Work.keep

    def slower(work: Work, *arguments: Any) -> Any:
        scripted.pace = 20.0
        return keep(work, *arguments)

    monkeypatch.setattr(Work, "keep", slower)
    assert cli.main(["tune", "--minutes", "3"]) == 0
    assert "Suspect: the canary made 20.0 tokens a second after the run" in capsys.readouterr().out


def test_again_starts_anew(scripted: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    scripted.after = 10
    assert cli.main(["tune"]) == 130
    assert cli.main(["tune"]) == 130
    assert "an interrupted search is gone on with" in capsys.readouterr().err
    scripted.launched, scripted.after = 0, 1
    assert cli.main(["tune", "--again"]) == 130
    assert "gone on with" not in capsys.readouterr().err and scripted.launched == 2


def test_knobs_are_listed(tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = ran(capsys, "--list")
    assert found["repack"] == [{"repack": False}] and found["file"] == [] and "cache" not in found
    assert "threads" not in found, "they are configured, which wins over any profile"
    assert ran(capsys, "--list", "--quality-limit", "0.02")["cache"] == [{"key_type": "q8_0", "value_type": "q8_0"}]
    assert "batch" not in ran(capsys, "--list", "--objective", "decode")
    assert cli.main(["tune", "--list"]) == 0
    assert "what can be turned" in capsys.readouterr().out


def test_quality_is_measured_before_a_lossy_setting_joins(
    scripted: Scripted, tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def losses(wanted: Any, plain: Any, changed: Any, text: str, prompts: Any) -> dict[str, float]:
        asked.append((sorted(wanted), plain["model"], changed["key_type"], bool(text)))
        return {"perplexity": 0.01, "kl": 0.002}

    monkeypatch.setattr(tune_work, "losses", losses)
    scripted.gains = {"q8_0 cache": 1.4}
    found = ran(capsys, "--minutes", "2", "--knob", "cache", "--quality-limit", "kl=0.001")
    assert asked == [(["kl"], str(tiny), "q8_0", True)]
    assert found["refused"] == {"q8_0 cache": "kl loss 0.002, beyond the limit of 0.001"}
    assert found["profile"]["options"] == {}
    found = ran(capsys, "--minutes", "5", "--knob", "cache", "--quality-limit", "0.02", "--quality-limit", "kl=0.01")
    assert found["profile"]["options"] == {"key_type": "q8_0", "value_type": "q8_0"}


def test_losses_on_a_text(tiny: Path) -> None:
    """Random weights: what an eight-bit cache changes is little, and more than nothing."""
    plain = {"model": str(tiny), "context_length": 128}
    changed = {**plain, "key_type": "q8_0", "value_type": "q8_0"}
    found = tune_quality.losses(["kl"], plain, changed, "Words that a model reads, one behind the other. " * 6, ())
    assert 0 < found["kl"] < 0.1 and abs(found["perplexity"]) < 0.1
    assert tune_quality.losses(["kl"], plain, plain, "Words that a model reads. " * 12, ())["kl"] == pytest.approx(0)


def test_a_share_of_right_answers_needs_enough_of_them(tiny: Path, refuses: Refuses) -> None:
    refuses(2, "score=0.05 can't be seen on 8 prompts", "tune", "--quality-limit", "score=0.05")


def test_the_share_of_right_answers(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Prompt(str(number), "math", f"What is {number} and 1?", reference=str(number + 1)) for number in range(4)]
    assert tune_quality.markable(rows, 0.25) == rows
    given = {True: iter([4, 3]), False: iter([4, 2])}
    plain = {"model": str(tiny), "context_length": 128, "max_tokens": 8}
    monkeypatch.setattr(tune_quality, "_share", lambda settings, prompts: next(given[False]) / len(prompts))
    assert tune_quality.losses(["score"], plain, plain, "", rows) == {"score": 0.5}


def test_right_answers_are_counted(tiny: Path) -> None:
    """A model of random weights knows none."""
    rows = [Prompt("a", "math", "What is one and one?", reference="2")]
    assert tune_quality._share({"model": str(tiny), "context_length": 256, "threads": 1, "max_tokens": 8}, rows) == 0.0


def test_files_beside_the_model_join_if_they_are_more_precise(
    scripted: Scripted, tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is measured of a less precise one without a limit; it is named."""
    monkeypatch.setattr(tune_work, "precise", lambda ours, theirs: theirs.path.name == "precise.gguf")
    monkeypatch.setattr("slipstream.tune.space.precise", lambda ours, theirs: theirs.path.name == "precise.gguf")
    header = read_header(tiny)
    others = [dataclasses.replace(header, path=tiny.with_name(name)) for name in ("precise.gguf", "small.gguf")]
    for other in others:
        other.path.write_bytes(b"")
    monkeypatch.setattr(tune_work, "beside", lambda header: Files(tuple(others), ()))
    monkeypatch.setattr(tune_work, "identity", lambda path: path.name)
    scripted.gains = {"precise.gguf": 1.5, "small.gguf": 2.0}
    found = ran(capsys, "--knob", "file")
    assert found["profile"]["options"] == {"model": str(others[0].path)}
    assert cli.main(["tune", "--knob", "file"]) == 0
    assert (
        "Files of this model not clearly more precise, which a --quality-limit lets join: small.gguf."
        in capsys.readouterr().out
    )
    assert [row["model"] for row in ran(capsys, "--list", "--quality-limit", "kl=1")["file"]] == [
        str(other.path) for other in others
    ]


def prompts(folder: Path, tasks: Sequence[str]) -> str:
    file = folder / "prompts.jsonl"
    rows = [{"id": str(number), "task": task, "prompt": f"Say {number} once."} for number, task in enumerate(tasks)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


@pytest.mark.parametrize(
    ("says", "arguments"),
    [
        ("--minutes is 0", ["--minutes", "0"]),
        ("--max-tokens is 1", ["-n", "1"]),
        ("unknown objective 'speed'", ["--objective", "speed"]),
        (r"unknown knob 'thread'(.|\n)*did you mean 'threads'", ["--knob", "thread"]),
        ("cache changes the output", ["--knob", "cache"]),
        ("--quality-limit 'x' can't be read", ["--quality-limit", "x"]),
        ("unknown quality figure 'ppl'", ["--quality-limit", "ppl=1"]),
        ("--task 'edit=x' can't be read", ["--task", "edit=x"]),
        ("no prompt of task 'cooking'", ["--task", "cooking"]),
    ],
)
def test_mistakes_are_refused_before_anything_is_measured(
    tiny: Path, refuses: Refuses, says: str, arguments: list[str]
) -> None:
    refuses(2, says, "tune", *arguments)


def test_a_task_needs_a_prompt_to_be_checked_on(tiny: Path, tmp_path: Path, refuses: Refuses) -> None:
    refuses(2, "task 'a' has one prompt", "tune", "--workload", prompts(tmp_path, "abb"), "--task", "a")
    refuses(2, "no task has two prompts", "tune", "--workload", prompts(tmp_path, "abc"))


def test_a_variant_must_be_the_same_model(tiny: Path, tmp_path: Path, refuses: Refuses) -> None:
    other = tiny_gguf.dense(tmp_path / "other.gguf")
    refuses(2, r"other\.gguf is not tiny\.gguf in other weights: its weights are F32 too", "tune", "--variant", other)
    refuses(3, "none.gguf", "tune", "--variant", tmp_path / "none.gguf")


def test_a_child_measures(tiny: Path) -> None:
    """One launch in a process of its own, of the default settings and of what can't be opened."""
    work = Work.of(
        Asked(
            model=tiny, seconds=60, tasks=("chat",), workload=None, max_tokens=8, figure="request", variants=(),
            drafts=(), knobs=(), limits={}, text=None, others=1.0, context=256, canary=False,
        )
    )  # fmt: skip
    measure = measuring.launches(work._arm, Limits())
    launch = measure(DEFAULT, work.tasks[0].chosen[:1])
    (cell,) = launch.cells
    assert cell.status == "ok" and 0 < cell.tokens <= 8 and cell.seconds > 0, cell.reason
    assert launch.seconds > cell.seconds
