"""An append-only file of token sequences that survives being killed at any point: the suffix drafter's memory on disk.

Layout, little-endian. Header: magic (8 bytes), version (uint32), length of the fingerprint (uint32), fingerprint
(UTF-8), crc32 of all that (uint32). Records: number of tokens (uint32), crc32 of the tokens' bytes (uint32), tokens
(int32 each).
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from slipstream.core.errors import StateFileError
from slipstream.storage.files import reason, set_aside, write_atomic

MAGIC = b"slipstok"
VERSION = 1
LONGEST = 1 << 26
"""A record claiming more tokens is taken for damage."""

_START = struct.Struct("<8sII")
_RECORD = struct.Struct("<II")
_WORD = struct.Struct("<I")

HINT = "give this process another file, or switch the memory on disk off"


def _failure(verb: str, path: Path, error: OSError) -> StateFileError:
    return StateFileError(f"the token log {path} can't be {verb}: {reason(error)}", hint=f"free some space, or {HINT}")


def _header(fingerprint: str) -> bytes:
    name = fingerprint.encode()
    start = _START.pack(MAGIC, VERSION, len(name)) + name
    return start + _WORD.pack(zlib.crc32(start))


def _record(tokens: Sequence[int] | NDArray[np.int32]) -> bytes:
    body = np.asarray(tokens, "<i4").tobytes()
    return _RECORD.pack(len(tokens), zlib.crc32(body)) + body


def _records(data: bytes, start: int) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Every whole record from `start` on, with the offset of its end; stops at the first that is torn or damaged.
    An empty record is damage: zeros left by a crash look like one."""
    while start + _RECORD.size <= len(data):
        count, checksum = _RECORD.unpack_from(data, start)
        body, end = start + _RECORD.size, start + _RECORD.size + 4 * count
        if not 0 < count <= LONGEST or end > len(data) or zlib.crc32(memoryview(data)[body:end]) != checksum:
            return
        yield end, np.frombuffer(data, "<i4", count, body)
        start = end


class TokenLog:
    """An OutputLog in one file, held exclusively while open.

    `fingerprint` names the tokenizer: tokens of another one mean nothing. What could not be kept is set aside as
    FILE.damaged-N and told in `warnings`. Every method raises StateFileError when the file can't be read or written, or
    is held by another process; a failed append leaves nothing half-written behind.
    """

    def __init__(self, path: str | Path, fingerprint: str) -> None:
        self.path = Path(path)
        self.fingerprint = fingerprint
        self.warnings: list[str] = []
        self._file = -1
        self._end = 0
        self._outputs: list[NDArray[np.int32]] | None = None
        try:
            self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _failure("opened", self.path, error) from error
        try:
            self._hold()
            self._open()
        except OSError as error:
            self.close()
            raise _failure("opened", self.path, error) from error
        except BaseException:
            self.close()
            raise

    @property
    def _lock_path(self) -> Path:
        return self.path.with_name(self.path.name + ".lock")

    def _hold(self) -> None:
        """Take the lock: a file of its own, because `replace` puts another file in the log's place."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip()
            by = f"process {holder}" if holder.isdigit() else "another process"
            raise StateFileError(f"the token log {self.path} is in use by {by}", hint=HINT) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._file).st_size
        data = _read(self._file, size)
        header = _header(self.fingerprint)
        if data.startswith(header):
            self._end = len(header)
            self._outputs = []
            for end, tokens in _records(data, len(header)):
                self._outputs.append(tokens)
                self._end = end
            if self._end < size:
                aside = self._keep_aside(data[self._end :])
                lost = f"the last {size - self._end} bytes were torn or damaged"
                self._warn(f"{lost}, {len(self._outputs)} outputs before them are kept", aside)
                os.ftruncate(self._file, self._end)
                os.fsync(self._file)
            return
        os.close(self._file)
        self._file = -1
        if data and not header.startswith(data):  # a part of our header: killed while creating it, nothing is lost
            aside = set_aside(self.path)
            self._warn(f"{_difference(data, self.fingerprint)}: all of its {size} bytes were put away", aside)
        self._replace([])

    def _keep_aside(self, data: bytes) -> Path:
        """Keep a copy of what is about to be cut off, under a name that is free."""
        number = 1
        while True:
            aside = self.path.with_name(f"{self.path.name}.damaged-{number}")
            try:
                file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                number += 1
                continue
            try:
                _write(file, data)
                os.fsync(file)
            except OSError:
                os.unlink(aside)
                raise
            finally:
                os.close(file)
            return aside

    def _warn(self, what: str, aside: Path) -> None:
        self.warnings.append(f"token log {self.path}: {what} (see {aside.name})")

    def read(self) -> Sequence[NDArray[np.int32]]:
        """Every output, oldest first, each int32 of shape (tokens,); read-only views of one buffer."""
        if self._outputs is None:
            try:
                data = _read(self._need(), self._end)
            except OSError as error:
                raise _failure("read", self.path, error) from error
            self._outputs = [tokens for _, tokens in _records(data, len(_header(self.fingerprint)))]
        outputs, self._outputs = self._outputs, None
        return outputs

    def append(self, tokens: Sequence[int]) -> None:
        """Add an output; when this returns, it is on the disk. An empty one is left out."""
        if not len(tokens):
            return
        file, record = self._need(), _record(tokens)
        self._outputs = None
        try:
            os.lseek(file, self._end, os.SEEK_SET)
            _write(file, record)
            os.fsync(file)
        except OSError as error:
            with suppress(OSError):  # if this fails too, the next opening cuts the torn record off
                os.ftruncate(file, self._end)
            raise _failure("appended to", self.path, error) from error
        self._end += len(record)

    def replace(self, outputs: Collection[Sequence[int]]) -> None:
        """Rewrite the log atomically: whoever opens it next finds all of the old or all of the new."""
        self._need()
        self._replace(outputs)

    def _replace(self, outputs: Collection[Sequence[int]]) -> None:
        data = _header(self.fingerprint) + b"".join(_record(tokens) for tokens in outputs if len(tokens))
        write_atomic(self.path, data)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._end, self._outputs = -1, len(data), None
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise _failure("opened", self.path, error) from error

    def _need(self) -> int:
        if self._file < 0:
            raise StateFileError(f"the token log {self.path} is closed", hint="open it again")
        return self._file

    def close(self) -> None:
        """Let go of the file; another process may open it then. Harmless if closed."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> "TokenLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _difference(data: bytes, fingerprint: str) -> str:
    """Why a file isn't ours."""
    if data[:8] != MAGIC or len(data) < _START.size:
        return "it was no token log"
    _, version, length = _START.unpack_from(data)
    if version != VERSION:
        return f"it has version {version}, this program writes version {VERSION}"
    end = _START.size + length
    if data[end : end + _WORD.size] != _WORD.pack(zlib.crc32(data[:end])):
        return "its header is damaged"
    name = data[_START.size : end]
    return f"it belongs to another tokenizer ({name.decode('utf-8', 'replace')}, not {fingerprint})"


def _read(file: int, size: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    parts = []
    while size > 0 and (part := os.read(file, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _write(file: int, data: bytes) -> None:
    """All of `data`; os.write may write less at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
