"""A server of our own: a real child process, asked over HTTP, that may do anything."""

import os
import time
from pathlib import Path

import pytest

from slipstream.bench.cell import Cell
from slipstream.bench.child import Child
from slipstream.bench.doubts import Limits, judged
from slipstream.bench.peers.llama_server import ServerArm
from slipstream.bench.peers.server import Server, free_port
from slipstream.bench.schedule import Block
from slipstream.core.errors import EngineError, SlipstreamError
from tests.bench.peers.fake_server import BOAST, token
from tests.bench.peers.made import PROMPTS, TOKENS, binary, job

BLOCK = Block(0, "llama-server plain", 0, tuple(TOKENS))


def arm(folder: Path, mode: str = "good", **changes: object) -> ServerArm:
    return ServerArm(binary(folder, mode), (), frozenset({"--cache-ram"}), job(folder, **changes))


def cell(folder: Path, mode: str) -> Cell:
    one = arm(folder, mode)
    try:
        one.start(BLOCK)
        return one.measure(PROMPTS[0], 0)
    finally:
        one.stop()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_it_answers_and_is_dead_afterwards(tmp_path: Path) -> None:
    one = arm(tmp_path)
    assert list(one.argv)[1:] == ["-m", str(tmp_path / "model.gguf"), "-c", "256", "-t", "1", "-np", "1",
                                  "--cache-ram", "0"]  # fmt: skip
    one.start(BLOCK)
    assert one._server is not None
    pid = one._server.process.pid
    cells = [one.measure(prompt, 1) for prompt in PROMPTS]
    assert not gone(pid)
    one.stop()
    one.stop()
    assert gone(pid)
    for prompt, found in zip(PROMPTS, cells, strict=True):
        assert found.token_ids == tuple(token(list(TOKENS[prompt.id]), place) for place in range(16))
        assert (found.status, found.prompt, found.task, found.repetition) == ("ok", prompt.id, prompt.task, 1)
        # The first token is the prompt's: it came with the end of its time.
        assert found.tokens == 15 and found.prefill_tokens == len(TOKENS[prompt.id])
        assert found.seconds > 15 * 0.002 * 0.9 and found.prefill_seconds > 0
        assert found.engine_rate and (found.figures["drafted"], found.figures["accepted"]) == (4, 3)


def test_a_server_whose_timings_are_28_times_too_good_is_doubted(tmp_path: Path) -> None:
    found = judged(cell(tmp_path, "boasts"), Limits())
    assert found.engine_rate and 0.5 * BOAST < found.engine_rate / found.rate < 2 * BOAST
    assert found.status == "tainted" and "the engine claims" in found.reason


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("dies", "broke off.*an error of its own"),
        ("no json", "sent b' {no json"),
        ("fails", "failed: .*out of memory"),
        ("refuses", r"refused the prompt \(400\): .*too long"),
        ("text only", "text without its tokens"),
        ("crashes", "didn't start: code 1, error: failed to load model"),
        ("other model", "serves /other/model.gguf"),
    ],
)
def test_what_goes_wrong_is_told(tmp_path: Path, mode: str, says: str) -> None:
    with pytest.raises(EngineError, match=says):
        cell(tmp_path, mode)


def test_a_server_that_hangs_is_ended_at_its_limit(tmp_path: Path) -> None:
    process = Server.start(arm(tmp_path, "hangs").argv, tmp_path / "model.gguf", 20.0)
    begin = time.monotonic()
    with pytest.raises(EngineError, match=r"no whole answer in 0\.3 seconds"):
        process.answer((1, 2), 16, 0.3)
    process.stop()
    assert time.monotonic() - begin < 3 and gone(process.process.pid)


def test_a_server_that_is_never_ready_is_ended_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    real = Child.__init__

    def note(self: Child, *arguments: object) -> None:
        real(self, *arguments)  # type: ignore[arg-type]
        started.append(self.pid)

    monkeypatch.setattr(Child, "__init__", note)
    with pytest.raises(EngineError, match="wasn't ready in time"):
        Server.start(arm(tmp_path, "never ready").argv, tmp_path / "model.gguf", 0.3)
    assert len(started) == 1 and gone(started[0])


def test_a_port_that_is_taken_in_between_is_left(tmp_path: Path) -> None:
    one = arm(tmp_path)
    one.binary.with_suffix(".taken").touch()
    one.start(BLOCK)
    one.stop()
    assert not one.binary.with_suffix(".taken").exists()


def test_a_talkative_server_never_waits_for_a_reader(tmp_path: Path) -> None:
    one = arm(tmp_path, "chatty", answer_seconds=5.0)
    one.start(BLOCK)
    try:
        assert [one.measure(PROMPTS[0], 0).status for _ in range(4)] == ["ok"] * 4
    finally:
        one.stop()


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SlipstreamError, match="can't be started"):
        Server.start([str(tmp_path / "nowhere")], tmp_path, 1.0)


def test_settings_in_the_environment_do_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_N_PREDICT", "1")
    one = arm(tmp_path)
    one.start(BLOCK)
    assert one._server is not None
    variables = one._server.process.environment
    one.stop()
    assert "LLAMA_ARG_N_PREDICT" not in variables and "PATH" in variables


def test_ports_are_free() -> None:
    assert free_port() > 1023
