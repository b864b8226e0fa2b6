"""A llama-server of our own: started on a free port of this machine, asked over HTTP, ended and seen dead."""

import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from slipstream.bench.child import Child, Ended, environment
from slipstream.bench.peers.ports import Reply
from slipstream.core.errors import EngineError

HOST = "127.0.0.1"
TRIES = 3
"""Ports that are tried: between our choosing one and the server's taking it, somebody else may."""
POLL = 0.05
PROBE_SECONDS = 5.0
LONGEST = 1 << 22
"""Bytes of one line, at most."""
SETTINGS = "LLAMA_ARG_"
"""Variables by which a server takes settings that nobody would see in its arguments."""
COUNTS = (("drafted", "draft_n"), ("accepted", "draft_n_accepted"))


class Server:
    """A running server; `stop` ends it."""

    def __init__(self, process: Child, port: int) -> None:
        self.process = process
        self.port = port

    @classmethod
    def start(cls, command: Sequence[str], model: Path, seconds: float) -> Self:
        """Start `command` with a port of our choice, and wait until it serves `model`.

        EngineError if it isn't ready after `seconds`, dies, or if what answers serves another model.
        """
        variables = {name: value for name, value in environment({}).items() if not name.startswith(SETTINGS)}
        for _ in range(TRIES):
            port = free_port()
            server = cls(Child([*command, "--host", HOST, "--port", str(port)], variables), port)
            try:
                server._wait(model, time.monotonic() + seconds)
                return server
            except BaseException as error:
                died = not server.process.running
                ended = server.process.end()
                if not (isinstance(error, EngineError) and died and "bind" in ended.errors + ended.output):
                    raise
        raise EngineError(f"{command[0]} found no free port in {TRIES} tries", hint="look for what takes the ports")

    def stop(self) -> None:
        """End it, and make sure."""
        self.process.end()

    def answer(self, prompt: Sequence[int], max_tokens: int, seconds: float) -> Reply:
        """Greedy, from an empty cache. EngineError if it takes longer than `seconds`, breaks off or isn't readable."""
        body = {
            "prompt": list(prompt),
            "n_predict": max_tokens,
            "temperature": 0.0,
            "samplers": ["temperature"],
            "cache_prompt": False,
            "stream": True,
            "return_tokens": True,
        }
        tokens: list[int] = []
        arrivals: list[tuple[float, int]] = []
        timings: Mapping[str, Any] = {}
        whole = False
        started, begin = time.time(), time.perf_counter()
        for event in self._stream("/completion", body, seconds):
            fresh = event.get("tokens", [])
            if not isinstance(fresh, list) or not all(isinstance(token, int) for token in fresh):
                raise EngineError(f"llama-server sent {str(fresh)[:40]!r} for tokens")
            if event.get("content") and not fresh and not tokens:
                raise EngineError("llama-server sent text without its tokens", hint="use a newer one")
            if fresh:
                tokens += fresh
                arrivals.append((time.perf_counter() - begin, len(tokens)))
            if isinstance(event.get("timings"), dict):
                timings = event["timings"]
            whole = whole or event.get("stop") is True
        # A connection that breaks looks like one that ends.
        if not whole:
            raise EngineError(f"llama-server broke off: {reason(self.process.end())}")
        self.process.take_in()
        rate = timings.get("predicted_per_second")
        return Reply(
            tokens=tuple(tokens),
            arrivals=tuple(arrivals),
            # Its count includes the first token, its time doesn't.
            engine_rate=rate * (len(tokens) - 1) / len(tokens) if isinstance(rate, int | float) and tokens else None,
            started=started,
            figures={ours: timings[theirs] for ours, theirs in COUNTS if isinstance(timings.get(theirs), int)},
        )

    def _wait(self, model: Path, deadline: float) -> None:
        while not self._healthy():
            self.process.take_in()
            if not self.process.running:
                raise EngineError(f"llama-server didn't start: {reason(self.process.end('exited'))}")
            if time.monotonic() > deadline:
                raise EngineError(f"llama-server wasn't ready in time: {reason(self.process.end('time limit'))}")
            time.sleep(POLL)
        served = self._get("/props").get("model_path")
        if served is not None and Path(str(served)).resolve() != model.resolve():
            raise EngineError(f"what answers on port {self.port} serves {served}", hint="try again")

    def _healthy(self) -> bool:
        try:
            with self._request("GET", "/health", None, PROBE_SECONDS) as response:
                return response.status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def _get(self, path: str) -> dict[str, Any]:
        try:
            with self._request("GET", path, None, PROBE_SECONDS) as response:
                value = json.loads(response.read(LONGEST))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EngineError(f"llama-server doesn't tell {path}: {error}") from None
        return value if isinstance(value, dict) else {}

    def _stream(self, path: str, body: Mapping[str, Any], seconds: float) -> Iterator[dict[str, Any]]:
        """The events of a streamed answer."""
        deadline = time.monotonic() + seconds
        late = EngineError(f"llama-server gave no whole answer in {seconds:g} seconds", hint="allow more time")
        try:
            with self._request("POST", path, body, seconds) as response:
                if response.status != http.client.OK:
                    why = response.read(LONGEST).decode("utf-8", "replace")
                    raise EngineError(f"llama-server refused the prompt ({response.status}): {why[:200]}")
                while line := response.readline(LONGEST):
                    if time.monotonic() > deadline:
                        raise late
                    name, _, text = line.partition(b":")
                    if name == b"data" and text.strip() != b"[DONE]":
                        yield _event(text)
                    elif name == b"error":
                        raise EngineError(f"llama-server failed: {text.decode('utf-8', 'replace').strip()[:200]}")
        except TimeoutError:
            raise late from None
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise EngineError(f"llama-server broke off, {why}: {reason(self.process.end())}") from None

    @contextmanager
    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None, seconds: float
    ) -> Iterator[http.client.HTTPResponse]:
        content = None if body is None else json.dumps(body)
        with closing(http.client.HTTPConnection(HOST, self.port, timeout=seconds)) as connection:
            connection.request(method, path, content, {"Content-Type": "application/json", "Connection": "close"})
            with connection.getresponse() as response:
                yield response


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def reason(ended: Ended) -> str:
    """How it ended, with the first of its messages that speaks of an error, else with its last words."""
    lines = [line.strip() for line in (ended.errors + ended.output).splitlines()]
    wrong = next((line[-200:] for line in lines if "error" in line.lower()), ended.last_words or "no message")
    if ended.code > 0:
        return f"code {ended.code}, {wrong}"
    return f"signal {-ended.code}, {wrong}" if ended.code not in (0, -signal.SIGTERM) else wrong


def _event(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise EngineError(f"llama-server sent {text[:40]!r} for an event")
    if "error" in value:
        raise EngineError(f"llama-server failed: {str(value['error'])[:200]}")
    return value
