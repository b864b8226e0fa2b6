"""A copy of a GGUF in another precision, made by llama.cpp; the file appears under its name only when complete."""

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from llama_cpp import llama_cpp as library

from slipstream.core.errors import ModelFileError, RequestError, StateFileError, UnknownName
from slipstream.engine import log
from slipstream.engine.model import check_file, start_backend

KINDS: Mapping[str, int] = MappingProxyType(
    {
        "F16": library.LLAMA_FTYPE_MOSTLY_F16,
        "BF16": library.LLAMA_FTYPE_MOSTLY_BF16,
        "Q8_0": library.LLAMA_FTYPE_MOSTLY_Q8_0,
        "Q4_0": library.LLAMA_FTYPE_MOSTLY_Q4_0,
    }
)


def requantize(source: Path, destination: Path, kind: str, *, threads: int = 0) -> Path:
    """Write `source` to `destination` with weights of `kind` (F16, BF16, Q8_0, Q4_0); `threads` 0: all processors.

    Going up in precision brings no quality back. UnknownName, RequestError (same file, or it exists), ModelFileError
    (bad source), StateFileError (can't write).
    """
    if kind not in KINDS:
        raise UnknownName("kind of weights", kind, KINDS)
    check_file(source)
    if destination.exists():
        raise RequestError(f"{destination} exists", hint="remove it or give another name")
    start_backend()
    parameters = library.llama_model_quantize_default_params()
    parameters.ftype = KINDS[kind]
    parameters.allow_requantize = True
    parameters.nthread = threads
    partial = destination.with_name(f"{destination.name}.{os.getpid()}.partial")
    try:
        # A name that can't be written is found out before minutes of work.
        with partial.open("wb"):
            pass
        log.forget()
        if library.llama_model_quantize(str(source).encode(), str(partial).encode(), ctypes.byref(parameters)):
            why = log.reason().removeprefix("llama_model_quantize: failed to quantize: ")
            raise ModelFileError(f"{source} could not be written as {kind}: {why}", hint="check file and disk space")
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.rename(destination)
    except OSError as error:
        raise StateFileError(
            f"{destination} could not be written: {error.strerror}", hint="check its folder: space, permissions"
        ) from None
    finally:
        partial.unlink(missing_ok=True)
    return destination
