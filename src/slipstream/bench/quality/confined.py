"""Runs one program and its tests in this process, which first gives up everything that a computation doesn't need.

A script of its own, for `python -I -S`, started by `unit_tests.py`: standard library only. Its argument is a job, JSON
{"programs": [...], "tests", "marker", "seconds", "memory"}; it answers with one JSON object on standard output.

The kernel (seccomp, Linux 3.5) then refuses every system call that is not in `ALLOWED`: no network, no other process,
no signal to one, no file opened for writing or changed in any way. Reading files stays possible. Inside the process
nothing is safe from a program that is written to deceive this very script; what is prevented is what programs do that
are just wrong, or greedy: ending before their tests, printing that they passed, replacing built-in functions.
"""

import builtins
import contextlib
import json
import math
import os
import resource
import sys
import types
from typing import Any

MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""The kernel's number for an architecture, and its column in the tables below."""
ALLOWED: dict[str, tuple[int, int | None]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "stat": (4, None), "fstat": (5, 80), "lstat": (6, None),
    "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "pread64": (17, 67),
    "readv": (19, 65), "writev": (20, 66), "access": (21, None), "sched_yield": (24, 124), "mremap": (25, 216),
    "madvise": (28, 233), "nanosleep": (35, 101), "getpid": (39, 172), "exit": (60, 93),
    "uname": (63, 160), "getcwd": (79, 17), "readlink": (89, None), "getrusage": (98, 165),
    "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176), "geteuid": (107, 175),
    "getegid": (108, 177), "sigaltstack": (131, 132), "gettid": (186, 178), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "getdents64": (217, 61), "restart_syscall": (219, 128),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "newfstatat": (262, 79), "readlinkat": (267, 78), "faccessat": (269, 48), "set_robust_list": (273, 99),
    "getrandom": (318, 278), "statx": (332, 291), "rseq": (334, 293), "faccessat2": (439, 439),
}  # fmt: skip
OPENING: dict[str, tuple[int, int | None, int]] = {"open": (2, None, 1), "openat": (257, 56, 2)}
"""Calls that are allowed for reading; the last number says which argument holds the flags."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

LOAD, JUMP_EQUAL, JUMP_BITS, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, DENY = 0x7FFF0000, 0x00050001
"""What a filter returns: go on, or fail with "operation not permitted"."""
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"""Where the filter finds them, in bytes; an argument has eight."""
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2

Instruction = tuple[int, int, int, int]
"""Code, instructions to skip if true, if false, operand."""


def program(machine: str) -> list[Instruction]:
    """The filter for an architecture of `MACHINES`, in the kernel's packet filter language."""
    architecture, column = MACHINES[machine]
    steps: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, DENY),
        (LOAD, 0, 0, NUMBER),
    ]
    for numbers in ALLOWED.values():
        if (number := numbers[column]) is not None:
            steps += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    for *calls, flags in OPENING.values():
        if (number := calls[column]) is not None:
            steps += [
                (JUMP_EQUAL, 0, 4, number),
                (LOAD, 0, 0, ARGUMENTS + 8 * flags),
                (JUMP_BITS, 1, 0, WRITING),
                (RETURN, 0, 0, ALLOW),
                (RETURN, 0, 0, DENY),
            ]
    return [*steps, (RETURN, 0, 0, DENY)]


def confine() -> str:
    """Hand the filter to the kernel, for good. Returns why that wasn't possible, "" if it was."""
    machine = os.uname().machine
    if sys.platform != "linux" or machine not in MACHINES or sys.maxsize < 1 << 32:
        return f"programs can be confined on Linux on {' and '.join(MACHINES)}, not on {sys.platform} on {machine}"
    import ctypes

    class Step(ctypes.Structure):
        _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_uint16), ("steps", ctypes.POINTER(Step)))

    steps = program(machine)
    filled = Program(len(steps), (Step * len(steps))(*(Step(*step) for step in steps)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    none = ctypes.c_ulong(0)
    if prctl(NO_NEW_PRIVILEGES, ctypes.c_ulong(1), none, none, none) or prctl(
        SECCOMP, ctypes.c_ulong(FILTER), ctypes.byref(filled), none, none
    ):
        return f"the kernel takes no filter of system calls: {os.strerror(ctypes.get_errno())}"
    return ""


def limit(seconds: float, memory: int) -> None:
    """Bounds that hold for whatever the program does: CPU seconds, bytes of address space, open files, no core file."""
    for kind, most in (
        (resource.RLIMIT_CPU, math.ceil(seconds) + 1),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):  # where a system knows no such limit
            resource.setrlimit(kind, (allowed, allowed))


def main(path: str) -> None:
    with open(path, "rb") as file:
        job: dict[str, Any] = json.load(file)
    os.unlink(path)
    os.chdir(os.path.dirname(path))
    answer = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    # All that is used after the program has run is taken before, out of its reach.
    write, leave, execute, say = os.write, os._exit, exec, json.dumps
    marker, lines, intact = job.pop("marker"), job["tests"].splitlines(), dict(vars(builtins))
    passed = say({"outcome": "passed", "marker": marker}).encode()
    limit(job["seconds"], job["memory"])
    try:
        refused, tests = confine(), compile(job["tests"], "tests", "exec")
    except (SyntaxError, ValueError) as error:
        refused = f"the prompt's tests are no Python: {error}"
    if refused:
        write(answer, say({"outcome": "refused", "reason": refused, "marker": marker}).encode())
        leave(0)
    module = types.ModuleType("answer")
    sys.modules["answer"] = module
    try:
        programs = [compile(text, "answer", "exec") for text in job["programs"]]
        space = module.__dict__
        for one in programs:
            execute(one, space)
        names = {name: value for name, value in space.items() if name not in intact or name in job["keep"]}
        execute(tests, names | {"__builtins__": intact, "__name__": "tests"})
    except BaseException as error:
        write(answer, say({"outcome": "failed", "reason": reason(error, lines)}).encode())
        leave(0)
    write(answer, passed)
    leave(0)


def reason(error: BaseException, lines: list[str]) -> str:
    """What went wrong, and in which line of the tests, if it was in one."""
    place, step = "", error.__traceback__
    while step:
        if step.tb_frame.f_code.co_filename == "tests" and step.tb_lineno <= len(lines):
            place = f" in {lines[step.tb_lineno - 1].strip()[:120]}"
        step = step.tb_next
    said = str(error)[:200]
    return f"{type(error).__name__}{said and ': '}{said}{place}"


if __name__ == "__main__":
    main(sys.argv[1])
