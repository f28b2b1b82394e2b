"""Lists the files of a folder or a pattern that are frames, and what else lies there."""

import glob
from collections.abc import Iterable
from pathlib import Path

from sji_edge.core.images.read import IMAGE_SUFFIXES
from sji_edge.core.left_out import LeftOut, tally
from sji_edge.core.text import natural_key, readable

NO_IMAGES = frozenset(
    (
        ".csv", ".json", ".jsonl", ".txt", ".md", ".toml", ".yaml", ".yml", ".xml", ".log",
        ".db", ".db-wal", ".db-shm", ".html", ".pdf", ".zip", ".py", ".sh", ".ini",
    )
)  # fmt: skip
"""Suffixes of files that nobody would mistake for a frame; they are not reported."""
SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})


def is_frame_file(path: Path) -> bool:
    """Tell whether a path is a regular file with an image's name; a leading dot marks a copy that is not finished."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def in_natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sort paths in natural order: ``board2`` before ``board10``."""
    return sorted(paths, key=lambda path: natural_key(path.as_posix()))


def left_out_of_folder(root: Path, entries: Iterable[Path]) -> tuple[LeftOut, ...]:
    """Count the entries below ``root`` that are not frames and may have been meant as such."""
    found = [(what, path) for path in entries if (what := _kind(path))]
    return tally(root, sorted(found))


def _kind(path: Path) -> str:
    """Name the kind of a path that is not read as a frame; empty if that is obvious."""
    suffix = path.suffix.lower()
    if is_frame_file(path) or path.name.lower() in SYSTEM_FILES:
        return ""
    if path.name.startswith("."):
        return "hidden images" if suffix in IMAGE_SUFFIXES else ""
    if path.is_dir():
        return "sub-folders"
    if suffix in NO_IMAGES:
        return ""
    if suffix in IMAGE_SUFFIXES:
        return "entries that are not regular files"
    return f"{readable(suffix)} files" if suffix else "files without a suffix"


def matches(pattern: str) -> tuple[Path, list[Path]]:
    """Return the folder that a pattern starts from, and the paths that match.

    The leading folders that exist are taken literally, so that ``lot [1]/*.png`` finds the folder ``lot [1]``.
    """
    parts = Path(pattern).parts
    fixed = next(count for count in range(len(parts) - 1, -1, -1) if Path(*parts[:count]).is_dir())
    base = Path(*parts[:fixed])
    rest = Path(*parts[fixed:])
    escaped = Path(glob.escape(str(base))) / rest if fixed else rest
    # Path.glob takes no absolute pattern.
    return base, [Path(path) for path in glob.glob(str(escaped), recursive=True)]  # noqa: PTH207
