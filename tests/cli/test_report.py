"""`slipstream report`: two files, cited in the store, and a check that fails when it should."""

import json
import shlex
from pathlib import Path

import pytest

from slipstream.bench.report.claims_under_test import PROMISES
from slipstream.bench.report.empty import EMPTY
from slipstream.bench.store import FILE, ResultStore
from slipstream.cli import main as cli
from tests.bench.report.made import filled
from tests.cli.conftest import Refuses
from tests.isolation import isolate


@pytest.fixture
def results(own_world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results folder of a data root whose store holds something."""
    folder = isolate(monkeypatch, own_world) / "results"
    folder.mkdir(parents=True)
    filled(folder / FILE).close()
    return folder


def test_it_writes_two_files_and_cites_its_claims(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report"]) == 0
    printed = capsys.readouterr().out
    page, document = results / "report" / "report.html", results / "report" / "report.md"
    assert f"{page}\n{document}\n" in printed and "each with its run behind it" in printed
    assert "<title>Slipstream on Example CPU 96-Core, 96 cores</title>" in page.read_text()
    assert document.read_text().startswith("# Slipstream on Example CPU")
    for path in (page, document):
        assert cli.main(["report", "--check", str(path)]) == 0
    claim = "20260901-101500-aaaa/stack/edit"
    with ResultStore.open(results / FILE) as store:
        (report,) = store.reports()
        assert report.path == str(page) and claim in report.claims and not report.retracted
        reach = store.retract(claim, "a warm cache")
        assert [one.id for one in reach.reports] == [report.id]
        assert store.reports()[0].retracted == (claim,)
    capsys.readouterr()
    for path in (page, document):
        assert cli.main(["report", "--check", str(path)]) == 1
        assert "which was retracted" in capsys.readouterr().out
    assert cli.main(["report"]) == 0  # the next one does without it
    with ResultStore.open(results / FILE) as store:
        (report,) = store.reports()
        assert claim not in report.claims and not report.retracted
    assert [path.name for path in sorted((results / "report").iterdir())] == ["report.html", "report.md"]


def test_out_title_and_json(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "--out", str(tmp_path / "there"), "--title", "Mine & <ours>", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["page"] == str(tmp_path / "there" / "report.html") and said["figures"] > 100 and said["claims"]
    assert "<h1>Mine &amp; &lt;ours&gt;</h1>" in Path(said["page"]).read_text()
    edited = tmp_path / "edited.MD"
    edited.write_text("It is 2.3x as fast.\n")
    assert cli.main(["report", "--check", str(edited), "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["line"] == 1 and "uncited" in problem["what"]
    assert cli.main(["report", "--check", str(edited)]) == 1
    assert f"{edited}:1: '2.3x' stands uncited" in capsys.readouterr().out


def test_refusals(results: Path, tmp_path: Path, refuses: Refuses) -> None:
    refuses(2, "the title says '3x'", "report", "--title", "3x faster!")
    refuses(2, "takes no --out", "report", "--check", tmp_path / "report.md", "--out", tmp_path)
    refuses(2, "report .*nowhere.md can't be read", "report", "--check", tmp_path / "nowhere.md")
    (tmp_path / "file").write_text("")
    refuses(6, "can't be written", "report", "--out", tmp_path / "file")


def test_without_results(own_world: Path, monkeypatch: pytest.MonkeyPatch, refuses: Refuses, tmp_path: Path) -> None:
    root = isolate(monkeypatch, own_world)
    (tmp_path / "report.md").write_text("# Nothing\n")
    refuses(2, "nothing is measured yet.*\n.*slipstream bench compare", "report")
    refuses(2, "nothing is measured yet", "report", "--check", tmp_path / "report.md")
    assert not (root / "results" / FILE).exists()
    ResultStore.open(root / "results" / FILE).close()
    refuses(2, "the result store is empty", "report")


def test_a_retracted_run_is_gone_from_the_next_report(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = results / "report" / "report.html"
    run = "20260901-101500-aaaa"
    assert cli.main(["report"]) == 0 and f'data-claim="{run}/stack/edit"' in page.read_text()
    capsys.readouterr()
    assert cli.main(["bench", "retract", run, "--reason", "one prompt was repeated"]) == 0
    assert f"{page} cites it: write it again with slipstream report" in capsys.readouterr().out
    assert cli.main(["bench", "show", run, "--json"]) == 0
    (cited,) = json.loads(capsys.readouterr().out)["reports"]
    assert f"{run}/stack/edit" in cited["retracted"]
    assert cli.main(["report", "--check", str(page)]) == 1
    assert f"cites claim {run}/stack/edit, which was retracted" in capsys.readouterr().out
    assert cli.main(["report"]) == 0
    text = page.read_text()
    assert f'data-claim="{run}' not in text and f'data-run="{run}' not in text and "one prompt was repeated" in text
    assert cli.main(["report", "--check", str(page)]) == 0


@pytest.mark.parametrize(
    "line", dict.fromkeys([*(promise.command for promise in PROMISES), *(command for _, command in EMPTY.values())])
)
def test_commands_that_a_report_names_are_ours(line: str, refuses: Refuses, own_world: Path) -> None:
    """Every option is known and every arm is read; only the placeholders are no files."""
    program, *words = shlex.split(line)
    assert program == "slipstream"
    refuses(3, "MODEL|SMALL", *words)
