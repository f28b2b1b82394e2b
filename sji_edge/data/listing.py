"""Finds a dataset's images in a folder tree: its split folders, its class folders, and what else is there."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sji_edge.core import run_files
from sji_edge.core.errors import DataError
from sji_edge.core.images.read import IMAGE_SUFFIXES
from sji_edge.core.text import listing, readable

SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}
"""Names of each split's folder, in any case; the first that exists is used."""

SYSTEM_FILES = {"thumbs.db", "desktop.ini", ".ds_store", ".gitkeep", ".gitignore", run_files.LABELS}
"""Files that nobody would mistake for an image of a joint; they are not counted."""

OTHER_SPLIT = "images in folders that are not read as a split"
OUTSIDE = "images outside a class folder"
DEEPER = "images in sub-folders of a class folder"
HIDDEN = "hidden images"


@dataclass
class Listing:
    """The images of one split by class folder, and ``left_out``: every other file, with what it is."""

    classes: dict[str, list[Path]] = field(default_factory=dict)
    left_out: list[tuple[str, Path]] = field(default_factory=list)


def splits_present(root: Path) -> tuple[str, ...]:
    """Return the splits that a dataset's folder holds, in the order train, validation, test."""
    return tuple(split for split in SPLIT_FOLDERS if root.is_dir() and _candidates(root, split))


def split_folder(root: Path, split: str) -> Path:
    """Find the folder of a split.

    Raises:
        DataError: ``root`` is no folder, or has no such split; lists what is there.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", hint="give the folder that holds train/ and validation/")
    found = _candidates(root, split)
    if found:
        return found[0]
    present = [entry.name for entry in _folders(root)]
    raise DataError(
        f"{root} has no {split} split; found: {readable(', '.join(present)) or 'no folder'}",
        hint=f"add the folder {root / split} with one folder per class",
    )


def list_split(folder: Path, *, may_be_empty: bool = False) -> Listing:
    """List the images of a split.

    Args:
        folder: holds one folder per class.
        may_be_empty: whether a class folder may hold no image.

    Raises:
        DataError: there is no class folder, one holds no image, or two have names that differ only in case,
            blanks or Unicode form.
    """
    found = Listing()
    for entry in _entries(folder):
        if entry.is_dir():
            if not entry.name.startswith("."):
                found.classes[entry.name] = _list_class(entry, found.left_out, may_be_empty)
        elif _is_image(entry):
            found.left_out.append((HIDDEN if _is_hidden(entry) else OUTSIDE, entry))
    if not found.classes:
        raise DataError(f"{folder} has no class folder", hint="put one folder per class into it")
    return found


def _list_class(folder: Path, left_out: list[tuple[str, Path]], may_be_empty: bool) -> list[Path]:
    images = []
    for entry in _entries(folder):
        if entry.is_dir():
            deeper = [path for path in sorted(entry.rglob("*")) if _is_image(path) and path.is_file()]
            left_out += [(HIDDEN if _is_hidden(path, folder) else DEEPER, path) for path in deeper]
        elif _is_hidden(entry):
            left_out += [(HIDDEN, entry)] if _is_image(entry) else []
        elif _is_image(entry):
            images.append(entry)
        elif entry.name.lower() not in SYSTEM_FILES:
            suffix = readable(entry.suffix.lower())
            left_out.append((f"{suffix} files" if suffix else "files without a suffix", entry))
    if not images and not may_be_empty:
        raise DataError(
            f"class folder {folder} holds no image ({', '.join(IMAGE_SUFFIXES)})",
            hint="add images to it, or remove it from every split",
        )
    return images


def beside_splits(root: Path, classes: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield images below ``root`` that no split reads: loose ones, and those of a second or misnamed split folder.

    Only folders that hold a folder named like one of the ``classes`` are taken for a split.
    """
    used = {found[0] for split in SPLIT_FOLDERS if (found := _candidates(root, split))}
    known = {folded(name) for name in classes}
    for entry in _entries(root):
        if entry.is_file() and _is_image(entry):
            yield HIDDEN if _is_hidden(entry) else OUTSIDE, entry
        if not entry.is_dir() or entry in used or entry.name.startswith("."):
            continue
        for folder in _folders(entry):
            if folded(folder.name) in known:
                yield from ((OTHER_SPLIT, path) for path in _entries(folder) if _is_image(path))


def check_spelling(names: Sequence[str], root: Path) -> None:
    """Refuse class names that differ only in case, blanks or Unicode form: one of them would become its own class.

    Raises:
        DataError: names the first such pair.
    """
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(folded(name), name)
        if other != name:
            raise DataError(
                f"{root} has the classes {other!r} and {name!r}, which differ only in case, blanks or Unicode form",
                hint="give the folder of one class the same name in every split",
            )


def folded(name: str) -> str:
    """Return a name in a form that ignores case, blanks, invisible characters and Unicode form."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return "".join(
        char for char in plain if not char.isspace() and unicodedata.category(char) not in ("Cf", "Cc")
    )


def check_trained(found: Mapping[str, Mapping[str, list[Path]]], names: Sequence[str], root: Path) -> None:
    """Refuse a class that the train split lacks; raises ``DataError``."""
    missing = [name for name in names if name not in found.get("train", names)]
    if missing:
        raise DataError(
            f"the train split of {root} has no class {missing[0]!r}, which another split has; "
            f"found: {listing(list(found['train']), 20)}",
            hint="add it to the train split, or correct the folder's name",
        )


def _candidates(root: Path, split: str) -> list[Path]:
    """Folders that can be a split's, the one that is used first: by name, then spelt in lower case."""
    order = SPLIT_FOLDERS[split]
    found = [entry for entry in _folders(root) if entry.name.casefold() in order]
    return sorted(found, key=lambda entry: (order.index(entry.name.casefold()), entry.name not in order))


def _folders(root: Path) -> list[Path]:
    return [entry for entry in _entries(root) if entry.is_dir()]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except NotADirectoryError:
        return []
    except OSError as error:
        raise DataError(f"cannot read folder {folder}: {error.strerror}") from error


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _is_hidden(path: Path, above: Path | None = None) -> bool:
    parts = (path.name,) if above is None else path.relative_to(above).parts
    return any(part.startswith(".") for part in parts)
