"""How the kernel backs memory with pages: transparent huge pages and reserved ones."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slipstream.host.cgroup import read_text

FOLDER = "sys/kernel/mm"


@dataclass(frozen=True, slots=True)
class Pages:
    """`transparent` and `defrag` are the chosen modes, such as "madvise". `reserved` counts huge pages that were set
    aside at boot or later, by page size in kB. None: not readable."""

    transparent: str | None
    defrag: str | None
    reserved: Mapping[str, int] | None


def read(root: Path = Path("/")) -> Pages:
    """The modes in force, and what is reserved."""
    reserved = {}
    for folder in sorted((root / FOLDER / "hugepages").glob("hugepages-*kB")):
        count = read_text(folder / "nr_hugepages") or ""
        if count.isdigit():
            reserved[folder.name.removeprefix("hugepages-").removesuffix("kB")] = int(count)
    return Pages(_chosen(root, "enabled"), _chosen(root, "defrag"), reserved or None)


def _chosen(root: Path, name: str) -> str | None:
    """The word in brackets: "always [madvise] never"."""
    match = re.search(r"\[(.+?)\]", read_text(root / FOLDER / "transparent_hugepage" / name) or "")
    return match[1] if match else None
