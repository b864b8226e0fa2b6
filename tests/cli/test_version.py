"""`slipstream version`: the facts, and the warning about a build that leaves the CPU unused."""

import json
from dataclasses import replace

import pytest

from slipstream import __version__
from slipstream.cli import main as cli
from slipstream.cli.version import lines, read


def test_short(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out == f"slipstream {__version__}\n"
    assert cli.main(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"slipstream": __version__}


def test_verbose_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version", "--verbose", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cores"] >= 1
    assert found["compiled"]


def test_unused_instruction_sets_come_with_the_command() -> None:
    found = read()
    assert not any("warning" in line for line in lines(replace(found, unused=())))
    text = "\n".join(lines(replace(found, unused=("AVX512", "AMX_INT8"))))
    assert "warning: this build doesn't use AVX512, AMX_INT8" in text
    assert "--no-binary llama-cpp-python llama-cpp-python==" in text
