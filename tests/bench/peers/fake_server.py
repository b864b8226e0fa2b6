"""A stand-in for llama-server: a real process that speaks its HTTP, and misbehaves as its mode says."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HELP = """----- common params -----

-h,    --help, --usage                  print usage and exit
-m,    --model FNAME                    model path to load
-t,    --threads N                      number of CPU threads (-1 = as many as there are)
-c,    --ctx-size N                     size of the context
-np,   --parallel N                     number of slots
-cram, --cache-ram N                    host memory for kept prompts, in MiB
--host HOST                             address to listen on
--port PORT                             port to listen on
-md,   --spec-draft-model FNAME         draft model
--spec-draft-n-max N                    most tokens of a draft (default: 3)
--spec-type none,draft-simple,draft-eagle3,draft-mtp,ngram-simple,ngram-map-k,ngram-mod,ngram-cache,brand-new
                                        types of speculation, parted by commas
--spec-ngram-simple-size-n N            tokens that must match
--spec-ngram-simple-size-m N            tokens of a draft
--spec-ngram-mod-n-match N              tokens that must match
--spec-ngram-mod-n-min N                shortest draft
--spec-ngram-mod-n-max N                longest draft
"""
"""Without the flags of ngram-map-k."""
STEP = 0.002
BOAST = 28


def token(prompt: list[int], place: int) -> int:
    """What the stand-in says at a place of its answer."""
    return 3 + (sum(prompt) + place * place) % 200


class Handler(BaseHTTPRequestHandler):
    mode = ""
    model = ""

    def do_GET(self) -> None:
        if self.path == "/health":
            self.reply(503 if self.mode == "never ready" else 200, {"status": "ok"})
        else:
            self.reply(200, {"model_path": "/other/model.gguf" if self.mode == "other model" else self.model})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["cache_prompt"] is False and body["temperature"] == 0 and body["stream"] is True
        if self.mode == "refuses":
            self.reply(400, {"error": {"message": "the prompt is too long"}})
            return
        self.send_response(200)
        self.end_headers()
        prompt, begin = body["prompt"], 0.0
        for place in range(body["n_predict"]):
            time.sleep(STEP)
            begin = begin or time.perf_counter()
            if place == 3:
                self.misbehave()
            said = 7 if self.mode == "babbles" else token(prompt, place)
            self.event({"content": "x", "tokens": [] if self.mode == "text only" else [said], "stop": False})
        rate = body["n_predict"] / (time.perf_counter() - begin) * (BOAST if self.mode == "boasts" else 1)
        timings = {"predicted_per_second": rate, "predicted_n": body["n_predict"], "draft_n": 4, "draft_n_accepted": 3}
        self.event({"content": "", "tokens": [], "stop": True, "timings": timings})
        if self.mode == "chatty":
            print("x" * 40_000, file=sys.stderr, flush=True)

    def misbehave(self) -> None:
        if self.mode == "dies":
            print("GGML_ASSERT failed: an error of its own", file=sys.stderr, flush=True)
            os._exit(3)
        if self.mode == "hangs":
            time.sleep(60)
        if self.mode == "no json":
            self.wfile.write(b"data: {no json\n\n")
        if self.mode == "fails":
            self.event({"error": {"message": "out of memory"}})

    def event(self, value: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()

    def reply(self, status: int, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def main(mode: str) -> None:
    """Serve as the command line says."""
    if "--help" in sys.argv:
        print(HELP)
        return
    if mode == "crashes":
        print("error: failed to load model", file=sys.stderr)
        sys.exit(1)
    taken = Path(sys.argv[0]).with_suffix(".taken")
    if taken.exists():
        taken.unlink()
        print("couldn't bind HTTP server socket", file=sys.stderr)
        sys.exit(1)
    Handler.mode, Handler.model = mode, sys.argv[sys.argv.index("-m") + 1]
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
