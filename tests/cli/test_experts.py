"""`slipstream experts` on a tiny mixture of experts, from the header to a profile that `run` applies."""

import itertools
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slipstream import assembly
from slipstream.assembly import Options, open_session
from slipstream.bench.expert_arm import ExpertArm
from slipstream.bench.store import FILE, ResultStore
from slipstream.cli import main as cli
from slipstream.cli.experts_table import HIGH, plot
from slipstream.control.curve import VerifyCost
from slipstream.engine import expert_count
from slipstream.engine.expert_count import experts_used
from tests.cli.conftest import Refuses
from tests.engine.tiny_experts import moe
from tests.isolation import eager_curve

TEMPLATE = "{{ messages[-1].content }}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moe(tmp_path_factory.mktemp("experts") / "mixture.gguf", template=TEMPLATE)


@pytest.fixture
def mixture(tiny: Path, made: Path, own_world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = Path(shutil.copy(made, own_world))
    prompts = own_world / "prompts.jsonl"
    prompts.write_text('{"id": "a", "prompt": "one two"}\n{"id": "b", "prompt": "three four"}\n')
    prompts.with_name("text.txt").write_text("The harbour master kept two ledgers, and in winter a lamp. " * 8)
    monkeypatch.setenv("SLIPSTREAM_MODEL", str(path))
    return path


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    assert cli.main(["experts", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def quick(path: Path, *more: object) -> list[object]:
    prompts, text = path.with_name("prompts.jsonl"), path.with_name("text.txt")
    return [path, "--prompts", prompts, "--text", text, "-n", 8, "--no-canary", *more]


def test_sweeps_stores_and_keeps(mixture: Path, own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = ran(capsys, *quick(mixture, "--counts", "6,2", "--use", "4"))
    assert (value["key"], value["default"], value["shared"]) == ("deepseek.expert_used_count", 8, 8)
    assert [row["experts"] for row in value["rows"]] == [8, 6, 4, 2]
    whole, two = value["rows"][0], value["rows"][-1]
    assert whole["quality"]["divergence"] == 0 < two["quality"]["divergence"]
    assert whole["draft"] is None and 0 <= two["draft"]["acceptance"] <= 1
    assert two["limit"]["verdict"] == "warned" and value["kept"] == 4
    with ResultStore.open(Path(cli_root()) / "results" / FILE) as store:
        stored = store.whole(value["run"])
    assert stored.run.kind == "experts" and stored.run.state == "complete"
    assert {cell.figures["experts"] for cell in stored.cells} == {8, 6, 4, 2}
    assert stored.run.attestation["models"] and any(claim.arm == "4 experts" for claim in stored.claims)

    def used(**options: Any) -> int:
        with open_session(Options(model=mixture, context_length=64, drafters=(), memory=False, **options)) as session:
            target: Any = session.target
            return experts_used(target.model, target.options)

    assert used() == 4 and used(profile=False) == 8
    assert used(kv_overrides={value["key"]: 3}) == 3 and used(experts=6) == 6 and used(experts=8) == 8
    assert ran(capsys, *quick(mixture, "--use", "8"))["kept"] == 8
    assert used() == 8


def cli_root() -> Path:
    from slipstream import config

    return config.load().data_root.path


def test_the_table_says_what_to_do(mixture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["experts", *map(str, quick(mixture, "--counts", "1", "--force", "--no-draft"))]) == 0
    printed = capsys.readouterr()
    assert "perplexity" in printed.out and "stored as run" in printed.out and "as a drafter" not in printed.out
    assert "less than a quarter" in printed.out and "warning: 1 of 8 experts is less than a quarter" in printed.err


def test_headers_only(mixture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = ran(capsys, mixture, "--headers-only")
    verdicts = {row["experts"]: row["verdict"] for row in value["limits"]}
    assert verdicts == {1: "blocked", 2: "warned", 3: "warned"} | dict.fromkeys(range(4, 9), "fine")
    assert cli.main(["experts", "--headers-only"]) == 0
    assert "8 of 8 experts a token, and 8 that all tokens use" in capsys.readouterr().out


def test_refusals_come_before_the_model_is_loaded(mixture: Path, tiny: Path, own_world: Path, refuses: Refuses) -> None:
    refuses(2, "has no experts: it is dense", "experts", tiny)
    refuses(2, "--counts '4;2' can't be read", "experts", "--counts", "4;2")
    refuses(2, "1 of 8 experts is less than a quarter.*\n.*--force", "experts", "--use", "1")
    refuses(2, "9 experts a token\n.*1 to 8", "experts", "--counts", "9", "--force")
    refuses(2, "--max-tokens is 0", "experts", "-n", "0")
    mine = own_world / "prompts.jsonl"
    refuses(2, "no prompt is one that exact can mark", "experts", "--score", "exact", "--prompts", mine)
    refuses(2, "perplexity marks no answers", "experts", "--score", "perplexity")
    short = own_world / "short.txt"
    short.write_text("too short")
    refuses(2, "the text has .* tokens", *["experts", "--text", short])
    refuses(2, "9 experts a token", "run", "x", "--override-kv", "deepseek.expert_used_count=int:9")
    refuses(2, "less than a quarter.*\n.*--override-kv deepseek.expert_used_count=int:1", "run", "x", "--experts", "1")
    refuses(2, "9 experts a token\n.*1 to 8", "compare", "--experts", "9")
    refuses(2, "has no experts: it is dense", "run", "x", "-m", tiny, "--experts", "2")


def test_drafts_for_itself_with_fewer(
    mixture: Path, capsys: pytest.CaptureFixture[str], refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a model as tiny as this one drafting never pays; made-up costs say that it does.
    cheap = VerifyCost({64: {1: 0.01, 64: 0.02}})
    monkeypatch.setattr(
        assembly, "measure_cost", lambda *arguments, coarse=False, **options: cheap if coarse else eager_curve()
    )
    command = ["run", "one two three", "-n", "24", "--no-memory", "--json", "--ignore-end", "-c", "128"]
    assert cli.main([*command, "--draft", "off"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert cli.main([*command, "--draft", "draft_model", "--draft-experts", "6"]) == 0
    drafted = json.loads(capsys.readouterr().out)
    assert drafted["tokens"] == plain["tokens"] and drafted["stats"]["sources"]["draft_model"]["drafted"] > 0

    def fewer(*drafter: str) -> Any:
        assert cli.main([*command, "--experts", "4", "--draft", *drafter]) == 0
        printed = capsys.readouterr()
        assert "4 of 8 experts" in printed.err
        return json.loads(printed.out)["tokens"]

    reduced = fewer("off")
    assert reduced != plain["tokens"]
    assert reduced == fewer("suffix,prompt_lookup") == fewer("draft_model", "--draft-experts", "2")
    assert reduced == fewer("draft_model,suffix", "--draft-experts", "3")
    refuses(2, r"fewer than its 4 experts", *command, "--experts", "4", "--draft-experts", "4")
    refuses(2, r"the same model.*\n.*fewer than its 8 experts", *command, "--draft-experts", "8")
    refuses(2, "9 experts a token", *command, "--draft-experts", "9")
    assert cli.main(["pair", str(mixture), str(mixture), "--draft-experts", "4", "--headers-only"]) == 0
    assert "a token uses 4" in capsys.readouterr().out


def test_a_dense_model_has_no_reduced_self(tiny: Path, refuses: Refuses) -> None:
    refuses(2, "has no experts", "run", "x", "--draft-experts", "2")


def test_a_kept_number_is_applied_and_said(mixture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(capsys, *quick(mixture, "--use", "4", "--no-draft"))
    for command in (["run", "one two", "-n", "4", "--no-memory"], ["compare", mixture.with_name("prompts.jsonl")]):
        arguments = [*map(str, command), "-c", "128", "--json", "--max-tokens", "6"]
        assert cli.main(arguments) == 0
        printed = capsys.readouterr()
        assert "profile: kv overrides deepseek.expert_used_count 4" in printed.err
        assert "4 of 8 experts, another output, perplexity" in printed.err
    assert json.loads(printed.out)["divergences"] == []
    assert cli.main(["tracks", "--json", "-c", "128"]) == 0
    (track,) = (one for one in json.loads(capsys.readouterr().out)["tracks"] if one["number"] == "2")
    assert "kept: 4 of 8 experts" in track["verdict"] and "slipstream experts" in track["enable"]


def test_a_number_that_the_engine_passes_over_is_an_error(
    mixture: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expert_count, "experts_used", lambda model, options: 8)
    assert cli.main(["experts", *map(str, quick(mixture, "--use", "4")), "--json"]) == 1
    printed = capsys.readouterr()
    assert "error: nothing was measured with 4 experts: the model was loaded for 4 experts and uses 8" in printed.err
    value = json.loads(printed.out)
    assert value["kept"] is None and [row["experts"] for row in value["rows"]] == [8]


def test_an_interrupted_sweep_goes_on(
    mixture: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, refuses: Refuses
) -> None:
    arguments = list(map(str, quick(mixture, "--counts", "6,4", "--no-draft")))
    measure, calls = ExpertArm.measure, itertools.count()

    def interrupted(self: ExpertArm, prompt: Any, repetition: int) -> Any:
        if next(calls) == 7:
            raise KeyboardInterrupt
        return measure(self, prompt, repetition)

    with monkeypatch.context() as patch:
        patch.setattr(ExpertArm, "measure", interrupted)
        assert cli.main(["experts", *arguments, "--json"]) == 130
    printed = capsys.readouterr()
    run = json.loads(printed.out)["run"]
    assert f"--resume {run}" in printed.err
    refuses(2, "was begun with another plan", "experts", *arguments, "--resume", run, "-n", "9")
    value = ran(capsys, *arguments, "--resume", run)
    assert (value["run"], value["state"]) == (run, "complete")
    assert [row["experts"] for row in value["rows"]] == [8, 6, 4]
    assert all("perplexity" in row["quality"] for row in value["rows"])


def test_the_plot_puts_the_best_in_brackets() -> None:
    def row(experts: int, speed: float, perplexity: float, best: bool) -> Any:
        return SimpleNamespace(experts=experts, speed_up=speed, quality={"perplexity": perplexity}, best=best)

    rows = [row(8, 1.0, 10.0, True), row(6, 0.9, 12.0, False), row(4, 1.5, 14.0, True)]
    lines = plot(rows).splitlines()
    assert lines[1].startswith("     14.00 |") and lines[1].endswith("[4]") and lines[HIGH].startswith("     10.00 |")
    assert " 6 " in f"{lines[6]} {lines[5]} " and "[8]" in lines[HIGH]
    assert lines[-1].split() == ["0.90x", "speed", "1.50x"]
    assert plot(rows[:1]) == "" and plot([row(8, 1.0, 10.0, True)] * 2) != ""
