"""The installer's decisions: when a compiled engine is reused, what a failed build shows, that children end."""

import importlib.util
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from slipstream.host import cpu

REPO = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", REPO / "scripts" / "install.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_wheel_belongs_to_one_kind_of_cpu(install: ModuleType) -> None:
    this = cpu.read()
    assert install.engine_facts(this) == install.engine_facts(replace(this, cores=this.cores + 1))
    for other in (replace(this, flags=this.flags | {"new"}), replace(this, machine="other"), replace(this, model="x")):
        assert install.engine_facts(this) != install.engine_facts(other)


def test_built_once_then_reused(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def build(what: str, command: Sequence[str], log: Path, *, env: Mapping[str, str], limit: int) -> None:
        calls.append(env)
        folder = Path(command[command.index("--wheel-dir") + 1])
        (folder / "llama_cpp_python-0.3.36-py3-none-any.whl").write_text("compiled")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(install, "run", build)
    this = cpu.read()
    wheel = install.engine_wheel(this, "key", rebuild=False)
    assert wheel.read_text() == "compiled"
    assert sorted(path.name for path in wheel.parent.iterdir()) == ["facts.json", wheel.name]
    assert install.engine_wheel(this, "key", rebuild=False) == wheel
    assert "reusing" in capsys.readouterr().out
    assert len(calls) == 1
    assert "GGML_NATIVE=ON" in calls[0]["CMAKE_ARGS"]
    assert calls[0]["TMPDIR"].startswith(str(tmp_path))
    install.engine_wheel(this, "key", rebuild=True)
    assert len(calls) == 2


def test_no_compiler_names_the_packages(install: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(install.Failure, match=r"no C\+\+ compiler") as caught:
        install.check_tools()
    assert all(name in caught.value.hint for name in ("build-essential", "gcc-c++ make", "base-devel", "xcode-select"))


def test_failures_show_the_first_complaint_and_the_log(install: ModuleType, tmp_path: Path) -> None:
    code = "print('x.cpp:1:2: error: no such thing')\nfor n in range(99): print('step', n)\nraise SystemExit(3)"
    log = tmp_path / "build.log"
    with pytest.raises(install.Failure) as caught:
        install.run("making it (about a minute)", [sys.executable, "-c", code], log, env=os.environ)
    text = str(caught.value)
    assert text.startswith("making it failed:\n")
    assert "x.cpp:1:2: error: no such thing" in text and "step 98" in text and "step 50" not in text
    assert str(log) in caught.value.hint


def test_children_have_a_time_limit(install: ModuleType, tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(install.Failure, match="no end after 0 s"):
        install.run("waiting", ["sleep", "60"], tmp_path / "log", env=os.environ, limit=0)
    assert time.monotonic() - start < 10


def test_progress_is_read_from_the_compiler(install: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for text, says in (("", ""), ("[3/140] g++\n[4/140] g++\n", ", step 4 of 140"), ("[ 45%] Building\n", ", 45 %")):
        log.write_text(text)
        assert install.build_progress(log) == says
