"""The user's cache: what may be lost at any time, because it can be made again."""

import os
from contextlib import suppress
from pathlib import Path

OTHERS_WRITE = 0o022


def cache_folder(kind: str) -> Path | None:
    """Return ``$XDG_CACHE_HOME/sji-edge/KIND`` (``~/.cache`` by default), which may not exist yet.

    Returns:
        None for a user without a home, as in some containers.
    """
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(home) / "sji-edge" / kind


def make_private(folder: Path) -> None:
    """Create a folder that only this user can write to; raises ``OSError`` if it cannot be created."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def is_private(path: Path) -> bool:
    """Return whether only this user can change a file and the folder it is in."""
    try:
        found = [path.parent.stat(), path.lstat()]
    except OSError:
        return False
    return all(each.st_uid == os.getuid() and not each.st_mode & OTHERS_WRITE for each in found)


def keep_newest(folder: Path, pattern: str, most: int) -> None:
    """Delete the oldest files of a folder beyond ``most``; one that another process deletes meanwhile is no error."""
    by_age = []
    for path in folder.glob(pattern):
        with suppress(OSError):
            by_age.append((path.stat().st_mtime, path))
    for _, old in sorted(by_age, reverse=True)[most:]:
        with suppress(OSError):
            old.unlink()
