"""Files that are whole or absent: atomic writes, and damaged JSON set aside instead of lost."""

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from slipstream.core.errors import StateFileError

T = TypeVar("T")
REASONS = {
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EISDIR: "it is a folder",
    errno.ENOENT: "it doesn't exist",
}
HINTS = {
    errno.ENOSPC: "free some space, or choose another data root with SLIPSTREAM_ROOT",
    errno.EDQUOT: "free some space, or choose another data root with SLIPSTREAM_ROOT",
}
OTHER_HINT = "check the folder, or choose another data root with SLIPSTREAM_ROOT"


def reason(error: OSError) -> str:
    """Why the operating system refused, in words."""
    return REASONS.get(error.errno or 0) or (error.strerror or str(error) or type(error).__name__).lower()


def state_error(verb: str, path: Path, error: OSError) -> StateFileError:
    """The typed failure for an OSError at `path`; `verb` is a past participle such as "written"."""
    return StateFileError(f"{path} can't be {verb}: {reason(error)}", hint=HINTS.get(error.errno or 0, OTHER_HINT))


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replace the file's content in one step: a reader, or a crash at any moment, finds the old or the new content.

    Text is written as UTF-8. The folder is created if missing. Raises StateFileError; the old content then stands.
    """
    content = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise state_error("written", path, error) from error


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems have no fsync for folders
            raise
    finally:
        os.close(handle)


def set_aside(path: Path) -> Path:
    """Rename a damaged file to NAME.damaged-N with the first free N, and return that path. Raises StateFileError."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        path.rename(aside)
    except OSError as error:
        raise state_error("set aside", path, error) from error
    return aside


def read_json_or_set_aside(path: Path) -> tuple[Any, str | None]:
    """The file's value and no warning; None and no warning if it doesn't exist; None and a warning if it was damaged.

    A damaged file is renamed, so that the caller can start afresh and nothing is lost. Raises StateFileError if the
    file exists but can't be read or renamed.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None, None
    except OSError as error:
        raise state_error("read", path, error) from error
    try:
        return json.loads(content), None
    except (ValueError, RecursionError) as error:
        aside = set_aside(path)
        what = "it is empty" if not content.strip() else f"it is not JSON ({error})"
        return None, f"{path} was damaged: {what}; it was kept as {aside.name} and a new one is started"


def read_list_or_set_aside(
    path: Path, version: int, name: str, parse: Callable[[Any], T], again: str = ""
) -> tuple[list[T], str | None]:
    """The entries that a file `{"version": ..., name: [...]}` holds, and a warning if it was damaged and renamed; none
    of a missing file or one of another version. `parse` raises KeyError, TypeError, ValueError or AttributeError for
    what it can't read, and `again` says how to get it anew. Raises StateFileError as `read_json_or_set_aside`."""
    value, warning = read_json_or_set_aside(path)
    if value is None:
        return [], warning
    try:
        return [parse(one) for one in value[name]] if value["version"] == version else [], None
    except (KeyError, TypeError, ValueError, AttributeError):
        return [], f"{path} was damaged and set aside as {set_aside(path).name}{f': {again}' if again else ''}"
