"""Control groups of this process (v1, v2 and the mixture of both): where a container's limits are written."""

from collections.abc import Callable
from pathlib import Path

UNIFIED = "unified"


def read_text(path: Path) -> str | None:
    """A small kernel file's text without the final newline; None if it can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def groups(text: str) -> dict[str, str]:
    """Controller -> path of this process's group, from /proc/self/cgroup. Version 2's only line is named "unified"."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        fields = line.split(":", 2)
        if len(fields) != 3:
            continue
        number, controllers, path = fields
        if number == "0" and not controllers:
            found[UNIFIED] = path
        for controller in filter(None, controllers.split(",")):
            found[controller] = path
    return found


def folders(controller: str, root: Path = Path("/")) -> list[Path]:
    """Folders whose limits bind this process, its own first, then every ancestor up to the mount.

    A container without its own cgroup namespace sees a path of the host that doesn't exist inside: its own group is
    then the mount itself, which is always the last entry.
    """
    text = read_text(root / "proc/self/cgroup")
    base = root / "sys/fs/cgroup"
    if text is None or not base.is_dir():
        return []
    known = groups(text)
    if controller == UNIFIED:
        mount = base / "unified" if (base / "unified").is_dir() else base
        if controller not in known or not (mount / "cgroup.procs").exists():
            return []
    else:
        mount = base / controller
        if controller not in known or not mount.is_dir():
            return []
    own = mount.joinpath(*(part for part in known[controller].split("/") if part not in ("", "..")))
    chain = [own, *own.parents]
    return [folder for folder in chain[: chain.index(mount) + 1] if folder.is_dir()]


def tightest(places: list[Path], read: Callable[[Path], float | None]) -> tuple[float, Path] | None:
    """The smallest value that `read` finds in the folders, and where; None if none sets a limit."""
    found = [(value, place) for place in places if (value := read(place)) is not None]
    return min(found, key=lambda pair: pair[0], default=None)
